"""Runs single instructions of the interpreter, interpreted and compiled, in a real instance.

A guest method takes 256 bytes by value: they are its frame. Its code is overwritten by an entry
instruction, the instruction that is asked about, and a return of the whole frame. The
compiled variant of it also sets a mark, so that it is known whether it ran to its end.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import dotnet_wasm_host as dwh
from dotnet_wasm_host.abi import COMPILED_SLOTS
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.jit.compiler import compile_batch
from dotnet_wasm_host.jit.facts import load_facts
from dotnet_wasm_host.jit.interface import LinkTarget, OutOfView

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dotnet_wasm_host.jit.interface import CompiledBatch, StructOffsets

__all__ = ["AREA_SIZE", "FRAME_SIZE", "Case", "Difference", "InstructionBench", "Outcome"]

FRAME_SIZE, AREA_SIZE = 256, 512
#: Slots of the frame that cases leave alone: the mark, and a word that is counted up.
MARK, STEPS = 248, 240
_MARKER = 0x5EED1234
_SYNTHETIC = 0x7000_0000
_STRIDE = 0x1000
_LOW = 256
_INTS = struct.pack("<64I", *(0x9E3779B9 * n & 0xFFFFFFFF for n in range(64)))

SOURCE = """
using System; using System.Runtime.CompilerServices; using System.Runtime.InteropServices;
public sealed unsafe class Bench : MinimalRuntime.IFunctionHandler {
    public struct Block { public fixed long Words[32]; }
    static byte[] area = GC.AllocateArray<byte>(512, pinned: true);
    static int[] ints = GC.AllocateArray<int>(64, pinned: true);
    static object[] objects = new object[8];
    static int[,] matrix = new int[3, 4];
    static string text = new string("0123456789abcdef");
    static object[] roots = { area, ints, objects, matrix, text };
    static int sink;
    [MethodImpl(MethodImplOptions.NoInlining)]
    static Block Run(Block b) {
        long* words = b.Words;
        for (int i = 0; i < 4; i++) {
            if (sink == 0x5EED1234) { words[i] = i; words[i + 1] ^= words[i] * 3; sink += 5; }
            if (sink == 77) { words[2] = words[3] + words[4] * words[5] - words[6]; sink ^= 9; }
            if (sink == 78) { words[3] = words[4] + words[5] * words[6] - words[7]; sink ^= 8; }
        }
        return b;
    }
    public byte[] Execute(ReadOnlySpan<byte> input) {
        if (input.Length == 0) {
            GC.Collect(); GC.Collect();
            Block block = default;
            for (int i = 0; i < 40000; i++) Run(block);
            var found = new int[roots.Length];
            for (int i = 0; i < roots.Length; i++) found[i] = *(int*)Unsafe.AsPointer(ref roots[i]);
            return MemoryMarshal.AsBytes<int>(found).ToArray();
        }
        try {
            Block block = Run(MemoryMarshal.Read<Block>(input));
            return new ReadOnlySpan<byte>(&block, 256).ToArray();
        }
        catch (Exception error) { return System.Text.Encoding.UTF8.GetBytes(error.GetType().Name); }
    }
}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """An instruction in a frame.

    Attributes:
        name: of its opcode.
        units: the whole instruction.
        frame: what is in its slots.
        area: what is in memory that pointers may point to.
        jumps: whether the instruction may jump to the end of what follows it.
    """

    name: str
    units: tuple[int, ...]
    frame: bytes
    area: bytes
    jumps: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is there after an instruction.

    Attributes:
        frame: the slots, or the name of an exception.
        memory: the area, and arrays.
        compiled: whether compiled code executed it to its end.
    """

    frame: bytes
    memory: tuple[bytes, ...]
    compiled: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """A case whose outcome is another when it is compiled."""

    case: Case
    interpreted: Outcome
    compiled: Outcome


@final
class InstructionBench:
    """One instance and the method in it whose code is overwritten."""

    def __init__(self) -> None:
        self.facts = load_facts(ArtifactStore.locate())
        self._number = {opcode.name: n for n, opcode in enumerate(self.facts.opcodes)}
        self._runtime = dwh.Runtime(jit="auto")
        compilation = self._runtime._compilation
        assert compilation is not None
        assert compilation._hot is not None
        self._hot = compilation._hot
        self._hot.on_noted = lambda: None
        self._host = self._runtime._current.guest.host
        self._runtime.load_assembly("bench", dwh.compile_csharp(SOURCE, unsafe=True))
        addresses = struct.unpack("<5I", self._runtime.invoke("bench"))
        self._objects = dict(
            zip(("area", "ints", "objects", "matrix", "text"), addresses, strict=True)
        )
        o = self.facts.offsets
        self.area = self._objects["area"] + o.array_data
        self._method = self._find_method()
        read = self._read
        self._code = read(self._method + o.interp_method_code)
        jinfo = read(self._method + o.interp_method_jinfo)
        self._size = read(jinfo + o.jit_info_code_size)
        vtable = read(self._objects["text"] + o.object_vtable)
        ints = read(read(self._objects["ints"] + o.object_vtable) + o.vtable_klass)
        #: 0 a vtable, 1 an address in the area, 2 a class of 4 bytes.
        self._items = self._host.call("malloc", 64)
        items = struct.pack("<3I", vtable, self.area + 64, read(ints + o.class_element_class))
        self._write(self._items, items)
        self._write(self._method + o.interp_method_data_items, struct.pack("<I", self._items))
        self._next_slot = 0

    def close(self) -> None:
        """End the instance."""
        self._runtime.close()

    @property
    def objects(self) -> Mapping[str, int]:
        """Addresses of objects that do not move."""
        return self._objects

    def _read(self, address: int) -> int:
        return int.from_bytes(self._host.memory.read(address, 4), "little")

    def _write(self, address: int, content: bytes) -> None:
        self._host.memory.write(address, content)

    def _find_method(self) -> int:
        o, memory = self.facts.offsets, self._host.memory
        for method in self._hot._pending:
            code = self._read(method + o.interp_method_code)
            size = self._read(self._read(method + o.interp_method_jinfo) + o.jit_info_code_size)
            if struct.pack("<I", _MARKER) in memory.read(code, size):
                return method
        raise AssertionError("the guest's method did not get its entry instruction")

    def _assemble(self, case: Case, *, marked: bool) -> bytes:
        n = self._number
        units = [n["tier_nop_jiterpreter"], 0, 0, 0, *case.units]
        if case.jumps:
            units += [n["add1.i4"], STEPS, STEPS]
        units += [n["ldc.i4.s"], MARK, 77] if marked else [n["mov.4"], MARK, MARK]
        units += [n["ret.vt"], 0, FRAME_SIZE]
        assert 2 * len(units) <= self._size, "the guest's method is too short"
        units += [n["nop"]] * (self._size // 2 - len(units))
        return struct.pack(f"<{len(units)}H", *units)

    def interpret(self, case: Case) -> Outcome:
        """Run an instruction in the interpreter."""
        return self._run(case, self._assemble(case, marked=False))

    def compile(self, cases: Sequence[Case]) -> tuple[CompiledBatch, dict[int, int]]:
        """Compile and link. The batch, and the slot of each case that was compiled, by number."""
        facts, memory = self.facts, self._host.memory
        prepare = struct.pack("<H", self._number["tier_prepare_jiterpreter"])
        codes = [prepare + self._assemble(case, marked=True)[2:] for case in cases]
        view = _Synthetic(memory.read(0, memory.size), facts.offsets, self._items, codes)
        first = self._hot._table
        self._hot._reserve(COMPILED_SLOTS)
        if self._next_slot + len(cases) > COMPILED_SLOTS:
            self._next_slot = 0  # what was there has been compared
        methods = [_SYNTHETIC + _STRIDE * n for n in range(len(cases))]
        batch = compile_batch(facts, view, LinkTarget(first + self._next_slot, 0, 0), methods)
        if batch.wasm:
            self._hot._linker.link(get_engine().compile(batch.wasm))
        slots = {
            (entry.method - _SYNTHETIC) // _STRIDE: self._next_slot + entry.slot
            for entry in batch.entries
        }
        self._next_slot += batch.slots
        return batch, slots

    def run_compiled(self, case: Case, slot: int) -> Outcome:
        """Run an instruction that was compiled."""
        code = self._assemble(case, marked=False)
        enter = struct.pack("<HH", self._number["tier_enter_jiterpreter"], slot)
        return self._run(case, enter + code[4:])

    def compare(self, cases: Sequence[Case]) -> tuple[list[Difference], Counter[str]]:
        """Run cases both ways.

        What differs, and how often compiled code executed each opcode to its end.
        """
        batch, slots = self.compile(cases)
        differences, compiled = [], Counter[str]()
        for rejected in batch.rejected:
            case = cases[(rejected.method - _SYNTHETIC) // _STRIDE]
            raise AssertionError(f"{case.name} is not compiled: {rejected.reason}")
        for number, slot in slots.items():
            case = cases[number]
            expected, found = self.interpret(case), self.run_compiled(case, slot)
            compiled[case.name] += found.compiled
            if (expected.frame, expected.memory) != (found.frame, found.memory):
                differences.append(Difference(case, expected, found))
        return differences, compiled

    def _run(self, case: Case, code: bytes) -> Outcome:
        area = self.area
        self._write(area, case.area)
        ints, objects = self._objects["ints"], self._objects["objects"]
        matrix = self._objects["matrix"]
        at = self.facts.offsets.array_data
        self._write(ints + at, _INTS)
        self._write(objects + at, bytes(32))
        self._write(matrix + at, _INTS[:48])
        # Some instructions write at a null pointer; compiled code reads a length of 0 there.
        self._write(0, bytes(_LOW))
        self._write(self._code, code)
        frame = self._runtime.invoke("bench", case.frame)
        read = self._host.memory.read
        memory = (read(area, AREA_SIZE), read(ints + at, 256), read(objects + at, 32),
                  read(matrix + at, 48), read(0, _LOW))  # fmt: skip
        marked = len(frame) == FRAME_SIZE and frame[MARK : MARK + 4] == struct.pack("<I", 77)
        if marked:
            frame = frame[:MARK] + case.frame[MARK : MARK + 4] + frame[MARK + 4 :]
        return Outcome(frame, memory, marked)

    def __enter__(self) -> InstructionBench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@final
class _Synthetic:
    """Memory with methods above it that exist for the compiler only."""

    def __init__(
        self, memory: bytes, offsets: StructOffsets, items: int, codes: Sequence[bytes]
    ) -> None:
        self._memory = memory
        self._above = b"".join(self._methods(offsets, items, codes))

    @staticmethod
    def _methods(o: StructOffsets, items: int, codes: Sequence[bytes]) -> Iterator[bytes]:
        for n, code in enumerate(codes):
            method = bytearray(_STRIDE)
            base, jinfo, body = _SYNTHETIC + _STRIDE * n, 0x200, 0x400
            for at, value in (
                (o.interp_method_code, base + body), (o.interp_method_jinfo, base + jinfo),
                (o.interp_method_data_items, items), (jinfo + o.jit_info_code_start, base + body),
                (jinfo + o.jit_info_code_size, len(code)),
            ):  # fmt: skip
                struct.pack_into("<I", method, at, value)
            assert body + len(code) <= _STRIDE
            method[body : body + len(code)] = code
            yield bytes(method)

    @property
    def size(self) -> int:
        """Where the last method ends."""
        return _SYNTHETIC + len(self._above)

    def read(self, address: int, count: int) -> bytes:
        """Memory, or a method."""
        if address >= _SYNTHETIC:
            address -= _SYNTHETIC
            found = self._above[address : address + count]
        else:
            found = self._memory[address : address + count]
        if len(found) != count:
            raise OutOfView("outside")
        return found
