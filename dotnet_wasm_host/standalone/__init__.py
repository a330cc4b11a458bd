"""``build_wasm``: one WebAssembly file with a function and the .NET it needs, for any host."""
