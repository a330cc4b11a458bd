"""The compiler from Mono's interpreter code ("mint") to WebAssembly.

:mod:`dotnet_wasm_host.jit.interface` is what everything around the compiler knows of it.
"""
