"""Types that a value of a column has: in C#, on the wire, in Arrow and in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "DECIMAL_DIGITS",
    "DECIMAL_SCALE",
    "TYPES",
    "ColumnType",
    "Layout",
    "column_type",
    "enum_name",
]

_HELP = "Times."


@dataclass(frozen=True, slots=True)
class Layout:
    """What a value takes on the wire.

    Attributes:
        csharp: the unmanaged type that C# reads it as; ``""`` for offsets and bytes.
        code: its code of :mod:`struct` and :mod:`array`.
        size: bytes.
        text: the bytes are UTF-8.
    """

    csharp: str
    code: str
    size: int
    text: bool = False


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type of values of a column.

    Attributes:
        csharp: as C# writes it, complete.
        layout: on the wire.
        arrow: the function of ``pyarrow`` that makes a column's type, and that one's arguments.
        numpy: its dtype.
        read: expression of C# for a value; ``{0}`` is what lies there, ``{1}`` the column's
            flags. ``""`` if it lies there as it is.
        write: the reverse, without flags.
    """

    csharp: str
    layout: Layout
    arrow: tuple[Any, ...]
    numpy: str
    read: str = ""
    write: str = ""

    @property
    def is_text(self) -> bool:
        """Offsets and UTF-8."""
        return self.layout.text

    @property
    def is_reference(self) -> bool:
        """C# has null for it without a question mark."""
        return self.csharp in {"string", "byte[]"}

    @property
    def is_bytes(self) -> bool:
        """Offsets and bytes, text included."""
        return not self.layout.csharp

    @property
    def is_plain(self) -> bool:
        """It lies on the wire as in the memory of .NET."""
        return not self.is_bytes and not self.read

    @property
    def is_time(self) -> bool:
        """Its unit is in the flags."""
        return "{1}" in self.read

    @property
    def python(self) -> str:
        """For messages: what a column of it is."""
        return self.csharp.removeprefix("global::").removeprefix("System.").replace("@", "")


_INT64 = Layout("long", "q", 8)


def _plain(csharp: str, code: str, size: int, arrow: str, numpy: str) -> ColumnType:
    return ColumnType(csharp, Layout(csharp, code, size), (arrow,), numpy)


def _own(name: str, arrow: tuple[str, ...], numpy: str, layout: Layout = _INT64) -> ColumnType:
    flags = "" if layout is not _INT64 or name == "TimeOnly" else ", {1}"
    return ColumnType(
        f"global::System.{name}", layout, arrow, numpy,
        f"{_HELP}{name}({{0}}{flags})", f"{_HELP}From{name}({{0}})",
    )  # fmt: skip


_BYTES, _TEXT = Layout("", "", 0), Layout("", "", 0, text=True)
_SCALARS = "Scalars."
#: ``decimal`` in Arrow: as Spark has it.
DECIMAL_DIGITS, DECIMAL_SCALE = 38, 18
#: By the name that a signature has: C#'s word, or the full name of a type.
TYPES: dict[str, ColumnType] = {
    "bool": _plain("bool", "?", 1, "bool_", "bool"),
    "sbyte": _plain("sbyte", "b", 1, "int8", "int8"),
    "byte": _plain("byte", "B", 1, "uint8", "uint8"),
    "short": _plain("short", "h", 2, "int16", "int16"),
    "ushort": _plain("ushort", "H", 2, "uint16", "uint16"),
    "int": _plain("int", "i", 4, "int32", "int32"),
    "uint": _plain("uint", "I", 4, "uint32", "uint32"),
    "long": _plain("long", "q", 8, "int64", "int64"),
    "ulong": _plain("ulong", "Q", 8, "uint64", "uint64"),
    "float": _plain("float", "f", 4, "float32", "float32"),
    "double": _plain("double", "d", 8, "float64", "float64"),
    "System.Half": _plain("global::System.Half", "e", 2, "float16", "float16"),
    "string": ColumnType("string", _TEXT, ("string",), "object"),
    "char": ColumnType(
        "char", _TEXT, ("string",), "object", f"{_SCALARS}Char({{0}})", f"{_SCALARS}FromChar({{0}})"
    ),
    "System.Decimal": ColumnType(
        "decimal", _TEXT, ("decimal128", DECIMAL_DIGITS, DECIMAL_SCALE), "object",
        f"{_SCALARS}Decimal({{0}})", f"{_SCALARS}FromDecimal({{0}})",
    ),
    "System.Guid": ColumnType(
        "global::System.Guid", _BYTES, ("uuid",), "object",
        f"{_SCALARS}Guid({{0}})", f"{_SCALARS}FromGuid({{0}})",
    ),
    "byte[]": ColumnType("byte[]", _BYTES, ("binary",), "object"),
    "System.DateTime": _own("DateTime", ("timestamp", "us"), "datetime64[us]"),
    "System.DateTimeOffset": _own("DateTimeOffset", ("timestamp", "us", "UTC"), "datetime64[us]"),
    "System.DateOnly": _own("DateOnly", ("date32",), "datetime64[D]", Layout("int", "i", 4)),
    "System.TimeOnly": _own("TimeOnly", ("time64", "us"), "timedelta64[us]"),
    "System.TimeSpan": _own("TimeSpan", ("duration", "us"), "timedelta64[us]"),
}  # fmt: skip
_ENUM = "enum "


def enum_name(csharp: str, underlying: str) -> str:
    """The name of an enum's type, which has no line above: C#'s, and that of its numbers."""
    return f"{_ENUM}{underlying} {csharp}"


def column_type(name: str) -> ColumnType:
    """The type of a name: one of those above, or an enum, which is a column of its numbers."""
    if not name.startswith(_ENUM):
        return TYPES[name]
    underlying, csharp = name.removeprefix(_ENUM).split(" ", 1)
    plain = TYPES[underlying]
    return ColumnType(
        csharp, plain.layout, plain.arrow, plain.numpy, f"({csharp}){{0}}", f"({underlying}){{0}}"
    )
