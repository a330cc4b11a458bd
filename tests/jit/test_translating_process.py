"""Methods that are translated in another process."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.engines.base import Engine
from dotnet_wasm_host.jit import translating_process, translation
from dotnet_wasm_host.jit.compiler import compile_batch
from dotnet_wasm_host.jit.hot_methods import HotMethods
from dotnet_wasm_host.jit.interface import Callee, CompilerLimits, LinkTarget, Signature
from dotnet_wasm_host.jit.translating_process import TranslatingProcess, shared_process
from dotnet_wasm_host.jit.view import GuestGone, LivePages, RecordingView
from dotnet_wasm_host.jit.wire import Message, Task, decode_task, encode_task, receive, send
from dotnet_wasm_host.runtime.compilation import Compilation
from dotnet_wasm_host.wasm.assembly import F64, I32, I64
from tests.jit.differential import ask_early

SOURCE = """
using System; using System.Collections.Generic; using System.Linq; using System.Text;
public sealed class Words : MinimalRuntime.IFunctionHandler {
    static int Mix(int a, int b) => unchecked((a ^ b) * 31 + (b >> 3));
    static double Half(double x) => x / 2;
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var counts = new Dictionary<string, int>(); int hash = 7; double half = 1e9;
        for (int i = 0; i < 3000; i++) {
            var word = "word" + i % 97; counts.TryGetValue(word, out var n);
            counts[word] = n + i; hash = Mix(hash, n); half = Half(half) + i;
        }
        var most = counts.OrderByDescending(p => p.Value).ThenBy(p => p.Key).First();
        return Encoding.UTF8.GetBytes($"{most.Key} {most.Value} {hash} {half}");
    }
}
"""
LIMITS = CompilerLimits()


@pytest.fixture(scope="module")
def words() -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE)


@pytest.fixture
def runtime(words: dwh.Assembly, monkeypatch: pytest.MonkeyPatch) -> Iterator[dwh.Runtime]:
    monkeypatch.setattr(Compilation, "_begin", lambda _: None)
    with dwh.Runtime(jit="auto") as runtime:
        ask_early(runtime)
        runtime.load_assembly("words", words)
        for _ in range(3):
            runtime.invoke("words")
        yield runtime


@pytest.fixture
def process() -> Iterator[TranslatingProcess]:
    with TranslatingProcess() as process:
        yield process


def hot_methods(runtime: dwh.Runtime) -> HotMethods:
    compiling = runtime._compilation
    assert compiling is not None
    assert compiling._hot is not None
    return compiling._hot


def engine_of(runtime: dwh.Runtime) -> Engine:
    compiling = runtime._compilation
    assert compiling is not None
    return compiling._engine


def take(runtime: dwh.Runtime) -> translation.Taken:
    taken = hot_methods(runtime).take(10)
    assert taken is not None
    assert len(taken.methods) > 3
    return taken


def test_it_gives_what_is_translated_here(
    runtime: dwh.Runtime, process: TranslatingProcess
) -> None:
    hot, known = hot_methods(runtime), 0
    facts = hot._facts
    for _ in range(3):
        taken = take(runtime)
        known += len(taken.target.callees)
        found = process.translate(facts, taken, LIMITS)
        assert found is not None
        view = RecordingView(taken.memory)
        here = compile_batch(
            facts, view, taken.target, taken.methods, LIMITS, before_method=view.begin
        )
        batch, seen = found
        assert replace(batch, statistics=here.statistics) == here
        assert replace(batch.statistics, seconds=0) == replace(here.statistics, seconds=0)
        assert seen._spans == {m: list(s) for m, s in view.spans.items()}
        assert batch.callees
        module = engine_of(runtime).compile(batch.wasm)
        hot.link(
            translation.Translation(batch, module, seen, taken.memory.copied, taken.target.callees)
        )
        runtime.invoke("words")
    assert known > 0, "no batch knew one before"


def test_a_batch_of_methods_starts_it_and_few_do_not(
    runtime: dwh.Runtime, process: TranslatingProcess
) -> None:
    facts, taken = hot_methods(runtime)._facts, take(runtime)
    for methods, starts in ((taken.methods[:2], False), (taken.methods, True)):
        some = replace(taken, methods=methods)
        translation.translate(facts, engine_of(runtime).compile, some, LIMITS, None, process)
        assert process.is_running == starts


def test_it_ends_with_its_last_user() -> None:
    process = TranslatingProcess()
    with process, process:
        started = process._process = translating_process._start()
        with process:
            pass
        assert started.poll() is None
    assert started.returncode is not None
    assert not process.is_running


def test_it_ends_when_nobody_talks_to_it_any_more() -> None:
    started = translating_process._start()
    started.communicate(timeout=60)
    assert started.returncode == 0


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_what_it_cannot_do_is_done_here(
    runtime: dwh.Runtime, process: TranslatingProcess, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hot = hot_methods(runtime)
    taken = take(runtime)
    assert process.translate(hot._facts, taken, LIMITS) is not None
    running = process._process
    assert running is not None
    if when == "before":
        running.kill()
    else:

        def fetch(_self: LivePages, _number: int) -> bytes:
            running.kill()
            return bytes(4096)

        monkeypatch.setattr(LivePages, "_fetch", fetch)
        taken.memory._pages.clear()
    assert process.translate(hot._facts, taken, LIMITS) is None
    assert not process.is_running
    assert running.returncode == -signal.SIGKILL


def test_a_guest_that_goes_ends_a_task_and_not_the_process(
    runtime: dwh.Runtime, process: TranslatingProcess
) -> None:
    hot = hot_methods(runtime)
    taken = take(runtime)
    running = process._process = translating_process._start()
    taken.memory.close()
    with pytest.raises(GuestGone):
        process.translate(hot._facts, taken, LIMITS)
    assert running.poll() is None
    hot.expect(taken.methods)
    assert process.translate(hot._facts, take(runtime), LIMITS) is not None


@pytest.mark.parametrize("executable", ["/usr/sbin/uwsgi", "", None])
def test_a_program_that_embeds_python_is_not_started(
    executable: str | None,
    runtime: dwh.Runtime,
    process: TranslatingProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    assert process.translate(hot_methods(runtime)._facts, take(runtime), LIMITS) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_the_child_of_a_fork_leaves_it_alone(process: TranslatingProcess) -> None:
    running = process._process = translating_process._start()
    child = os.fork()
    if child == 0:
        os._exit(process.is_running)
    assert os.waitpid(child, 0)[1] == 0
    assert process.is_running
    assert running.poll() is None


def test_the_background_uses_it(words: dwh.Assembly, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    translate = TranslatingProcess.translate

    def note(self: TranslatingProcess, *task: object) -> object:
        found = translate(self, *task)  # type: ignore[arg-type]
        used.append(0 if found is None else found[0].statistics.methods)
        return found

    monkeypatch.setattr(TranslatingProcess, "translate", note)
    with dwh.Runtime(jit="off") as runtime:
        runtime.load_assembly("words", words)
        expected = runtime.invoke("words")
    with dwh.Runtime(jit="auto") as runtime:
        ask_early(runtime)
        runtime.load_assembly("words", words)
        until = time.monotonic() + 60
        while not (sum(used) and runtime.stats().jit.methods) and time.monotonic() < until:
            assert runtime.invoke("words") == expected
        assert sum(used) > 0
        assert runtime.stats().jit.methods > 0
        assert runtime.invoke("words") == expected
    for thread in threading.enumerate():
        if thread.name == "dotnet-jit":
            thread.join(60)
    assert not shared_process().is_running


def test_a_task_comes_as_it_was_sent() -> None:
    signature = Signature(((0, I32), (8, F64)), I64)
    callee = Callee(7, 1, 2, 64, 8, is_found=True, is_boxed=True, signature=signature)
    target = LinkTarget(
        3, 4, 5, {7: callee, 8: Callee(8, 3, 4, 32, 0)}, frozenset({9}), 1 << 14, frozenset({11})
    )
    task = Task([1, 2, 3], 1 << 20, target, CompilerLimits(method_work=77))
    assert decode_task(encode_task(task)) == task


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", EOFError), (b"\x01\x00\x00", EOFError), (b"\x02\x04\x00\x00\x00abc", EOFError),
     (b"\x63\x00\x00\x00\x00", ValueError), (b"\x02\xff\xff\xff\xff", ValueError)],
)  # fmt: skip
def test_what_is_no_message_is_refused(content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        receive(io.BytesIO(content).read)


def test_a_message_comes_as_it_was_sent() -> None:
    pipe = io.BytesIO()
    for content in (b"", b"abc", bytes(100_000)):
        send(pipe.write, Message.PAGE, content)
    pipe.seek(0)
    for content in (b"", b"abc", bytes(100_000)):
        assert receive(pipe.read) == (Message.PAGE, content)
