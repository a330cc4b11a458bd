"""Ask the code module about its interpreter, and check the answers in a runtime that runs.

``mono_jiterp_get_opcode_info`` and ``mono_jiterp_get_member_offset`` answer what the runtime's own
compiler for browsers needs. What they do not know is in :data:`CHECKED`, compared with what is true
of every method that runs while .NET starts, and in :data:`SEEN`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotnet_wasm_host.abi import FRAME_SIZE
from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeEngine
from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.guest.guest import Guest
from dotnet_wasm_host.guest.layout import BUFFER_SIZE, ENTRY_POINTS, GuestLayout
from dotnet_wasm_host.guest.loading import load_function, unload_function
from dotnet_wasm_host.guest.running_function import RunningFunction
from dotnet_wasm_host.images.boot import ENTRIES_EVERYWHERE, boot, find_methods
from dotnet_wasm_host.imports.host import Host
from dotnet_wasm_host.imports.mono import JITERPRETER_TRAINING
from dotnet_wasm_host.jit.interface import MintFacts, Opcode, StructOffsets
from dotnet_wasm_host.options import MAX_MEMORY_BYTES, Limits, WasiOptions
from runtime_artifacts.pipeline.progress import step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dotnet_wasm_host.memory import Memory

__all__ = ["CHECKED", "MEMBERS", "SEEN", "gather"]

#: Questions to ``mono_jiterp_get_member_offset``: number in ``JiterpMember``
#: (jiterpreter-members.def) by the name of the offset.
MEMBERS: Mapping[str, int] = {
    "vtable_initialized": 0,
    "array_data": 1,
    "string_length": 2,
    "string_data": 3,
    "interp_frame_imethod": 4,
    "interp_method_data_items": 5,
    "span_length": 7,
    "span_data": 8,
    "array_length": 9,
    "interp_method_clause_data_offsets": 12,
    "object_vtable": 14,
    "vtable_klass": 15,
    "class_rank": 16,
    "class_element_class": 17,
    "object_boxed_data": 18,
}

#: Offsets that nobody can be asked for, and that are checked against what is true of every method
#: that runs (interp-internals.h, metadata-internals.h, class-internals.h).
CHECKED: Mapping[str, int] = {
    "interp_frame_imethod": 4,
    "interp_frame_stack": 12,
    "interp_method_method": 0,
    "interp_method_code": 8,
    "interp_method_arg_offsets": 28,
    "interp_method_rtype": 48,
    "interp_method_param_types": 52,
    "interp_method_jinfo": 56,
    "interp_method_alloca_size": 76,
    "interp_method_param_count": 92,
    "interp_method_hasthis": 96,
    "jit_info_code_start": 8,
    "jit_info_code_size": 16,
    "method_name": 16,
    "type_type": 6,
    "thread_context_stack_end": 4,
    "thread_context_stack_pointer": 12,
}

#: Offsets that were seen in this build and that no check covers but the tests of compiled code.
SEEN: Mapping[str, int] = {
    "interp_frame_retval": 8,
    "interp_method_jit_call_info": 36,
    "interp_method_num_clauses": 84,
    "method_klass": 8,
    "type_data": 0,
    "type_flags": 7,
    "generic_class_cached_class": 16,
    "class_instance_size": 16,
    "class_flags": 20,
    "vtable_interp": 40,
    "array_bounds": 8,
    "delegate_target": 16,
    "delegate_imethod": 40,
}

_SAMPLE = "sample"
_ASK_AT_ONCE = "--jiterpreter-minimum-trace-hit-count=0"
_NAME, _LENGTH, _SOURCES, _DESTINATIONS, _OPERANDS = range(5)
_MAX_OPCODES = 2000
_MAX_OPCODE_LENGTH = 40
_SIMD_ARGUMENTS = (1, 2, 3)
_MAX_SIMD = 400
#: ``switch`` has the length 0; the table ends where something else has.
_VARIABLE = "switch"
#: How the runtime writes types (``mono_type_full_name``), and the MonoTypeEnum (ECMA-335
#: II.23.1.16) of the underlying type, which is what the interpreter keeps of a signature.
_TYPES: Mapping[str, int] = {
    "void": 0x01, "bool": 0x05, "sbyte": 0x04, "byte": 0x05, "int16": 0x06, "uint16": 0x07,
    "int": 0x08, "uint": 0x09, "long": 0x0A, "ulong": 0x0B, "single": 0x0C, "double": 0x0D,
    "string": 0x1C, "intptr": 0x18, "uintptr": 0x19, "object": 0x1C,
}  # fmt: skip
_NATIVE_INT = 0x18
#: Methods that must have been compared, so that a check cannot pass because it saw nothing.
_ENOUGH = 40
#: Methods have code with entry instructions from their 1,000th call on.
_CALLS = 1500
#: Below are the stack of C and static data, no heap.
_LOWEST = 65_536


@dataclass(frozen=True, slots=True)
class _Running:
    """A method at its first instruction.

    Attributes:
        frame, method, start, size: what the interpreter tells its compiler.
        name: the method's full name.
        imethod, words: its ``InterpMethod``, and the first words of that.
    """

    frame: int
    method: int
    start: int
    size: int
    name: str
    imethod: int
    words: tuple[int, ...]


def gather(
    code: bytes, data: bytes, assemblies: Iterable[tuple[str, bytes]], sample: bytes
) -> MintFacts:
    """The facts of a code module.

    Args:
        code: the code half of the native module.
        data: the other half.
        assemblies: the base library and the dispatcher, to start .NET with.
        sample: a function, to be run.

    Raises:
        ArtifactError: an answer is not as it must be, or something of :data:`CHECKED` is elsewhere.
    """
    with step("asking the interpreter what its code looks like"):
        engine = WasmtimeEngine()
        instance = engine.instantiate(
            engine.compile(code), engine.compile(data), memory_limit=MAX_MEMORY_BYTES
        )
        host = Host(instance, Limits(memory_bytes=MAX_MEMORY_BYTES), WasiOptions())
        try:
            observer = _Observer(host)
            _run_something(host, assemblies, sample)
            observer.check()
            return MintFacts(tuple(_opcodes(host)), _offsets(host), _simd(host))
        finally:
            host.close()


def _run_something(host: Host, assemblies: Iterable[tuple[str, bytes]], sample: bytes) -> None:
    boot(host, assemblies, options=(*ENTRIES_EVERYWHERE, _ASK_AT_ONCE))
    methods = find_methods(host, "MinimalRuntime", "MinimalRuntime", "EntryPoints", ENTRY_POINTS)
    layout = GuestLayout(methods, host.call("malloc", FRAME_SIZE), host.call("malloc", BUFFER_SIZE))
    running = RunningFunction(host.instance.memory, layout.frame)
    guest = Guest(host, layout, running, payload_limit=BUFFER_SIZE, result_limit=BUFFER_SIZE)
    guest.initialize()
    report = load_function(guest, _SAMPLE, sample, (), "")
    for _ in range(_CALLS):
        guest.invoke(_SAMPLE, report.handle, b"echo")
    unload_function(guest, _SAMPLE)


def _offsets(host: Host) -> StructOffsets:
    asked = {n: host.call("mono_jiterp_get_member_offset", i) for n, i in MEMBERS.items()}
    for name in asked.keys() & CHECKED.keys():
        _require(asked[name] == CHECKED[name], f"{name} is {asked[name]}")
    return StructOffsets.from_mapping({**SEEN, **CHECKED, **asked})


def _simd(host: Host) -> Mapping[tuple[int, int], int]:
    linker = host.instance.code_linker
    size = 0 if linker is None else linker.table_size
    found = {}
    for arguments in _SIMD_ARGUMENTS:
        for number in range(_MAX_SIMD):
            # The functions do not know where their tables end; what follows is no function.
            function = host.call("mono_jiterp_get_simd_intrinsic", arguments, number)
            if not 0 < function < size:
                break
            found[arguments, number] = function
    return found


def _opcodes(host: Host) -> Iterable[Opcode]:
    for number in range(_MAX_OPCODES):
        length, sources, destinations, operands = (
            host.call("mono_jiterp_get_opcode_info", number, what)
            for what in (_LENGTH, _SOURCES, _DESTINATIONS, _OPERANDS)
        )
        if length > _MAX_OPCODE_LENGTH:
            return
        place = host.call("mono_jiterp_get_opcode_info", number, _NAME)
        name = host.memory.read_c_string(place).decode("ascii", "replace")
        if not name.isprintable() or not name or (length == 0) != (name == _VARIABLE):
            return
        yield Opcode(name, length, destinations, sources, operands)


class _Observer:
    """Compares every method that runs with what is checked."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._seen = self._named = 0
        self._contexts: set[int] = set()
        self._wrong: list[str] = []
        host.mono.tier_up = self._method_is_hot

    def _method_is_hot(
        self, frame: int, method: int, _ip: int, _counter: int, start: int, size: int
    ) -> int:
        memory = self._host.memory
        imethod = memory.read_u32(frame + CHECKED["interp_frame_imethod"])
        name = memory.read_c_string(self._host.call("mono_wasm_method_get_full_name", method))
        words = _words(memory, imethod, 25)
        found = _Running(frame, method, start, size, name.decode(), imethod, words)
        self._seen += 1
        self._look_at_stack(found)
        self._look_at_method(found)
        if not found.name.startswith("(") and not any(sign in found.name for sign in "<>[]`!*+/"):
            # Wrappers have other types, and other names commas inside of types.
            self._named += 1
            self._look_at_names(found)
            self._look_at_signature(found)
        return JITERPRETER_TRAINING

    def _look_at_stack(self, found: _Running) -> None:
        memory = self._host.memory
        stack = memory.read_u32(found.frame + CHECKED["interp_frame_stack"])
        pointer = stack + _field(found, "interp_method_alloca_size")
        if self._contexts:
            places = [place + CHECKED["thread_context_stack_pointer"] for place in self._contexts]
            places = [place for place in places if memory.read_u32(place) == pointer]
        else:
            places = list(_places(memory, pointer))
        contexts = {place - CHECKED["thread_context_stack_pointer"] for place in places}
        self._contexts = {at for at in contexts if _is_context(memory, at, stack)}
        self._expect(bool(self._contexts), "thread_context_stack_pointer", found)

    def _look_at_method(self, found: _Running) -> None:
        memory, jinfo = self._host.memory, _field(found, "interp_method_jinfo")
        begin = memory.read_u32(jinfo + CHECKED["jit_info_code_start"])
        size = memory.read_u32(jinfo + CHECKED["jit_info_code_size"])
        for what, value, expected in (
            ("interp_method_method", _field(found, "interp_method_method"), found.method),
            ("interp_method_code", _field(found, "interp_method_code"), found.start),
            ("jit_info_code_start", begin, found.start),
            ("jit_info_code_size", size, found.size),
        ):
            self._expect(value == expected, what, found)
        first = self._host.call("mono_jiterp_get_arg_offset", found.imethod, 0, 0)
        array = memory.read_u32(found.imethod + CHECKED["interp_method_arg_offsets"])
        arguments = _field(found, "interp_method_hasthis") + _field(
            found, "interp_method_param_count"
        )
        if arguments:
            same = bool(array) and memory.read_u32(array) == first
            self._expect(same, "interp_method_arg_offsets", found)

    def _look_at_names(self, found: _Running) -> None:
        memory = self._host.memory
        method = found.name.partition(" (")[0].rpartition(":")[2]
        name = memory.read_u32(found.method + CHECKED["method_name"])
        self._expect(memory.read_c_string(name).decode() == method, "method_name", found)

    def _look_at_signature(self, found: _Running) -> None:
        result, _, rest = found.name.partition(" ")
        expected = [name for name in rest[rest.rfind("(") + 1 : -1].split(",") if name]
        count = _field(found, "interp_method_param_count")
        self._expect(count == len(expected), "interp_method_param_count", found)
        self._expect(_field(found, "interp_method_hasthis") in {0, 1}, "hasthis", found)
        array = _field(found, "interp_method_param_types")
        types = [_field(found, "interp_method_rtype"), *_words(self._host.memory, array, count)]
        for place, name in zip(types, (result, *expected), strict=False):
            kind = self._host.memory.read_u8(place + CHECKED["type_type"])
            expected_kind = _NATIVE_INT if name.endswith("&") else _TYPES.get(name, kind)
            self._expect(kind == expected_kind, "type_type", found)

    def _expect(self, truth: bool, what: str, found: _Running) -> None:  # noqa: FBT001 - an assertion
        if not truth:
            self._wrong.append(f"{what} in {found.name}")

    def check(self) -> None:
        """ArtifactError unless everything was as expected, for enough methods."""
        compared = min(self._seen, self._named)
        _require(compared >= _ENOUGH, f"only {compared} methods could be compared")
        wrong = "; ".join(self._wrong[:5])
        _require(not self._wrong, f"{len(self._wrong)} times something is elsewhere: {wrong}")
        _require(len(self._contexts) == 1, f"there are {len(self._contexts)} thread contexts")


def _is_context(memory: Memory, address: int, stack: int) -> bool:
    """Whether ``stack_start``, ``stack_end`` and ``stack_real_end`` can be there."""
    if address < _LOWEST:
        return False
    start, end, real_end = _words(memory, address, 3)
    return start <= stack < end < real_end <= memory.size


def _field(found: _Running, name: str) -> int:
    return found.words[CHECKED[name] // 4]


def _words(memory: Memory, address: int, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}I", memory.read(address, 4 * count)) if count else ()


def _places(memory: Memory, value: int) -> Iterable[int]:
    """Aligned addresses of a 32-bit word."""
    content, pattern = memory.read(0, memory.size), struct.pack("<I", value)
    place = content.find(pattern)
    while place >= 0:
        if place % 4 == 0:
            yield place
        place = content.find(pattern, place + 1)


def _require(truth: bool, what: str) -> None:  # noqa: FBT001 - an assertion
    if not truth:
        raise ArtifactError(
            f"expected the interpreter that is known, found that {what}; docs/artifacts.md says "
            "how to add a build"
        )
