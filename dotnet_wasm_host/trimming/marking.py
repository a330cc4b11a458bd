"""Marking: everything that the roots reach.

A type is *marked* when something names it, *instantiated* when an object of it can exist. A virtual
method is reached when a method whose slot it fills is, and an object of its type can exist. An
interface stays on a type while something treats objects as that interface. These are the rules of
rapid type analysis; ECMA-335 II.12.2 says how slots are filled.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.rows import (
    FieldRow,
    GenericParamConstraintRow,
    GenericParamRow,
    InterfaceImplRow,
    MethodDefRow,
    TypeDefRow,
)
from dotnet_wasm_host.ecma335.signatures import (
    FUNCTION,
    INSTANCE,
    METHOD_VAR,
    MODIFIED,
    TYPE,
    UNKNOWN,
    VAR,
    MethodSignature,
    Type,
)
from dotnet_wasm_host.ecma335.tables import Table
from dotnet_wasm_host.trimming.attributes import AttributeRules, AttributeValue, read_attribute
from dotnet_wasm_host.trimming.bodies import Bodies
from dotnet_wasm_host.trimming.descriptors import kept_by, parse_xml
from dotnet_wasm_host.trimming.keeping import keep, mark_contract
from dotnet_wasm_host.trimming.reflection import Reflection
from dotnet_wasm_host.trimming.slots import Slot, Slots
from dotnet_wasm_host.trimming.world import (
    FIELD_LITERAL,
    FIELD_STATIC,
    METHOD_NEW_SLOT,
    METHOD_STATIC,
    METHOD_VIRTUAL,
    TYPE_BEFORE_FIELD_INIT,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dotnet_wasm_host.trimming.constants import Constants
    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.references import Reference
    from dotnet_wasm_host.trimming.world import World

__all__ = ["Marker"]

DESCRIPTORS = "ILLink.Descriptors.xml"
#: II.23.1.7: GenericParam flag of ``where T : new()``.
DEFAULT_CONSTRUCTOR = 0x10


@final
class Marker:
    """What is reached; grows until :meth:`run` is through.

    Attributes:
        types, methods, fields: identities of what is kept.
        reasons: identity of a method or type to the full name of what reached it first.
    """

    def __init__(
        self,
        world: World,
        constants: Constants,
        features: Mapping[str, bool],
        *,
        open_to_guests: bool,
        optional_names: frozenset[str] = frozenset(),
    ) -> None:
        self._world = world
        self._features = features
        self._open = open_to_guests
        self._optional_names = optional_names
        self._attributes = AttributeRules(world)
        self._reflection = Reflection(world, self)
        self._bodies = Bodies(world, constants, self, self._reflection, optional_names)
        self._slots = Slots(world)
        self.types: set[int] = set()
        self.methods: set[int] = set()
        self.fields: set[int] = set()
        self.instantiated: set[int] = set()
        self.used_interfaces: set[int] = set()
        self.generic_arguments: set[int] = set()
        self.reflected: set[int] = set()
        self.kept_attributes: set[tuple[int, int]] = set()
        self.reasons: dict[tuple[str, int], str] = {}
        self._cause = "a root"
        self._implementors: dict[int, list[int]] = {}
        self._static_constructors: set[int] = set()
        self._described: set[int] = set()
        self._pending: deque[tuple[Callable[[int], None], int]] = deque()

    def run(self) -> None:
        """Follow everything that was marked to its end."""
        while self._pending:
            action, argument = self._pending.popleft()
            action(argument)

    def blame(self, cause: str) -> None:
        """What is marked from now on is reached from there."""
        self._cause = cause

    def mark_data_of(self, module: Module) -> None:
        """What a root hands to serializers, unless its look-ups only ask what is there."""
        if module.name not in self._optional_names:
            self._reflection.keep_data(module)

    def mark_whole(self, type_: int) -> None:
        """A type with all its members."""
        self.mark_type(type_)
        if not self._world.is_interface(type_):
            self.instantiate(type_)
        for method in self._world.methods(type_):
            self.mark_method(method)
        for field in self._world.fields(type_):
            self.mark_field(field)

    # Types.

    def mark_type(self, type_: int, *, use: bool = True) -> None:
        """A type that something names; ``use`` says that objects are treated as it."""
        world = self._world
        if use and world.is_interface(type_):
            self._use_interface(type_)
        if type_ in self.types:
            return
        self.types.add(type_)
        self.reasons["type", type_] = self._cause
        module, row = world.locate(type_)
        self.describe(module)
        if row in module.enclosing:
            self.mark_type(world.identity(module, module.enclosing[row]), use=False)
        flags, _, _, extends, *_ = module.metadata.row(TypeDefRow, row)
        if extends:
            self.mark_types_of(world.type_of(module, extends))
        self._mark_constraints(module, Table.TYPE_DEF, row)
        self._mark_by_kind(type_)
        self._mark_attributes(module, Table.TYPE_DEF, row)
        self._reflection.see_type(type_)
        if not flags & TYPE_BEFORE_FIELD_INIT:
            self._mark_static_constructor(type_)
        self._slots.add_type(type_)
        if self._open and world.is_visible(type_):
            mark_contract(self._world, self, type_)
        for interface, _ in world.interfaces(type_):
            self._implementors.setdefault(interface, []).append(type_)
        self._pending.append((self._recheck_type, type_))
        if world.is_interface(type_):
            self._pending.append((self._recheck_interface, type_))

    def _mark_by_kind(self, type_: int) -> None:
        """What the runtime knows of structs, enums and delegates without being told."""
        base = self._world.base(type_)
        base_name = self._world.full_name(base[0]) if base else ""
        self._mark_layout(type_, is_enum=base_name == "System.Enum")
        if base_name in {"System.ValueType", "System.Enum", "System.MulticastDelegate"}:
            self.instantiate(type_)
        if base_name == "System.MulticastDelegate":
            for name in ("Invoke", ".ctor"):
                self.mark_methods_named(type_, name)

    def _mark_layout(self, type_: int, *, is_enum: bool) -> None:
        """Instance fields are a type's layout, which native code and other fields rely on."""
        for field in self._world.fields(type_):
            module, row = self._world.locate(field)
            flags = module.metadata.row(FieldRow, row).flags
            if not flags & FIELD_STATIC or is_enum:
                self.mark_field(field)

    def mark_types_of(self, type_: Type, *, use: bool = True, argument: bool = False) -> None:
        """Every type that a type in a signature is made of."""
        world = self._world
        if isinstance(type_, int):
            self.mark_type(world.primitives[type_], use=use)
            if argument:
                self._add_argument(world.primitives[type_])
            return
        head = type_[0]
        if head == TYPE:
            self.mark_type(type_[1], use=use)
            if argument:
                self._add_argument(type_[1])
        elif head == INSTANCE:
            self._mark_instance(type_, use=use, argument=argument)
        elif head == FUNCTION:
            self._mark_signature_types(type_[1])
        elif head == MODIFIED:
            self.mark_types_of(type_[2])
            self.mark_types_of(type_[3], use=use, argument=argument)
        elif head not in {VAR, METHOD_VAR, UNKNOWN}:
            self.mark_types_of(type_[1], use=use, argument=argument)

    def _mark_instance(self, type_: tuple, *, use: bool, argument: bool) -> None:  # type: ignore[type-arg]
        self.mark_types_of(type_[1], use=use, argument=argument)
        definition = self._world.definition(type_)
        as_argument = definition is None or not self._world.is_interface(definition) or use
        for each in type_[2:]:
            self.mark_types_of(each, argument=as_argument)
        if definition is not None:
            module, row = self._world.locate(definition)
            self._check_arguments(module, Table.TYPE_DEF, row, type_[2:])

    def _mark_signature_types(self, signature: MethodSignature) -> None:
        self.mark_types_of(signature.result)
        for parameter in signature.parameters:
            self.mark_types_of(parameter)

    def _add_argument(self, type_: int) -> None:
        if type_ not in self.generic_arguments:
            self.generic_arguments.add(type_)
            self._pending.append((self._recheck_type, type_))

    def _check_arguments(
        self, module: Module, table: Table, row: int, arguments: tuple[Type, ...]
    ) -> None:
        """``new()`` and ``[DynamicallyAccessedMembers]`` on type parameters."""
        for parameter, argument in zip(module.generics_of(table, row), arguments, strict=False):
            flags = module.metadata.row(GenericParamRow, parameter).flags
            accessed = self._reflection.accessed(module, Table.GENERIC_PARAM, parameter)
            if not (flags & DEFAULT_CONSTRUCTOR or accessed):
                continue
            definition = self._world.definition(argument)
            if definition is not None:
                if flags & DEFAULT_CONSTRUCTOR:
                    self.mark_default_constructor(definition)
                self._reflection.access(definition, accessed)

    def mark_default_constructor(self, type_: int) -> None:
        """The constructor without parameters, if there is one."""
        for method in self._methods_named(type_, ".ctor"):
            if not self._world.signature(method).parameters:
                self.mark_method(method)

    def _methods_named(self, type_: int, name: str) -> Iterator[int]:
        module, row = self._world.locate(type_)
        return (self._world.identity(module, m) for m in module.methods_named(row, name))

    def mark_methods_named(self, type_: int, name: str) -> None:
        """Methods of a type with that name."""
        for method in self._methods_named(type_, name):
            self.mark_method(method)

    def _mark_static_constructor(self, type_: int) -> None:
        if type_ not in self._static_constructors:
            self._static_constructors.add(type_)
            self.mark_methods_named(type_, ".cctor")

    def _mark_constraints(self, module: Module, table: Table, row: int) -> None:
        for parameter in module.generics_of(table, row):
            for constraint in module.constraints.get(parameter, ()):
                coded = module.metadata.row(GenericParamConstraintRow, constraint).constraint
                self.mark_types_of(self._world.type_of(module, coded), use=False)

    def instantiate(self, type_: int) -> None:
        """Objects of a type can exist."""
        self.mark_type(type_)
        for each in (type_, *(base for base, _ in self._world.chain(type_))):
            if each in self.instantiated:
                break
            self.instantiated.add(each)
            self._pending.append((self._recheck_type, each))

    # Interfaces and slots.

    def _use_interface(self, interface: int) -> None:
        if interface not in self.used_interfaces:
            self.used_interfaces.add(interface)
            self._pending.append((self._recheck_interface, interface))
            for inherited, _ in self._world.interfaces(interface):
                self._use_interface(inherited)

    def keeps_interface(self, type_: int, interface: int) -> bool:
        """Whether a type still lists an interface."""
        world = self._world
        if interface not in self.types:
            return False
        module, _ = world.locate(type_)
        if module.is_root or world.is_interface(type_):
            return True
        if type_ not in self.instantiated:
            return type_ in self.generic_arguments and self._has_static_slots(interface)
        return (
            interface in self.used_interfaces
            or type_ in self.generic_arguments
            or not module.is_core
        )

    def _has_static_slots(self, interface: int) -> bool:
        return any(
            method in self.methods
            and self._world.method_row(method).flags & METHOD_STATIC
            and self._world.method_row(method).flags & METHOD_VIRTUAL
            for method in self._world.methods(interface)
        )

    def _recheck_type(self, type_: int) -> None:
        if type_ not in self.types:
            return
        module, _ = self._world.locate(type_)
        self._cause = self._world.full_name(type_)
        for slot in self._slots.of_type(type_):
            self._check(slot)
        for impl, interface, _ in self._world.declared_interfaces(type_):
            if self.keeps_interface(type_, interface):
                self.mark_interface_impl(module, impl, use=False)
        if type_ in self.instantiated:
            for method in self._methods_named(type_, "Finalize"):
                if not self._world.signature(method).parameters:
                    self.mark_method(method)

    def _recheck_interface(self, interface: int) -> None:
        if interface not in self.types:
            return
        for method in self._world.methods(interface):
            if method in self.methods:
                for slot in self._slots.over_method(method):
                    self._check(slot)
        for type_ in list(self._implementors.get(interface, ())):
            self._recheck_type(type_)

    def mark_interface_impl(self, module: Module, impl: int, *, use: bool) -> None:
        """An interface that a type lists."""
        coded = module.metadata.row(InterfaceImplRow, impl).interface
        self.mark_types_of(self._world.type_of(module, coded), use=use)

    def _check(self, slot: Slot) -> None:
        """Mark an implementation if its slot can be called on an object of its type."""
        if slot.implementation in self.methods or slot.base not in self.methods:
            return
        if slot.interface >= 0:
            reached = self._world.is_interface(slot.type) or self.keeps_interface(
                slot.type, slot.interface
            )
        else:
            reached = slot.type in self.instantiated
        if reached:
            self.mark_method(slot.implementation)

    # Members.

    def mark_field(self, field: int) -> None:
        """A field that can be used."""
        if field in self.fields:
            return
        self.fields.add(field)
        world = self._world
        module, row = world.locate(field)
        owner = world.owner_of_field(field)
        self.mark_type(owner, use=False)
        self.mark_types_of(world.field_type(field))
        flags = module.metadata.row(FieldRow, row).flags
        if flags & FIELD_STATIC and not flags & FIELD_LITERAL:
            self._mark_static_constructor(owner)
        self._mark_attributes(module, Table.FIELD, row)

    def mark_method(self, method: int) -> None:
        """A method that can be called."""
        if method not in self.methods:
            self.methods.add(method)
            self.reasons["method", method] = self._cause
            self._pending.append((self._process, method))

    def _process(self, method: int) -> None:
        world = self._world
        module, row = world.locate(method)
        owner = world.owner_of_method(method)
        self._cause = f"{world.full_name(owner)}::{world.method_name(method)}"
        _, _, flags, *_ = module.metadata.row(MethodDefRow, row)
        self.mark_type(owner, use=False)
        self._mark_signature_types(world.signature(method))
        self._mark_constraints(module, Table.METHOD_DEF, row)
        if world.method_name(method) == ".ctor":
            self.instantiate(owner)
        self._mark_attributes(module, Table.METHOD_DEF, row)
        if flags & METHOD_VIRTUAL and not flags & (METHOD_STATIC | METHOD_NEW_SLOT):
            # An override needs the slot that it overrides.
            for base in self._slots.overridden(owner, method):
                self.mark_method(base)
        if module.is_root:
            for body, declaration in module.method_impls.get(module.method_owner[row], ()):
                if world.method_of(module, body).target == method:
                    self.mark_reference(world.method_of(module, declaration))
        for slot in list(self._slots.over_method(method)):
            self._check(slot)
        self._bodies.mark_body(module, method)
        self._reflection.depend(module, row, method)

    def mark_reference(self, reference: Reference, constrained: int | None = None) -> None:
        """What a token refers to; ``constrained`` is the type that the prefix before it names."""
        world = self._world
        if reference.kind == "signature" and reference.signature is not None:
            self._mark_signature_types(reference.signature)
            return
        self.mark_types_of(reference.owner, use=constrained is None)
        if constrained is not None:
            self._add_argument(constrained)
        if reference.kind == "field" and reference.target:
            self.mark_field(reference.target)
        if reference.kind == "method" and reference.target:
            for argument in reference.arguments:
                self.mark_types_of(argument, argument=True)
            module, row = world.locate(reference.target)
            self._check_arguments(module, Table.METHOD_DEF, row, reference.arguments)
            self.mark_method(reference.target)
        elif reference.kind == "method" and reference.signature is not None:
            # A method of an array, which the runtime provides.
            self._mark_signature_types(reference.signature)

    # Attributes and descriptors.

    def keeps_attribute(self, module: Module, row: int) -> bool:
        """Whether an attribute on something that is kept stays."""
        kept = (module.index, row) in self.kept_attributes
        return kept or self._attributes.keeps(module, row)

    def attribute_name(self, module: Module, row: int) -> str:
        """Full name of an attribute's class."""
        return self._attributes.name(module, row)

    def _mark_attributes(self, module: Module, table: Table, row: int) -> None:
        if module.is_root:
            return  # All at once, by mark_root.
        for attribute in module.attributes_of(table, row):
            if self._attributes.keeps(module, attribute):
                self.mark_attribute(module, attribute)

    def mark_attribute(self, module: Module, row: int) -> None:
        """An attribute: its constructor and the types that its arguments name."""
        try:
            value = read_attribute(self._world, module, row)
        except MalformedImage:
            if module.is_root:
                return
            raise
        self.mark_reference(value.constructor)
        self._mark_named(value)
        for name in value.types:
            for part in name.all():
                type_ = part.resolve(self._world, module)
                if type_ is not None:
                    self.mark_type(type_)

    def _mark_named(self, value: AttributeValue) -> None:
        owner = self._world.definition(value.constructor.owner)
        if owner is None:
            return
        for type_ in (owner, *(base for base, _ in self._world.chain(owner))):
            for _, name, _ in value.named:
                self.mark_methods_named(type_, f"set_{name}")
                self.mark_methods_named(type_, f"get_{name}")
                for field in self._world.fields(type_):
                    if self._world.field_name(field) == name:
                        self.mark_field(field)

    def reaches(self, assembly: str) -> bool:
        """Whether anything of an assembly is marked so far."""
        module = self._world.loaded(assembly)
        return module is not None and module.index in self._described

    def describe(self, module: Module) -> None:
        """What an assembly's own descriptor keeps, once the assembly is reached."""
        if module.index in self._described:
            return
        self._described.add(module.index)
        self._reflection.reach(module)
        if module.is_root:
            return
        # Mono asserts that all of an assembly's attributes are there when it looks for friends.
        self._mark_attributes(module, Table.ASSEMBLY, 1)
        content = module.resources().get(DESCRIPTORS)
        if content is not None:
            what = f"{DESCRIPTORS} of {module.name}"
            root = parse_xml(content, what)
            for kept in list(kept_by(self._world, root, self._features, what, strict=False)):
                keep(self._world, self, kept)
