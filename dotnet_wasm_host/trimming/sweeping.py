"""Sweeping: writing an assembly again with what was marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.il import Body, encode_body
from dotnet_wasm_host.ecma335.rows import (
    AssemblyRow,
    ClassLayoutRow,
    ConstantRow,
    CustomAttributeRow,
    FieldLayoutRow,
    FieldMarshalRow,
    FieldRow,
    FieldRvaRow,
    GenericParamConstraintRow,
    GenericParamRow,
    ImplMapRow,
    InterfaceImplRow,
    ManifestResourceRow,
    MethodDefRow,
    MethodSemanticsRow,
    ModuleRow,
    ParamRow,
    TypeDefRow,
)
from dotnet_wasm_host.ecma335.signatures import TYPE, rename
from dotnet_wasm_host.ecma335.tables import (
    CUSTOM_ATTRIBUTE_TYPE,
    HAS_CONSTANT,
    HAS_CUSTOM_ATTRIBUTE,
    HAS_FIELD_MARSHAL,
    HAS_SEMANTICS,
    IMPLEMENTATION,
    MEMBER_FORWARDED,
    TYPE_OR_METHOD_DEF,
    Table,
)
from dotnet_wasm_host.ecma335.writer import AssemblyWriter
from dotnet_wasm_host.trimming.renumbering import Renumbering
from dotnet_wasm_host.trimming.resources import SUFFIX, keep_keys
from dotnet_wasm_host.trimming.world import ROW_BITS, ROW_MASK, TYPE_ABSTRACT, TYPE_INTERFACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dotnet_wasm_host.trimming.constants import Constants
    from dotnet_wasm_host.trimming.marking import Marker
    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.world import World

__all__ = ["Sweeper"]

#: II.23.1.10: methods that are imported from native code.
PINVOKE = 0x2000
#: Sizes of fields with initial content, by element type (II.23.1.16).
_SIZES = {
    0x02: 1, 0x03: 2, 0x04: 1, 0x05: 1, 0x06: 2, 0x07: 2, 0x08: 4, 0x09: 4, 0x0A: 8, 0x0B: 8,
    0x0C: 4, 0x0D: 8,
}  # fmt: skip


@final
class Sweeper:
    """Writes one assembly.

    Args:
        forwards: whether a type that lives elsewhere is still forwarded to, by full name and
            identity.
        keep_messages: keep the texts of exceptions that are used; otherwise none.
    """

    def __init__(
        self,
        world: World,
        marker: Marker,
        constants: Constants,
        module: Module,
        *,
        forwards: Callable[[str, int], bool],
        keep_messages: bool,
    ) -> None:
        self._world = world
        self._marker = marker
        self._constants = constants
        self._module = module
        self._metadata = module.metadata
        self._forwards = forwards
        self._keep_messages = keep_messages
        self._writer = AssemblyWriter()
        self._types = [t for t in module.types if t == 1 or self._kept(marker.types, t)]
        self._methods = [
            m for t in self._types for m in module.methods(t) if self._kept(marker.methods, m)
        ]
        self._fields = [
            f for t in self._types for f in module.fields(t) if self._kept(marker.fields, f)
        ]
        self._new = {
            Table.TYPE_DEF: _numbered(self._types),
            Table.METHOD_DEF: _numbered(self._methods),
            Table.FIELD: _numbered(self._fields),
        }
        self._renumbering = Renumbering(world, marker, module, self._writer, self._new)
        self._marshalled = {
            HAS_FIELD_MARSHAL.split(row.parent) for row in self._metadata.rows(FieldMarshalRow)
        }

    def _kept(self, marked: set[int], row: int) -> bool:
        return self._world.identity(self._module, row) in marked

    def write(self) -> bytes | None:
        """The assembly as webcil; None if nothing of it is left."""
        forwarded = self._forwarded()
        if len(self._types) == 1 and not forwarded:
            return None
        self._write_assembly()
        self._write_types()
        self._write_layouts()
        self._write_native()
        self._write_generics()
        self._write_implementations()
        self._write_properties()
        self._write_attributes(Table.ASSEMBLY, 1, 1)
        for full_name, target in forwarded:
            self._forward(full_name, target)
        self._write_resources()
        return self._writer.webcil()

    # Tables.

    def _write_assembly(self) -> None:
        name = self._metadata.row(ModuleRow, 1).name
        self._writer.add(Table.MODULE, 0, self._metadata.string(name), 1, 0, 0)
        *numbers, key, name, culture = self._metadata.row(AssemblyRow, 1)
        text = self._metadata.string
        self._writer.add(
            Table.ASSEMBLY, *numbers, self._metadata.blob(key), text(name), text(culture)
        )

    def _write_types(self) -> None:
        writer, metadata, module = self._writer, self._metadata, self._module
        text = metadata.string
        for type_ in self._types:
            flags, name, space, extends, *_ = metadata.row(TypeDefRow, type_)
            writer.add(
                Table.TYPE_DEF,
                self._type_flags(type_, flags),
                text(name),
                text(space),
                self._renumbering.type(extends) if extends else 0,
                len(writer.rows[Table.FIELD]) + 1,
                len(writer.rows[Table.METHOD_DEF]) + 1,
            )
            for field in module.fields(type_):
                if field in self._new[Table.FIELD]:
                    self._write_field(field)
            for method in module.methods(type_):
                if method in self._new[Table.METHOD_DEF]:
                    self._write_method(method)
            new = self._new[Table.TYPE_DEF][type_]
            if type_ in module.enclosing:
                outer = self._new[Table.TYPE_DEF][module.enclosing[type_]]
                writer.add(Table.NESTED_CLASS, new, outer)
            self._write_attributes(Table.TYPE_DEF, type_, new)

    def _type_flags(self, type_: int, flags: int) -> int:
        """A class without objects may have lost methods that concrete classes must have."""
        identity = self._world.identity(self._module, type_)
        if type_ == 1 or flags & TYPE_INTERFACE or identity in self._marker.instantiated:
            return flags
        return flags | TYPE_ABSTRACT

    def _write_field(self, field: int) -> None:
        flags, name, signature = self._metadata.row(FieldRow, field)
        new = self._writer.add(
            Table.FIELD,
            flags,
            self._metadata.string(name),
            rename(self._metadata.blob(signature), self._renumbering.type),
        )
        self._write_attributes(Table.FIELD, field, new)

    def _write_method(self, method: int) -> None:
        _, implementation, flags, name, signature, _ = self._metadata.row(MethodDefRow, method)
        writer = self._writer
        body = self._constants.body(self._world.identity(self._module, method))
        new = writer.add(
            Table.METHOD_DEF,
            self._write_body(body) if body is not None else 0,
            implementation,
            flags,
            self._metadata.string(name),
            rename(self._metadata.blob(signature), self._renumbering.type),
            len(writer.rows[Table.PARAM]) + 1,
        )
        self._write_parameters(method, whole=bool(flags & PINVOKE))
        self._write_attributes(Table.METHOD_DEF, method, new)

    def _write_parameters(self, method: int, *, whole: bool) -> None:
        """Names of parameters are for compilers and reflection; marshalling is for the runtime."""
        owner = self._world.identity(self._module, self._module.method_owner[method])
        whole = whole or owner in self._marker.reflected
        rows = self._module.parameters(method)
        if whole or any((Table.PARAM, row) in self._marshalled for row in rows):
            for row in rows:
                flags, sequence, name = self._metadata.row(ParamRow, row)
                new = self._writer.add(Table.PARAM, flags, sequence, self._metadata.string(name))
                self._new.setdefault(Table.PARAM, {})[row] = new

    def _write_body(self, body: Body) -> int:
        data = encode_body(self._renumbering.body(body))
        return self._writer.body(data, fat=data[0] & 0x3 == 0x3)

    def _write_layouts(self) -> None:
        """Rows that say more of types and fields that are kept."""
        writer, metadata = self._writer, self._metadata
        types, fields = self._new[Table.TYPE_DEF], self._new[Table.FIELD]
        for packing, size, type_ in metadata.rows(ClassLayoutRow):
            if type_ in types:
                writer.add(Table.CLASS_LAYOUT, packing, size, types[type_])
        for offset, field in metadata.rows(FieldLayoutRow):
            if field in fields:
                writer.add(Table.FIELD_LAYOUT, offset, fields[field])
        for rva, field in metadata.rows(FieldRvaRow):
            if field in fields:
                data = writer.field_data(self._initial_content(rva, field))
                writer.add(Table.FIELD_RVA, data, fields[field])

    def _write_native(self) -> None:
        """Constants, marshalling and imports of what is kept."""
        writer, metadata = self._writer, self._metadata
        for kind, coded, value in metadata.rows(ConstantRow):
            parent = self._renumbered(HAS_CONSTANT.split(coded))
            if parent is not None:
                writer.add(Table.CONSTANT, kind, HAS_CONSTANT.join(*parent), metadata.blob(value))
        for coded, native in metadata.rows(FieldMarshalRow):
            parent = self._renumbered(HAS_FIELD_MARSHAL.split(coded))
            if parent is not None:
                blob = metadata.blob(native)
                writer.add(Table.FIELD_MARSHAL, HAS_FIELD_MARSHAL.join(*parent), blob)
        for flags, coded, name, place in metadata.rows(ImplMapRow):
            parent = self._renumbered(MEMBER_FORWARDED.split(coded))
            if parent is not None:
                member = MEMBER_FORWARDED.join(*parent)
                scope = self._renumbering.module_ref(place)
                writer.add(Table.IMPL_MAP, flags, member, metadata.string(name), scope)

    def _renumbered(self, place: tuple[Table, int]) -> tuple[Table, int] | None:
        table, row = place
        new = self._new.get(table, {}).get(row)
        return (table, new) if new is not None else None

    def _initial_content(self, rva: int, field: int) -> bytes:
        type_ = self._world.field_type(self._world.identity(self._module, field))
        size = _SIZES.get(type_) if isinstance(type_, int) else None
        if not isinstance(type_, int) and type_[0] == TYPE:
            module, row = self._world.locate(type_[1])
            sizes = [s for _, s, t in module.metadata.rows(ClassLayoutRow) if t == row]
            size = sizes[0] if sizes else None
        if size is None:
            raise MalformedImage(f"{self._module.field_name(field)} has content of no known size")
        content, offset = self._module.content(rva)
        return content[offset : offset + size]

    def _write_generics(self) -> None:
        """II.22.20: sorted by owner, and the constraints after them."""
        owners = sorted(
            (TYPE_OR_METHOD_DEF.join(table, new), table, old)
            for table in (Table.TYPE_DEF, Table.METHOD_DEF)
            for old, new in self._new[table].items()
        )
        for coded, table, old in owners:
            for parameter in self._module.generics_of(table, old):
                number, flags, _, name = self._metadata.row(GenericParamRow, parameter)
                text = self._metadata.string(name)
                new = self._writer.add(Table.GENERIC_PARAM, number, flags, coded, text)
                for constraint in self._module.constraints.get(parameter, ()):
                    type_ = self._metadata.row(GenericParamConstraintRow, constraint).constraint
                    self._writer.add(
                        Table.GENERIC_PARAM_CONSTRAINT, new, self._renumbering.type(type_)
                    )

    def _write_implementations(self) -> None:
        world, module, marker = self._world, self._module, self._marker
        for type_ in self._types:
            identity = world.identity(module, type_)
            new = self._new[Table.TYPE_DEF][type_]
            for impl, interface, _ in world.declared_interfaces(identity):
                if marker.keeps_interface(identity, interface):
                    coded = self._metadata.row(InterfaceImplRow, impl).interface
                    self._writer.add(Table.INTERFACE_IMPL, new, self._renumbering.type(coded))
            for body, declaration in module.method_impls.get(type_, ()):
                if self._implements(identity, body, declaration):
                    members = self._renumbering.method(body), self._renumbering.method(declaration)
                    self._writer.add(Table.METHOD_IMPL, new, *members)

    def _implements(self, type_: int, body: int, declaration: int) -> bool:
        world, marker = self._world, self._marker
        base = world.method_of(self._module, declaration).target
        if base not in marker.methods:
            return False
        if world.method_of(self._module, body).target not in marker.methods:
            return False
        owner = world.owner_of_method(base)
        if not world.is_interface(owner) or world.is_interface(type_):
            return True
        return marker.keeps_interface(type_, owner)

    def _write_properties(self) -> None:
        """Properties and events are for reflection alone: kept where reflection is expected."""
        for map_table, table in (
            (Table.PROPERTY_MAP, Table.PROPERTY),
            (Table.EVENT_MAP, Table.EVENT),
        ):
            rows = self._metadata.rows(map_table)
            end = len(self._metadata.rows(table)) + 1
            for index, (type_, first) in enumerate(rows):
                last = rows[index + 1][1] if index + 1 < len(rows) else end
                if type_ in self._new[Table.TYPE_DEF] and self._is_reflected(type_):
                    self._write_members(map_table, table, type_, range(first, last))

    def _is_reflected(self, type_: int) -> bool:
        identity = self._world.identity(self._module, type_)
        if identity in self._marker.reflected:
            return True
        # Mono finds the named arguments of attributes by property.
        chain = (base for base, _ in self._world.chain(identity))
        return any(self._world.full_name(each) == "System.Attribute" for each in (identity, *chain))

    def _write_members(self, map_table: Table, table: Table, type_: int, rows: range) -> None:
        writer, metadata, renumbering = self._writer, self._metadata, self._renumbering
        start = len(writer.rows[table]) + 1
        for row in rows:
            accessors = [
                (semantics, self._new[Table.METHOD_DEF][method])
                for semantics, method in self._semantics(table, row)
                if method in self._new[Table.METHOD_DEF]
            ]
            if not accessors:
                continue
            flags, name, last = metadata.row(table, row)
            cell = (
                rename(metadata.blob(last), renumbering.type)
                if table is Table.PROPERTY
                else renumbering.type(last)
            )
            new = writer.add(table, flags, metadata.string(name), cell)
            for semantics, method in accessors:
                owner = HAS_SEMANTICS.join(table, new)
                writer.add(Table.METHOD_SEMANTICS, semantics, method, owner)
            self._write_attributes(table, row, new)
        if len(writer.rows[table]) >= start:
            writer.add(map_table, self._new[Table.TYPE_DEF][type_], start)

    def _semantics(self, table: Table, row: int) -> list[tuple[int, int]]:
        if not hasattr(self, "_by_association"):
            self._by_association: dict[int, list[tuple[int, int]]] = {}
            for semantics, method, owner in self._metadata.rows(MethodSemanticsRow):
                self._by_association.setdefault(owner, []).append((semantics, method))
        return self._by_association.get(HAS_SEMANTICS.join(table, row), [])

    def _write_attributes(self, table: Table, old: int, new: int) -> None:
        for row in self._module.attributes_of(table, old):
            if self._marker.keeps_attribute(self._module, row):
                _, constructor, blob = self._metadata.row(CustomAttributeRow, row)
                kind, member = CUSTOM_ATTRIBUTE_TYPE.split(constructor)
                token = self._renumbering.token(0, int(kind) << ROW_BITS | member)
                coded = CUSTOM_ATTRIBUTE_TYPE_TAGS[Table(token >> ROW_BITS)]
                self._writer.add(
                    Table.CUSTOM_ATTRIBUTE,
                    HAS_CUSTOM_ATTRIBUTE.join(table, new),
                    (token & ROW_MASK) << 3 | coded,
                    self._metadata.blob(blob),
                )

    def _forwarded(self) -> list[tuple[str, int]]:
        found = []
        for full_name in self._module.forwarders:
            target = self._world.type_named(self._module, full_name)
            kept = target is not None and target in self._marker.types
            if kept and target is not None and self._forwards(full_name, target):
                found.append((full_name, target))
        return found

    def _forward(self, full_name: str, target: int) -> None:
        module, _ = self._world.locate(target)
        space, _, name = full_name.rpartition(".")
        scope = IMPLEMENTATION.join(Table.ASSEMBLY_REF, self._renumbering.assembly_ref(module))
        # II.23.1.15: this type is forwarded.
        self._writer.add(Table.EXPORTED_TYPE, 0x00200000, 0, name, space, scope)

    def _write_resources(self) -> None:
        for (_, flags, name, implementation), content in zip(
            [r for r in self._metadata.rows(ManifestResourceRow) if r.implementation == 0],
            self._module.resources().values(),
            strict=True,
        ):
            text = self._metadata.string(name)
            if text.startswith("ILLink.") or implementation:
                continue
            kept = content
            if text.endswith(SUFFIX):
                kept = keep_keys(content, self._renumbering.texts) if self._keep_messages else b""
            if kept:
                self._writer.add(
                    Table.MANIFEST_RESOURCE, self._writer.resource(kept), flags, text, 0
                )


#: II.24.2.6: tags of CustomAttributeType, whose first two are not used.
CUSTOM_ATTRIBUTE_TYPE_TAGS = {Table.METHOD_DEF: 2, Table.MEMBER_REF: 3}


def _numbered(rows: Iterable[int]) -> dict[int, int]:
    return {row: number for number, row in enumerate(rows, 1)}
