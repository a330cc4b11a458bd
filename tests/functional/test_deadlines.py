"""Deadlines hold wherever code of a function runs, not only in its handler."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import dotnet_wasm_host as dwh
from tests.conftest import CompiledSources

TIMEOUT = 0.3
HANDLER = "MinimalRuntime.IFunctionHandler"
EXECUTE = "public byte[] Execute(System.ReadOnlySpan<byte> input) => [1];"
FOREVER = "while (true) { }"

#: Code that runs while a function is loaded.
LOADING = {
    "constructor": f"public class C : {HANDLER} {{ public C() {{ {FOREVER} }} {EXECUTE} }}",
    "static constructor": f"""
        public class C : {HANDLER} {{ static int n; static C() {{ {FOREVER} }} {EXECUTE} }}""",
    "static initialiser": f"""
        public class C : {HANDLER} {{
            static int n = Never(); static int Never() {{ {FOREVER} }}
            public C() => n++;
            {EXECUTE} }}""",
    "module initialiser": f"""
        static class M {{
            internal static int N;
            [System.Runtime.CompilerServices.ModuleInitializer]
            internal static void Start() {{ {FOREVER} }} }}
        public class C : {HANDLER} {{ public C() => M.N++; {EXECUTE} }}""",
    "resolving handler": f"""
        using System.Reflection; using System.Runtime.Loader;
        public class C : {HANDLER} {{
            public C() {{
                var own = AssemblyLoadContext.GetLoadContext(typeof(C).Assembly)!;
                own.Resolving += (_, _) => {{ {FOREVER} }};
                own.LoadFromAssemblyName(new AssemblyName("Nowhere"));
            }}
            {EXECUTE} }}""",
}
UNLOADING = f"""
    using System.Runtime.Loader;
    public class C : {HANDLER} {{
        public C() => AssemblyLoadContext.GetLoadContext(typeof(C).Assembly)!.Unloading +=
            _ => {{ {FOREVER} }};
        {EXECUTE} }}"""
#: Leaves an object whose finalizer never ends, when its payload says so.
FINALIZING = f"""
    using System;
    public class C : {HANDLER} {{
        sealed class Final {{ ~Final() {{ {FOREVER} }} }}
        static void Leave() {{ new Final(); }}
        public byte[] Execute(ReadOnlySpan<byte> input) {{
            if (input.Length == 1) {{ Leave(); Clear(8); }}
            if (input.Length == 2) GC.Collect();
            return [1];
        }}
        // The stack is scanned conservatively: write over what is left of the reference.
        static int Clear(int depth) => depth == 0 ? 0 : Clear(depth - 1) + 1;
    }}"""


@pytest.fixture
def runtime(image: dwh.RuntimeImage, moody: dwh.Assembly) -> Iterator[dwh.Runtime]:
    with dwh.Runtime(image, limits=dwh.Limits(timeout=TIMEOUT)) as runtime:
        runtime.load_assembly("bystander", moody)
        yield runtime
        assert runtime.invoke("bystander", b"echo x") == b"x"


@contextmanager
def in_time() -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < TIMEOUT + 5


@pytest.mark.parametrize("where", LOADING)
def test_loading_has_a_deadline(
    runtime: dwh.Runtime, compiled: CompiledSources, moody: dwh.Assembly, where: str
) -> None:
    assembly = compiled(LOADING[where])
    with in_time(), pytest.raises(dwh.InvocationTimeout):
        runtime.load_assembly("f", assembly)

    assert list(runtime.functions) == ["bystander"]
    assert runtime.load_assembly("f", moody).invoke(b"count") == b"1"


def test_unloading_has_a_deadline(
    runtime: dwh.Runtime, compiled: CompiledSources, caplog: pytest.LogCaptureFixture
) -> None:
    runtime.load_assembly("f", compiled(UNLOADING))
    with in_time():
        assert runtime.unload_assembly("f") is True
    assert "Unloading handler failed" in caplog.text
    assert list(runtime.functions) == ["bystander"]
    assert runtime.stats().recycles == 1


def test_replacing_has_a_deadline(
    runtime: dwh.Runtime, compiled: CompiledSources, moody: dwh.Assembly
) -> None:
    runtime.load_assembly("f", compiled(UNLOADING))
    with in_time():
        assert runtime.load_assembly("f", moody).generation == 2
    assert runtime.invoke("f", b"count") == b"1"


def test_loading_again_has_the_deadline_of_its_call(
    image: dwh.RuntimeImage, compiled: CompiledSources
) -> None:
    moody = compiled(f"""
        using System; using System.Security.Cryptography;
        public class C : {HANDLER} {{
            public C() {{ while (RandomNumberGenerator.GetBytes(1)[0] == 1) {{ }} }}
            {EXECUTE} }}""")
    numbers = bytearray(b"\0")
    options = dwh.WasiOptions(random=lambda count: bytes(numbers) * count)
    with dwh.Runtime(image, wasi=options) as runtime:
        runtime.load_assembly("f", moody)
        numbers[0] = 1
        runtime.recycle()
        with in_time(), pytest.raises(dwh.InvocationTimeout):
            runtime.invoke("f", timeout=TIMEOUT)


def test_capabilities_have_a_deadline_also_when_they_are_loaded_again(
    image: dwh.RuntimeImage, compiled: CompiledSources
) -> None:
    capability = compiled(
        """
        using System; using System.Security.Cryptography; using System.Runtime.CompilerServices;
        public static class Tool {
            [ModuleInitializer]
            internal static void Start() {
                while (RandomNumberGenerator.GetBytes(1)[0] == 1) { }
            }
            private static int answer = 42;
            public static int Answer() => answer;
        }""",
        assembly_name="Tool",
    )
    user = compiled(
        f"""
        public class C : {HANDLER} {{
            public C() => Tool.Answer();
            public byte[] Execute(System.ReadOnlySpan<byte> input) => [(byte)Tool.Answer()]; }}""",
        references=(capability,),
    )
    numbers = bytearray(b"\1")
    options = dwh.WasiOptions(random=lambda count: bytes(numbers) * count)
    limits = dwh.Limits(timeout=TIMEOUT)
    with dwh.Runtime(image, wasi=options, limits=limits) as runtime:
        runtime.load_capability("tool", capability)
        with in_time(), pytest.raises(dwh.InvocationTimeout):
            runtime.load_assembly("f", user)
        numbers[0] = 0
        runtime.load_assembly("f", user)
        assert runtime.invoke("f") == b"\x2a"
        numbers[0] = 1
        runtime.recycle()
        assert runtime.capabilities == ("tool",)
        with in_time(), pytest.raises(dwh.InvocationTimeout):
            runtime.invoke("f")
        numbers[0] = 0
        assert runtime.invoke("f") == b"\x2a"


OPERATIONS: dict[str, Callable[[dwh.Runtime, dwh.Assembly], object]] = {
    "call": lambda r, _: r.invoke("f", b"xx"),
    "batch": lambda r, _: r.invoke_many("f", [b"xx"] * 3),
    "snapshot": lambda r, _: r.snapshot(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_finalizers_that_never_end_harm_nobody(
    runtime: dwh.Runtime,
    compiled: CompiledSources,
    moody: dwh.Assembly,
    caplog: pytest.LogCaptureFixture,
    operation: str,
) -> None:
    runtime.load_assembly("f", compiled(FINALIZING))
    runtime.invoke("f", b"x")
    with in_time():
        try:
            OPERATIONS[operation](runtime, moody)
        except dwh.DotnetHostError as error:
            assert operation == "snapshot"
            assert "nothing to freeze" in str(error)
    assert "background work of the guest failed" in caplog.text
    assert runtime.stats().recycles == 1
    assert runtime.invoke("f") == b"\x01"


def test_what_a_load_leaves_in_the_background_may_kill_the_instance(
    runtime: dwh.Runtime, compiled: CompiledSources, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "dotnet_wasm_host.mono")
    assembly = compiled(f"""
        using System; using System.Threading;
        public class C : {HANDLER} {{
            public C() => ThreadPool.QueueUserWorkItem(_ => Environment.Exit(3));
            {EXECUTE} }}""")
    function = runtime.load_assembly("f", assembly)
    assert function.is_alive
    with pytest.raises(dwh.InstanceLost, match="background"):
        runtime.invoke("f")
    assert runtime.invoke("bystander", b"count") == b"1"


def test_a_heap_that_a_function_broke_cannot_hold_up_the_host(
    runtime: dwh.Runtime, compiled: CompiledSources
) -> None:
    vandal = compiled(f"""
        using System; using System.Runtime.InteropServices;
        public unsafe class C : {HANDLER} {{
            public byte[] Execute(ReadOnlySpan<byte> input) {{
                for (int round = 0; round < 64; round++) {{
                    var block = (byte*)Marshal.AllocHGlobal(64 + 16 * round);
                    for (int i = -16; i < 4096; i++) block[i] = (byte)(round + i);
                }}
                return [1];
            }} }}""")
    runtime.load_assembly("f", vandal)
    failures = 0
    for _ in range(6):
        try:
            runtime.invoke("f")
            with in_time():
                for size in (8, 1000, 100_000, 5_000_000):
                    with runtime.memory.allocate(size) as block:
                        runtime.memory.write(block.ptr, b"x" * 8)
        except (dwh.GuestTrap, dwh.GuestTerminated, dwh.GuestOutOfMemory, TimeoutError):
            failures += 1
        assert runtime.invoke("bystander", b"echo x") == b"x"
    assert failures == runtime.stats().recycles > 0
