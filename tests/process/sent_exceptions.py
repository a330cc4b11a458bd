"""Another thread raises exceptions in one that calls guests: ``python -m`` prints RIGHT.

In a process of its own, because what comes at any instruction comes into any library's locks and
finalizers, too.
"""

from __future__ import annotations

import ctypes
import os
import random
import sys
import threading
import time
from typing import Any

import dotnet_wasm_host as dwh

SECONDS = 6
#: Python prints and drops what comes into one of these; nothing else may drop an exception.
FINALIZERS = {
    ("_weakrefset", "WeakSet.__init__.<locals>._remove"),
    ("dotnet_wasm_host.engines.wasmtime.c_api", "Owned.__del__"),
    ("dotnet_wasm_host.imports.files.filesystem", "FileSystem.__del__"),
    ("dotnet_wasm_host.imports.files.host_files", "HostDescriptor.__del__"),
    ("dotnet_wasm_host.runtime.runtime", "Runtime.__del__"),
}
#: How long one exception may take, in seconds: many processes may share the machine.
PATIENCE = 60
SOURCE = """
using System; using MinimalRuntime;
public sealed class Handler : IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        while (true) { try { Guid.NewGuid(); throw new Exception(); } catch { } }
    }
}
"""


class Quit(BaseException):
    """What the other thread raises."""


class Receiver:
    """A thread that calls a guest without an end, again and again.

    Attributes:
        calls: how many it has begun.
        outcomes: what they ended in.
    """

    def __init__(self, function: dwh.Assembly) -> None:
        self._function = function
        self.calls = 0
        self.outcomes: list[object] = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        with dwh.Runtime() as runtime:
            runtime.load_assembly("f", self._function)
            while True:
                try:
                    self.calls += 1
                    self.outcomes.append(runtime.invoke("f"))
                except Quit:
                    self.outcomes.append(Quit)
                except BaseException as error:
                    self.outcomes.append(error)


def may_drop(event: Any) -> bool:
    """Whether what ``sys.unraisablehook`` got is a Quit that came into a known finalizer."""
    where = getattr(event.object, "__module__", None), getattr(event.object, "__qualname__", None)
    return event.exc_type is Quit and where in FINALIZERS


def main() -> str:
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)
    events: list[object] = []
    dropped: list[str] = []
    sys.unraisablehook = events.append  # without a frame of Python, into which one may come
    sent, came = random.Random(7), 0
    receiver = Receiver(dwh.compile_csharp(SOURCE))
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        patience = time.monotonic() + PATIENCE
        while receiver.calls <= len(receiver.outcomes):  # one at a time, and into a call
            if time.monotonic() > patience:
                return f"the thread does nothing after {came}: {receiver.outcomes[-1:]}"
            time.sleep(0.001)
        before = len(receiver.outcomes)
        raise_in(receiver.thread.ident or 0, Quit)
        while len(receiver.outcomes) == before and not events:
            if time.monotonic() > patience:
                return f"an exception was lost after {came}"
            time.sleep(sent.random() / 300)
        while events:
            event: Any = events.pop()
            if not may_drop(event):
                dropped.append(f"{event.exc_value!r} {event.err_msg} {event.object}")
        came += 1
    if came <= 20:
        return f"only {came} exceptions came"
    wrong = [outcome for outcome in receiver.outcomes if outcome is not Quit] + dropped
    return f"wrong: {wrong}" if wrong else "RIGHT"


if __name__ == "__main__":
    print(main(), flush=True)
    os._exit(0)  # one of logging's locks may be held for ever: an exception came into it
