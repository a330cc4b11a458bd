"""C# from source, compiled inside the sandbox."""

from dotnet_wasm_host.roslyn.compiler import CSharpCompiler
from dotnet_wasm_host.roslyn.options import CompilerOptions

__all__ = ["CSharpCompiler", "CompilerOptions"]
