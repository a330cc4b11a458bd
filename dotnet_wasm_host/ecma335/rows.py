"""Rows of ECMA-335 metadata with names for their columns.

A class has the name of its table in ECMA-335 II.22 with ``Row`` behind it, and its fields are the
table's columns in their order. Columns are numbers: flags, offsets in heaps, row numbers, coded
indices (II.24.2.6); :data:`~dotnet_wasm_host.ecma335.tables.SCHEMA` says which is what.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.ecma335.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "TABLES",
    "AssemblyRefRow",
    "AssemblyRow",
    "ClassLayoutRow",
    "ConstantRow",
    "CustomAttributeRow",
    "EventMapRow",
    "EventRow",
    "ExportedTypeRow",
    "FieldLayoutRow",
    "FieldMarshalRow",
    "FieldRow",
    "FieldRvaRow",
    "GenericParamConstraintRow",
    "GenericParamRow",
    "ImplMapRow",
    "InterfaceImplRow",
    "ManifestResourceRow",
    "MemberRefRow",
    "MethodDefRow",
    "MethodImplRow",
    "MethodSemanticsRow",
    "MethodSpecRow",
    "ModuleRefRow",
    "ModuleRow",
    "NestedClassRow",
    "ParamRow",
    "PropertyMapRow",
    "PropertyRow",
    "StandAloneSigRow",
    "TypeDefRow",
    "TypeRefRow",
    "TypeSpecRow",
    "read_rows",
]


class ModuleRow(NamedTuple):
    """II.22.30."""

    generation: int
    name: int
    mvid: int
    enc_id: int
    enc_base_id: int


class TypeRefRow(NamedTuple):
    """II.22.38."""

    resolution_scope: int
    name: int
    namespace: int


class TypeDefRow(NamedTuple):
    """II.22.37."""

    flags: int
    name: int
    namespace: int
    extends: int
    field_list: int
    method_list: int


class FieldRow(NamedTuple):
    """II.22.15."""

    flags: int
    name: int
    signature: int


class MethodDefRow(NamedTuple):
    """II.22.26."""

    rva: int
    impl_flags: int
    flags: int
    name: int
    signature: int
    param_list: int


class ParamRow(NamedTuple):
    """II.22.33."""

    flags: int
    sequence: int
    name: int


class InterfaceImplRow(NamedTuple):
    """II.22.23."""

    type: int
    interface: int


class MemberRefRow(NamedTuple):
    """II.22.25."""

    parent: int
    name: int
    signature: int


class ConstantRow(NamedTuple):
    """II.22.9."""

    type: int
    parent: int
    value: int


class CustomAttributeRow(NamedTuple):
    """II.22.10."""

    parent: int
    type: int
    value: int


class FieldMarshalRow(NamedTuple):
    """II.22.17."""

    parent: int
    native_type: int


class ClassLayoutRow(NamedTuple):
    """II.22.8."""

    packing_size: int
    class_size: int
    parent: int


class FieldLayoutRow(NamedTuple):
    """II.22.16."""

    offset: int
    field: int


class StandAloneSigRow(NamedTuple):
    """II.22.36."""

    signature: int


class EventMapRow(NamedTuple):
    """II.22.12."""

    parent: int
    event_list: int


class EventRow(NamedTuple):
    """II.22.13."""

    flags: int
    name: int
    type: int


class PropertyMapRow(NamedTuple):
    """II.22.35."""

    parent: int
    property_list: int


class PropertyRow(NamedTuple):
    """II.22.34."""

    flags: int
    name: int
    type: int


class MethodSemanticsRow(NamedTuple):
    """II.22.28."""

    semantics: int
    method: int
    association: int


class MethodImplRow(NamedTuple):
    """II.22.27."""

    type: int
    body: int
    declaration: int


class ModuleRefRow(NamedTuple):
    """II.22.31."""

    name: int


class TypeSpecRow(NamedTuple):
    """II.22.39."""

    signature: int


class ImplMapRow(NamedTuple):
    """II.22.22."""

    flags: int
    member: int
    import_name: int
    import_scope: int


class FieldRvaRow(NamedTuple):
    """II.22.18."""

    rva: int
    field: int


class AssemblyRow(NamedTuple):
    """II.22.2."""

    hash_algorithm: int
    major: int
    minor: int
    build: int
    revision: int
    flags: int
    public_key: int
    name: int
    culture: int


class AssemblyRefRow(NamedTuple):
    """II.22.5."""

    major: int
    minor: int
    build: int
    revision: int
    flags: int
    public_key_or_token: int
    name: int
    culture: int
    hash_value: int


class ExportedTypeRow(NamedTuple):
    """II.22.14."""

    flags: int
    type_def_id: int
    name: int
    namespace: int
    implementation: int


class ManifestResourceRow(NamedTuple):
    """II.22.24."""

    offset: int
    flags: int
    name: int
    implementation: int


class NestedClassRow(NamedTuple):
    """II.22.32."""

    nested: int
    enclosing: int


class GenericParamRow(NamedTuple):
    """II.22.20."""

    number: int
    flags: int
    owner: int
    name: int


class MethodSpecRow(NamedTuple):
    """II.22.29."""

    method: int
    instantiation: int


class GenericParamConstraintRow(NamedTuple):
    """II.22.21."""

    owner: int
    constraint: int


#: The table that each class has the rows of.
TABLES: Mapping[type, Table] = MappingProxyType(
    {
        ModuleRow: Table.MODULE,
        TypeRefRow: Table.TYPE_REF,
        TypeDefRow: Table.TYPE_DEF,
        FieldRow: Table.FIELD,
        MethodDefRow: Table.METHOD_DEF,
        ParamRow: Table.PARAM,
        InterfaceImplRow: Table.INTERFACE_IMPL,
        MemberRefRow: Table.MEMBER_REF,
        ConstantRow: Table.CONSTANT,
        CustomAttributeRow: Table.CUSTOM_ATTRIBUTE,
        FieldMarshalRow: Table.FIELD_MARSHAL,
        ClassLayoutRow: Table.CLASS_LAYOUT,
        FieldLayoutRow: Table.FIELD_LAYOUT,
        StandAloneSigRow: Table.STAND_ALONE_SIG,
        EventMapRow: Table.EVENT_MAP,
        EventRow: Table.EVENT,
        PropertyMapRow: Table.PROPERTY_MAP,
        PropertyRow: Table.PROPERTY,
        MethodSemanticsRow: Table.METHOD_SEMANTICS,
        MethodImplRow: Table.METHOD_IMPL,
        ModuleRefRow: Table.MODULE_REF,
        TypeSpecRow: Table.TYPE_SPEC,
        ImplMapRow: Table.IMPL_MAP,
        FieldRvaRow: Table.FIELD_RVA,
        AssemblyRow: Table.ASSEMBLY,
        AssemblyRefRow: Table.ASSEMBLY_REF,
        ExportedTypeRow: Table.EXPORTED_TYPE,
        ManifestResourceRow: Table.MANIFEST_RESOURCE,
        NestedClassRow: Table.NESTED_CLASS,
        GenericParamRow: Table.GENERIC_PARAM,
        MethodSpecRow: Table.METHOD_SPEC,
        GenericParamConstraintRow: Table.GENERIC_PARAM_CONSTRAINT,
    }
)


def read_rows(
    row_class: type, read: Callable[[Table], Iterable[tuple[int, ...]]]
) -> list[tuple[int, ...]]:
    """Rows as ``read`` gives them for the class's table, with its names."""
    # As _make does, which counts the columns of every row again.
    return list(map(partial(tuple.__new__, row_class), read(TABLES[row_class])))
