"""Deadlines for an engine that cannot interrupt: the guest asks now and then whether to go on.

A counter goes down at every loop header and at the entry of every function that calls another.
Code that runs without end passes one of the two without end. At zero the counter is filled
again and an imported function called, which returns or raises.
"""

from __future__ import annotations

from dotnet_wasm_host.wasm.binary import FunctionType, sleb128, uleb128
from dotnet_wasm_host.wasm.editor import ModuleEditor
from dotnet_wasm_host.wasm.instructions import (
    CALL,
    CALL_INDIRECT,
    LOOP,
    Scanner,
    instructions_start,
)
from dotnet_wasm_host.wasm.module import OP_END

__all__ = ["CHECK_IMPORT", "CHECK_MODULE", "meter"]

#: Module and name of the imported function.
CHECK_MODULE, CHECK_IMPORT = "dotnet_wasm_host", "check"
#: Loop headers and entries between two checks: about half a millisecond, so that the check's
#: own microsecond does not matter.
PERIOD = 100_000

_GLOBAL_GET, _GLOBAL_SET = b"\x23", b"\x24"
_I32_CONST, _I32_EQZ, _I32_SUB = b"\x41", b"\x45", b"\x6b"
_IF_VOID, _END = b"\x04\x40", bytes([OP_END])
_NO_LOCALS = b"\0"
_SCANNER = Scanner(frozenset({LOOP, CALL, CALL_INDIRECT}))


def meter(wasm: bytes) -> bytes:
    """``wasm`` with checks. One function of it moves to the end, all others keep their index."""
    editor = ModuleEditor(wasm)
    check = editor.add_imported_function(CHECK_MODULE, CHECK_IMPORT, FunctionType())
    left = uleb128(editor.add_global(PERIOD))
    refill = _I32_CONST + sleb128(PERIOD) + _GLOBAL_SET + left + CALL + uleb128(check)
    metered = list(editor.bodies)
    refilling = editor.add_function(FunctionType(), _NO_LOCALS + refill + _END)
    count_down = (
        _GLOBAL_GET + left + _I32_CONST + sleb128(1) + _I32_SUB + _GLOBAL_SET + left
        + _GLOBAL_GET + left + _I32_EQZ + _IF_VOID + CALL + uleb128(refilling) + _END
    )  # fmt: skip
    for position, body in enumerate(metered):
        editor.bodies[position] = _metered(body, count_down)
    return editor.emit()


def _metered(body: bytes, count_down: bytes) -> bytes:
    places, calls = [], False
    for _, end, encoding in _SCANNER.find(body):
        if encoding == LOOP:
            places.append(end)
        else:
            calls = True
    if calls:
        places.insert(0, instructions_start(body))
    pieces, done = [], 0
    for place in places:
        pieces += [body[done:place], count_down]
        done = place
    return b"".join([*pieces, body[done:]])
