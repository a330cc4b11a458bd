"""Run with the Python of an environment that has only the wheel, outside of any checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import dotnet_wasm_host as dwh

EXPECTED = b"Hello, Ada, from .NET 10.0.10"


def main() -> None:
    """The snippet of the README, and the command."""
    installed = Path(dwh.__file__).resolve()
    assert installed.is_relative_to(Path(sysconfig.get_path("purelib")).resolve()), installed

    greeter = dwh.compile_csharp("""
        using System; using System.Text;
        public sealed class Greeter : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) => Encoding.UTF8.GetBytes(
                $"Hello, {Encoding.UTF8.GetString(input)}, from .NET {Environment.Version}");
        }""")
    with dwh.Runtime() as runtime:
        runtime.load_assembly("greet", greeter)
        result = runtime.invoke("greet", b"Ada")
        runtime.unload_assembly("greet")
    assert result == EXPECTED, result

    greeter.save("greeter.dll")
    command = [str(Path(sys.executable).parent / "dotnet-wasm-host")]
    ran = subprocess.run(
        [*command, "run", "greeter.dll", "--payload", "Ada"], capture_output=True, check=True
    )
    assert ran.stdout == EXPECTED, ran
    subprocess.run([*command, "info"], check=True)
    print(result.decode())


if __name__ == "__main__":
    main()
