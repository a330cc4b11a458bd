"""What goes into the compiler and what comes out of it.

The compiler calls no export of a guest and keeps nothing between two batches: facts, a view of
linear memory, addresses and methods go in, one module comes out. So it works as well on a copy
of memory in another process. Everything that a view answers may have been written by the guest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.wasm.binary import ValueType

__all__ = [
    "BUDGET",
    "Callee",
    "CannotCompile",
    "CompiledBatch",
    "CompilerLimits",
    "Entry",
    "GuestView",
    "LinkTarget",
    "MintFacts",
    "Opcode",
    "OutOfView",
    "Rejected",
    "Signature",
    "Statistics",
    "StructOffsets",
]


#: Bytes of the interpreter's stack that compiled code in compiled code may use: all of it.
BUDGET = 1 << 20


class OutOfView(ValueError):
    """An address that was read out of the guest is not inside of its memory."""


class CannotCompile(Exception):
    """A method stays interpreted.

    Attributes:
        reason: what the compiler met, as a sentence without its subject.
        opcode: name of the instruction that is the reason, empty where none is.
    """

    def __init__(self, reason: str, opcode: str = "") -> None:
        super().__init__(f"{reason} ({opcode})" if opcode else reason)
        self.reason = reason
        self.opcode = opcode


class GuestView(Protocol):
    """Reads linear memory, or a copy of it."""

    @property
    def size(self) -> int:
        """Bytes that can be read, from address 0."""

    def read(self, address: int, count: int) -> bytes:
        """Read ``count`` bytes. OutOfView if they are not all inside."""


@dataclass(frozen=True, slots=True)
class Opcode:
    """An instruction of the interpreter (``mintops.def``).

    Attributes:
        name: in lower case, without ``MINT_``, dots for underscores where ``mintops.def`` has them.
        length: 16-bit units, opcode included; 0 for ``switch``, which says it itself.
        destinations: slots that are written.
        sources: slots that are read.
        kind: of what else the instruction has (``MintOpArgType``).
    """

    name: str
    length: int
    destinations: int
    sources: int
    kind: int


@dataclass(frozen=True, slots=True)
class StructOffsets:
    """Offsets in bytes of members of Mono's structures, ``structure_member``."""

    interp_frame_imethod: int
    interp_frame_retval: int
    interp_frame_stack: int
    interp_method_method: int
    interp_method_code: int
    interp_method_data_items: int
    interp_method_arg_offsets: int
    interp_method_clause_data_offsets: int
    #: A word that this build of Mono does not use (``jit_call_info``, for ahead-of-time code).
    #: Compiled code finds there the table slot of a method's variant for indirect calls.
    interp_method_jit_call_info: int
    interp_method_rtype: int
    interp_method_param_types: int
    interp_method_jinfo: int
    interp_method_alloca_size: int
    interp_method_num_clauses: int
    interp_method_param_count: int
    interp_method_hasthis: int
    jit_info_code_start: int
    jit_info_code_size: int
    method_klass: int
    method_name: int
    type_data: int
    type_type: int
    type_flags: int
    generic_class_cached_class: int
    class_element_class: int
    class_instance_size: int
    class_flags: int
    class_rank: int
    vtable_klass: int
    vtable_initialized: int
    vtable_interp: int
    object_vtable: int
    object_boxed_data: int
    array_bounds: int
    array_length: int
    array_data: int
    string_length: int
    string_data: int
    span_data: int
    span_length: int
    delegate_target: int
    delegate_imethod: int
    #: ``ThreadContext``: the end of the interpreter's stack that compiled frames may use, and
    #: where it ends now; both from the address that :class:`LinkTarget` gives.
    thread_context_stack_end: int
    thread_context_stack_pointer: int

    @classmethod
    def from_mapping(cls, values: Mapping[str, int]) -> StructOffsets:
        """Offsets by their names. ValueError if one is missing or outside of 0..4095."""
        wanted = [member.name for member in fields(cls)]
        bad = [name for name in wanted if not 0 <= values.get(name, -1) < 4096]
        if bad:
            raise ValueError(
                f"expected offsets from 0 to 4095, found none for {', '.join(bad)}; build the "
                "artifacts again"
            )
        return cls(**{name: values[name] for name in wanted})


@dataclass(frozen=True, slots=True)
class MintFacts:
    """What the artifact build asked the code module about its interpreter.

    Attributes:
        opcodes: by number.
        offsets: of members of Mono's structures.
        simd: function of each vector intrinsic, by its number of arguments (1 to 3) and its
            number in the instruction, as an index of the function table.
        numbers: of the opcodes, by name.
    """

    opcodes: tuple[Opcode, ...]
    offsets: StructOffsets
    simd: Mapping[tuple[int, int], int] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = {opcode.name: n for n, opcode in enumerate(self.opcodes)}
        object.__setattr__(self, "numbers", numbers)


@dataclass(frozen=True, slots=True)
class CompilerLimits:
    """How much one batch may cost. What is over a limit stays interpreted.

    Attributes:
        method_units: 16-bit units of code of a method.
        method_blocks: basic blocks of a method.
        method_work: steps that a method takes, roughly a microsecond each.
        method_bytes: bytes of one function of a method.
        batch_methods: methods of one batch, those that it calls included.
        batch_work: steps of all methods.
        batch_bytes: bytes of the module.
    """

    method_units: int = 8192
    method_blocks: int = 1024
    method_work: int = 1_000_000
    method_bytes: int = 256 << 10
    batch_methods: int = 8192
    batch_work: int = 1 << 40
    batch_bytes: int = 32 << 20


@dataclass(frozen=True, slots=True)
class Signature:
    """What compiled code hands over to a method that it knows, beside what is in the frame.

    Attributes:
        arguments: slots of the callee's frame that are given as values, too: offset and type.
        result: type of the result that comes back as a value; ``None`` where it is written to
            where the caller wants it, or there is none.
    """

    arguments: tuple[tuple[int, ValueType], ...] = ()
    result: ValueType | None = None

    @property
    def is_plain(self) -> bool:
        """Whether everything is in memory, as for a method that is found when it is called."""
        return not self.arguments and self.result is None


@dataclass(frozen=True, slots=True)
class LinkTarget:
    """Where the module will be linked: addresses of one memory content and its function table.

    Attributes:
        first_slot: index of the function table at which the batch's functions begin.
        thread_context: address of the interpreter's ``ThreadContext``; 0 where it is not known,
            and compiled code calls nothing.
        records: address of ``COMPILED_RECORDS_SIZE`` bytes, zeroed once, aligned to 16, of which
            those from ``COMPILED_ROOTS`` on are a root of the collector; or 0, likewise.
        callees: methods of former batches, by address; their slots are absolute.
        former: methods that are compiled again and whose direct functions may still be called: a
            record of theirs may be there where they begin.
        budget: bytes of the interpreter's stack that compiled code in compiled code may use, and so
            for each KB a call that nests; ``BUDGET`` at the most.
        hot: addresses of entry instructions that are known to run often: of a method's entries,
            these come first.
    """

    first_slot: int
    thread_context: int
    records: int
    callees: Mapping[int, Callee] = field(default_factory=dict)
    former: frozenset[int] = frozenset()
    budget: int = BUDGET
    hot: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the interpreter enters a compiled method.

    Whoever links the module writes ``tier_enter_jiterpreter`` and the slot, counted from the
    first slot that ``mono_jiterp_initialize_table`` was told, into each instruction.

    Attributes:
        method: address of its ``InterpMethod``.
        instructions: addresses of its entry instructions (``tier_prepare_jiterpreter``, or what
            stands there by now). Each method has an entry at its start; heads of loops have
            entries of their own.
        slot: counted from ``LinkTarget.first_slot``.
    """

    method: int
    instructions: tuple[int, ...]
    slot: int


@dataclass(frozen=True, slots=True)
class Callee:
    """A method that compiled code calls directly.

    Attributes:
        method: address of its ``InterpMethod``.
        slot: of its direct function, counted from ``LinkTarget.first_slot`` of its own batch.
        typed_slot: the same for the one with its signature.
        frame_size: bytes of its frame.
        result_size: bytes that a return writes at the most.
        is_found: calls whose target is found when they are made may find it, in its
            ``jit_call_info``; others calls that look there may, if its frame is small.
        is_boxed: those that find it have its ``this`` in a box.
        signature: what callers that know it hand over.
    """

    method: int
    slot: int
    typed_slot: int
    frame_size: int
    result_size: int
    is_found: bool = False
    is_boxed: bool = False
    signature: Signature = Signature()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A method of the batch that stays interpreted, and why (see :class:`CannotCompile`)."""

    method: int
    reason: str
    opcode: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.opcode})" if self.opcode else self.reason


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a batch took and gave.

    Attributes:
        methods: methods with compiled code.
        instructions: of the interpreter that were translated.
        exits: how many translated places leave for the interpreter because of each opcode that
            is not translated, by its name.
        seconds: of translation.
        work: steps that it took (``CompilerLimits.batch_work``).
    """

    methods: int
    instructions: int
    exits: Mapping[str, int]
    seconds: float
    work: int = 0


@dataclass(frozen=True, slots=True)
class CompiledBatch:
    """One module that imports ``env.memory``, ``env.__indirect_function_table`` and helpers.

    Helpers are exports of the code module, imported from ``env`` by their names. An element
    segment puts its functions into ``slots`` slots of the table. ``wasm`` is empty where nothing
    was compiled.
    """

    wasm: bytes
    slots: int
    entries: tuple[Entry, ...]
    #: Methods that later batches may call directly.
    callees: tuple[Callee, ...]
    rejected: tuple[Rejected, ...]
    statistics: Statistics
    #: Method and address of entry instructions that stay without compiled code. Whoever links the
    #: module writes ``tier_nop_jiterpreter`` there: to count how often they run costs time.
    unused: tuple[tuple[int, int], ...] = ()
    #: Method to ``Statistics.exits`` of its own.
    exits: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    #: Method to its calls that are made by compiled code: addresses of the data item, and of the
    #: method that was there. Another one may be there by now, which was optimised.
    calls: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
