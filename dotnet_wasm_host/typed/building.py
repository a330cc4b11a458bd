"""Shapes made of the types in signatures."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.ecma335.signatures import (
    ARRAY,
    BYREF,
    INSTANCE,
    METHOD_VAR,
    OBJECT,
    POINTER,
    VAR,
    VECTOR,
)
from dotnet_wasm_host.typed import library
from dotnet_wasm_host.typed.classes import make_enum, make_record, python_names
from dotnet_wasm_host.typed.handles import handle_packer, handle_reader
from dotnet_wasm_host.typed.objects import TYPE_BITS, make_object_class
from dotnet_wasm_host.typed.shapes import (
    Block,
    Field,
    Fixed,
    Handle,
    Kind,
    Mapping,
    Number,
    Optional,
    Record,
    Sequence,
    Shape,
    Text,
    Tuple,
    alias,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dotnet_wasm_host.typed.metadata import Property, TypeDefinition, TypeReader

__all__ = ["ShapeBuilder", "Unsupported", "csharp_name", "is_identifier"]

#: Types inside of types; the deepest that people write has five.
_MAX_DEPTH = 40
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_MAPPINGS = {
    "System.Collections.Generic.Dictionary`2",
    "System.Collections.Generic.IDictionary`2",
    "System.Collections.Generic.IReadOnlyDictionary`2",
    "System.Collections.Generic.SortedDictionary`2",
}
_VALUE_TUPLE, _KEY_VALUE = "System.ValueTuple`", "System.Collections.Generic.KeyValuePair`2"
#: ``ValueTuple`8`` has the items behind the seventh in a tuple of its own.
_REST = 8
_ADVICE = "use a record, a struct or a type that docs/typed.md names"


class Unsupported(Exception):
    """A type that no typed call can pass. The message says which and why."""


def is_identifier(name: str) -> bool:
    """Whether C# can write a name."""
    return _IDENTIFIER.fullmatch(name) is not None


def csharp_name(of: TypeDefinition) -> str:
    """A type as C# writes it, complete. ``@`` so that no name is a keyword."""
    return "global::" + ".".join(f"@{part}" for part in of.path)


@final
class ShapeBuilder:
    """Makes shapes; each enum and record gets one class, whoever uses it.

    Args:
        readers: the assembly's, and those of what it refers to.
        module: ``__module__`` of the classes.
    """

    def __init__(self, readers: Iterable[TypeReader], module: str) -> None:
        self._readers = tuple(readers)
        self._module = module
        self._named: dict[TypeDefinition, Shape] = {}
        self._by_name: dict[str, TypeDefinition] | None = None
        #: Classes by the type that they stand for.
        self.classes: dict[TypeDefinition, type] = {}
        #: Records, likewise.
        self.records: dict[TypeDefinition, Record] = {}
        #: Types whose objects stay in .NET, likewise.
        self.objects: dict[TypeDefinition, Handle] = {}
        self._begun: set[TypeDefinition] = set()
        #: Enum classes and their members by number, by shape.
        self.enums: dict[Shape, type] = {}

    def build(self, type_: Any, depth: int = 0) -> Shape:  # noqa: ANN401 - as the reader has it
        """The shape of a type. :class:`Unsupported` if it has none."""
        if depth > _MAX_DEPTH:
            raise Unsupported(f"types of more than {_MAX_DEPTH} levels are not supported")
        if isinstance(type_, int):
            if type_ in library.PRIMITIVES:
                return library.PRIMITIVES[type_]
            what = "object" if type_ == OBJECT else "this type"
            raise Unsupported(f"{what} cannot be passed; {_ADVICE}")
        head = type_[0]
        if head == "T":
            return self._simple(type_[1])
        if head == VECTOR:
            return self._collection("[]", self.build(type_[1], depth + 1))
        if head == INSTANCE:
            return self._constructed(type_, depth)
        reasons: dict[Any, str] = {
            ARRAY: "arrays of several dimensions are not supported; use an array of arrays",
            BYREF: "references are not supported here",
            POINTER: "pointers cannot be passed; use a span",
            VAR: "type parameters are not supported; write the method for one type",
            METHOD_VAR: "type parameters are not supported; write the method for one type",
        }
        raise Unsupported(reasons.get(head, "this type is not supported"))

    def _simple(self, of: TypeDefinition | str) -> Shape:
        if isinstance(of, str):
            found = library.FIXED.get(of) or library.NAMED.get(of)
            if found is not None:
                return found
            defined = self.find(of)
            if defined is None:
                raise Unsupported(f"{of} cannot be passed; {_ADVICE}")
            of = defined
        if of not in self._named:
            self._check(of)
            if of.is_enum:
                self._named[of] = self._enum(of)
            elif of.is_value_type:
                self._record(of)
            else:
                self._object_or_record(of)
        return self._named[of]

    def _object_or_record(self, of: TypeDefinition) -> None:
        """A record if Python can have all of it, else an object that stays in .NET."""
        if not of.is_abstract and _is_record(of):
            try:
                self._record(of)
            except Unsupported:
                self._named.pop(of, None)
            else:
                return
        self._named[of] = self.objects[of] = self._handle(of)

    def find(self, full_name: str) -> TypeDefinition | None:
        """A type of the assembly, or of those it refers to."""
        if self._by_name is None:
            self._by_name = {}
            for reader in self._readers:
                for defined in reader.types.values():
                    self._by_name.setdefault(defined.full_name, defined)
        return self._by_name.get(full_name)

    def _check(self, of: TypeDefinition) -> None:
        name = ".".join(of.path)
        if not of.is_visible:
            raise Unsupported(f"{name} is not public; make it public")
        if of.generic_count:
            raise Unsupported(f"{name} is generic, which is not supported for types of your own")
        if not all(map(is_identifier, of.path)):
            raise Unsupported(f"{name} has a name that C# cannot write")

    def _enum(self, of: TypeDefinition) -> Fixed:
        underlying, members = of.reader.enum_members(of)
        number = library.PRIMITIVES.get(underlying)
        if not isinstance(number, Number) or number.kind is not Kind.INTEGER:
            raise Unsupported(f"{of.name} is an enum of a type that C# does not have enums of")
        flags = of.reader.has_attribute(of, "System.FlagsAttribute")
        cls = make_enum(of.name, members, self._module, flags=flags)
        csharp, names = csharp_name(of), f"E{len(self.enums)}"
        shape = Fixed(
            csharp,
            cls,
            Kind.ENUM,
            number.format,
            "{0}",
            f"{names}({{0}})" if issubclass(cls, enum.IntFlag) else f"{names}.get({{0}}, {{0}})",
            f"({csharp})r.Get<{number.csharp}>()",
            f"w.Put(({number.csharp}){{0}})",
        )
        self.classes[of] = self.enums[shape] = cls
        return shape

    def enum_names(self) -> Iterator[tuple[str, Any]]:
        """What the expressions of enums call: members by number, or the class of flags."""
        for number, (shape, cls) in enumerate(self.enums.items()):
            assert isinstance(shape, Fixed)
            by_number = {int(m): m for m in cls}  # type: ignore[attr-defined]
            yield f"E{number}", by_number if ".get(" in shape.unpack else cls

    # ---------------------------------------------------------------- objects

    def _handle(self, of: TypeDefinition) -> Handle:
        name, csharp = ".".join(of.path), csharp_name(of)
        if of in self._begun:
            raise Unsupported(f"{name} is a base of itself")
        if of.is_delegate:
            raise Unsupported(f"{name} is a delegate, which cannot be passed")
        self._begun.add(of)
        bases = [self.build(("T", base)) for base in self._bases(of)]
        number = len(self.objects) + 1
        if number >= 1 << TYPE_BITS:
            raise Unsupported(f"{name} is one class too many: {number - 1} can be passed")
        cls = make_object_class(
            of.name,
            [base.python for base in bases if isinstance(base, Handle)],
            self._module,
            disposable=("T", "System.IDisposable") in of.reader.interfaces(of),
        )
        self.classes[of] = cls
        return Handle(
            csharp,
            cls,
            Kind.OBJECT,
            "q",
            f"O{number}({{0}})",
            f"o{number}({{0}})",
            f"(({csharp})objects.Get(r.Get<long>()))",
            f"w.Put(objects.Add({{0}}, {number}))",
            number,
            name,
        )

    def _bases(self, of: TypeDefinition) -> Iterator[TypeDefinition]:
        """The base class, then interfaces, as far as they are public and not of .NET itself."""
        base = of.reader.base_type(of) or self.find(of.base)
        interfaces = [i[1] for i in of.reader.interfaces(of) if i[0] == "T"]
        for found in (base, *interfaces):
            defined = self.find(found) if isinstance(found, str) else found
            if defined is not None and defined.is_visible and not defined.generic_count:
                yield defined

    def object_names(self) -> Iterator[tuple[str, Any]]:
        """What the expressions of objects call."""
        handles = sorted(self.objects.values(), key=lambda handle: handle.number)
        for shape in handles:
            known = {h.number: h.python for h in handles if issubclass(h.python, shape.python)}
            yield f"O{shape.number}", handle_packer(shape.python)
            yield f"o{shape.number}", handle_reader(known)

    # ---------------------------------------------------------------- records

    def _record(self, of: TypeDefinition) -> None:
        """A record or struct; known by name before its fields are, which may have it inside."""
        name = ".".join(of.path)
        shape = Record(csharp_name(of), object, of.name, not of.is_value_type)
        self._named[of] = shape
        try:
            shape.fields = tuple(self._fields(of))
        except Unsupported as reason:
            del self._named[of]
            raise Unsupported(f"{name}: {reason}") from None
        names = [field.name for field in shape.fields]
        if python_names(names) != names:
            del self._named[of]
            raise Unsupported(f"{name} has fields whose names Python cannot have")
        shape.recursive = _contains(shape, shape)
        cls = make_record(of.name, [(f.name, f.shape.python) for f in shape.fields], self._module)
        shape.python = self.classes[of] = cls
        self.records[of] = shape

    def _fields(self, of: TypeDefinition) -> Iterator[Field]:
        members: dict[str, Property] = {}
        level: TypeDefinition | None = of
        for _ in range(_MAX_DEPTH):
            if level is None:
                break
            for member in (*level.reader.properties(level), *level.reader.fields(level)):
                members.setdefault(member.name, member)
            level = level.reader.base_type(level)
        by_lower = {name.lower(): member for name, member in members.items()}
        taken = set()
        for parameter in self._constructor(of, by_lower):
            member = by_lower[parameter.lower()]
            taken.add(member.name)
            yield Field(member.name, self.build(member.type, 1), in_constructor=True)
        for member in members.values():
            if member.is_settable and member.name not in taken:
                if not is_identifier(member.name):
                    raise Unsupported(f"{member.name!r} is a name that C# cannot write")
                yield Field(member.name, self.build(member.type, 1), in_constructor=False)

    def _constructor(self, of: TypeDefinition, members: dict[str, Any]) -> list[str]:
        """Parameters of the constructor that takes most of the members by their names."""
        best: list[str] | None = [] if of.is_value_type else None
        for method in of.reader.methods(of):
            if method.name != ".ctor" or not method.is_public:
                continue
            names = [p.name for p in method.parameters]
            matches = len({n.lower() for n in names}) == len(names) and all(
                p.name.lower() in members and members[p.name.lower()].type == p.type
                for p in method.parameters
            )
            if matches and (best is None or len(names) > len(best)):
                best = names
        if best is None:
            raise Unsupported("it has no public constructor that takes its properties")
        return best

    # ---------------------------------------------------------------- constructed types

    def _constructed(self, type_: Any, depth: int) -> Shape:  # noqa: ANN401 - as the reader has it
        named, *arguments = type_[1:]
        if not isinstance(named[1], str):
            raise Unsupported(f"{named[1].name} is generic, which is not supported")
        name = named[1]
        parts = [self.build(argument, depth + 1) for argument in arguments]
        if name == "System.Nullable`1" and len(parts) == 1:
            return Optional(f"{parts[0].csharp}?", parts[0].python | None, parts[0])
        if name.startswith(_VALUE_TUPLE) and parts:
            return _tuple(parts)
        if name == _KEY_VALUE and len(parts) == 2:
            inner = ", ".join(p.csharp for p in parts)
            csharp = f"global::System.Collections.Generic.KeyValuePair<{inner}>"
            python = alias(tuple, *(p.python for p in parts))
            return Tuple(csharp, python, tuple(parts), ("Key", "Value"), f"new {csharp}")
        if name in _MAPPINGS and len(parts) == 2:
            return _mapping(name, *parts)
        if len(parts) == 1:
            return self._collection(name, parts[0])
        raise Unsupported(f"{name.partition('`')[0]} cannot be passed; {_ADVICE}")

    def _collection(self, name: str, element: Shape) -> Shape:
        if isinstance(element, Block) and element.result == "memoryview":
            raise Unsupported("spans cannot be in collections")
        if isinstance(element, Number):
            found = library.block(name, element)
            if found is not None:
                return found
        if name == "[]":
            # Brackets of an array of arrays are read from the left: int[][] has no other order.
            csharp = f"{element.csharp}[]"
            python = alias(list, element.python)
            return Sequence(csharp, python, element, "list", "items.ToArray()")
        if name not in library.SEQUENCES:
            raise Unsupported(f"{name.partition('`')[0]} of {element.csharp} cannot be passed")
        csharp, result, build = library.SEQUENCES[name]
        if not _is_hashable(element):
            result = "list"
        origin = set if result == "set" else list
        if result == "list" and "List<" in build and "Linked" not in build:
            build = "items"
        return Sequence(
            csharp.format(element.csharp),
            alias(origin, element.python),
            element,
            result,
            build.format(element.csharp),
        )


def _is_record(of: TypeDefinition) -> bool:
    return any(method.name == "<Clone>$" for method in of.reader.methods(of))


def _contains(shape: Shape, wanted: Shape) -> bool:
    pending, seen = list(shape.parts()), set[int]()
    while pending:
        part = pending.pop()
        if part is wanted:
            return True
        if id(part) not in seen:
            seen.add(id(part))
            pending += part.parts()
    return False


def _tuple(parts: list[Shape]) -> Tuple:
    items = list(parts)
    if len(parts) == _REST and isinstance(parts[-1], Tuple):
        items = [*parts[:-1], *parts[-1].items]
    inner = ", ".join(p.csharp for p in items)
    csharp = f"({inner})" if len(items) > 1 else f"global::System.ValueTuple<{inner}>"
    python = alias(tuple, *(p.python for p in items))
    members = tuple(f"Item{n}" for n in range(1, len(items) + 1))
    make = "" if len(items) > 1 else f"new {csharp}"
    return Tuple(csharp, python, tuple(items), members, make)


def _mapping(name: str, key: Shape, value: Shape) -> Mapping:
    if not _is_hashable(key):
        raise Unsupported(f"{key.csharp} cannot be the key of a dict in Python")
    csharp = f"global::{name.partition('`')[0]}<{key.csharp}, {value.csharp}>"
    return Mapping(csharp, alias(dict, key.python, value.python), key, value)


def _is_hashable(shape: Shape) -> bool:
    """Whether Python can have values of a shape in sets."""
    if isinstance(shape, (Tuple, Optional)):
        return all(map(_is_hashable, shape.parts()))
    if isinstance(shape, Record):
        return not shape.recursive and all(map(_is_hashable, shape.parts()))
    return isinstance(shape, (Fixed, Text))
