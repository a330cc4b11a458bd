"""One .NET runtime in one WebAssembly instance."""

from dotnet_wasm_host.runtime.runtime import Runtime

__all__ = ["Runtime"]
