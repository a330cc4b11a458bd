"""How a compiled function is called, how it returns, and how it is given up.

A *thunk* is what the interpreter calls: ``(frame, locals, call_info, ip) -> displacement``. A
*direct* function is what compiled code calls: ``(depth, locals, result) -> given up``. Its
frame is where the interpreter would put it.

Deoptimisation by replay: a direct function that meets what it cannot do notes where it is (a
*record*) and says so; its callers note their calls and say so, too; the outermost, a thunk, goes
back to the interpreter at its call. The interpreter makes the calls again, and the first
instruction of each callee, its entry, takes a record and goes on there. So frames, exceptions and
stack traces are the interpreter's own. All slots are in the frames by then, arguments included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dotnet_wasm_host.jit.ir import Kind
from dotnet_wasm_host.wasm.assembly import (
    END,
    I32,
    IF,
    MEMORY_COPY,
    RETURN,
    i32,
    i64,
    load,
    local_get,
    local_set,
    local_tee,
    numeric,
    store,
)
from dotnet_wasm_host.wasm.binary import FunctionType

if TYPE_CHECKING:
    from dotnet_wasm_host.jit.ir import Operation
    from dotnet_wasm_host.wasm.binary import ValueType

__all__ = [
    "DIRECT",
    "GIVE_UP",
    "MAX_DEPTH",
    "MAX_FOUND_FRAME",
    "PLAIN_CALLS",
    "SCRATCH",
    "THUNK",
    "Convention",
    "Direct",
    "Thunk",
    "give_up",
    "note_object",
]

#: Frame, its slots, what belongs to a call, the address of the entry instruction.
THUNK = FunctionType((I32, I32, I32, I32), (I32,))
#: How many calls may nest, slots, where the result goes; whether it was given up.
DIRECT = FunctionType((I32, I32, I32), (I32,))
GIVE_UP = FunctionType((I32,), (I32,))
#: Calls of compiled code within compiled code: each takes some of the engine's stack.
MAX_DEPTH = 1000
#: Bytes of the frame of a method that is found when it is called.
MAX_FOUND_FRAME = 4096
#: Set in a slot that only calls of a known method may use, and none that looks for its target.
PLAIN_CALLS = -(1 << 31)
#: Before the records: how many there are, and a word for what helpers answer.
SCRATCH = 8
#: A record: the address of an instruction, and where a constructor was given up what ``this`` was,
#: where the caller keeps its object, and that object. The first is at 16.
_RECORD = 4
_AT, _THIS, _PLACE, _OBJECT = 0, 4, 8, 12

_NARROW = {
    "ret.i1": numeric("i32.extend8_s"),
    "ret.u1": i32(0xFF) + numeric("i32.and"),
    "ret.i2": numeric("i32.extend16_s"),
    "ret.u2": i32(0xFFFF) + numeric("i32.and"),
}


class Convention(Protocol):
    """What emission needs to know of it."""

    @property
    def parameters(self) -> int:
        """How many there are; locals follow."""

    @property
    def slots(self) -> int:
        """The parameter with the address of the frame's slots."""

    def leave(self, at: int) -> bytes:
        """Go on in the interpreter at an instruction."""

    def finish(self, operation: Operation, value: bytes | None) -> bytes:
        """Return from the method; ``value`` pushes what the operation uses, if it says that."""

    def depth(self) -> bytes:
        """Push how many calls may nest in a callee."""

    def exhausted(self) -> bytes:
        """Push whether none may; empty where some always may."""


@dataclass(frozen=True, slots=True)
class Thunk:
    """Called by the interpreter.

    Attributes:
        entry: place of the entry instruction.
        records: address of the records; 0 where no direct function begins here.
    """

    entry: int
    records: int = 0
    parameters: int = 4
    slots: int = 1

    def leave(self, at: int) -> bytes:
        """Return how far away the instruction is."""
        return i32(2 * (at - self.entry)) + RETURN

    def finish(self, operation: Operation, _value: bytes | None) -> bytes:
        """The interpreter returns: it has the frame."""
        return self.leave(operation.at)

    def depth(self) -> bytes:
        """As many as there may be."""
        return i32(MAX_DEPTH)

    def exhausted(self) -> bytes:
        """Never."""
        return b""

    def begin(self) -> bytes:
        """Go on at a record if there is one; parameter 0 is free for their number."""
        if not self.records:
            return b""
        # Parameter 2, too, is free: for the address of the record.
        record = local_get(0) + i32(_RECORD) + numeric("i32.shl")
        return (
            i32(self.records) + load("i32") + local_tee(0) + IF
            + record + i32(self.records) + numeric("i32.add") + local_set(2)
            + i32(self.records) + local_get(0) + i32(1) + numeric("i32.sub") + store("i32")
            + local_get(2) + load("i32", _PLACE) + IF
            + local_get(self.slots) + local_get(2) + load("i32", _THIS) + store("i32")
            + local_get(2) + load("i32", _PLACE) + local_get(2) + load("i32", _OBJECT)
            + store("i32") + END
            + local_get(2) + load("i32", _AT) + local_get(3) + numeric("i32.sub") + RETURN + END
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Direct:
    """Called by compiled code.

    Attributes:
        code: address of the method's first instruction.
        give_up: calls the function that makes a record.
    """

    code: int
    give_up: bytes
    parameters: int = 3
    slots: int = 1

    def leave(self, at: int) -> bytes:
        """Note where to go on, and say that it is to be done."""
        return i32(self.code + 2 * at) + self.give_up + RETURN

    def finish(self, operation: Operation, value: bytes | None) -> bytes:
        """Write the result, as the interpreter's returns do, or what of it is known to be read."""
        assert operation.kind is Kind.RETURN
        result, done = local_get(2), i32(0) + RETURN
        if operation.name == "ret.void":
            return done
        if value is not None:
            return result + value + store(operation.uses[0].type.name.lower()) + done
        return result + self._value(operation) + done

    def _value(self, operation: Operation) -> bytes:
        """Push what is returned, and store it."""
        name, slot = operation.name, operation.operands[0]
        if name == "ret.vt":
            place = local_get(self.slots) + i32(slot) + numeric("i32.add")
            return place + i32(operation.operands[1]) + MEMORY_COPY
        constant = slot - 0x10000 if slot & 0x8000 else slot
        if name == "ret.i4.imm":
            return i32(constant) + store("i32")
        if name == "ret.i8.imm":
            return i64(constant) + store("i64")
        if name in _NARROW:
            return local_get(self.slots) + load("i32", slot) + _NARROW[name] + store("i32")
        return local_get(self.slots) + load("i64", slot) + store("i64")

    def depth(self) -> bytes:
        """One less than in this one."""
        return local_get(0) + i32(1) + numeric("i32.sub")

    def exhausted(self) -> bytes:
        """Whether this is the last that may be."""
        return local_get(0) + numeric("i32.eqz")


def give_up(records: int) -> tuple[FunctionType, tuple[ValueType], bytes]:
    """The function that makes a record of an address and answers 1."""
    code = (
        i32(records) + i32(records) + load("i32") + i32(1) + numeric("i32.add") + local_tee(1)
        + store("i32")
        + _last(records, local_get(1)) + local_tee(1) + local_get(0) + store("i32", _AT)
        + local_get(1) + i32(0) + store("i32", _PLACE)
        + i32(1)
    )  # fmt: skip
    return GIVE_UP, (I32,), code


def note_object(records: int, slots: bytes, base: int, slot: int) -> bytes:
    """Say in the last record that it is of a constructor.

    Args:
        records: where they are.
        slots: pushes the address of the caller's slots.
        base: where the constructor's frame begins, with ``this``.
        slot: where the caller has the object.
    """
    last = _last(records, i32(records) + load("i32"))
    return (
        last + slots + load("i32", base) + store("i32", _THIS)
        + last + slots + i32(slot) + numeric("i32.add") + store("i32", _PLACE)
        + last + slots + load("i32", slot) + store("i32", _OBJECT)
    )  # fmt: skip


def _last(records: int, count: bytes) -> bytes:
    return count + i32(_RECORD) + numeric("i32.shl") + i32(records) + numeric("i32.add")
