"""What snippets of the documentation take for granted: files, functions, runtimes.

Everything is real: functions are compiled, loaded and called. A snippet gets the names it uses and
does not define, each made when it is asked for.
"""

from __future__ import annotations

import ast
import asyncio
import logging
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.store import ArtifactStore
from tests.nuget.made import put

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

__all__ = ["CSHARP", "Names", "fill_folder", "free_names"]

ECHO = """
namespace Orders.Handlers {
    public sealed class Submit : MinimalRuntime.IFunctionHandler {
        public byte[] Execute(System.ReadOnlySpan<byte> input) => input.ToArray();
    }
}
"""
LIBRARY = "namespace {0}; public static class Something {{ public static int Number => 1; }}"
GREETER = """
using System; using System.Text;
public sealed class Greeter : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes($"Hello, {Encoding.UTF8.GetString(input)}");
}
"""
#: Files that snippets name, and the assemblies they are.
FUNCTIONS = ("orders.dll", "tenant.dll", "parse.dll")
LIBRARIES = ("Newtonsoft.Json.dll", "Lib.dll", "MathNet.Numerics.dll")

#: What surrounds C# that is no file of its own.
CSHARP = {
    "contract": """
        using System; using System.Threading; using System.Threading.Tasks;
        namespace Snippet { %s }
        public sealed class Both : Snippet.IFunctionHandler, MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) => input.ToArray();
        }""",
    "async-contract": """
        using System; using System.Threading; using System.Threading.Tasks;
        namespace Snippet { %s }
        public sealed class Both
            : Snippet.IAsyncFunctionHandler, MinimalRuntime.IAsyncFunctionHandler
        {
            public ValueTask<byte[]> ExecuteAsync(
                ReadOnlyMemory<byte> input, CancellationToken cancellation)
                => new(input.ToArray());
        }""",
    "statements": """
        using System; using System.Linq; using System.Threading; using System.Threading.Tasks;
        using MinimalRuntime;
        public sealed record Order(string item, int count);
        public sealed record Price(double total);
        public sealed class Statements : IAsyncFunctionHandler {
            public async ValueTask<byte[]> ExecuteAsync(
                ReadOnlyMemory<byte> key, CancellationToken cancellation)
            {
                var order = new Order("apple", 3);
                %s
                await Task.CompletedTask;
                return Array.Empty<byte>();
            }
        }""",
    "file": "%s",
    "members": """
        using System; using System.Collections.Generic; using System.Threading.Tasks;
        public static class Functions { %s }
        public sealed class Handler : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) => input.ToArray();
        }""",
}


def fill_folder(folder: Path, compiled: Callable[..., dwh.Assembly]) -> None:
    """Put there what snippets find in the current directory."""
    for name in FUNCTIONS:
        assembly = compiled(ECHO, assembly_name=name.removesuffix(".dll"))
        (folder / name).write_bytes(assembly.data)
    for name in LIBRARIES:
        simple = name.removesuffix(".dll")
        library = compiled(LIBRARY.format(simple), assembly_name=simple)
        (folder / name).write_bytes(library.data)
    for name in ("app.cs", "greet.cs", "orders.cs", "order.cs", "geometry.cs"):
        (folder / name).write_text(GREETER, encoding="utf-8")
    (folder / "greet.dll").write_bytes(compiled(GREETER, assembly_name="greet").data)
    for name in ("bin/Release/net10.0/publish", "libs", "packages", "prices", "reports"):
        (folder / name).mkdir(parents=True)
    put(
        folder / "packages",
        "Newtonsoft.Json",
        "13.0.3",
        {"lib/net6.0/Newtonsoft.Json.dll": (folder / "Newtonsoft.Json.dll").read_bytes()},
    )
    (folder / "token").write_text("a secret of sixteen characters", encoding="utf-8")
    (folder / "keep.xml").write_text("<linker></linker>", encoding="utf-8")


def free_names(tree: ast.AST) -> set[str]:
    """Names that a snippet reads; some of them are its own."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@final
class Database:
    """Stands for a user's own storage."""

    def __init__(self) -> None:
        self.written: dict[str, str] = {}

    def write(self, key: str, value: str) -> None:
        self.written[key] = value


@final
class Names:
    """Makes the names that snippets use, each once for a snippet."""

    def __init__(self, compiled: Callable[..., dwh.Assembly], stack: ExitStack) -> None:
        self._compiled = compiled
        self._stack = stack
        self._made: dict[str, Any] = {
            "asyncio": asyncio,
            "dwh": dwh,
            "log": logging.getLogger("documentation"),
            "payload": b"payload",
            "payloads": [b"one", b"two"],
            "content": b"{}",
            "source": ECHO,
            "a": ECHO,
            "b": LIBRARY.format("B"),
            "token": "a secret of sixteen characters",
            "my_clock": dwh.SystemClock(),
            "my_random": random.Random(1).randbytes,
            "lookup": lambda key: key,
            "database": Database(),
        }

    def __call__(self, name: str) -> Any:
        """The object that ``name`` stands for; KeyError if there is none."""
        if name not in self._made:
            make = getattr(self, f"_make_{name}", None)
            if make is None:
                raise KeyError(name)
            self._made[name] = make()
        return self._made[name]

    def _make_assembly(self) -> dwh.Assembly:
        return self._compiled(ECHO, assembly_name="orders")

    def _make_units(self) -> dwh.Assembly:
        return self._compiled(LIBRARY.format("Units"), assembly_name="Units")

    def _make_runtime(self) -> dwh.Runtime:
        runtime = self._stack.enter_context(dwh.Runtime())
        runtime.load_assembly("orders", self("assembly"))
        return runtime

    def _make_function(self) -> dwh.LoadedFunction:
        runtime: dwh.Runtime = self("runtime")
        return runtime.functions["orders"]

    def _make_pool(self) -> dwh.RuntimePool:
        pool = self._stack.enter_context(dwh.RuntimePool(size=1))
        pool.load_assembly("orders", self("assembly"))
        return pool

    def _make_assemblies(self) -> dict[str, bytes]:
        store = ArtifactStore.locate()
        return {
            **{Path(name).stem: store.read(name) for name in store.names("framework/")},
            "MinimalRuntime": store.read("guest/MinimalRuntime.dll"),
            "Mine": self._compiled(ECHO, assembly_name="Mine").data,
        }
