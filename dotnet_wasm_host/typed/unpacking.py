"""Python source that makes a result of the bytes that a call gave. They may be anything."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.errors import LimitExceeded
from dotnet_wasm_host.typed.blocks import block_reader
from dotnet_wasm_host.typed.classes import make_maker
from dotnet_wasm_host.typed.dynamic import make_object_reader
from dotnet_wasm_host.typed.grids import nest, read_lengths
from dotnet_wasm_host.typed.packing import struct_name
from dotnet_wasm_host.typed.shapes import (
    MAX_DEPTH,
    Blob,
    Block,
    Checked,
    Dynamic,
    Fixed,
    Grid,
    Json,
    Mapping,
    Number,
    Optional,
    Record,
    Sequence,
    Shape,
    Text,
    Tuple,
    Wide,
    is_fixed,
    item_weight,
    minimum_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Unpacker"]

#: What the objects of one result may take, about: eight times the default of
#: ``Limits.result_bytes``.
_OBJECT_BYTES = 512 << 20


@final
class Unpacker:
    """Writes statements that read values from ``d``, which ends at ``e``.

    Each length and count is compared with what is left before anything is made of it. What is
    not as it should be raises ValueError, struct.error or IndexError.

    Args:
        names: what the source refers to; added to here.
        records: source of the functions that read records is added here.
    """

    def __init__(self, names: dict[str, Any], records: list[str]) -> None:
        self._names = names
        self._records = records
        self._written: dict[int, str] = {}
        self._kept: list[Shape] = []
        self._reset()
        names.update(MAX_DEPTH=MAX_DEPTH, short=_short, long=_long, many=_many)
        names["BUDGET"] = _OBJECT_BYTES

    def _reset(self, base: str = "", depth: str = "0") -> None:
        self._lines: list[str] = []
        self._pending: list[tuple[str, str]] = []
        self._count = 0
        self._indent = ""
        self._base, self._plus = base, 0
        self._depth = depth

    def unpack(self, shape: Shape) -> tuple[list[str], str]:
        """Statements, and an expression of the result."""
        self._reset()
        if is_fixed(shape):
            value = self._value(shape)
            codes = "".join(code for code, _ in self._pending)
            targets = ", ".join(name for _, name in self._pending)
            name = "whole_" + codes.replace("?", "t")
            # Takes as many bytes as there must be, and no others.
            self._names.setdefault(name, struct.Struct("<" + codes).unpack)
            return [f"{targets}, = {name}(d)"], value
        self._line("e = len(d)")
        self._line("c = [BUDGET]")
        value = self._value(shape)
        self._flush()
        self._line(f"if {self._at()} != e: long(e)")
        return self._lines, value

    # ---------------------------------------------------------------- lines

    def _line(self, text: str) -> None:
        self._lines.append(self._indent + text)

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count}"

    def _at(self) -> str:
        """The offset of what comes next, as an expression."""
        if not self._base:
            return str(self._plus)
        return f"{self._base} + {self._plus}" if self._plus else self._base

    def _flush(self) -> None:
        """Read together what lies one behind the other."""
        if self._pending:
            codes = "".join(code for code, _ in self._pending)
            targets = ", ".join(name for _, name in self._pending)
            self._pending.clear()
            function = struct_name(self._names, codes, unpack=True)
            self._line(f"{targets}, = {function}(d, {self._at()})")
            self._plus += struct.calcsize("<" + codes)

    def _here(self) -> None:
        """Make ``p`` the offset of what comes next."""
        self._flush()
        if self._at() != "p":
            self._line(f"p = {self._at()}")
        self._base, self._plus = "p", 0

    def _fixed(self, code: str) -> str:
        name = self._name("v")
        self._pending.append((code, name))
        return name

    # ---------------------------------------------------------------- values

    def _value(self, shape: Shape) -> str:  # noqa: C901, PLR0911 - one for each kind of shape
        """Statements that read a value; the expression holds after the next flush."""
        if isinstance(shape, Checked):
            return self._value(shape.value)
        if isinstance(shape, Fixed):
            return f"({shape.unpack.format(self._fixed(shape.format))})"
        if isinstance(shape, Text):
            return self._bytes("d[q:p].decode()")
        if isinstance(shape, Blob):
            return self._bytes("d[q:p]")
        if isinstance(shape, Json):
            return self._bytes("loads(d[q:p])")
        if isinstance(shape, Wide):
            return self._bytes("from_bytes(d[q:p], 'little', signed=True)")
        if isinstance(shape, Tuple):
            items = [self._value(item) for item in shape.items]
            return f"({', '.join(items)},)" if items else "()"
        if isinstance(shape, Record):
            self._here()
            name = self._name("v")
            self._line(f"{name}, p = {self._record(shape)}(d, p, e, c, {self._depth})")
            return name
        if isinstance(shape, Optional):
            return self._optional(shape)
        if isinstance(shape, Grid):
            return self._grid(shape)
        if isinstance(shape, Dynamic):
            return self._object(shape)
        return self._counted(shape)

    def _bytes(self, made: str) -> str:
        length, value = self._fixed("i"), self._name("v")
        self._here()
        self._line("q = p")
        self._line(f"if {length} < 0: {value} = None")
        self._line("else:")
        self._line(f"    p += {length}")
        self._line("    if p > e: short(e)")
        self._line(f"    {value} = {made}")
        return value

    def _optional(self, shape: Optional) -> str:
        present, value = self._fixed("?"), self._name("v")
        self._here()
        self._line(f"if {present}:")
        outer, self._indent = self._indent, self._indent + "    "
        inner = self._value(shape.value)
        self._here()
        self._line(f"{value} = {inner}")
        self._indent = outer
        self._line(f"else: {value} = None")
        return value

    def _grid(self, shape: Grid) -> str:
        lengths, count, value = self._name("n"), self._name("n"), self._name("v")
        self._here()
        self._names.update(read_lengths=read_lengths, nest=nest)
        least, weight = minimum_size(shape.element), item_weight(shape.element)
        self._line(
            f"{lengths}, {count}, p = "
            f"read_lengths(d, p, e, {shape.rank}, {least}, c, {weight}, many)"
        )
        self._line(f"if {lengths} is None: {value} = None")
        self._line("else:")
        outer, self._indent = self._indent, self._indent + "    "
        items = self._name("s")
        if isinstance(shape.element, Number):
            code = shape.element.format
            reader = f"list_{'bool' if code == '?' else code}"
            self._names.setdefault(reader, block_reader(code, "list"))
            self._line(f"{items} = {reader}(d, p, {count})")
            self._line(f"p += {count} * {shape.element.size}")
        else:
            self._line(f"{items} = []")
            self._loop(count, [shape.element], items + ".append({0})")
        self._line(f"{value} = nest({items}, {lengths})")
        self._indent = outer
        self._base, self._plus = "p", 0
        return value

    def _object(self, shape: Dynamic) -> str:
        if "read_object" not in self._names:
            # Known before the records are, which may have one inside.
            self._names["read_object"] = None
            records = [self._record(r) for r in shape.records]
            enums = [self._enum_maker(one) for one in shape.enums]
            handles = self._names[f"o{shape.handle.number}"]
            self._names["read_object"] = make_object_reader(
                self._names, records, enums, handles, self._names["many"]
            )
        self._here()
        value = self._name("v")
        self._line(f"{value}, p = read_object(d, p, e, c, {self._depth})")
        return value

    def _enum_maker(self, shape: Fixed) -> Callable[[int], Any]:
        """What makes a member of an enum, or a number that is none."""
        made: Callable[[int], Any] = eval(  # noqa: S307 - our own text
            f"lambda v: {shape.unpack.format('v')}", self._names
        )
        if shape.format != "Q":
            return made
        return lambda value: made(value & (1 << 64) - 1)

    def _counted(self, shape: Shape) -> str:
        count, value = self._fixed("i"), self._name("v")
        self._here()
        self._line(f"if {count} < 0: {value} = None")
        self._line("else:")
        outer, self._indent = self._indent, self._indent + "    "
        if isinstance(shape, Block):
            self._block(shape, count, value)
        elif isinstance(shape, Sequence):
            least = minimum_size(shape.element)
            self._line(f"if {count} > (e - p) // {least}: short(e)")
            self._charge(count, item_weight(shape.element))
            self._items(shape, count, value)
        else:
            assert isinstance(shape, Mapping)
            least = minimum_size(shape.key) + minimum_size(shape.value)
            self._line(f"if {count} > (e - p) // {least}: short(e)")
            self._charge(count, 2 * item_weight(shape.key) + item_weight(shape.value))
            self._line(f"{value} = {{}}")
            self._loop(count, [shape.key, shape.value], value + "[{0}] = {1}")
        self._indent = outer
        self._base, self._plus = "p", 0
        return value

    def _block(self, shape: Block, count: str, value: str) -> None:
        code = shape.element.format
        reader = f"{shape.result}_{'bool' if code == '?' else code}"
        self._names.setdefault(reader, block_reader(code, shape.result))
        self._line("q = p")
        self._line(f"p += {count} * {shape.element.size}")
        self._line("if p > e: short(e)")
        if shape.result != "memoryview":
            self._charge(count, item_weight(shape.element))
        self._line(f"{value} = {reader}(d, q, {count})")

    def _charge(self, count: str, weight: int) -> None:
        """Count what the items of a container will take, before they are made."""
        self._line(f"c[0] -= {count} * {weight}")
        self._line("if c[0] < 0: many()")

    def _items(self, shape: Sequence, count: str, value: str) -> None:
        kind = shape.result
        items = self._name("s")
        self._line(f"{items} = []" if kind == "list" else f"{items} = set()")
        add = self._name("a")
        self._line(f"{add} = {items}.{'append' if kind == 'list' else 'add'}")
        self._loop(count, [shape.element], add + "({0})")
        self._line(f"{value} = {items}")

    def _loop(self, count: str, shapes: list[Shape], statement: str) -> None:
        self._line(f"for _ in range({count}):")
        outer, self._indent = self._indent, self._indent + "    "
        values = [self._value(shape) for shape in shapes]
        self._here()
        self._line(statement.format(*values))
        self._indent = outer

    # ---------------------------------------------------------------- records

    def _record(self, shape: Record) -> str:
        """The function that reads a record."""
        name = self._written.get(id(shape))
        if name is None:
            number = len(self._written)
            name = self._written[id(shape)] = f"read_record_{number}"
            self._kept.append(shape)
            kept = dict(vars(self))
            self._reset("p", "depth + 1")
            self._indent = "    "
            self._names[f"make_{number}"] = make_maker(
                shape.python, [field.name for field in shape.fields]
            )
            self._record_lines(shape, f"make_{number}")
            lines = self._lines
            vars(self).update(kept)
            self._records.append("\n".join((f"def {name}(d, p, e, c, depth):", *lines)))
        return name

    def _record_lines(self, shape: Record, make: str) -> None:
        if shape.recursive:
            self._line("if depth > MAX_DEPTH: raise ValueError('values too deep')")
        if shape.is_class:
            self._line("if not d[p]: return None, p + 1")
            self._variants(shape)
            self._plus = 1
            if shape.is_abstract:
                return
        elif not shape.fields:
            self._fixed("?")
        values = [self._value(field.shape) for field in shape.fields]
        self._flush()
        self._line(f"return {make}({', '.join(values)}), {self._at()}")

    def _variants(self, shape: Record) -> None:
        """Records that derive from one come with all that they have."""
        if shape.is_open:
            self._line("if d[p] != 1:")
            for number, other in enumerate(shape.derived, 2):
                name = self._record(other)
                self._line(f"    if d[p] == {number}: return {name}(d, p + 1, e, c, depth)")
            self._line("    raise ValueError('a record of a type that it cannot be')")
        if shape.is_abstract:
            self._line("raise ValueError('a record of an abstract type')")


def _short(size: int) -> None:
    raise ValueError(f"it says that more follows than its {size} bytes")


def _many() -> None:
    raise LimitExceeded(
        f"the objects of a result would take more than {_OBJECT_BYTES} bytes; return less at a "
        "time, as a stream (IEnumerable) or as a span of numbers",
        limit="result_bytes",
    )


def _long(size: int) -> None:
    raise ValueError(f"its {size} bytes have more than the result")
