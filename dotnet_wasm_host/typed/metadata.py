"""What an assembly's metadata says about types that a typed call can meet (ECMA-335 II.22)."""

from __future__ import annotations

import bisect
import struct
from decimal import Decimal
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
from dotnet_wasm_host.ecma335.signatures import MODIFIED, SignatureReader, substitute
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
from dotnet_wasm_host.typed.definitions import (
    Accessors,
    Method,
    Parameter,
    Property,
    StaticField,
    TypeDefinition,
)
from dotnet_wasm_host.typed.nullability import OBLIVIOUS, annotate, flags_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["HAS_DEFAULT", "IN", "OUT", "TypeReader"]

#: II.23.1.15: who sees a type.
_VISIBILITY, _PUBLIC, _NESTED_PUBLIC = 7, 1, 2
#: II.23.1.5: who sees a field.
_ACCESS, _PUBLIC_MEMBER, _STATIC = 7, 6, 0x10
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
_DECIMAL = struct.Struct("<BBIII")
#: What ``params`` of C# is.
_PARAMS = (
    "System.ParamArrayAttribute",
    "System.Runtime.CompilerServices.ParamCollectionAttribute",
)


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

    def base(self, of: TypeDefinition) -> Any:  # noqa: ANN401 - a type, as the reader has them
        """The base class, constructed or not; ``None`` if there is none."""
        coded = self._metadata.row(TypeDefRow, of.row).extends if of.row else 0
        if coded == 0:
            return None
        table, row = TYPE_DEF_OR_REF.split(coded)
        if table is not Table.TYPE_SPEC:
            return self._resolve(coded)
        blob = self._metadata.blob(self._metadata.row(TypeSpecRow, row).signature)
        return substitute(SignatureReader(blob, self._resolve).type(), of.arguments)

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
            yield self._method(row, of)

    def _method(self, row: int, of: TypeDefinition) -> Method:
        rows, params = self._metadata.rows(MethodDefRow), self._metadata.rows(ParamRow)
        method = self._metadata.row(MethodDefRow, row)
        end = rows[row].param_list if row < len(rows) else len(params) + 1
        named = {
            params[n - 1].sequence: (n, params[n - 1])
            for n in range(method.param_list, min(end, len(params) + 1))
        }
        signature = SignatureReader(self._metadata.blob(method.signature), self._resolve).method()
        context = self._context(row, of)
        parameters = []
        for number, type_ in enumerate(signature.parameters, 1):
            at, param = named.get(number, (0, ParamRow(0, number, 0)))
            name = self._metadata.string(param.name) if param.name else f"p{number}"
            attributes = self._attributes.get((Table.PARAM, at), {})
            default = self._default(at, param.flags) or _decimal_constant(attributes)
            annotated = self._annotated(type_, (Table.PARAM, at), context, of)
            is_params = any(kind in attributes for kind in _PARAMS)
            parameters.append(Parameter(name, annotated, param.flags, default, is_params))
        result = (Table.PARAM, named[0][0] if 0 in named else 0)
        return Method(
            self._metadata.string(method.name),
            method.flags,
            signature.generic_count,
            self._annotated(signature.result, result, context, of),
            tuple(parameters),
            _is_modified(signature.result, _INIT),
        )

    def _annotated(
        self,
        type_: Any,  # noqa: ANN401 - as the reader has it
        at: tuple[Table, int],
        context: int,
        of: TypeDefinition,
    ) -> Any:  # noqa: ANN401 - a type, as the reader has them
        """A type with what is known of null, and with the arguments of a constructed type."""
        flags = flags_of(self._attributes.get(at, {})) or (context,)
        return substitute(annotate(unmodified(type_), flags), of.arguments)

    def _context(self, method: int, of: TypeDefinition) -> int:
        """What is known of null where nothing is said."""
        if found := flags_of(self._attributes.get((Table.METHOD_DEF, method), {}), context=True):
            return found[0]
        at, seen = of.row, set[int]()
        while at and at not in seen:
            seen.add(at)
            found = flags_of(self._attributes.get((Table.TYPE_DEF, at), {}), context=True)
            if found:
                return found[0]
            at = self._enclosing.get(at, 0)
        return OBLIVIOUS

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
                        getter, setter = self._accessors[row]
                        found = [self._public(m, of) if m else None for m in (getter, setter)]
                        if any(found):
                            yield Accessors(name, *found)

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
                    type_ = SignatureReader(blob, self._resolve).type()
                    yield substitute(type_, of.arguments)
                else:
                    yield self._resolve(row.interface)

    def _public(self, row: int, of: TypeDefinition) -> Method | None:
        method = self._method(row, of)
        return method if method.is_public else None

    @cached_property
    def _accessors(self) -> dict[int, tuple[int, int]]:
        """Rows of getter and setter by the row of their property; 0 for none."""
        found: dict[int, tuple[int, int]] = {}
        for row in self._metadata.rows(MethodSemanticsRow):
            table, number = HAS_SEMANTICS.split(row.association)
            if table is Table.PROPERTY and row.semantics & (_GETTER | _SETTER):
                getter, setter = found.get(number, (0, 0))
                is_getter = row.semantics & _GETTER
                found[number] = (row.method, setter) if is_getter else (getter, row.method)
        return found

    def fields(self, of: TypeDefinition) -> Iterator[Property]:
        """Public fields of an object of a type, in order."""
        rows = self._metadata.rows(FieldRow)
        for row in self._range(of, "field_list", len(rows)):
            field = rows[row - 1]
            if field.flags & _ACCESS == _PUBLIC_MEMBER and not field.flags & _STATIC:
                type_ = SignatureReader(self._metadata.blob(field.signature), self._resolve).field()
                readonly = bool(field.flags & _INIT_ONLY)
                annotated = self._annotated(type_, (Table.FIELD, row), self._context(0, of), of)
                yield Property(self._metadata.string(field.name), annotated, not readonly)

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
                annotated = self._annotated(type_, (Table.FIELD, row), self._context(0, of), of)
                yield StaticField(name, annotated, settable, constant)

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
        return name in self._attributes.get((Table.TYPE_DEF, of.row), {})

    @cached_property
    def _attributes(self) -> dict[tuple[Table, int], dict[str, bytes]]:
        """Attributes by what they are on: their names, and the bytes of their arguments."""
        found: dict[tuple[Table, int], dict[str, bytes]] = {}
        for row in self._metadata.rows(CustomAttributeRow):
            kind, constructor = CUSTOM_ATTRIBUTE_TYPE.split(row.type)
            name = ""
            if kind is Table.MEMBER_REF:
                member = self._metadata.row(MemberRefRow, constructor)
                owner, ref = MEMBER_REF_PARENT.split(member.parent)
                name = self._ref_name(ref) if owner is Table.TYPE_REF else ""
            elif kind is Table.METHOD_DEF:
                # The rows of methods are in the order of their types.
                at = bisect.bisect_right(self._first_methods, constructor)
                name = self.types[at].full_name if at in self.types else ""
            if name:
                at_ = HAS_CUSTOM_ATTRIBUTE.split(row.parent)
                found.setdefault(at_, {})[name] = self._metadata.blob(row.value)
        return found

    @cached_property
    def _first_methods(self) -> list[int]:
        return [definition.method_list for definition in self._metadata.rows(TypeDefRow)]


def _decimal_constant(attributes: Mapping[str, bytes]) -> tuple[Any, ...]:
    """The default of a ``decimal``, which is no constant of metadata."""
    blob = attributes.get("System.Runtime.CompilerServices.DecimalConstantAttribute", b"")
    if len(blob) < 2 + _DECIMAL.size:
        return ()
    scale, sign, high, middle, low = _DECIMAL.unpack_from(blob, 2)
    digits = tuple(map(int, str(high << 64 | middle << 32 | low)))
    return (Decimal((sign >> 7, digits, -scale)),)


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
