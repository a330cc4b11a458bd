"""C# from source, compiled inside the sandbox."""

from dotnet_wasm_host.roslyn.compiler import CSharpCompiler, compile_csharp

__all__ = ["CSharpCompiler", "compile_csharp"]
