"""The intermediate representation: operations on slots of an interpreter frame.

A *slot* is an offset in bytes into the frame and a type. An operation says which slots it reads
and writes as single values, which ranges of the frame it touches in memory, and how it is written
in WebAssembly. Analysis needs no more than that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol

from dotnet_wasm_host.wasm.binary import ValueType

__all__ = [
    "SIZES",
    "Access",
    "Emit",
    "Emitter",
    "Kind",
    "Made",
    "Operation",
    "Range",
    "Slot",
]

#: Bytes of a value in a frame.
SIZES = {ValueType.I32: 4, ValueType.F32: 4, ValueType.I64: 8, ValueType.F64: 8}


class Slot(NamedTuple):
    """A single value in the frame."""

    offset: int
    type: ValueType


class Access(Enum):
    """What an operation does with a range of the frame."""

    READ = auto()
    #: Everything in the range is overwritten.
    WRITE = auto()
    #: Some of it may be.
    UPDATE = auto()
    #: Its address is taken: it is memory from then on.
    ADDRESS = auto()


class Range(NamedTuple):
    """Bytes of the frame that stay in memory while the operation runs."""

    offset: int
    size: int
    access: Access


class Kind(Enum):
    """How control goes on after an operation."""

    PLAIN = auto()
    #: Copies bits whose type follows from where they come from (``mov.4``, ``mov.8``).
    MOVE = auto()
    #: Fills a range with zeros (``initlocals``).
    ZERO = auto()
    JUMP = auto()
    BRANCH = auto()
    SWITCH = auto()
    RETURN = auto()
    #: Goes on in the interpreter, which executes this instruction.
    EXIT = auto()


class Made(NamedTuple):
    """An object that is made for its constructor.

    Attributes:
        code: makes it; leaves, or puts its address into the scratch word.
        slot: where the caller has it.
    """

    code: bytes
    slot: int


class Emitter(Protocol):
    """Writes one function; what operations are written with.

    Instructions come back as bytes, so that operands nest as expressions do.
    """

    def read(self, offset: int, value_type: ValueType) -> bytes:
        """Push a slot that the operation uses."""

    def write(self, offset: int, value_type: ValueType, value: bytes) -> bytes:
        """Set a slot that the operation defines."""

    def address(self, offset: int) -> bytes:
        """Push the address of a place in the frame."""

    def leave(self) -> bytes:
        """Go on in the interpreter at this operation."""

    def leave_if(self, condition: bytes) -> bytes:
        """Leave where the condition holds."""

    def temporary(self, name: str, value_type: ValueType = ValueType.I32) -> int:
        """A local of the function, by name."""

    def helper(self, name: str) -> bytes:
        """Call an export of the code module."""

    def call(
        self, method: int, item: int, base: int, result: int, made: Made | None = None
    ) -> bytes:
        """Call a method whose frame begins at ``base``; its result goes to ``result``.

        ``item`` is where the caller has its address: another one by the time when it is called, if
        the method was optimised meanwhile. With ``made`` it is the constructor of an object that is
        made before the call.
        """

    def call_found(
        self, method: bytes, base: int, result: int, receiver: bytes | None = None
    ) -> bytes:
        """The same for a method that ``method`` pushes; one without compiled code leaves.

        ``receiver`` pushes what is in the first slot meanwhile, in place of a delegate.
        """

    def collect(self) -> bytes:
        """Say where the frame ends: the collector may run in what follows."""

    def scratch(self) -> int:
        """Address of a word for what helpers answer, until the next of them."""

    def call_type(self, name: str) -> int:
        """Index of a function type for indirect calls: ``vector1`` to ``vector3``."""


Emit = Callable[[Emitter], bytes]


@dataclass(slots=True)
class Operation:
    """One instruction of the interpreter.

    Attributes:
        at: its place in the method, in units.
        name: of its opcode.
        kind: how control goes on.
        uses: slots that it reads.
        defs: slots that it writes, after it has read all.
        ranges: what it touches in memory.
        emit: how it is written; of an operation that ends a block, what comes before the jump.
        condition: pushes whether a branch is taken, or the number of a switch's target.
        targets: where it may jump, in units or as labels of :mod:`control_flow`.
        leaves: it may go on in the interpreter at itself.
        in_context: it needs the addresses of a :class:`.interface.LinkTarget`: it calls what is
            found when it is called, or the collector may run in it.
        operands: for those who change operations.
    """

    at: int
    name: str
    kind: Kind = Kind.PLAIN
    uses: tuple[Slot, ...] = ()
    defs: tuple[Slot, ...] = ()
    ranges: tuple[Range, ...] = ()
    emit: Emit | None = None
    condition: Emit | None = None
    targets: tuple[int, ...] = ()
    leaves: bool = False
    in_context: bool = False
    operands: tuple[int, ...] = ()
