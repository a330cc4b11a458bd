"""What is special about wasmer: its threads, its leaks, its missing wheels."""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host import engines
from dotnet_wasm_host.engines import get_engine
from tests.engines.kinds import HAS_WASMER, assemble
from tests.engines.test_conformance import CODE, MEMORY, PAGE

needs_wasmer = pytest.mark.skipif(not HAS_WASMER, reason="wasmer needs CPython 3.10")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="wasmer has wheels for this Python")
def test_newer_pythons_are_told_what_to_do() -> None:
    with pytest.raises(dwh.EngineUnavailable) as caught:
        dwh.Runtime(engine="wasmer")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert str(caught.value) == (
        f"wasmer 1.1.0, its last release for Python, has no wheels for CPython {version} (3.10 "
        "is the newest it has); use engine='wasmtime', the default, or CPython 3.10"
    )
    assert isinstance(caught.value, ImportError)


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="wasmer has no wheels for this Python")
@pytest.mark.parametrize("package", ["wasmer", "wasmer_compiler_cranelift"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wasmer.engine", "wasmer.threads"):
        monkeypatch.delitem(sys.modules, f"dotnet_wasm_host.engines.{name}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)  # import raises ImportError
    engines._wasmer.cache_clear()
    with pytest.raises(dwh.EngineUnavailable, match=r"pip install 'dotnet-wasm-host\[wasmer\]'"):
        get_engine("wasmer")
    engines._wasmer.cache_clear()


def test_the_environment_names_the_default_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOTNET_WASM_HOST_ENGINE", "wasmtime")
    assert get_engine() is get_engine("wasmtime")
    monkeypatch.setenv("DOTNET_WASM_HOST_ENGINE", "v8")
    with pytest.raises(ValueError, match="there is no engine 'v8'"):
        get_engine()
    assert get_engine("wasmtime").name == "wasmtime"
    monkeypatch.delenv("DOTNET_WASM_HOST_ENGINE")
    assert get_engine() is get_engine("wasmtime")


@pytest.fixture(scope="module")
def engine() -> Any:
    return get_engine("wasmer")


@pytest.fixture
def start(engine: Any) -> Callable[..., Any]:
    code, memory = engine.compile(assemble(CODE)), engine.compile(assemble(MEMORY))

    def make(**functions: Any) -> Any:
        instance = engine.instantiate(code, memory, memory_limit=8 * PAGE)
        instance.attach(lambda: {**dict.fromkeys(code.imports, abs), **functions})
        return instance

    return make


def in_thread(function: Callable[[], object]) -> Any:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    (result,) = results
    return result


@needs_wasmer
def test_instances_move_between_threads(
    start: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    instance = in_thread(start)
    add, bump = instance.function("add"), in_thread(lambda: instance.bind("bump"))
    for count in range(1, 4):
        assert add(40, 2) == 42
        in_thread(bump)
        bump()
        assert in_thread(lambda: add(1, 2)) == 3
        assert instance.globals() == {"counter": 7 + 2 * count}
        assert in_thread(instance.globals) == instance.globals()
        assert in_thread(lambda: instance.memory.grow(1))
        assert instance.memory.grow(1)
    # A thread that panics says so there.
    assert capfd.readouterr().err == ""


@needs_wasmer
def test_deadlines_move_between_threads(start: Callable[..., Any]) -> None:
    instance = start()

    def overrun() -> type[BaseException]:
        instance.set_deadline(0.01)
        with pytest.raises(dwh.InvocationTimeout) as caught:
            instance.function("spin")()
        instance.set_deadline(None)
        return caught.type

    assert in_thread(overrun) is dwh.InvocationTimeout
    overrun()
    assert in_thread(overrun) is dwh.InvocationTimeout
    assert instance.function("add")(1, 1) == 2


@needs_wasmer
def test_many_threads_share_one_module(start: Callable[..., Any]) -> None:
    instances = [start(reenter=lambda n: n) for _ in range(4)]
    failures: list[BaseException] = []

    def work(instance: Any, lock: threading.Lock) -> None:
        try:
            for number in range(200):
                with lock:
                    assert instance.function("reenter")(number) == number + 1
                if number % 20 == 0:
                    assert start().function("add")(number, 1) == number + 1
        except BaseException as error:
            failures.append(error)

    locks = [threading.Lock() for _ in instances]
    pairs = [*zip(instances, locks, strict=True)] * 2
    threads = [threading.Thread(target=work, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@needs_wasmer
def test_other_threads_run_while_a_guest_spins(start: Callable[..., Any]) -> None:
    instance, turns, stop = start(), 0, threading.Event()

    def work() -> None:
        nonlocal turns
        while not stop.is_set():
            turns += 1
            threading.Event().wait(0.001)

    thread = threading.Thread(target=work)
    thread.start()
    instance.set_deadline(0.5)
    with pytest.raises(dwh.InvocationTimeout):
        instance.function("spin")()
    stop.set()
    thread.join()
    # wasmer holds the GIL while the guest runs; without checks there would be one turn.
    assert turns > 5


@needs_wasmer
def test_ctrl_c_stops_a_guest(start: Callable[..., Any]) -> None:
    instance = start()
    # A process in the background starts with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    instance.set_deadline(30)
    try:
        threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,)).start()
        with pytest.raises(KeyboardInterrupt):
            instance.function("spin")()
    finally:
        signal.signal(signal.SIGINT, before)
        instance.set_deadline(None)
    assert instance.function("add")(1, 1) == 2


@needs_wasmer
def test_a_deadline_holds_when_the_host_was_slow(start: Callable[..., Any]) -> None:
    instance = start(notify=lambda _p: threading.Event().wait(0.05))
    instance.set_deadline(0.01)
    with pytest.raises(dwh.InvocationTimeout):
        instance.function("store")(0, 1)


@needs_wasmer
def test_forgotten_instances_are_freed_without_the_garbage_collector(
    start: Callable[..., Any],
) -> None:
    gc.collect()
    gc.disable()
    try:
        instance = start(notify=lambda _p: None)
        instance.function("store")(0, 1)
        instance.set_deadline(0.01)
        with pytest.raises(dwh.InvocationTimeout):
            instance.function("spin")()
        with pytest.raises(dwh.GuestTrap):
            instance.function("crash")()
        gone = weakref.ref(instance)
        del instance
        assert gone() is None
    finally:
        gc.enable()


@needs_wasmer
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_dropped_instances_is_given_back(start: Callable[..., Any]) -> None:
    def mapped() -> int:
        return int(Path("/proc/self/statm").read_text().split()[0]) * 4096

    start()
    before = mapped()
    for _ in range(50):
        start()
    # Each reserves gigabytes of addresses.
    assert mapped() - before < 2**31


@needs_wasmer
def test_damaged_files_are_refused_where_it_can_be_seen(engine: Any, tmp_path: Path) -> None:
    path = tmp_path / "code"
    data = engine.compile(assemble(CODE)).serialize()
    for damaged in (b"", data[:4], data[1:], b"x" + data):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="was not compiled by this engine"):
            engine.load(path)


@needs_wasmer
def test_marks_that_are_somewhere_else_are_noticed(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dotnet_wasm_host.engines.wasmer import threads as wasmer_threads

    # The first word of an object counts references.
    monkeypatch.setattr(
        wasmer_threads, "_mark", lambda item: ctypes.c_uint64.from_address(id(item))
    )
    with pytest.raises(dwh.EngineUnavailable, match="unknown place"):
        wasmer_threads.ThreadMarks(engine.store)


@needs_wasmer
def test_wrong_arguments_are_no_traps(start: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="add takes 2 arguments, not 1"):
        start().function("add")(1)
    with pytest.raises(TypeError, match="add does not take 3 arguments"):
        start().bind("add", 1, 2, 3)


@needs_wasmer
def test_images_work_in_both_engines(tmp_path: Path) -> None:
    echo = dwh.compile_csharp("""
        public sealed class Echo : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(System.ReadOnlySpan<byte> input) => input.ToArray();
        }""")
    path = tmp_path / "image"
    with dwh.Runtime(engine="wasmer") as runtime:
        runtime.load_assembly("echo", echo)
        runtime.snapshot().save(path)
    for name in ("wasmtime", "wasmer"):
        with dwh.Runtime(dwh.RuntimeImage.open(path, engine=name)) as runtime:
            assert runtime.invoke("echo", b"both") == b"both"
