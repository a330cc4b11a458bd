"""Methods as they are read out of a guest: their code, selected, and what calls need of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.conventions import MAX_FOUND_FRAME
from dotnet_wasm_host.jit.instructions import ENTRIES, decode
from dotnet_wasm_host.jit.interface import CannotCompile, Signature
from dotnet_wasm_host.jit.ir import Access, Kind, Slot
from dotnet_wasm_host.jit.registers import moves
from dotnet_wasm_host.jit.selection.context import SelectionContext
from dotnet_wasm_host.jit.selection.control import connect_finally
from dotnet_wasm_host.wasm.binary import ValueType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dotnet_wasm_host.jit.control_flow import Work
    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.interface import CompilerLimits, MintFacts
    from dotnet_wasm_host.jit.ir import Operation, Range
    from dotnet_wasm_host.jit.view import Words

    Select = Callable[[SelectionContext, Instruction], Operation]

__all__ = [
    "Method",
    "callable_methods",
    "is_not_optimised",
    "leave_for_call",
    "leave_for_context",
    "read_method",
]

#: How methods begin that are counted, and replaced by optimised ones.
_NOT_OPTIMISED = "tier_enter_method"
#: Bytes that a return of a single value writes, whatever its type (``stackval``).
_SINGLE = 8
#: Calls of methods that are known; the third operand says which.
_CALLS = frozenset(("call", "newobj", "newobj_string"))
#: Instructions whose first operand says where a result goes that another function writes.
_WITH_RESULT = _CALLS | {"callvirt.fast", "call.delegate"}
#: Arguments that are given as values: the others are in memory, where all are.
_MAX_ARGUMENTS = 8
#: Returns of 32-bit values other than ``ret``, which says nothing of a type.
_SMALL_RETURNS = frozenset(("ret.i1", "ret.u1", "ret.i2", "ret.u2"))
#: Returns of constants, and as what.
_CONSTANTS = {"ret.i4.imm": ValueType.I32, "ret.i8.imm": ValueType.I64}
#: Steps for a method, and for a unit of its code, which is another step to decode.
_READING, _SELECTING = 32, 3
#: ``MonoTypeEnum`` (metadata/blob.h): types whose values are single ones, by their number.
_SINGLE_TYPES = {
    **dict.fromkeys((*range(0x02, 0x0A), 0x0E, 0x0F, 0x12, 0x14, 0x18, 0x19, 0x1B, 0x1C,
                     0x1D), ValueType.I32),
    0x0A: ValueType.I64, 0x0B: ValueType.I64, 0x0C: ValueType.F32, 0x0D: ValueType.F64,
}  # fmt: skip
#: In the byte of flags of a ``MonoType``.
_BY_REFERENCE = 2
#: The last byte of a frame that an instruction can name.
_MAX_OFFSET = 0xFFFF - 8
#: Bytes of ``this``.
_THIS_SIZE = 4
#: In the word of flags of a class (class-internals.h), as it was seen.
_VALUE_TYPE = 4


@dataclass(slots=True)
class Method:
    """A method that may be compiled.

    Attributes:
        address: of its ``InterpMethod``.
        code: address of its first instruction.
        operations: all of them.
        entries: places of entry instructions, in units.
        taken: ranges of the frame whose address is taken.
        frame_size: bytes of its frame, calls left out.
        result_size: bytes that its returns write to where the caller wants the result.
        is_found: it may be called where the target is found: nothing else is ever written to where
            ``this`` is, and its frame is small.
        is_boxed: ``this`` is a value type, and who finds the method has it in a box.
        signature: what compiled code hands over that knows it.
        items: address of its data items.
        calls: addresses of the methods that it calls, by place.
    """

    address: int
    code: int
    operations: list[Operation]
    entries: list[int]
    taken: list[Range]
    frame_size: int
    result_size: int
    is_found: bool
    is_boxed: bool
    signature: Signature
    items: int
    calls: dict[int, int] = field(default_factory=dict)

    @property
    def starts_with_entry(self) -> bool:
        """Whether the interpreter comes in through compiled code, if there is any."""
        return bool(self.entries) and self.entries[0] == 0

    def best_entries(self, hot: frozenset[int]) -> list[int]:
        """Entries that are worth a function, the best first.

        These are the start, what is ``hot``, and heads of loops. The others are where the
        interpreter comes back from calls that it has made: there are more of them.
        """
        heads = {to for op in self.operations for to in op.targets if to <= op.at}
        worth = {
            at: (at == self.entries[0], self.code + 2 * at in hot, at in heads)
            for at in self.entries
        }
        wanted = (at for at in self.entries if any(worth[at]))
        return sorted(wanted, key=worth.__getitem__, reverse=True)

    @property
    def made_calls(self) -> tuple[tuple[int, int], ...]:
        """Calls that compiled code makes: addresses of the data item and the method."""
        return tuple(
            (self.items + 4 * op.operands[2], self.calls[op.at])
            for op in self.operations
            if op.at in self.calls and op.kind is not Kind.EXIT
        )


def read_method(
    facts: MintFacts,
    words: Words,
    limits: CompilerLimits,
    address: int,
    select: Select,
    work: Work,
) -> Method:
    """Decode and select a method.

    Raises:
        CannotCompile: it is nothing that can be compiled, or takes too much work.
        OutOfView: it refers to what is not in memory.
    """
    o = facts.offsets
    code, content = _code(facts, words, limits, address)
    work.charge(_READING + (len(content) >> 1))
    instructions = decode(facts.opcodes, content)
    context = SelectionContext(
        facts, words, code,
        words.u32(address + o.interp_method_data_items),
        words.u32(address + o.interp_method_clause_data_offsets),
    )  # fmt: skip
    operations = []
    for instruction in instructions:
        work.charge(_SELECTING * (1 + len(instruction.operands)))
        operations.append(select(context, instruction))
    connect_finally(code, operations, work.charge)
    returned = _single_type(facts, words, words.u32(address + o.interp_method_rtype))
    signature = Signature(
        tuple(_arguments(facts, words, address)), _type_returns(operations, returned)
    )
    calls = {
        op.at: context.item(op.operands[2]) for op in operations if op.name in _CALLS and op.emit
    }
    frame_size = words.u32(address + o.interp_method_alloca_size)
    klass = words.u32(words.u32(address + o.interp_method_method) + o.method_klass)
    is_found = frame_size <= MAX_FOUND_FRAME and not any(map(_writes_this, operations))
    is_boxed = bool(
        words.u8(address + o.interp_method_hasthis)
        and words.u32(klass + o.class_flags) & _VALUE_TYPE
    )
    return Method(
        address, code, operations, [it.at for it in instructions if it.name in ENTRIES],
        [span for op in operations for span in op.ranges if span.access is Access.ADDRESS],
        frame_size, _result_size(operations), is_found, is_boxed, signature, context.items,
        calls,
    )  # fmt: skip


def is_not_optimised(facts: MintFacts, words: Words, address: int) -> bool:
    """Whether another method will be there in its place when it has run often enough.

    OutOfView if it is no method.
    """
    code = words.pointer(address + facts.offsets.interp_method_code)
    first = int.from_bytes(words.block(code, 2), "little")
    return first == facts.numbers.get(_NOT_OPTIMISED)


def _code(facts: MintFacts, words: Words, limits: CompilerLimits, method: int) -> tuple[int, bytes]:
    """Address and content of a method's code, where it is the code that is executed."""
    o = facts.offsets
    code = words.pointer(method + o.interp_method_code)
    jinfo = words.pointer(method + o.interp_method_jinfo)
    if words.u32(jinfo + o.jit_info_code_start) != code:
        raise CannotCompile("is not transformed")
    size = words.u32(jinfo + o.jit_info_code_size)
    if size > 2 * limits.method_units:
        raise CannotCompile(f"has more than {limits.method_units} units of code")
    return code, words.block(code, size)


def _writes_this(operation: Operation) -> bool:
    """Whether an operation may write to the first slot of the frame.

    A caller that finds its target there makes its call again where the callee is given up
    (:mod:`conventions`), and would find another one then.
    """
    if operation.kind is Kind.ZERO:
        return operation.operands[0] < _THIS_SIZE
    return (
        any(slot.offset < _THIS_SIZE for slot in operation.defs)
        or any(to < _THIS_SIZE for to, _, _ in moves(operation))
        or (operation.name in _WITH_RESULT and _result_offset(operation) < _THIS_SIZE)
        or any(
            span.offset < _THIS_SIZE and span.access is not Access.READ for span in operation.ranges
        )
    )


def _result_offset(operation: Operation) -> int:
    """Where the result of a call goes; one that the interpreter makes is its own affair."""
    return operation.operands[0] if operation.operands else _THIS_SIZE


def _single_type(facts: MintFacts, words: Words, described: int) -> ValueType | None:
    """Of the single value that a ``MonoType`` describes; ``None`` where it is something else."""
    o = facts.offsets
    if words.u8(described + o.type_flags) & _BY_REFERENCE:
        return ValueType.I32
    return _SINGLE_TYPES.get(words.u8(described + o.type_type))


def _arguments(facts: MintFacts, words: Words, method: int) -> Iterator[tuple[int, ValueType]]:
    """Offset and type of the first arguments, as far as they are single values."""
    o = facts.offsets
    offsets = words.u32(method + o.interp_method_arg_offsets)
    types = words.u32(method + o.interp_method_param_types)
    this = int(words.u8(method + o.interp_method_hasthis) != 0)
    count = words.u32(method + o.interp_method_param_count) + this
    for number in range(min(count, _MAX_ARGUMENTS)):
        value_type: ValueType | None = ValueType.I32
        if number >= this:
            described = words.u32(types + 4 * (number - this))
            value_type = _single_type(facts, words, described)
        if value_type is None:
            return
        # Where nobody has asked for them there are none: single values have a slot each.
        offset = words.u32(offsets + 4 * number) if offsets else _SINGLE * number
        if offset > _MAX_OFFSET:
            return
        yield offset, value_type


def _type_returns(
    operations: Sequence[Operation], value_type: ValueType | None
) -> ValueType | None:
    """Say what returns read; answers the type of all, ``None`` where they have none in common.

    Who calls takes no more than that: to read eight bytes where four were just written is slow,
    because the processor waits for the store.
    """
    found: set[ValueType | None] = set()
    for operation in operations:
        if operation.kind is not Kind.RETURN:
            continue
        if operation.name == "ret" and value_type is not None:
            operation.uses = (Slot(operation.operands[0], value_type),)
            found.add(value_type)
        elif operation.name in _SMALL_RETURNS:
            operation.uses = (Slot(operation.operands[0], ValueType.I32),)
            found.add(ValueType.I32)
        else:
            found.add(_CONSTANTS.get(operation.name))
    return found.pop() if len(found) == 1 else None


def _result_size(operations: Sequence[Operation]) -> int:
    """The most that a return writes."""
    sizes = [
        op.operands[1] if op.name == "ret.vt" else _SINGLE
        for op in operations
        if op.kind is Kind.RETURN and op.name != "ret.void"
    ]
    return max(sizes, default=0)


def leave_for_context(method: Method) -> None:
    """Leave all that needs addresses which are not known."""
    for operation in method.operations:
        if operation.in_context:
            leave_for_call(operation)


def leave_for_call(operation: Operation) -> None:
    """Let the interpreter make a call."""
    operation.kind, operation.emit, operation.leaves = Kind.EXIT, None, True
    operation.uses = operation.defs = operation.ranges = ()


def callable_methods(methods: Mapping[int, Method], known: set[int], work: Work) -> set[int]:
    """Methods that compiled code may call directly: the most that call only one another.

    Each begins with an entry instruction, through which the interpreter comes back into it, and
    returns on some way without an instruction that is not translated. CannotCompile where it takes
    too much work to find them.
    """
    found = {address for address, method in methods.items() if method.starts_with_entry}
    changed = True
    while changed:
        changed = False
        for address in sorted(found):
            work.charge(1 + len(methods[address].operations))
            if not _returns(methods[address], found, known):
                found.discard(address)
                changed = True
    return found


def _returns(method: Method, found: set[int], known: set[int]) -> bool:
    """Whether a return is reached from the start without an exit."""
    following = {a.at: b.at for a, b in zip(method.operations, method.operations[1:], strict=False)}
    by_place = {op.at: op for op in method.operations}
    pending, seen = [0], set()
    while pending:
        at = pending.pop()
        op = by_place.get(at)
        if at in seen or op is None:
            continue
        seen.add(at)
        if op.kind is Kind.RETURN:
            return True
        if op.kind is Kind.EXIT:
            continue
        called = method.calls.get(at)
        if called is not None and called not in found and called not in known:
            continue
        pending += op.targets
        if op.kind not in {Kind.JUMP, Kind.SWITCH} and at in following:
            pending.append(following[at])
    return False
