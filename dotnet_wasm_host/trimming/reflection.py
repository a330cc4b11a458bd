"""What code reaches by reflection, as far as it says so: annotations, ``typeof``, names."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.il import Op
from dotnet_wasm_host.ecma335.rows import FieldRow, ParamRow
from dotnet_wasm_host.ecma335.tables import Table
from dotnet_wasm_host.trimming.attributes import read_attribute
from dotnet_wasm_host.trimming.type_names import TypeName, parse_type_name
from dotnet_wasm_host.trimming.world import METHOD_ACCESS, METHOD_PUBLIC, ROW_BITS, ROW_MASK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dotnet_wasm_host.trimming.marks import Marks
    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.world import World

__all__ = ["Reflection"]

_CODE_ANALYSIS = "System.Diagnostics.CodeAnalysis."
ACCESSED_MEMBERS = f"{_CODE_ANALYSIS}DynamicallyAccessedMembersAttribute"
UNBOUNDED = f"{_CODE_ANALYSIS}RequiresUnreferencedCodeAttribute"
DEPENDENCY = f"{_CODE_ANALYSIS}DynamicDependencyAttribute"
#: System.Diagnostics.CodeAnalysis.DynamicallyAccessedMemberTypes.
DEFAULT_CONSTRUCTOR, PUBLIC_CONSTRUCTORS, OTHER_CONSTRUCTORS = 0x1, 0x2, 0x4
PUBLIC_METHODS, OTHER_METHODS, PUBLIC_FIELDS, OTHER_FIELDS = 0x8, 0x10, 0x20, 0x40
PUBLIC_NESTED, OTHER_NESTED, PUBLIC_PROPERTIES, OTHER_PROPERTIES = 0x80, 0x100, 0x200, 0x400
PUBLIC_EVENTS, OTHER_EVENTS, INTERFACES = 0x800, 0x1000, 0x2000
_ACCESSORS = {
    "get_": (PUBLIC_PROPERTIES, OTHER_PROPERTIES), "set_": (PUBLIC_PROPERTIES, OTHER_PROPERTIES),
    "add_": (PUBLIC_EVENTS, OTHER_EVENTS), "remove_": (PUBLIC_EVENTS, OTHER_EVENTS),
}  # fmt: skip
ALL_MEMBERS = 0x7FFFFFFF


DATA_MEMBERS = PUBLIC_PROPERTIES | PUBLIC_FIELDS | PUBLIC_CONSTRUCTORS
IMMUTABLE = "System.Collections.Immutable."
#: The class that makes immutable collections of a type has its name, but for these.
_MADE_BY_OTHERS = {"IImmutableSet": "ImmutableHashSet"}
CREATE_RANGE = "CreateRange"
_SERIALIZATION = "System.Runtime.Serialization."
CONTRACTS = frozenset(
    f"{_SERIALIZATION}{name}Attribute" for name in ("CollectionDataContract", "DataContract")
)
CONTRACT_MEMBERS = frozenset(
    f"{_SERIALIZATION}{name}Attribute" for name in ("DataMember", "EnumMember", "IgnoreDataMember")
)


def _rows(module: Module, table: Table) -> range:
    return range(1, len(module.metadata.rows(table)) + 1)


@final
class Reflection:
    """Marks members that are reached by reflection."""

    def __init__(self, world: World, marks: Marks) -> None:
        self._world = world
        self._marks = marks
        self._parameters: dict[int, int] = {}
        self._deferred: dict[str, list[tuple[Module, int, tuple[object, ...]]]] = {}
        self._deferred_names: dict[str, list[tuple[Module, TypeName, int]]] = {}
        self._contracts: list[int] = []
        self._contracts_are_read = False

    def accessed(self, module: Module, table: Table, row: int) -> int:
        """Flags of ``[DynamicallyAccessedMembers]`` on a parameter, field or type parameter."""
        for attribute in module.attributes_of(table, row):
            if self._marks.attribute_name(module, attribute) == ACCESSED_MEMBERS:
                return int(read_attribute(self._world, module, attribute).fixed[0]) & ALL_MEMBERS  # type: ignore[arg-type]
        return 0

    def access(self, type_: int, flags: int) -> None:
        """Mark the members of a type, and what it inherits, that the flags name."""
        if not flags:
            return
        marks = self._marks
        marks.mark_type(type_)
        if flags & (DEFAULT_CONSTRUCTOR | PUBLIC_CONSTRUCTORS):
            marks.mark_default_constructor(type_)
        for each in (type_, *(base for base, _ in self._world.chain(type_))):
            self._access_members(each, flags, inherited=each != type_)

    def _access_members(self, type_: int, flags: int, *, inherited: bool) -> None:
        world, marks = self._world, self._marks
        for method in world.methods(type_):
            public = world.method_row(method).flags & METHOD_ACCESS == METHOD_PUBLIC
            if flags & self._wanted(world.method_name(method), public=public, inherited=inherited):
                marks.mark_method(method)
        for field in world.fields(type_):
            module, row = world.locate(field)
            public = module.metadata.row(FieldRow, row).flags & METHOD_ACCESS == METHOD_PUBLIC
            if flags & (PUBLIC_FIELDS if public else OTHER_FIELDS):
                marks.mark_field(field)
        if flags & (PUBLIC_PROPERTIES | OTHER_PROPERTIES | PUBLIC_EVENTS | OTHER_EVENTS):
            marks.reflected.add(type_)
        if flags & INTERFACES:
            for interface, _ in world.interfaces(type_):
                marks.mark_type(interface)
        module, row = world.locate(type_)
        if flags & (PUBLIC_NESTED | OTHER_NESTED) and not inherited:
            for nested in module.nested.get(row, ()):
                marks.mark_whole(world.identity(module, nested))

    @staticmethod
    def _wanted(name: str, *, public: bool, inherited: bool) -> int:
        """The flags that ask for a method."""
        if name in {".ctor", ".cctor"}:
            if inherited or name == ".cctor":
                return 0
            return PUBLIC_CONSTRUCTORS if public else OTHER_CONSTRUCTORS
        wanted = PUBLIC_METHODS if public else OTHER_METHODS
        for prefix, (public_flag, other_flag) in _ACCESSORS.items():
            if name.startswith(prefix):
                wanted |= public_flag if public else other_flag
        return wanted

    def follow(
        self, module: Module, method: int, code: list[tuple[int, int, int]], *, by_name: bool
    ) -> None:
        """``typeof`` and names of types in a method that hands them to something annotated.

        Without data flow, every type named in the method is taken to reach every annotated
        parameter and field in it, and its own annotated result. Texts are names that it looks
        up; without ``by_name`` they count once something else uses their assemblies.
        """
        world = self._world
        types: list[int] = []
        texts: list[int] = []
        flags, looks_up = self._annotated_result(method), False
        for _, op, token in code:
            if op == Op.LDSTR:
                texts.append(token & ROW_MASK)
                continue
            reference = world.reference(module, token)
            if op == Op.LDTOKEN and reference.kind == "type":
                definition = world.definition(reference.owner)
                types += [definition] if definition is not None else []
            elif reference.kind == "method" and reference.target:
                flags |= self._annotated_parameters(reference.target)
                looks_up |= self._finds_types(reference.target)
            elif reference.kind == "field" and reference.target:
                place, row = world.locate(reference.target)
                flags |= self.accessed(place, Table.FIELD, row)
        for type_ in types:
            self.access(type_, flags)
        for text in texts if looks_up else ():
            content = module.metadata.user_string(text)[:-1].decode("utf-16-le", "replace")
            name = parse_type_name(content)
            if by_name or self._marks.reaches(name.assembly):
                self._access_name(module, name, flags | DEFAULT_CONSTRUCTOR)
            else:
                waiting = self._deferred_names.setdefault(name.assembly, [])
                waiting.append((module, name, flags | DEFAULT_CONSTRUCTOR))

    def _access_name(self, module: Module, name: TypeName, flags: int) -> None:
        type_ = name.resolve(self._world, module)
        if type_ is not None:
            self._marks.mark_type(type_)
            self.access(type_, flags)

    def _annotated_parameters(self, method: int) -> int:
        flags = self._parameters.get(method)
        if flags is None:
            module, row = self._world.locate(method)
            flags = 0
            for parameter in module.parameters(row):
                # Sequence 0 is the result (II.22.33).
                if module.metadata.row(ParamRow, parameter).sequence:
                    flags |= self.accessed(module, Table.PARAM, parameter)
            flags |= self.accessed(module, Table.METHOD_DEF, row)
            self._parameters[method] = flags
        return flags

    def _annotated_result(self, method: int) -> int:
        module, row = self._world.locate(method)
        for parameter in module.parameters(row):
            # Sequence 0 is the result (II.22.33).
            if not module.metadata.row(ParamRow, parameter).sequence:
                return self.accessed(module, Table.PARAM, parameter)
        return 0

    def _finds_types(self, method: int) -> bool:
        name = self._world.method_name(method)
        if name not in {"GetType", "CreateInstance"}:
            return False
        owner = self._world.full_name(self._world.owner_of_method(method))
        return owner in {"System.Type", "System.Reflection.Assembly", "System.Activator"}

    def depend(self, module: Module, row: int, method: int) -> None:
        """``[DynamicDependency]`` on a method."""
        for attribute in module.attributes_of(Table.METHOD_DEF, row):
            if self._marks.attribute_name(module, attribute) == DEPENDENCY:
                try:
                    value = read_attribute(self._world, module, attribute)
                except MalformedImage:
                    continue
                self._depend(module, self._world.owner_of_method(method), value.fixed)

    def see_type(self, type_: int) -> None:
        """A type is marked: it may have a contract for serializers, or be what says so.

        Attributes of contracts are read by DataContractSerializer alone, so that types of the base
        library keep theirs, and all that they have, once something looks for such attributes.
        """
        world = self._world
        module, _ = world.locate(type_)
        if not self._contracts_are_read and world.full_name(type_) in CONTRACTS:
            self._contracts_are_read = True
            for waiting in self._contracts:
                self._keep_contract(waiting)
        names = (self._marks.attribute_name(module, a) for a in self._attributes(type_))
        if not module.is_root and not CONTRACTS.isdisjoint(names):
            if self._contracts_are_read:
                self._keep_contract(type_)
            else:
                self._contracts.append(type_)

    def _attributes(self, type_: int) -> Iterable[int]:
        module, row = self._world.locate(type_)
        return module.attributes_of(Table.TYPE_DEF, row)

    def _keep_contract(self, type_: int) -> None:
        marks = self._marks
        module, row = self._world.locate(type_)
        marks.mark_whole(type_)
        marks.reflected.add(type_)
        members = [(Table.FIELD, field) for field in module.fields(row)]
        members += [(Table.PROPERTY, property_) for property_ in module.properties(row)]
        for place in ((Table.TYPE_DEF, row), *members):
            for attribute in module.attributes_of(*place):
                if marks.attribute_name(module, attribute) in CONTRACTS | CONTRACT_MEMBERS:
                    marks.mark_attribute(module, attribute)
                    marks.kept_attributes.add((module.index, attribute))

    def keep_data(self, module: Module) -> None:
        """What serializers may look at, if a root calls one that works by reflection.

        Such methods say ``[RequiresUnreferencedCode]``. The data are then of types that the
        root's fields, type arguments and the results of methods it calls are made of.
        """
        if not self._calls_unbounded_reflection(module):
            return
        world = self._world
        kinds = [world.field_type(world.identity(module, f)) for f in _rows(module, Table.FIELD)]
        for table in (Table.METHOD_SPEC, Table.TYPE_SPEC):
            for row in _rows(module, table):
                reference = world.reference(module, int(table) << ROW_BITS | row)
                kinds += [reference.owner, *reference.arguments]
        for row in _rows(module, Table.MEMBER_REF):
            reference = world.reference(module, int(Table.MEMBER_REF) << ROW_BITS | row)
            if reference.kind == "method" and reference.target:
                kinds.append(world.signature(reference.target).result)
        for kind in kinds:
            for type_ in world.definitions(kind):
                if not world.locate(type_)[0].is_root:
                    self.access(type_, DATA_MEMBERS)
                    self._keep_factory(type_)

    def _keep_factory(self, type_: int) -> None:
        """The ``CreateRange`` that serializers look up by name to make immutable collections."""
        world, marks = self._world, self._marks
        space, immutable, name = world.full_name(type_).rpartition(IMMUTABLE)
        name = name.partition("`")[0]
        if space or not immutable:
            return
        name = _MADE_BY_OTHERS.get(name, name.removeprefix("I") if name[1:2] == "I" else name)
        module, _ = world.locate(type_)
        factory = world.type_named(module, IMMUTABLE + name)
        if factory is None:
            return
        marks.mark_type(factory)
        for method in world.methods(factory):
            one = len(world.signature(method).parameters) == 1
            if one and world.method_name(method) == CREATE_RANGE:
                marks.mark_method(method)

    def _calls_unbounded_reflection(self, module: Module) -> bool:
        world = self._world
        for row in _rows(module, Table.MEMBER_REF):
            target = world.reference(module, int(Table.MEMBER_REF) << ROW_BITS | row)
            if target.kind != "method" or not target.target:
                continue
            place, method = world.locate(target.target)
            for attribute in place.attributes_of(Table.METHOD_DEF, method):
                if self._marks.attribute_name(place, attribute) == UNBOUNDED:
                    return True
        return False

    def reach(self, module: Module) -> None:
        """An assembly is used now: what the core wants of it then."""
        for place, owner, fixed in self._deferred.pop(module.name, ()):
            self._depend(place, owner, fixed)
        for place, name, flags in self._deferred_names.pop(module.name, ()):
            self._access_name(place, name, flags)

    def _depend(self, module: Module, owner: int, fixed: tuple[object, ...]) -> None:
        what, *place = fixed
        type_: int | None = owner
        if place:
            first = place[0]
            name = first if isinstance(first, TypeName) else parse_type_name(str(first))
            if len(place) > 1:
                name = TypeName(name.name, str(place[1]), name.arguments)
            if module.is_core and not self._marks.reaches(name.assembly or module.name):
                # The core needs the assembly for its users, not for itself: JSImport.
                self._deferred.setdefault(name.assembly, []).append((module, owner, fixed))
                return
            type_ = name.resolve(self._world, module)
        if type_ is None:
            return
        if isinstance(what, str):
            self._depend_on_member(type_, what)
        elif isinstance(what, int):
            self.access(type_, what & ALL_MEMBERS)

    def _depend_on_member(self, type_: int, signature: str) -> None:
        """A member by the name it has in documentation comments; its overloads come with it."""
        marks, world = self._marks, self._world
        name = signature.partition("(")[0].partition("`")[0].replace("#", ".")
        marks.mark_type(type_)
        marks.mark_methods_named(type_, name)
        for accessor in ("get_", "set_", "add_", "remove_"):
            marks.mark_methods_named(type_, accessor + name)
        for field in world.fields(type_):
            if world.field_name(field) == name:
                marks.mark_field(field)
