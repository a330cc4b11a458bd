"""Lets wasmer's objects be used by one thread after the other.

wasmer's classes for Python are marked as belonging to the thread that made them; any other
thread's use of them panics. There is no technical need: what is inside is made to be shared
between threads, and the GIL is held in all of wasmer's code, so no two threads are ever inside
of one object's Python half. Living with the mark would take a thread of its own for every
runtime, thirty megabytes of machine code for every such thread, because modules are marked too,
and two thread switches a call, forty microseconds instead of one.

The mark is the number of the thread, kept by PyO3 in the last word of the object
(``PyCellContents.thread_checker``). Moving an object is writing the number of the present
thread there. wasmer 1.1.0 is the last release and its wheels do not change; all the same, that
the mark is where it is expected is established for each class before any is ever written.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, final

import wasmer

from dotnet_wasm_host.engines.threads import ThreadLocal, allocate_lock, start_thread
from dotnet_wasm_host.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ThreadMarks"]

_WORD = ctypes.sizeof(ctypes.c_uint64)
_PROBE = """(module
  (memory (export "memory") 1) (global (export "global") (mut i32) (i32.const 0))
  (func (export "function") (result i32) i32.const 42))"""


class _Present(ThreadLocal):
    number = 0


@final
class ThreadMarks:
    """The marks of wasmer's objects.

    Raises:
        EngineUnavailable: this build of wasmer keeps its marks somewhere else.

    Attributes:
        present: its ``number`` is the present thread's, 0 before the thread's first move.
    """

    def __init__(self, store: wasmer.Store) -> None:
        self.present: _Present = _Present()
        self._probe(store)

    def move(self, objects: Sequence[Any]) -> int:
        """Let this thread use ``objects``, which no other one uses now. Returns its number."""
        number = self.present.number
        if not number:
            # A new object bears the mark of the thread that makes it.
            number = self.present.number = _mark(wasmer.ImportObject()).value
        for item in objects:
            _mark(item).value = number
        return number

    def _probe(self, store: wasmer.Store) -> None:
        """Check the marks of objects of two threads, then let one use those of the other."""
        wasm = wasmer.wat2wasm(_PROBE)
        theirs: list[Any] = []
        ended = allocate_lock()
        ended.acquire()

        def make_theirs() -> None:
            try:
                theirs.extend(_one_of_each(store, wasm))
            finally:
                ended.release()

        start_thread(make_theirs, ())
        ended.acquire()
        ours = _one_of_each(store, wasm)
        marks = [{_mark(item).value for item in items} for items in (theirs, ours)]
        if not all(len(found) == 1 and 0 < max(found) < 2**32 for found in marks) or (
            marks[0] == marks[1]
        ):
            raise EngineUnavailable(
                "this build of wasmer keeps the thread of an object in an unknown place; "
                "use engine='wasmtime', the default"
            )
        self.move(theirs)
        instance, function, memory = theirs[1], theirs[3], theirs[4]
        assert instance.exports.function() == function() == 42
        assert memory.data_size == len(memoryview(memory.buffer))


def _one_of_each(store: wasmer.Store, wasm: bytes) -> list[Any]:
    """An object of every class that bears a mark and is kept for longer than a call."""
    module = wasmer.Module(store, wasm)
    instance = wasmer.Instance(module)
    exports = instance.exports
    return [
        module, instance, exports, exports.function, exports.memory, getattr(exports, "global"),
        wasmer.ImportObject(),
    ]  # fmt: skip


def _mark(item: Any) -> ctypes.c_uint64:
    # CPython: an object's id is its address.
    return ctypes.c_uint64.from_address(id(item) + type(item).__basicsize__ - _WORD)
