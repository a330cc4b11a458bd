"""How a compiled function is called, how it returns, and how it is given up.

A *thunk* is what the interpreter calls: ``(frame, locals, call_info, ip) -> displacement``. A
*direct* function is what compiled code calls that finds its target: ``(budget, locals, result)
-> given up``. Its frame is where the interpreter would put it. A *typed* function is what compiled
code calls that knows it: it gets arguments as values as well, and gives the result as one
(``Signature``): ``(budget, locals, ...) -> (result, given up)``.

The *budget* is bytes of the interpreter's stack that may be used from ``locals`` on. A call costs
at least ``CALL_COST`` of it, so that it bounds how deep calls nest, too.

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
    F32,
    F64,
    I32,
    I64,
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
    from dotnet_wasm_host.jit.interface import Signature
    from dotnet_wasm_host.jit.ir import Operation
    from dotnet_wasm_host.wasm.binary import ValueType

__all__ = [
    "BOXED",
    "CALL_COST",
    "DIRECT",
    "GIVE_UP",
    "MAX_FOUND_FRAME",
    "PLAIN_CALLS",
    "SCRATCH",
    "THUNK",
    "Convention",
    "Direct",
    "Thunk",
    "give_up",
    "note_object",
    "signature_type",
    "write_direct",
]

#: Frame, its slots, what belongs to a call, the address of the entry instruction.
THUNK = FunctionType((I32, I32, I32, I32), (I32,))
#: The budget, slots, where the result goes; whether it was given up.
DIRECT = FunctionType((I32, I32, I32), (I32,))
GIVE_UP = FunctionType((I32,), (I32,))
#: What a call costs at least: each takes some of the engine's stack, and a thousand may nest.
CALL_COST = 1 << 10
#: Bytes of the frame of a method that is found when it is called.
MAX_FOUND_FRAME = 4096
#: Set in a slot that only calls of a known method may use, and none that looks for its target.
PLAIN_CALLS = -(1 << 31)
#: Set in a slot of a method that calls which look for their target give what is in a box.
BOXED = 1 << 30
#: Before the records: how many there are, and a word for what helpers answer.
SCRATCH = 8
#: A record: the address of an instruction, and where a constructor was given up what ``this`` was,
#: where the caller keeps its object, and that object. The first is at 16.
_RECORD = 4
_AT, _THIS, _PLACE, _OBJECT = 0, 4, 8, 12

#: Pushes nothing in particular.
_ZERO = {I32: i32(0), I64: i64(0), F32: b"\x43" + bytes(4), F64: b"\x44" + bytes(8)}
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

    def budget(self) -> int | None:
        """The parameter with the budget; ``None`` where the function has to find it out."""

    def argument(self, offset: int, value_type: ValueType) -> int | None:
        """The parameter that has what is in a slot at first, if there is one."""


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

    def budget(self) -> int | None:
        """Nobody gave one."""
        return None

    def argument(self, _offset: int, _value_type: ValueType) -> int | None:
        """The interpreter has all in the frame."""
        return None

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
    """Called by compiled code that knows it, with its signature.

    Attributes:
        code: address of the method's first instruction.
        give_up: calls the function that makes a record.
        signature: of the method.
    """

    code: int
    give_up: bytes
    signature: Signature
    slots: int = 1

    @property
    def _first(self) -> int:
        """The first argument: without a result as a value, parameter 2 is where it goes."""
        return 3 if self.signature.result is None else 2

    @property
    def parameters(self) -> int:
        """How many there are."""
        return self._first + len(self.signature.arguments)

    def leave(self, at: int) -> bytes:
        """Note where to go on, and say that it is to be done."""
        return self._no_result() + i32(self.code + 2 * at) + self.give_up + RETURN

    def _no_result(self) -> bytes:
        result = self.signature.result
        return b"" if result is None else _ZERO[result]

    def finish(self, operation: Operation, value: bytes | None) -> bytes:
        """Give the result, or write it as the interpreter's returns do."""
        assert operation.kind is Kind.RETURN
        done = i32(0) + RETURN
        if operation.name == "ret.void":
            return done
        if operation.name == "ret.vt":
            place = local_get(self.slots) + i32(operation.operands[0]) + numeric("i32.add")
            return local_get(2) + place + i32(operation.operands[1]) + MEMORY_COPY + done
        kind, pushed = self._value(operation, value)
        if self.signature.result is None:
            return local_get(2) + pushed + store(kind.name.lower()) + done
        assert self.signature.result is kind
        return pushed + done

    def _value(self, operation: Operation, value: bytes | None) -> tuple[ValueType, bytes]:
        """Type of what is returned, and what pushes it."""
        name, slot = operation.name, operation.operands[0]
        constant = slot - 0x10000 if slot & 0x8000 else slot
        if name == "ret.i4.imm":
            return I32, i32(constant)
        if name == "ret.i8.imm":
            return I64, i64(constant)
        if value is not None:
            return operation.uses[0].type, value + _NARROW.get(name, b"")
        return I64, local_get(self.slots) + load("i64", slot)

    def budget(self) -> int | None:
        """The first."""
        return 0

    def argument(self, offset: int, value_type: ValueType) -> int | None:
        """One of the signature's."""
        arguments = self.signature.arguments
        wanted = (offset, value_type)
        return self._first + arguments.index(wanted) if wanted in arguments else None


def signature_type(signature: Signature) -> FunctionType:
    """The type of a typed function."""
    values = tuple(value_type for _, value_type in signature.arguments)
    if signature.result is None:
        return FunctionType((I32, I32, I32, *values), (I32,))
    return FunctionType((I32, I32, *values), (signature.result, I32))


def write_direct(signature: Signature, typed: bytes) -> tuple[tuple[ValueType, ...], bytes]:
    """Locals and body of a direct function: it calls the typed one."""
    arguments = b"".join(
        local_get(1) + load(value_type.name.lower(), offset)
        for offset, value_type in signature.arguments
    )
    called = local_get(0) + local_get(1)
    if signature.result is None:
        return (), called + local_get(2) + arguments + typed
    body = (
        called + arguments + typed + IF + i32(1) + RETURN + END + local_set(3)
        + local_get(2) + local_get(3) + store(signature.result.name.lower()) + i32(0)
    )  # fmt: skip
    return (signature.result,), body


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
