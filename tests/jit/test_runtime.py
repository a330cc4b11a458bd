"""Compiled methods in real instances."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.cache import ImageCache
from dotnet_wasm_host.images.image import frozen_of
from dotnet_wasm_host.jit import hot_methods, translation
from dotnet_wasm_host.options import compiles_methods
from dotnet_wasm_host.runtime import compilation, image_code
from dotnet_wasm_host.runtime.image_code import ImageCode
from tests.jit.differential import ask_early

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dotnet_wasm_host.engines.base import CompiledModule

SOURCE = """
using System; using System.Text;
public sealed class Loops : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var text = Encoding.UTF8.GetString(input);
        if (text == "forever") for (int i = 0; ; i = i * 3 + 1) { if (i == 17) break; }
        if (text == "overflow") { int x = 1; for (int i = 0; i < 90000; i++) x = checked(x + i); }
        uint hash = 2166136261;
        for (int i = 0; i < 50000; i++) hash = (hash ^ (uint)i) * 16777619;
        return Encoding.UTF8.GetBytes(hash.ToString());
    }
}
"""


@pytest.fixture(scope="module")
def loops() -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE)


@pytest.fixture
def runtime(loops: dwh.Assembly) -> Iterator[dwh.Runtime]:
    with dwh.Runtime(jit="auto") as runtime:
        runtime.load_assembly("loops", loops)
        yield runtime


@pytest.fixture(scope="module")
def expected(loops: dwh.Assembly) -> bytes:
    with dwh.Runtime(jit="off") as runtime:
        runtime.load_assembly("loops", loops)
        return runtime.invoke("loops")


def warm(runtime: dwh.Runtime) -> None:
    for _ in range(5):
        runtime.invoke("loops")
    runtime.compile_hot_methods()
    assert runtime.stats().jit.methods > 0


def test_results_are_those_of_the_interpreter(runtime: dwh.Runtime, expected: bytes) -> None:
    assert {runtime.invoke("loops") for _ in range(5)} == {expected}
    runtime.compile_hot_methods()
    stats = runtime.stats().jit
    assert stats.methods > 0
    assert stats.code_bytes > 0
    assert {runtime.invoke("loops") for _ in range(5)} == {expected}


def test_nothing_is_compiled_where_it_is_off(loops: dwh.Assembly) -> None:
    with dwh.Runtime(jit="off") as runtime:
        runtime.load_assembly("loops", loops)
        for _ in range(5):
            runtime.invoke("loops")
        assert runtime.compile_hot_methods() == dwh.JitReport()
        assert runtime.stats().jit == dwh.JitStats()
        assert not frozen_of(runtime.image).method_entries


def test_a_loop_in_compiled_code_has_a_deadline(runtime: dwh.Runtime, expected: bytes) -> None:
    warm(runtime)
    with pytest.raises(dwh.InvocationTimeout):
        runtime.invoke("loops", b"forever", timeout=0.2)
    assert runtime.invoke("loops") == expected
    warm(runtime)  # in the fresh instance, too


def test_an_exception_in_compiled_code_is_the_interpreters(
    runtime: dwh.Runtime, loops: dwh.Assembly, expected: bytes
) -> None:
    warm(runtime)
    with dwh.Runtime(jit="off") as other:
        other.load_assembly("loops", loops)
        with pytest.raises(dwh.InvocationError) as interpreted:
            other.invoke("loops", b"overflow")
    for _ in range(3):
        with pytest.raises(dwh.InvocationError) as compiled:
            runtime.invoke("loops", b"overflow")
        assert str(compiled.value) == str(interpreted.value)
        runtime.compile_hot_methods()
    assert runtime.invoke("loops") == expected


def test_a_snapshot_starts_interpreted_or_compiled(runtime: dwh.Runtime, expected: bytes) -> None:
    warm(runtime)
    image = runtime.snapshot()
    assert frozen_of(image).parts.state.hot_methods
    assert runtime.invoke("loops") == expected
    with dwh.Runtime(image, jit="off") as interpreted:
        assert interpreted.invoke("loops") == expected
        assert interpreted.stats().jit == dwh.JitStats()
    with dwh.Runtime(image, jit="auto") as compiled:
        compiled.compile_hot_methods()
        assert compiled.stats().jit.methods > 0
        assert compiled.invoke("loops") == expected


@pytest.mark.parametrize("ask", [True, False])
def test_instances_of_a_snapshot_start_compiled(
    runtime: dwh.Runtime, expected: bytes, ask: bool
) -> None:
    warm(runtime)
    image = runtime.snapshot(jit=ask)
    if not ask:
        # The second instance has it compiled, the next get it.
        for _ in range(2):
            dwh.Runtime(image, jit="auto").close()
        for thread in threading.enumerate():
            if thread.name == "dotnet-jit-image":
                thread.join()
    with dwh.Runtime(image, jit="auto") as first, dwh.Runtime(image, jit="auto") as second:
        for fresh in (first, second):
            stats = fresh.stats().jit
            assert stats.methods > 0
            assert stats.host_work == stats.pending == 0
            assert {fresh.invoke("loops") for _ in range(3)} == {expected}
        first.recycle()
        assert first.stats().jit.methods > 0
        assert first.invoke("loops") == expected
        again = first.snapshot(jit=ask)
    with dwh.Runtime(again, jit="off") as interpreted:
        assert interpreted.invoke("loops") == expected


def test_machine_code_of_an_image_is_in_the_cache(
    runtime: dwh.Runtime,
    expected: bytes,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """What another process finds there: the same addresses in the same WebAssembly."""
    monkeypatch.setenv("DOTNET_WASM_HOST_CACHE", str(tmp_path))
    warm(runtime)
    image = runtime.snapshot(jit=True)
    entries = [entry for entry in ImageCache(tmp_path).entries() if "methods" in entry.what]
    assert entries
    kind = type(frozen_of(image).engine)
    compile_module, compiled = kind.compile, list[bytes]()

    def compile_and_note(self: Any, wasm: bytes) -> CompiledModule:
        compiled.append(wasm)
        return compile_module(self, wasm)

    monkeypatch.setattr(kind, "compile", compile_and_note)
    again = image_code.ImageCode(frozen_of(image), ImageCode.of(frozen_of(image)).facts)
    again.make()
    assert not compiled
    monkeypatch.setattr(image_code, "_of_images", {frozen_of(image): again})
    with dwh.Runtime(image, jit="auto") as fresh:
        assert fresh.stats().jit.methods > 0
        assert fresh.invoke("loops") == expected
    for path in tmp_path.glob("*.bin"):
        path.unlink()  # what is mapped stays as it is
        path.write_bytes(b"damaged")
    once_more = image_code.ImageCode(frozen_of(image), again.facts)
    once_more.make()
    assert len(compiled) >= len(entries)


def test_code_that_cannot_be_linked_leaves_an_instance_interpreted(
    runtime: dwh.Runtime,
    expected: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    warm(runtime)
    image = runtime.snapshot(jit=True)

    def fail(*_: object) -> bool:
        raise ValueError("the function table cannot grow")

    monkeypatch.setattr(hot_methods.HotMethods, "adopt", fail)
    caplog.set_level(logging.WARNING, "dotnet_wasm_host.jit")
    with dwh.Runtime(image, jit="auto") as fresh:
        assert fresh.invoke("loops") == expected
        fresh.recycle()
        assert fresh.invoke("loops") == expected
        assert fresh.compile_hot_methods().methods == 0
    assert len(caplog.records) == 1


def test_a_snapshot_of_compiled_instances_has_no_compiled_code(
    runtime: dwh.Runtime, expected: bytes
) -> None:
    """What instances of it run is what was compiled for it, and found in its own memory."""
    warm(runtime)
    with dwh.Runtime(runtime.snapshot(jit=True), jit="auto") as compiled:
        compiled.invoke("loops")
        image = compiled.snapshot(jit=True)
    with dwh.Runtime(image, jit="auto") as fresh:
        assert fresh.stats().jit.methods > 0
        assert {fresh.invoke("loops") for _ in range(3)} == {expected}
        with pytest.raises(dwh.InvocationTimeout):
            fresh.invoke("loops", b"forever", timeout=0.2)
        assert fresh.invoke("loops") == expected


def test_what_has_changed_while_it_was_compiled_is_not_linked(
    runtime: dwh.Runtime, monkeypatch: pytest.MonkeyPatch, expected: bytes
) -> None:
    translate = translation.translate

    def change(*work: object) -> translation.Translation:
        found = translate(*work)  # type: ignore[arg-type]
        for number, content in found.seen._pages.items():
            found.seen._pages[number] = bytes(len(content))  # type: ignore[index]
        return found

    monkeypatch.setattr(compilation, "translate", change)
    assert {runtime.invoke("loops") for _ in range(5)} == {expected}
    runtime.compile_hot_methods()
    stats = runtime.stats().jit
    assert stats.methods == 0
    assert stats.discarded > 0


def test_a_failure_falls_back_and_is_logged_once(
    runtime: dwh.Runtime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    expected: bytes,
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a defect of the compiler")

    monkeypatch.setattr(translation, "compile_batch", fail)
    with caplog.at_level(logging.WARNING, "dotnet_wasm_host.jit"):
        for _ in range(3):
            assert {runtime.invoke("loops") for _ in range(5)} == {expected}
            assert runtime.compile_hot_methods().methods == 0
            runtime.recycle()
    assert [record.message for record in caplog.records] == [
        "methods stay interpreted: the compiler failed"
    ]


def test_what_is_too_much_for_a_batch_is_compiled_in_the_next(
    loops: dwh.Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation.Compilation, "_begin", lambda _: None)
    monkeypatch.setattr(compilation, "_BATCH", 3)
    with dwh.Runtime(jit="auto") as runtime:
        ask_early(runtime)
        runtime.load_assembly("loops", loops)
        for _ in range(5):
            runtime.invoke("loops")
        waiting = runtime.stats().jit.pending
        report = runtime.compile_hot_methods()
        stats = runtime.stats().jit
    assert waiting > 3  # one batch
    assert stats.pending == 0
    assert stats.methods + stats.rejected >= waiting
    assert not [reason for reason in report.rejected if "of a batch" in reason]


def test_unloading_while_methods_wait(runtime: dwh.Runtime, loops: dwh.Assembly) -> None:
    for n in range(4):
        runtime.load_assembly(f"other{n}", loops)
        for _ in range(3):
            runtime.invoke(f"other{n}")
        runtime.unload_assembly(f"other{n}")
    runtime.compile_hot_methods()
    warm(runtime)


def test_a_runtime_is_closed_while_it_compiles(loops: dwh.Assembly) -> None:
    for _ in range(3):
        with dwh.Runtime(jit="auto") as runtime:
            runtime.load_assembly("loops", loops)
            for _ in range(3):
                runtime.invoke("loops")
    for thread in threading.enumerate():
        if thread.name == "dotnet-jit":
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.parametrize("how", ["replaced", "closed", "forgotten"])
def test_an_instance_goes_while_its_methods_are_compiled(
    loops: dwh.Assembly, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """At once: without the garbage collector, and whatever the compiling thread does."""
    translate, begun, go_on = translation.translate, threading.Event(), threading.Event()

    def wait(*work: object) -> translation.Translation:
        begun.set()
        assert go_on.wait(60)
        return translate(*work)  # type: ignore[arg-type]

    monkeypatch.setattr(compilation, "translate", wait)
    gc.disable()
    try:
        runtime = dwh.Runtime(jit="auto")
        runtime.load_assembly("loops", loops)
        while not begun.is_set():
            runtime.invoke("loops")
        gone = weakref.ref(runtime._current.guest.host.instance)
        if how == "replaced":
            runtime.recycle()
        else:
            runtime.close()
        if how == "forgotten":
            del runtime
        assert gone() is None
        if how == "replaced":
            runtime.close()
    finally:
        go_on.set()
        gc.enable()


def test_methods_are_translated_while_a_call_runs(
    runtime: dwh.Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the runtime's lock, and without a copy of memory."""
    translate, copied = translation.translate, []
    monkeypatch.setattr(compilation.Compilation, "_begin", lambda _: None)

    def translated(*work: object) -> translation.Translation:
        found: list[translation.Translation] = []
        with runtime._lock:  # as a call has it
            thread = threading.Thread(target=lambda: found.append(translate(*work)))  # type: ignore[arg-type]
            thread.start()
            thread.join(60)
            assert not thread.is_alive()
        copied.append(found[0].copied)
        return found[0]

    monkeypatch.setattr(compilation, "translate", translated)
    warm(runtime)
    assert 0 < max(copied) < runtime.memory.size // 8


def test_a_method_that_is_noted_while_the_thread_ends_is_compiled(
    runtime: dwh.Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, noted = threading.Event(), threading.Event()
    compile_in_background = vars(compilation)["_compile_in_background"]

    def linger(reference: weakref.ref[compilation.Compilation]) -> None:
        compile_in_background(reference)
        ended.set()
        assert noted.wait(60)

    monkeypatch.setattr(compilation, "_compile_in_background", linger)
    while not ended.is_set():
        runtime.invoke("loops")
    compiling = runtime._compilation
    assert compiling is not None
    assert compiling._hot is not None
    with runtime._lock:
        compiling._hot.expect([1])
    noted.set()
    for thread in threading.enumerate():
        if thread.name == "dotnet-jit":
            thread.join(60)
    assert runtime.stats().jit.pending == 0


def test_compiling_answers_no_cancellation(runtime: dwh.Runtime) -> None:
    """It would be a call's, and the call would go on. So compiling enters no code of a guest."""
    for _ in range(5):
        runtime.invoke("loops")
    instance = runtime._current.guest.host.instance
    instance.interrupt(lambda: dwh.InvocationCancelled("the call was cancelled"))
    assert runtime.compile_hot_methods().methods > 0
    with pytest.raises(dwh.InvocationCancelled):
        instance.look_up()


def test_a_child_of_a_fork_waits_for_no_thread(runtime: dwh.Runtime) -> None:
    warm(runtime)
    compiling = runtime._compilation
    assert compiling is not None
    assert compiling._hot is not None
    pages = compiling._hot._pages
    assert pages is not None
    with pages._lock:  # as the thread had it that is not there any more
        runtime._after_fork_in_child()
        compiling._after_fork_in_child()
        runtime.close()


@pytest.mark.parametrize("value", ["auto", "off"])
def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DOTNET_WASM_HOST_JIT", value)
    assert compiles_methods(None) is (value == "auto")
    assert compiles_methods("auto")
    assert not compiles_methods("off")


def test_another_word_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="expected jit 'auto' or 'off', found 'on'"):
        dwh.Runtime(jit="on")
    monkeypatch.setenv("DOTNET_WASM_HOST_JIT", "yes")
    with pytest.raises(ValueError, match="DOTNET_WASM_HOST_JIT='yes'"):
        dwh.Runtime()
