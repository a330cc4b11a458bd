;(WebAssembly as any).compile = async (module: WebAssembly.Module) => module
