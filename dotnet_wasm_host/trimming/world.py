"""All assemblies of a trim: what a reference in one of them means."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.binary import Allowance, BinaryView, MalformedImage
from dotnet_wasm_host.ecma335.rows import (
    FieldRow,
    InterfaceImplRow,
    MemberRefRow,
    MethodDefRow,
    MethodSpecRow,
    StandAloneSigRow,
    TypeDefRow,
    TypeSpecRow,
)
from dotnet_wasm_host.ecma335.signatures import (
    FIELD,
    FUNCTION,
    INSTANCE,
    KIND_MASK,
    MODIFIED,
    TYPE,
    UNKNOWN,
    MethodSignature,
    SignatureReader,
    Type,
    substitute,
    substitute_method,
)
from dotnet_wasm_host.ecma335.tables import (
    MEMBER_REF_PARENT,
    METHOD_DEF_OR_REF,
    TYPE_DEF_OR_REF,
    Table,
)
from dotnet_wasm_host.trimming.module import CORE, Module
from dotnet_wasm_host.trimming.references import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["World"]

#: II.23.1.10, II.23.1.5, II.23.1.15: flags.
METHOD_ACCESS, METHOD_PUBLIC, METHOD_FAMILY, METHOD_FAMILY_OR_ASSEMBLY = 0x7, 0x6, 0x4, 0x5
#: Access values of members that code of other assemblies can use.
VISIBLE_MEMBERS = frozenset({METHOD_PUBLIC, METHOD_FAMILY, METHOD_FAMILY_OR_ASSEMBLY})
METHOD_STATIC, METHOD_VIRTUAL, METHOD_NEW_SLOT, METHOD_ABSTRACT = 0x10, 0x40, 0x100, 0x400
FIELD_STATIC, FIELD_LITERAL = 0x10, 0x40
TYPE_VISIBILITY, TYPE_INTERFACE, TYPE_ABSTRACT = 0x7, 0x20, 0x80
TYPE_BEFORE_FIELD_INIT = 0x100000
PUBLIC, NESTED_PUBLIC, NESTED_FAMILY, NESTED_FAMILY_OR_ASSEMBLY = 1, 2, 4, 7
VISIBLE = frozenset({PUBLIC, NESTED_PUBLIC, NESTED_FAMILY, NESTED_FAMILY_OR_ASSEMBLY})
#: Identities are a module's index above a row number of at most 24 bits (II.22).
ROW_BITS = 24
ROW_MASK = (1 << ROW_BITS) - 1
#: Assemblies that say of a type that it is in the next one; .NET's own facades need two.
MAX_FORWARDS = 16
#: Base classes of base classes.
MAX_BASES = 1000
#: What an allowance of work is when nobody limits it.
WITHOUT_LIMIT = 1 << 62

#: II.23.1.16: element type to the type of the core library it stands for.
PRIMITIVE_NAMES = {
    0x01: "Void", 0x02: "Boolean", 0x03: "Char", 0x04: "SByte", 0x05: "Byte", 0x06: "Int16",
    0x07: "UInt16", 0x08: "Int32", 0x09: "UInt32", 0x0A: "Int64", 0x0B: "UInt64",
    0x0C: "Single", 0x0D: "Double", 0x0E: "String", 0x16: "TypedReference", 0x18: "IntPtr",
    0x19: "UIntPtr", 0x1C: "Object",
}  # fmt: skip


@final
@dataclass(slots=True)
class _Caches:
    types: dict[int, Type] = field(default_factory=dict)
    signatures: dict[tuple[int, int], MethodSignature] = field(default_factory=dict)
    fields: dict[tuple[int, int], Type] = field(default_factory=dict)
    tokens: dict[tuple[int, int], Reference] = field(default_factory=dict)
    interfaces: dict[int, list[tuple[int, tuple[Type, ...]]]] = field(default_factory=dict)
    bases: dict[int, tuple[int, tuple[Type, ...]] | None] = field(default_factory=dict)


@final
class World:
    """The assemblies, loaded when something refers to them.

    Types, methods and fields have *identities*: the index of their module and their row in one
    number, each kind of its own.
    """

    def __init__(self, assemblies: Mapping[str, bytes], roots: frozenset[str]) -> None:
        self._assemblies = assemblies
        self._roots = roots
        self._work = Allowance("look-ups", WITHOUT_LIMIT)
        self._by_name: dict[str, Module | None] = {}
        self._caches = _Caches()
        self.modules: list[Module] = []
        #: What was referred to and is in no assembly: for the report.
        self.unresolved: set[str] = set()
        core = self.load(CORE)
        if core is None:
            raise MalformedImage(f"nothing can be trimmed without {CORE}")
        self.core = core
        self.primitives: dict[int, int] = {
            code: self.type_named(core, f"System.{name}") or 0
            for code, name in PRIMITIVE_NAMES.items()
        }

    # Assemblies and identities.

    def load(self, name: str) -> Module | None:
        """An assembly by its simple name; None if there is none."""
        if name not in self._by_name:
            data = self._assemblies.get(name)
            module = None
            if data is not None:
                module = Module(len(self.modules), name, data, is_root=name in self._roots)
                self.modules.append(module)
            self._by_name[name] = module
        return self._by_name[name]

    def loaded(self, name: str) -> Module | None:
        """An assembly that something referred to already."""
        return self._by_name.get(name)

    def with_assemblies(self, assemblies: Mapping[str, bytes], work: Allowance) -> World:
        """This world with more assemblies in it, which are its roots; this one stays as it is.

        Looking things up in the new one spends ``work``.
        """
        other = copy(self)
        other._extend(assemblies, work)  # noqa: SLF001 - a world as well
        return other

    def spend(self, units: int) -> None:
        """Take from what looking things up may cost. MalformedImage if nothing is left."""
        self._work.spend(units)

    def _extend(self, assemblies: Mapping[str, bytes], work: Allowance) -> None:
        self._work = work
        self._assemblies = {**self._assemblies, **assemblies}
        self._roots = frozenset(assemblies)
        self._by_name = {n: m for n, m in self._by_name.items() if n not in assemblies and m}
        self._caches = _Caches()
        self.modules = list(self.modules)
        self.unresolved = set()

    def has(self, name: str) -> bool:
        """Whether there is an assembly of that name."""
        return name in self._assemblies

    def locate(self, identity: int) -> tuple[Module, int]:
        """Module and row of an identity."""
        return self.modules[identity >> ROW_BITS], identity & ROW_MASK

    @staticmethod
    def identity(module: Module, row: int) -> int:
        """The identity of a row."""
        return module.index << ROW_BITS | row

    def type_named(self, module: Module, name: str) -> int | None:
        """A type by its full name, here or where it is forwarded to (II.22.14)."""
        place: Module | None = module
        for _ in range(MAX_FORWARDS):
            if place is None:
                return None
            row = place.by_name.get(name)
            if row is not None:
                return self.identity(place, row)
            target = place.forwarders.get(name.partition("/")[0])
            place = None if target is None else self.load(target)
        raise MalformedImage(f"{module.name} forwards {name} from assembly to assembly")

    # Types.

    def type_flags(self, type_: int) -> int:
        """TypeAttributes of a type (II.23.1.15)."""
        module, row = self.locate(type_)
        return module.metadata.row(TypeDefRow, row).flags

    def is_interface(self, type_: int) -> bool:
        """Whether a type is an interface."""
        return bool(self.type_flags(type_) & TYPE_INTERFACE)

    def is_visible(self, type_: int) -> bool:
        """Whether code of other assemblies can name the type."""
        module, row = self.locate(type_)
        while row:
            flags = module.metadata.row(TypeDefRow, row).flags
            if flags & TYPE_VISIBILITY not in VISIBLE:
                return False
            row = module.enclosing.get(row, 0)
        return True

    def full_name(self, type_: int) -> str:
        """Namespace and name of a type, with those of the types around it."""
        module, row = self.locate(type_)
        return module.full_name(row)

    def type_of(self, module: Module, coded: int) -> Type:
        """What a TypeDefOrRef index means."""
        key = module.index << 40 | coded
        found = self._caches.types.get(key)
        if found is None:
            found = self._caches.types[key] = self._read_type(module, coded)
        return found

    def _read_type(self, module: Module, coded: int) -> Type:
        table, row = TYPE_DEF_OR_REF.split(coded)
        if table is Table.TYPE_DEF:
            return (TYPE, self.identity(module, row))
        if table is Table.TYPE_SPEC:
            blob = module.metadata.blob(module.metadata.row(TypeSpecRow, row).signature)
            return self._reader(module, blob).type()
        target = self._resolve_type_ref(module, row)
        if target is None:
            name = self.type_ref_name(module, row)
            self.unresolved.add(f"type {name} of {module.name}")
            return (UNKNOWN, name)
        return (TYPE, target)

    def type_ref_name(self, module: Module, row: int) -> str:
        """Full name in a TypeRef."""
        name = module.type_ref_name(row)
        self._work.spend(len(name))
        return name

    def _resolve_type_ref(self, module: Module, row: int) -> int | None:
        scope = self.load(module.type_ref_scope(row))
        return self.type_named(scope, self.type_ref_name(module, row)) if scope else None

    def _reader(self, module: Module, blob: bytes) -> SignatureReader:
        return SignatureReader(blob, lambda coded: self.type_of(module, coded))

    def definition(self, type_: Type) -> int | None:
        """The class, struct or interface that a type is made from; None for arrays and such."""
        if isinstance(type_, int):
            return self.primitives[type_]
        if type_[0] == TYPE:
            return int(type_[1])
        if type_[0] == INSTANCE:
            return self.definition(type_[1])
        if type_[0] == MODIFIED:
            return self.definition(type_[3])
        return None

    def definitions(self, type_: Type) -> Iterator[int]:
        """All classes, structs and interfaces that a type is made of."""
        definition = self.definition(type_)
        if definition is not None:
            yield definition
        if not isinstance(type_, int) and type_[0] not in {TYPE, UNKNOWN, FUNCTION}:
            for part in type_[1:]:
                # Numbers of a tuple are element types only where a type stands.
                if isinstance(part, tuple) and part and isinstance(part[0], (int, str)):
                    yield from self.definitions(part)

    def base(self, type_: int) -> tuple[int, tuple[Type, ...]] | None:
        """The base class and its type arguments; None for Object and interfaces."""
        bases = self._caches.bases
        if type_ not in bases:
            module, row = self.locate(type_)
            extends = module.metadata.row(TypeDefRow, row).extends
            bases[type_] = self._constructed(self.type_of(module, extends)) if extends else None
        return bases[type_]

    def _constructed(self, type_: Type) -> tuple[int, tuple[Type, ...]] | None:
        definition = self.definition(type_)
        if definition is None:
            return None
        arguments = type_[2:] if not isinstance(type_, int) and type_[0] == INSTANCE else ()
        return definition, tuple(arguments)

    def chain(self, type_: int) -> Iterator[tuple[int, tuple[Type, ...]]]:
        """Base classes, nearest first, with arguments in terms of ``type_``."""
        arguments: tuple[Type, ...] = ()
        base = self.base(type_)
        depth = 0
        while base is not None:
            depth += 1
            if depth > MAX_BASES:
                raise MalformedImage(f"the base classes of {self.full_name(type_)} have no end")
            self._work.spend(1)
            identity, own = base
            arguments = tuple(substitute(a, arguments) for a in own)
            yield identity, arguments
            base = self.base(identity)

    def declared_interfaces(self, type_: int) -> Iterator[tuple[int, int, tuple[Type, ...]]]:
        """Row of InterfaceImpl, interface and its arguments, of what a type itself lists."""
        module, row = self.locate(type_)
        for impl in module.interfaces.get(row, ()):
            _, coded = module.metadata.row(InterfaceImplRow, impl)
            constructed = self._constructed(self.type_of(module, coded))
            if constructed is not None:
                yield impl, *constructed

    def interfaces(self, type_: int) -> list[tuple[int, tuple[Type, ...]]]:
        """All interfaces a type lists, and theirs, with arguments in terms of ``type_``."""
        cache = self._caches.interfaces
        found = cache.get(type_)
        if found is None:
            seen: dict[tuple[int, tuple[Type, ...]], None] = {}
            cache[type_] = []
            for _, identity, arguments in self.declared_interfaces(type_):
                seen.setdefault((identity, arguments))
                for inner, theirs in self.interfaces(identity):
                    seen.setdefault((inner, tuple(substitute(a, arguments) for a in theirs)))
            found = cache[type_] = list(seen)
        return found

    def methods(self, type_: int) -> Iterator[int]:
        """The methods that a type declares."""
        module, row = self.locate(type_)
        return (self.identity(module, method) for method in module.methods(row))

    def fields(self, type_: int) -> Iterator[int]:
        """The fields that a type declares."""
        module, row = self.locate(type_)
        return (self.identity(module, field_) for field_ in module.fields(row))

    def fields_named(self, type_: int, name: str) -> Iterator[int]:
        """Fields of a type itself with that name."""
        module, row = self.locate(type_)
        return (self.identity(module, field_) for field_ in module.fields_named(row, name))

    # Members.

    def method_row(self, method: int) -> MethodDefRow:
        """The row of a method in MethodDef (II.22.26)."""
        module, row = self.locate(method)
        return module.metadata.row(MethodDefRow, row)

    def method_name(self, method: int) -> str:
        """The name of a method."""
        module, row = self.locate(method)
        return module.method_name(row)

    def field_name(self, field_: int) -> str:
        """The name of a field."""
        module, row = self.locate(field_)
        return module.field_name(row)

    def owner_of_method(self, method: int) -> int:
        """The type that declares a method."""
        module, row = self.locate(method)
        return self.identity(module, module.method_owner[row])

    def owner_of_field(self, field_: int) -> int:
        """The type that declares a field."""
        module, row = self.locate(field_)
        return self.identity(module, module.field_owner[row])

    def signature(self, method: int) -> MethodSignature:
        """The signature of a method, with its types resolved."""
        module, row = self.locate(method)
        return self.read_signature(module, module.metadata.row(MethodDefRow, row).signature)

    def read_signature(self, module: Module, blob: int) -> MethodSignature:
        """A method's signature by its place in ``#Blob``."""
        key = module.index, blob
        found = self._caches.signatures.get(key)
        if found is None:
            found = self._reader(module, module.metadata.blob(blob)).method()
            self._caches.signatures[key] = found
        return found

    def field_type(self, field_: int) -> Type:
        """The type of a field."""
        module, row = self.locate(field_)
        blob = module.metadata.row(FieldRow, row).signature
        key = module.index, blob
        found = self._caches.fields.get(key)
        if found is None:
            found = self._reader(module, module.metadata.blob(blob)).field()
            self._caches.fields[key] = found
        return found

    def locals(self, module: Module, token: int) -> tuple[Type, ...]:
        """Types of the local variables that a StandAloneSig lists."""
        row = module.metadata.row(StandAloneSigRow, token & ROW_MASK)
        return self._reader(module, module.metadata.blob(row.signature)).list()

    def find_method(
        self, type_: int, name: str, signature: MethodSignature, arguments: tuple[Type, ...] = ()
    ) -> int | None:
        """A method of a type itself whose signature, its type arguments put in, is this one."""
        module, row = self.locate(type_)
        for method in module.methods_named(row, name):
            blob = module.metadata.row(MethodDefRow, method).signature
            self._work.spend(1 + len(module.metadata.blob(blob)))
            found = self.read_signature(module, blob)
            if substitute_method(found, arguments) == signature:
                return self.identity(module, method)
        return None

    def method_of(self, module: Module, coded: int) -> Reference:
        """What a MethodDefOrRef index means."""
        table, row = METHOD_DEF_OR_REF.split(coded)
        return self.reference(module, int(table) << ROW_BITS | row)

    def reference(self, module: Module, token: int) -> Reference:
        """What a token in code means."""
        key = module.index, token
        found = self._caches.tokens.get(key)
        if found is None:
            found = self._caches.tokens[key] = self._read_reference(module, token)
        return found

    def _read_reference(self, module: Module, token: int) -> Reference:
        table, row = Table(token >> ROW_BITS), token & ROW_MASK
        identity = self.identity(module, row)
        if table is Table.METHOD_DEF:
            return Reference("method", identity, (TYPE, self.owner_of_method(identity)))
        if table is Table.FIELD:
            return Reference("field", identity, (TYPE, self.owner_of_field(identity)))
        if table is Table.MEMBER_REF:
            return self._read_member(module, row)
        if table is Table.METHOD_SPEC:
            method, blob = module.metadata.row(MethodSpecRow, row)
            generic = self.method_of(module, method)
            arguments = self._reader(module, module.metadata.blob(blob)).list()
            return Reference(generic.kind, generic.target, generic.owner, arguments)
        if table is Table.STAND_ALONE_SIG:
            blob = module.metadata.row(StandAloneSigRow, row).signature
            return Reference("signature", 0, 0x01, (), self.read_signature(module, blob))
        return Reference("type", 0, self.type_of(module, TYPE_DEF_OR_REF.join(table, row)))

    def _read_member(self, module: Module, row: int) -> Reference:
        parent, name_index, blob_index = module.metadata.row(MemberRefRow, row)
        name = module.metadata.string(name_index)
        owner, definition = self._member_parent(module, parent)
        blob = module.metadata.blob(blob_index)
        if BinaryView(blob).unsigned(0, 1) & KIND_MASK == FIELD:
            return self._read_field(module, owner, definition, name, blob)
        signature = self.read_signature(module, blob_index)
        target = self._find_inherited(definition, name, signature)
        if target is None:
            if definition is not None:
                self.unresolved.add(f"method {self.full_name(definition)}::{name} of {module.name}")
            return Reference("method", 0, owner, (), signature)
        return Reference("method", target, owner)

    def _member_parent(self, module: Module, parent: int) -> tuple[Type, int | None]:
        table, row = MEMBER_REF_PARENT.split(parent)
        if table is Table.METHOD_DEF:
            owner: Type = (TYPE, self.owner_of_method(self.identity(module, row)))
        elif table is Table.MODULE_REF:
            owner = (TYPE, self.identity(module, 1))
        else:
            owner = self.type_of(module, TYPE_DEF_OR_REF.join(table, row))
        return owner, self.definition(owner)

    def _find_inherited(
        self, type_: int | None, name: str, signature: MethodSignature
    ) -> int | None:
        if type_ is None:
            return None
        found = self.find_method(type_, name, signature)
        if found is not None:
            return found
        for base, arguments in self.chain(type_):
            found = self.find_method(base, name, signature, arguments)
            if found is not None:
                return found
        return None

    def _read_field(
        self, module: Module, owner: Type, definition: int | None, name: str, blob: bytes
    ) -> Reference:
        type_ = self._reader(module, blob).field()
        places = [] if definition is None else [(definition, ()), *self.chain(definition)]
        for place, arguments in places:
            for field_ in self.fields_named(place, name):
                self._work.spend(1 + len(blob))
                if substitute(self.field_type(field_), arguments) == type_:
                    return Reference("field", field_, owner)
        self.unresolved.add(f"field {name} of {module.name}")
        return Reference("field", 0, owner)
