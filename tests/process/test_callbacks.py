"""Exceptions raised wherever Python can raise one while a guest calls the host."""

from __future__ import annotations

import faulthandler
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

import dotnet_wasm_host as dwh

SOURCE = """
using System; using MinimalRuntime;
public sealed class Handler : IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        switch ((char)input[0]) {
            case 'r': Guid.NewGuid(); break;
            case 't': try { throw new Exception(); } catch { } break;
            case 'l': while (true) { try { Guid.NewGuid(); throw new Exception(); } catch { } }
        }
        return Host.Call("h", input);
    }
}
"""
CALLBACKS = "engines/wasmtime/callbacks.py"


#: Which event: each of the first ones, and then one of each few, which are of the same functions.
NUMBERS = (*range(1, 60), *range(60, 100_000, 13))


class Quit(BaseException):
    """What a debugger raises to end the program."""


@pytest.fixture(scope="module")
def function() -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE)


@pytest.fixture
def runtime(function: dwh.Assembly) -> Iterator[dwh.Runtime]:
    faulthandler.dump_traceback_later(250, exit=True)
    with dwh.Runtime(host_functions={"h": echo}) as runtime:
        runtime.load_assembly("f", function)
        yield runtime
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def unraisable(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What Python reports as dropped: by ctypes, or in a finalizer."""
    found: list[str] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda event: found.append(f"{event.err_msg} {event.object}")
    )
    yield found
    assert found == []


def echo(data: bytes) -> bytes:
    return data[:]


class Tracer:
    """Raises at the ``number``-th event of a kind, in frames of callbacks and what they call."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.frames: set[str] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if not _is_called_by_guest(frame):
            return self
        frame.f_trace_opcodes = True
        self.frames.add(frame.f_code.co_name)
        self.left -= 1
        if self.left == 0:
            raise Quit(f"{event} in {frame.f_code.co_name}")
        return self


def _is_called_by_guest(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.endswith(CALLBACKS):
            return True
        frame = frame.f_back
    return False


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile])
@pytest.mark.parametrize("payload", [b"r", b"t", b"h"])
def test_a_trace_function_raises_at_every_event(
    runtime: dwh.Runtime, payload: bytes, install: Callable[[Any], None]
) -> None:
    before = sys.gettrace(), sys.getprofile()
    for number in NUMBERS:
        assert runtime.invoke("f", payload) == payload
        tracer = Tracer(number)
        install(tracer)
        try:
            result = runtime.invoke("f", payload)
        except Quit:
            continue
        finally:
            sys.settrace(before[0])
            sys.setprofile(before[1])
        # It ran out of events before its number came: nothing was raised, or it has been lost.
        assert tracer.left > 0
        assert result == payload
        assert "echo" in tracer.frames, "host functions can be debugged"
        break
    else:
        pytest.fail("no call was short enough")
    assert number > 10


@pytest.mark.parametrize("payload", [b"r", b"t", b"h"])
def test_the_trace_function_stays(runtime: dwh.Runtime, payload: bytes) -> None:
    def tracer(_frame: FrameType, _event: str, _argument: object) -> Any:
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        assert runtime.invoke("f", payload) == payload
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


def test_a_host_function_begins_to_trace_and_the_tracer_quits(
    function: dwh.Assembly,
) -> None:
    """As pdb.set_trace() does: every frame of the stack is traced from then on."""
    before = sys.gettrace()
    events = [0]
    for number in range(1, 40):
        events[0] = number

        def tracer(_frame: FrameType, _event: str, _argument: object) -> Any:
            events[0] -= 1
            if events[0] == 0:
                raise Quit
            return tracer

        def debug(data: bytes) -> bytes:
            frame: FrameType | None = sys._getframe()
            while frame is not None and frame.f_code.co_filename != __file__:
                frame.f_trace = tracer
                frame = frame.f_back
            sys.settrace(tracer)
            return data

        with dwh.Runtime(host_functions={"h": debug}) as runtime:
            runtime.load_assembly("f", function)
            try:
                assert runtime.invoke("f", b"h") == b"h"
            except Quit:
                pass
            finally:
                sys.settrace(before)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12")
def test_a_monitoring_tool_raises_at_every_event(runtime: dwh.Runtime) -> None:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
    kinds = monitoring.events
    left = [0]

    def watch(*_arguments: object) -> None:
        frame = sys._getframe(1)
        # "remove" is the callback of a weak reference, in which Python itself drops what is raised.
        if frame.f_code.co_name != "remove" and _is_called_by_guest(frame):
            left[0] -= 1
            if left[0] == 0:
                raise Quit

    monitoring.use_tool_id(3, "test")
    try:
        for kind in (kinds.PY_START, kinds.PY_RETURN, kinds.LINE, kinds.INSTRUCTION, kinds.CALL):
            monitoring.register_callback(3, kind, watch)
            for number in NUMBERS:
                # An instance is replaced and warmed up unwatched: that has thousands of events.
                assert runtime.invoke("f", b"r") == b"r"
                left[0] = number
                monitoring.set_events(3, kind)
                try:
                    assert runtime.invoke("f", b"r") == b"r"
                except Quit:
                    continue
                finally:
                    monitoring.set_events(3, 0)
                assert left[0] > 0
                break
            else:
                pytest.fail("no call was short enough")
            assert number > 10
            monitoring.register_callback(3, kind, None)
    finally:
        monitoring.free_tool_id(3)


@pytest.mark.slow
def test_other_threads_send_exceptions_at_any_time() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.process.sent_exceptions"],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.stdout.strip() == "RIGHT", done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no timers that send signals")
def test_signals_come_at_any_time() -> None:
    """In a process of its own: what a signal handler raises may come at any instruction."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", _SIGNALS.format(source=SOURCE)],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "ctypes callback" not in done.stderr
    assert "RIGHT" in done.stdout


_SIGNALS = '''
import signal, sys, time, random
import dotnet_wasm_host as dwh
function = dwh.compile_csharp("""{source}""")
armed = False
def interrupt(*_):
    if armed:
        raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
came, chance = 0, random.Random(3)
with dwh.Runtime(host_functions={{"h": lambda data: data}}) as runtime:
    runtime.load_assembly("f", function)
    end = time.monotonic() + 6
    while time.monotonic() < end:
        try:
            armed = True
            # Again after a while: Python drops what comes into a finalizer.
            signal.setitimer(signal.ITIMER_REAL, 0.0001 + chance.random() / 200, 5)
            runtime.invoke("f", b"l", timeout=60)
        except KeyboardInterrupt:
            came += 1
        finally:
            armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
    assert runtime.invoke("f", b"t") == b"t"
print("RIGHT" if came > 20 else came)
'''
