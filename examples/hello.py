"""Compile a C# function, load it, call it with bytes, unload it.

Prints::

    Hello, Ada, from .NET 10.0.10
"""

import dotnet_wasm_host as dwh

greeter = dwh.compile_csharp("""
    using System; using System.Text;
    public sealed class Greeter : MinimalRuntime.IFunctionHandler {
        public byte[] Execute(ReadOnlySpan<byte> input) =>
            Encoding.UTF8.GetBytes(
                $"Hello, {Encoding.UTF8.GetString(input)}, from .NET {Environment.Version}");
    }""")

with dwh.Runtime() as runtime:
    runtime.load_assembly("greet", greeter)
    print(runtime.invoke("greet", b"Ada").decode())
    runtime.unload_assembly("greet")
