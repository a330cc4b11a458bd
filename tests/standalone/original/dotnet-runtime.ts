// dotnet-runtime.ts - Cloudflare Worker hosting the .NET runtime
import wasmModule from './minimal-runtime.wasm'

interface DotNetExports {
  memory: WebAssembly.Memory
  invoke: (
    funcIdPtr: number, funcIdLen: number,
    payloadPtr: number, payloadLen: number,
    resultPtrPtr: number, resultLenPtr: number
  ) => number
  load_assembly: (
    funcIdPtr: number, funcIdLen: number,
    asmPtr: number, asmLen: number
  ) => number
  unload_assembly: (funcIdPtr: number, funcIdLen: number) => number
  free_result: (ptr: number) => void
  malloc: (size: number) => number
  free: (ptr: number) => void
}

let instance: WebAssembly.Instance | null = null
let exports: DotNetExports | null = null

async function ensureInitialized(): Promise<DotNetExports> {
  if (exports) return exports

  const compiled = await WebAssembly.compile(wasmModule)
  instance = await WebAssembly.instantiate(compiled, {
    wasi_snapshot_preview1: createWasiImports(),
    env: createEnvImports()
  })

  exports = instance.exports as unknown as DotNetExports

  // Call WASI _start to initialize runtime
  const start = instance.exports._start as () => void
  start?.()

  return exports
}

export async function invoke(functionId: string, payload: Uint8Array): Promise<Uint8Array> {
  const exp = await ensureInitialized()
  const mem = exp.memory

  // Allocate and copy function ID
  const funcIdBytes = new TextEncoder().encode(functionId)
  const funcIdPtr = exp.malloc(funcIdBytes.length)
  new Uint8Array(mem.buffer, funcIdPtr, funcIdBytes.length).set(funcIdBytes)

  // Allocate and copy payload
  const payloadPtr = exp.malloc(payload.length)
  new Uint8Array(mem.buffer, payloadPtr, payload.length).set(payload)

  // Allocate space for result pointer and length
  const resultPtrPtr = exp.malloc(4)  // pointer
  const resultLenPtr = exp.malloc(4)  // int32

  try {
    const status = exp.invoke(
      funcIdPtr, funcIdBytes.length,
      payloadPtr, payload.length,
      resultPtrPtr, resultLenPtr
    )

    if (status !== 0) {
      throw new Error('Function execution failed')
    }

    // Read result pointer and length
    const view = new DataView(mem.buffer)
    const resultPtr = view.getInt32(resultPtrPtr, true)
    const resultLen = view.getInt32(resultLenPtr, true)

    // Copy result
    const result = new Uint8Array(mem.buffer, resultPtr, resultLen).slice()

    // Free result buffer
    exp.free_result(resultPtr)

    return result
  } finally {
    exp.free(funcIdPtr)
    exp.free(payloadPtr)
    exp.free(resultPtrPtr)
    exp.free(resultLenPtr)
  }
}

export async function loadAssembly(functionId: string, assemblyData: Uint8Array): Promise<boolean> {
  const exp = await ensureInitialized()
  const mem = exp.memory

  const funcIdBytes = new TextEncoder().encode(functionId)
  const funcIdPtr = exp.malloc(funcIdBytes.length)
  new Uint8Array(mem.buffer, funcIdPtr, funcIdBytes.length).set(funcIdBytes)

  const asmPtr = exp.malloc(assemblyData.length)
  new Uint8Array(mem.buffer, asmPtr, assemblyData.length).set(assemblyData)

  try {
    const status = exp.load_assembly(
      funcIdPtr, funcIdBytes.length,
      asmPtr, assemblyData.length
    )
    return status === 0
  } finally {
    exp.free(funcIdPtr)
    exp.free(asmPtr)
  }
}

function createWasiImports(): WebAssembly.ModuleImports {
  return {
    fd_write: () => 0,
    fd_read: () => 0,
    fd_close: () => 0,
    clock_time_get: () => 0,
    random_get: (buf: number, len: number) => {
      const view = new Uint8Array(exports!.memory.buffer, buf, len)
      crypto.getRandomValues(view)
      return 0
    },
    proc_exit: () => {},
    environ_get: () => 0,
    environ_sizes_get: () => 0,
    args_get: () => 0,
    args_sizes_get: () => 0
  }
}

function createEnvImports(): WebAssembly.ModuleImports {
  return {
    js_log: (ptr: number, len: number) => {
      const bytes = new Uint8Array(exports!.memory.buffer, ptr, len)
      console.log('[.NET]', new TextDecoder().decode(bytes))
    }
  }
}
