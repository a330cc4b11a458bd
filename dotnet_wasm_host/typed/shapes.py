"""Shapes: what a type of C# is on the wire, in C# and in Python.

A shape is made for a type of a signature. The generators of code (``dispatcher``, ``packing``,
``unpacking``) and the checks of ``values`` go over shapes; none of them knows metadata.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum
from types import GenericAlias
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MAX_DEPTH",
    "Blob",
    "Block",
    "Checked",
    "Delegate",
    "Dynamic",
    "Field",
    "Fixed",
    "Grid",
    "Handle",
    "Json",
    "Kind",
    "Mapping",
    "Number",
    "Optional",
    "Record",
    "Sequence",
    "Shape",
    "Text",
    "Tuple",
    "Wide",
    "alias",
    "bare_shape",
    "has_handles",
    "has_kind",
    "is_fixed",
    "item_weight",
    "minimum_size",
]


#: Values inside of values, as deep as they may be; ``Reader.MaxDepth`` of the C# half.
MAX_DEPTH = 100


class Kind(Enum):
    """What a fixed value is for Python."""

    BOOL = "bool"
    INTEGER = "int"
    FLOAT = "float"
    CHAR = "one character"
    DECIMAL = "decimal.Decimal"
    UUID = "uuid.UUID"
    DATETIME = "datetime.datetime"
    MOMENT = "datetime.datetime with a time zone"
    DATE = "datetime.date"
    TIME = "datetime.time"
    DURATION = "datetime.timedelta"
    ENUM = "a member of the enum"
    OBJECT = "an object of C#"


@dataclass(eq=False)
class Shape:
    """Base of all shapes.

    Attributes:
        csharp: the type as C# writes it, complete.
        python: the type for annotations.
    """

    csharp: str
    python: Any

    def parts(self) -> Iterator[Shape]:
        """Shapes inside of it."""
        return iter(())


@dataclass(eq=False)
class Fixed(Shape):
    """A value that always takes the same number of bytes.

    Attributes:
        kind: what it is for Python.
        format: its code of :mod:`struct`.
        pack, unpack: expressions of Python from the value to what ``struct`` takes, and back.
        read, write: expressions of C#, ``r`` being the reader, ``w`` the writer.
    """

    kind: Kind
    format: str
    pack: str
    unpack: str
    read: str
    write: str

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return struct.calcsize("<" + self.format)


@dataclass(eq=False)
class Number(Fixed):
    """A number whose array is a block of memory in C# and in Python."""


@dataclass(eq=False)
class Handle(Fixed):
    """An object that stays in .NET: 64 bits, 0 for null.

    Attributes:
        number: of the type, in the lowest bits of a handle.
        name: for messages.
        cls: of objects in Python.
    """

    number: int
    name: str
    cls: Any


@dataclass(eq=False)
class Delegate(Handle):
    """A delegate: of C# by its handle, of Python by a number below 0.

    Attributes:
        parameters: what it is called with.
        result: what it gives, awaited if it gives a task; ``None`` for nothing.
        task: ``Task`` or ``ValueTask`` if it gives one of that, else ``""``.
        tokens: where it takes a ``CancellationToken``, which Python does not get.
    """

    parameters: tuple[Shape, ...]
    result: Shape | None
    task: str = ""
    tokens: tuple[int, ...] = ()

    @property
    def has_ticket(self) -> bool:
        """Whether what a callable is given has a number, by which it is let go if it is lost."""
        return any(map(has_handles, self.parameters))


@dataclass(eq=False)
class Text(Shape):
    """``string``: a 32-bit length, -1 for null, and UTF-8."""


@dataclass(eq=False)
class Blob(Shape):
    """``byte[]``: a 32-bit length, -1 for null, and the bytes."""

    read: str
    write: str


@dataclass(eq=False)
class Wide(Shape):
    """``BigInteger``: a 32-bit length and two's complement."""


@dataclass(eq=False)
class Json(Shape):
    """``JsonElement``, ``JsonNode``...: text, null for JSON's null."""

    read: str
    write: str


@dataclass(eq=False)
class Block(Shape):
    """Numbers one behind the other: a 32-bit count, -1 for null, and the numbers.

    Attributes:
        element: the number.
        result: what Python gets: ``"list"``, ``"set"`` or ``"memoryview"``.
        read, write: expressions of C#.
    """

    element: Number
    result: str
    read: str
    write: str

    def parts(self) -> Iterator[Shape]:
        """The number."""
        yield self.element


@dataclass(eq=False)
class Sequence(Shape):
    """Values one behind the other: a 32-bit count, -1 for null, and the values.

    Attributes:
        element: each of them.
        result: what Python gets: ``"list"`` or ``"set"``.
        build: C# that makes the type of ``items``, a ``List`` of the elements.
    """

    element: Shape
    result: str
    build: str

    def parts(self) -> Iterator[Shape]:
        """The element."""
        yield self.element


@dataclass(eq=False)
class Grid(Shape):
    """An array of several dimensions: 32-bit lengths, -1 for null, and the values.

    Attributes:
        element: each of the values.
        rank: how many dimensions there are.
    """

    element: Shape
    rank: int

    def parts(self) -> Iterator[Shape]:
        """The element."""
        yield self.element


@dataclass(eq=False)
class Dynamic(Shape):
    """``object``: a byte that says of which type the value is, and the value.

    Attributes:
        handle: for what has no other form.
        records: those that it may be, by their numbers; known when all signatures are.
        enums: likewise.
    """

    handle: Handle
    records: list[Record] = field(default_factory=list)
    enums: list[Fixed] = field(default_factory=list)


@dataclass(eq=False)
class Mapping(Shape):
    """Pairs: a 32-bit count, -1 for null, then each key and its value."""

    key: Shape
    value: Shape

    def parts(self) -> Iterator[Shape]:
        """Key and value."""
        yield self.key
        yield self.value


@dataclass(eq=False)
class Optional(Shape):
    """``Nullable<T>``: a byte that says whether the value follows."""

    value: Shape

    def parts(self) -> Iterator[Shape]:
        """The value."""
        yield self.value


@dataclass(eq=False)
class Checked(Shape):
    """A reference type of which C# says whether it may be null.

    Attributes:
        value: the type itself.
        is_nullable: whether it may be.
    """

    value: Shape
    is_nullable: bool

    def parts(self) -> Iterator[Shape]:
        """The type itself."""
        yield self.value


@dataclass(eq=False)
class Tuple(Shape):
    """The items of a tuple in their order.

    Attributes:
        items: their shapes.
        members: how C# calls them.
        make: what C# makes it with, ``"new T"`` or ``""``.
    """

    items: tuple[Shape, ...]
    members: tuple[str, ...]
    make: str

    def parts(self) -> Iterator[Shape]:
        """The items."""
        return iter(self.items)


@dataclass(eq=False)
class Field:
    """A part of a record.

    Attributes:
        name: C#'s name of it, and Python's.
        shape: its shape.
        in_constructor: whether the constructor takes it; otherwise it is set.
    """

    name: str
    shape: Shape
    in_constructor: bool


@dataclass(eq=False)
class Record(Shape):
    """A record or struct: its fields in order; before them, for a class, a byte.

    It is 0 for null, 1 for the record itself. 2 and more are for :attr:`derived`, of which all
    bytes follow.

    Attributes:
        name: for messages.
        is_class: whether it may be null.
        fields: filled after it is made, since a record may have itself inside.
        recursive: whether it does.
        is_abstract: whether there are only those that derive from it.
        is_open: whether others derive from it, seen by everybody or not.
        derived: those that Python can have, the nearest first.
    """

    name: str
    is_class: bool
    fields: tuple[Field, ...] = ()
    recursive: bool = field(default=False)
    is_abstract: bool = False
    is_open: bool = False
    derived: tuple[Record, ...] = ()

    def parts(self) -> Iterator[Shape]:
        """The fields' shapes, and the records that derive from it."""
        yield from (f.shape for f in self.fields)
        yield from self.derived

    def variant(self, cls: type) -> Record | None:
        """The record that derives from it and has this class in Python."""
        return next((other for other in self.derived if other.python is cls), None)


def bare_shape(shape: Shape) -> Shape:
    """A shape without what is known of null."""
    while isinstance(shape, Checked):
        shape = shape.value
    return shape


def alias(origin: type, *arguments: Any) -> GenericAlias:  # noqa: ANN401 - types are of any type
    """``list[int]`` and the like, of types that are known when the program runs."""
    return GenericAlias(origin, arguments)


def is_fixed(shape: Shape) -> bool:
    """Whether all values of a shape take the same number of bytes, one behind the other."""
    if isinstance(shape, Checked):
        return is_fixed(shape.value)
    if isinstance(shape, Tuple):
        return bool(shape.items) and all(map(is_fixed, shape.items))
    return isinstance(shape, Fixed)


def minimum_size(shape: Shape) -> int:
    """Bytes that a value takes at least; at least 1, so that a length bounds a count."""
    if isinstance(shape, Checked):
        return minimum_size(shape.value)
    if isinstance(shape, Fixed):
        return shape.size
    if isinstance(shape, Tuple):
        return max(1, sum(map(minimum_size, shape.items)))
    if isinstance(shape, (Optional, Record)):
        return 1
    return 4


def has_handles(shape: Shape) -> bool:
    """Whether a value may have objects in it that stay in .NET."""
    return has_kind(shape, (Handle, Dynamic))


def has_kind(shape: Shape, kinds: tuple[type[Shape], ...]) -> bool:
    """Whether a shape is of one of these classes, or has one inside that is."""
    pending, seen = [shape], {id(shape)}
    while pending:
        part = pending.pop()
        if isinstance(part, kinds):
            return True
        new = [inner for inner in part.parts() if id(inner) not in seen]
        seen.update(map(id, new))
        pending += new
    return False


#: Bytes that objects of CPython take, about: a number, text without its characters, an empty
#: container, an object with attributes, a place in a container.
_NUMBER, _TEXT, _CONTAINER, _OBJECT, _PLACE = 32, 56, 120, 160, 8


def _weight(shape: Shape, depth: int = 0) -> int:
    """Bytes that a value takes in Python, about, without what it has in containers inside of it.

    Types that have themselves inside are values of their own for each that there is, so their
    parts count once.
    """
    if isinstance(shape, (Checked, Optional)):
        return _weight(shape.value, depth)
    if isinstance(shape, Handle):
        return _CONTAINER
    if isinstance(shape, Fixed):
        # Small numbers and truth values are there already.
        return 0 if shape.format in {"?", "b", "B"} else _NUMBER
    if isinstance(shape, (Record, Tuple)):
        parts = [f.shape for f in shape.fields] if isinstance(shape, Record) else list(shape.items)
        own = _CONTAINER if isinstance(shape, Tuple) else _OBJECT
        inner = 0 if depth > 3 else sum(_weight(part, depth + 1) for part in parts)
        return own + _PLACE * len(parts) + inner
    return _TEXT if isinstance(shape, (Text, Blob, Wide, Json)) else _CONTAINER


def item_weight(shape: Shape) -> int:
    """The same for a place in a container with the value in it."""
    return _PLACE + _weight(shape)
