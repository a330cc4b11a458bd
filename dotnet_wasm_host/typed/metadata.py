"""What an assembly's metadata says about types that a typed call can meet (ECMA-335 II.22)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.ecma335.metadata import Metadata
from dotnet_wasm_host.ecma335.rows import (
    ConstantRow,
    CustomAttributeRow,
    FieldRow,
    GenericParamRow,
    InterfaceImplRow,
    MemberRefRow,
    MethodDefRow,
    MethodSemanticsRow,
    NestedClassRow,
    ParamRow,
    PropertyMapRow,
    PropertyRow,
    TypeDefRow,
    TypeRefRow,
    TypeSpecRow,
)
from dotnet_wasm_host.ecma335.signatures import MODIFIED, SignatureReader
from dotnet_wasm_host.ecma335.tables import (
    CUSTOM_ATTRIBUTE_TYPE,
    HAS_CONSTANT,
    HAS_CUSTOM_ATTRIBUTE,
    HAS_SEMANTICS,
    MEMBER_REF_PARENT,
    RESOLUTION_SCOPE,
    TYPE_DEF_OR_REF,
    TYPE_OR_METHOD_DEF,
    Table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Accessors",
    "Method",
    "Parameter",
    "Property",
    "StaticField",
    "TypeDefinition",
    "TypeReader",
]

#: II.23.1.15: who sees a type.
_VISIBILITY, _PUBLIC, _NESTED_PUBLIC = 7, 1, 2
_INTERFACE, _ABSTRACT, _SEALED = 0x20, 0x80, 0x100
#: II.23.1.10: who sees a method, and what it is.
_ACCESS, _PUBLIC_MEMBER, _STATIC, _SPECIAL_NAME = 7, 6, 0x10, 0x800
_VIRTUAL, _NEW_SLOT = 0x40, 0x100
#: II.23.1.5: a field's.
_LITERAL, _INIT_ONLY = 0x40, 0x20
#: II.23.1.13: a parameter's.
IN, OUT, HAS_DEFAULT = 0x1, 0x2, 0x1000
#: II.23.1.12: what a method is to a property.
_SETTER, _GETTER = 1, 2
#: The modifier of setters that only initializers may call.
_INIT = "System.Runtime.CompilerServices.IsExternalInit"
#: II.23.1.16: constants by their element type.
_CONSTANTS = {
    0x02: "?", 0x03: "H", 0x04: "b", 0x05: "B", 0x06: "h", 0x07: "H", 0x08: "i", 0x09: "I",
    0x0A: "q", 0x0B: "Q", 0x0C: "f", 0x0D: "d",
}  # fmt: skip
_CHAR, _STRING = 0x03, 0x0E
#: What has attributes that are looked at.
_ATTRIBUTED = {Table.TYPE_DEF, Table.METHOD_DEF, Table.PARAM}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a method.

    Attributes:
        name: C#'s.
        type: its type, as :class:`SignatureReader` gives it.
        flags: II.23.1.13.
        default: the constant that stands for it, in a tuple; ``()`` if it must be given.
        annotation: what ``NullableAttribute`` says of its outermost reference: 1 for never null,
            2 for ``?``, 0 for nothing.
    """

    name: str
    type: Any
    flags: int
    default: tuple[Any, ...]
    annotation: int = 0


@dataclass(frozen=True, slots=True)
class Method:
    """A method."""

    name: str
    flags: int
    generic_count: int
    result: Any
    parameters: tuple[Parameter, ...]
    is_init: bool = False

    @property
    def is_override(self) -> bool:
        """It stands for a method of a base class."""
        return self.flags & (_VIRTUAL | _NEW_SLOT) == _VIRTUAL

    @property
    def is_public(self) -> bool:
        """Everybody may call it."""
        return self.flags & _ACCESS == _PUBLIC_MEMBER

    @property
    def is_static(self) -> bool:
        """It needs no object."""
        return bool(self.flags & _STATIC)

    @property
    def is_special(self) -> bool:
        """An accessor, operator or constructor."""
        return bool(self.flags & _SPECIAL_NAME)


@dataclass(frozen=True, slots=True)
class Property:
    """A property that everybody may read."""

    name: str
    type: Any
    is_settable: bool


@dataclass(frozen=True, slots=True)
class Accessors:
    """A property with the public ones of its accessors."""

    name: str
    getter: Method | None
    setter: Method | None


@dataclass(frozen=True, slots=True)
class StaticField:
    """A public static field; ``constant`` is its value in a tuple if it is ``const``."""

    name: str
    type: Any
    is_settable: bool
    constant: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class TypeDefinition:
    """A type that an assembly defines.

    Attributes:
        reader: of its assembly.
        row: its number there.
        path: its namespace's parts, the types around it and its own name.
        namespace: the namespace alone.
    """

    reader: TypeReader
    row: int
    path: tuple[str, ...]
    namespace: str
    flags: int
    is_visible: bool
    base: str
    generic_count: int

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path[-1]

    @property
    def full_name(self) -> str:
        """As metadata writes it: ``Namespace.Outer/Inner``."""
        depth = len(self.namespace.split(".")) if self.namespace else 0
        nested = "/".join(self.path[depth:])
        return f"{self.namespace}.{nested}" if self.namespace else nested

    @property
    def is_static(self) -> bool:
        """A static class."""
        return self.flags & (_ABSTRACT | _SEALED) == _ABSTRACT | _SEALED

    @property
    def is_abstract(self) -> bool:
        """An abstract class or an interface."""
        return bool(self.flags & (_ABSTRACT | _INTERFACE))

    @property
    def is_enum(self) -> bool:
        """An enum."""
        return self.base == "System.Enum"

    @property
    def is_value_type(self) -> bool:
        """A struct or an enum."""
        return self.base in {"System.Enum", "System.ValueType"}

    @property
    def is_delegate(self) -> bool:
        """A delegate."""
        return self.base == "System.MulticastDelegate"


@final
class TypeReader:
    """Reads the types of one assembly."""

    def __init__(self, data: bytes) -> None:
        self._metadata = Metadata(data)
        self._enclosing = {r.nested: r.enclosing for r in self._metadata.rows(NestedClassRow)}
        self._refs = self._metadata.rows(TypeRefRow)

    @cached_property
    def types(self) -> dict[int, TypeDefinition]:
        """All types by their row number."""
        return {
            row: self._define(row, definition)
            for row, definition in enumerate(self._metadata.rows(TypeDefRow), 1)
        }

    def _define(self, row: int, definition: TypeDefRow) -> TypeDefinition:
        names: list[str] = []
        visible, namespace = True, ""
        at, seen = row, set[int]()
        while at not in seen:
            seen.add(at)
            level = self._metadata.row(TypeDefRow, at)
            names.insert(0, self._metadata.string(level.name))
            nested = at in self._enclosing
            visible &= level.flags & _VISIBILITY == (_NESTED_PUBLIC if nested else _PUBLIC)
            namespace = self._metadata.string(level.namespace)
            if not nested:
                break
            at = self._enclosing[at]
        else:
            visible = False  # types around each other
        return TypeDefinition(
            self,
            row,
            (*(namespace.split(".") if namespace else ()), *names),
            namespace,
            definition.flags,
            visible,
            self._base(definition.extends),
            self._generics.get(row, 0),
        )

    @cached_property
    def _generics(self) -> dict[int, int]:
        counts: dict[int, int] = {}
        for parameter in self._metadata.rows(GenericParamRow):
            table, row = TYPE_OR_METHOD_DEF.split(parameter.owner)
            if table is Table.TYPE_DEF:
                counts[row] = counts.get(row, 0) + 1
        return counts

    def _base(self, coded: int) -> str:
        if coded == 0:
            return ""
        table, row = TYPE_DEF_OR_REF.split(coded)
        if table is Table.TYPE_REF:
            return self._ref_name(row)
        if table is Table.TYPE_DEF:
            level = self._metadata.row(TypeDefRow, row)
            return ".".join(filter(None, map(self._metadata.string, (level.namespace, level.name))))
        return "?"

    def base_type(self, of: TypeDefinition) -> TypeDefinition | None:
        """The base class if this assembly defines it."""
        coded = self._metadata.row(TypeDefRow, of.row).extends
        table, row = TYPE_DEF_OR_REF.split(coded)
        return self.types.get(row) if table is Table.TYPE_DEF else None

    def _ref_name(self, row: int, depth: int = 0) -> str:
        if not 0 < row <= len(self._refs) or depth > 20:
            return "?"
        ref = self._refs[row - 1]
        name = self._metadata.string(ref.name)
        table, outer = RESOLUTION_SCOPE.split(ref.resolution_scope)
        if table is Table.TYPE_REF:
            return f"{self._ref_name(outer, depth + 1)}/{name}"
        namespace = self._metadata.string(ref.namespace)
        return f"{namespace}.{name}" if namespace else name

    def _resolve(self, coded: int) -> Any:  # noqa: ANN401 - a type, as the reader has them
        table, row = TYPE_DEF_OR_REF.split(coded)
        if table is Table.TYPE_DEF and row in self.types:
            return ("T", self.types[row])
        return ("T", self._ref_name(row) if table is Table.TYPE_REF else "?")

    # ---------------------------------------------------------------- members

    def _range(self, of: TypeDefinition, column: str, count: int) -> range:
        """Rows of a list that belongs to a type: up to where the next type's begins."""
        first = getattr(self._metadata.row(TypeDefRow, of.row), column)
        rows = self._metadata.rows(TypeDefRow)
        end = getattr(rows[of.row], column) if of.row < len(rows) else count + 1
        return range(first, min(end, count + 1))

    def methods(self, of: TypeDefinition) -> Iterator[Method]:
        """Methods of a type, in order."""
        rows = self._metadata.rows(MethodDefRow)
        for row in self._range(of, "method_list", len(rows)):
            yield self._method(row, of.row)

    def _method(self, row: int, owner: int = 0) -> Method:
        rows, params = self._metadata.rows(MethodDefRow), self._metadata.rows(ParamRow)
        method = self._metadata.row(MethodDefRow, row)
        end = rows[row].param_list if row < len(rows) else len(params) + 1
        named = {
            params[n - 1].sequence: (n, params[n - 1])
            for n in range(method.param_list, min(end, len(params) + 1))
        }
        signature = SignatureReader(self._metadata.blob(method.signature), self._resolve).method()
        parameters = []
        for number, type_ in enumerate(signature.parameters, 1):
            at, param = named.get(number, (0, ParamRow(0, number, 0)))
            name = self._metadata.string(param.name) if param.name else f"p{number}"
            default = self._default(at, param.flags)
            annotation = self._annotation(at, row, owner)
            parameters.append(Parameter(name, unmodified(type_), param.flags, default, annotation))
        return Method(
            self._metadata.string(method.name),
            method.flags,
            signature.generic_count,
            unmodified(signature.result),
            tuple(parameters),
            _is_modified(signature.result, _INIT),
        )

    def _annotation(self, param: int, method: int, owner: int) -> int:
        """As the compiler writes it: on the parameter, else for all of the method, or the type."""
        for table, row, name in (
            (Table.PARAM, param, "NullableAttribute"),
            (Table.METHOD_DEF, method, "NullableContextAttribute"),
            (Table.TYPE_DEF, owner, "NullableContextAttribute"),
        ):
            found = self._attributes.get((table, row), {})
            value = found.get(f"System.Runtime.CompilerServices.{name}")
            # II.23.3: a prolog of two bytes, then the argument; an array's has its length before.
            if value is not None and len(value) >= 3:
                return value[2] if len(value) == 5 else value[min(6, len(value) - 1)]
        return 0

    def _default(self, row: int, flags: int) -> tuple[Any, ...]:
        found = self._constants.get((Table.PARAM, row)) if flags & HAS_DEFAULT else None
        return () if found is None else (self._constant(found),)

    @cached_property
    def _constants(self) -> dict[tuple[Table, int], ConstantRow]:
        return {HAS_CONSTANT.split(r.parent): r for r in self._metadata.rows(ConstantRow)}

    def _constant(self, row: ConstantRow) -> Any:  # noqa: ANN401 - of any type
        blob = self._metadata.blob(row.value)
        if row.type == _STRING:
            return blob.decode("utf-16-le", errors="surrogatepass")
        code = _CONSTANTS.get(row.type)
        if code is None or len(blob) != struct.calcsize("<" + code):
            return None
        value = struct.unpack("<" + code, blob)[0]
        return chr(value) if row.type == _CHAR else value

    def accessors(self, of: TypeDefinition) -> Iterator[Accessors]:
        """Properties of a type that have public accessors, in order."""
        rows = self._metadata.rows(PropertyRow)
        maps = self._metadata.rows(PropertyMapRow)
        for number, entry in enumerate(maps):
            if entry.parent == of.row:
                end = maps[number + 1].property_list if number + 1 < len(maps) else len(rows) + 1
                for row in range(entry.property_list, min(end, len(rows) + 1)):
                    if row in self._accessors:
                        name = self._metadata.string(rows[row - 1].name)
                        yield Accessors(name, *self._accessors[row])

    def properties(self, of: TypeDefinition) -> Iterator[Property]:
        """Public properties of an object of a type, without parameters, in order."""
        for found in self.accessors(of):
            getter = found.getter
            if getter is not None and not getter.is_static and not getter.parameters:
                yield Property(found.name, getter.result, found.setter is not None)

    def interfaces(self, of: TypeDefinition) -> Iterator[Any]:
        """Interfaces that a type names, as :class:`SignatureReader` gives types."""
        for row in self._metadata.rows(InterfaceImplRow):
            if row.type == of.row:
                table, number = TYPE_DEF_OR_REF.split(row.interface)
                if table is Table.TYPE_SPEC:
                    blob = self._metadata.blob(self._metadata.row(TypeSpecRow, number).signature)
                    yield SignatureReader(blob, self._resolve).type()
                else:
                    yield self._resolve(row.interface)

    @cached_property
    def _accessors(self) -> dict[int, tuple[Method | None, Method | None]]:
        """Public getter and setter by the row of their property."""
        found: dict[int, tuple[Method | None, Method | None]] = {}
        for row in self._metadata.rows(MethodSemanticsRow):
            table, number = HAS_SEMANTICS.split(row.association)
            if table is not Table.PROPERTY or not row.semantics & (_GETTER | _SETTER):
                continue
            method = self._method(row.method)
            if method.is_public:
                getter, setter = found.get(number, (None, None))
                getter, setter = (method, setter) if row.semantics & _GETTER else (getter, method)
                found[number] = getter, setter
        return found

    def fields(self, of: TypeDefinition) -> Iterator[Property]:
        """Public fields of an object of a type, in order."""
        rows = self._metadata.rows(FieldRow)
        for row in self._range(of, "field_list", len(rows)):
            field = rows[row - 1]
            if field.flags & _ACCESS == _PUBLIC_MEMBER and not field.flags & _STATIC:
                type_ = SignatureReader(self._metadata.blob(field.signature), self._resolve).field()
                readonly = bool(field.flags & _INIT_ONLY)
                yield Property(self._metadata.string(field.name), unmodified(type_), not readonly)

    def static_fields(self, of: TypeDefinition) -> Iterator[StaticField]:
        """Public static fields of a type, in order."""
        rows = self._metadata.rows(FieldRow)
        for row in self._range(of, "field_list", len(rows)):
            field = rows[row - 1]
            if field.flags & _ACCESS == _PUBLIC_MEMBER and field.flags & _STATIC:
                type_ = SignatureReader(self._metadata.blob(field.signature), self._resolve).field()
                found = self._constants.get((Table.FIELD, row))
                constant = () if found is None else (self._constant(found),)
                settable = not field.flags & (_LITERAL | _INIT_ONLY)
                name = self._metadata.string(field.name)
                yield StaticField(name, unmodified(type_), settable, constant)

    def enum_members(self, of: TypeDefinition) -> tuple[int, dict[str, int]]:
        """Element type of an enum's numbers, and its members."""
        rows = self._metadata.rows(FieldRow)
        underlying: Any = 0x08
        members: dict[str, int] = {}
        for row in self._range(of, "field_list", len(rows)):
            field = rows[row - 1]
            if field.flags & _LITERAL:
                constant = self._constants.get((Table.FIELD, row))
                if constant is not None:
                    members[self._metadata.string(field.name)] = self._constant(constant)
            elif not field.flags & _STATIC:
                blob = self._metadata.blob(field.signature)
                underlying = SignatureReader(blob, self._resolve).field()
        return underlying, members

    def has_attribute(self, of: TypeDefinition, name: str) -> bool:
        """Whether an attribute of this full name is on a type."""
        return name in self._attributes.get((Table.TYPE_DEF, of.row), ())

    @cached_property
    def _attributes(self) -> dict[tuple[Table, int], dict[str, bytes]]:
        """Attributes that other assemblies define, and their arguments, by what they are on."""
        found: dict[tuple[Table, int], dict[str, bytes]] = {}
        for row in self._metadata.rows(CustomAttributeRow):
            table, parent = HAS_CUSTOM_ATTRIBUTE.split(row.parent)
            kind, constructor = CUSTOM_ATTRIBUTE_TYPE.split(row.type)
            if table in _ATTRIBUTED and kind is Table.MEMBER_REF:
                member = self._metadata.row(MemberRefRow, constructor)
                owner, ref = MEMBER_REF_PARENT.split(member.parent)
                if owner is Table.TYPE_REF:
                    value = self._metadata.blob(row.value)
                    found.setdefault((table, parent), {})[self._ref_name(ref)] = value
        return found


def unmodified(type_: Any) -> Any:  # noqa: ANN401 - a type, as the reader has them
    """A type without custom modifiers (II.23.2.7)."""
    while isinstance(type_, tuple) and type_[0] == MODIFIED:
        type_ = type_[3]
    return type_


def _is_modified(type_: Any, modifier: str) -> bool:  # noqa: ANN401 - a type, as the reader has them
    while isinstance(type_, tuple) and type_[0] == MODIFIED:
        if type_[2] == ("T", modifier):
            return True
        type_ = type_[3]
    return False
