"""Python source that makes a call's payload of its arguments."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.typed.blocks import block_writer
from dotnet_wasm_host.typed.dynamic import make_object_packer
from dotnet_wasm_host.typed.grids import flatten, grid_writer
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
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Packer"]

_NULL = struct.pack("<i", -1)


@final
class Packer:
    """Writes statements that pack values.

    Numbers that lie one behind the other are packed together by one ``struct``.

    Args:
        names: what the source refers to; added to here.
        records: source of the functions that pack records is added here.
    """

    def __init__(self, names: dict[str, Any], records: list[str]) -> None:
        self._names = names
        self._records = records
        self._written: dict[int, str] = {}
        self._kept: list[Shape] = []
        self._reset()
        names.update(NO=b"\0", NULL=_NULL, EMPTY=b"", MAX_DEPTH=MAX_DEPTH)

    def _reset(self) -> None:
        self._lines: list[str] = []
        self._pending: list[tuple[str, str]] = []
        self._parts: list[str] | None = None
        self._count = 0
        self._indent = ""
        self._depth = "0"

    def pack(self, index: int, arguments: Iterable[tuple[str, Shape]]) -> tuple[list[str], str]:
        """Statements, and an expression of the payload."""
        arguments = list(arguments)
        self._reset()
        self._pending.append(("i", str(index)))
        if all(_is_straight(shape) for _, shape in arguments):
            self._parts = []
        else:
            self._line("o = []")
            self._line("a = o.append")
        for name, shape in arguments:
            self._value(shape, name)
        self._flush()
        lines, parts = self._lines, self._parts
        self._reset()
        if parts is None:
            return lines, "b''.join(o)"
        if len(parts) <= 2:
            return lines, " + ".join(parts)
        return lines, f"b''.join(({', '.join(parts)}))"

    # ---------------------------------------------------------------- lines

    def _line(self, text: str) -> None:
        self._lines.append(self._indent + text)

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count}"

    def _flush(self) -> None:
        """What waits to be packed together becomes a part."""
        if self._pending:
            codes = "".join(code for code, _ in self._pending)
            values = ", ".join(value for _, value in self._pending)
            self._pending.clear()
            self._part(f"{struct_name(self._names, codes)}({values})")

    def _part(self, expression: str) -> None:
        if self._parts is None:
            self._line(f"a({expression})")
        else:
            self._parts.append(expression)

    # ---------------------------------------------------------------- values

    def _value(self, shape: Shape, value: str) -> None:  # noqa: C901 - one for each kind
        if isinstance(shape, Checked):
            self._checked(shape, value)
        elif isinstance(shape, Fixed):
            self._pending.append((shape.format, shape.pack.format(value)))
        elif isinstance(shape, Text):
            self._bytes(value, f"{value}.encode()")
        elif isinstance(shape, Blob):
            self._bytes(value, f"blob({value})")
        elif isinstance(shape, Json):
            self._bytes(value, f"dumps({value}).encode()", null="False")
        elif isinstance(shape, Wide):
            self._bytes(value, f"wide_bytes({value})", null="False")
        elif isinstance(shape, Block):
            self._block(shape, value)
        elif isinstance(shape, Grid):
            self._grid(shape, value)
        elif isinstance(shape, Dynamic):
            self._object(shape, value)
        elif isinstance(shape, Tuple):
            self._tuple(shape, value)
        elif isinstance(shape, Record):
            self._flush()
            self._line(f"{self._record(shape)}({value}, a, {self._depth})")
        else:
            self._branch(shape, value)

    def _checked(self, shape: Checked, value: str) -> None:
        if shape.is_nullable:
            self._value(shape.value, value)
        elif isinstance(shape.value, Text):
            # None has no encode().
            self._bytes(value, f"{value}.encode()", null="False")
        else:
            self._line(f"if {value} is None: raise TypeError")
            self._value(shape.value, value)

    def _bytes(self, value: str, encoded: str, null: str = "") -> None:
        data = self._name("b")
        if null:
            self._line(f"{data} = {encoded}")
            self._pending.append(("i", f"len({data})"))
        else:
            self._line(f"{data} = EMPTY if {value} is None else {encoded}")
            self._pending.append(("i", f"-1 if {value} is None else len({data})"))
        self._flush()
        self._part(data)

    def _block(self, shape: Block, value: str) -> None:
        code = shape.element.format
        writer = f"block_{'bool' if code == '?' else code}"
        self._names.setdefault(writer, block_writer(code))
        count, data = self._name("n"), self._name("b")
        self._line(f"{count}, {data} = {writer}({value})")
        self._pending.append(("i", count))
        self._flush()
        self._part(data)

    def _grid(self, shape: Grid, value: str) -> None:
        head, data = self._name("h"), self._name("b")
        self._flush()
        if isinstance(shape.element, Number):
            code = shape.element.format
            writer = f"grid_{shape.rank}_{'bool' if code == '?' else code}"
            self._names.setdefault(writer, grid_writer(code, shape.rank))
            self._line(f"{head}, {data} = {writer}({value})")
            self._part(head)
            self._part(data)
            return
        self._names["flatten"] = flatten
        self._line(f"{head}, {data} = flatten({value}, {shape.rank})")
        self._part(head)
        self._each(self._name("x"), data, [shape.element])

    def _object(self, shape: Dynamic, value: str) -> None:
        if "pack_object" not in self._names:
            # Known before the records are, which may have one inside.
            self._names["pack_object"] = None
            records = {r.python: (n, self._record(r)) for n, r in enumerate(shape.records)}
            enums = {one.python: n for n, one in enumerate(shape.enums)}
            self._names["pack_object"] = make_object_packer(
                self._names, records, enums, shape.handle.cls
            )
        self._flush()
        self._line(f"pack_object({value}, a, {self._depth})")

    def _tuple(self, shape: Tuple, value: str) -> None:
        items = [self._name("t") for _ in shape.items]
        self._line(f"if type({value}) is not tuple: raise TypeError")
        self._line(f"{', '.join(items)}, = {value}")
        for part, item in zip(shape.items, items, strict=True):
            self._value(part, item)

    def _branch(self, shape: Shape, value: str) -> None:
        """A value that may be null, with more behind it if it is not."""
        self._flush()
        self._line(f"if {value} is None:")
        self._line(f"    a({'NO' if isinstance(shape, Optional) else 'NULL'})")
        self._line("else:")
        outer, self._indent = self._indent, self._indent + "    "
        if isinstance(shape, Optional):
            self._pending.append(("?", "True"))
            self._value(shape.value, value)
            self._flush()
        elif isinstance(shape, Sequence):
            kinds = "SETS" if shape.result == "set" else "LISTS"
            self._line(f"if type({value}) not in {kinds}: raise TypeError")
            self._loop(f"{self._name('x')}", value, [shape.element])
        else:
            assert isinstance(shape, Mapping)
            self._line(f"if type({value}) is not dict: raise TypeError")
            self._loop(f"{self._name('k')}, {self._name('x')}", value, [shape.key, shape.value])
        self._indent = outer

    def _loop(self, names: str, value: str, shapes: list[Shape]) -> None:
        self._pending.append(("i", f"len({value})"))
        self._each(names, value, shapes)

    def _each(self, names: str, value: str, shapes: list[Shape]) -> None:
        self._flush()
        items = f"{value}.items()" if len(shapes) == 2 else value
        self._line(f"for {names} in {items}:")
        outer, self._indent = self._indent, self._indent + "    "
        for name, shape in zip(names.split(", "), shapes, strict=True):
            self._value(shape, name)
        self._flush()
        self._indent = outer

    # ---------------------------------------------------------------- records

    def _record(self, shape: Record) -> str:
        """The function that packs a record."""
        name = self._written.get(id(shape))
        if name is None:
            name = self._written[id(shape)] = f"pack_record_{len(self._written)}"
            self._kept.append(shape)
            kept = dict(vars(self))
            self._reset()
            self._depth, self._indent = "depth + 1", "    "
            self._record_lines(shape)
            lines = self._lines
            vars(self).update(kept)
            self._records.append("\n".join((f"def {name}(v, a, depth):", *lines)))
        return name

    def _record_lines(self, shape: Record) -> None:
        if shape.is_class:
            self._line("if v is None:")
            self._line("    a(NO)")
            self._line("    return")
            self._variants(shape)
            if shape.is_abstract:
                self._line("raise TypeError")
                return
            self._pending.append(("?", "True"))
        if shape.recursive:
            self._line("if depth > MAX_DEPTH: raise RecursionError")
        fields = [(self._name("f"), field) for field in shape.fields]
        if fields:
            self._line("if type(v) is dict:")
            self._line(f"    if len(v) != {len(fields)}: raise TypeError")
            for name, field in fields:
                self._line(f"    {name} = v[{field.name!r}]")
            self._line("else:")
            for name, field in fields:
                self._line(f"    {name} = v.{field.name}")
        elif not shape.is_class:
            self._pending.append(("?", "True"))
        for name, field in fields:
            self._value(field.shape, name)
        self._flush()
        self._line("return")

    def _variants(self, shape: Record) -> None:
        """Records that derive from one are packed with all that they have."""
        for number, other in enumerate(shape.derived, 2):
            name = f"class_{id(other)}"
            self._names[name] = other.python
            self._line(f"if type(v) is {name}:")
            self._line(f"    a({bytes([number])!r})")
            self._line(f"    return {self._record(other)}(v, a, depth)")
        if shape.derived:
            # What derives from one of them in Python is looked at more closely.
            name = f"class_{id(shape)}"
            self._names[name] = shape.python
            self._line(f"if type(v) is not {name} and isinstance(v, {name}): raise TypeError")


def _is_straight(shape: Shape) -> bool:
    """Whether a value is packed without a branch."""
    if isinstance(shape, Checked):
        return _is_straight(shape.value)
    if isinstance(shape, Tuple):
        return all(map(_is_straight, shape.items))
    if isinstance(shape, Grid):
        return isinstance(shape.element, Number)
    return isinstance(shape, (Fixed, Text, Blob, Wide, Block, Json))


def struct_name(names: dict[str, Any], codes: str, *, unpack: bool = False) -> str:
    """The name of a function of ``struct`` for these codes, without padding."""
    layout = struct.Struct("<" + codes)
    name = ("unpack_" if unpack else "pack_") + codes.replace("?", "t")
    names.setdefault(name, layout.unpack_from if unpack else layout.pack)
    return name
