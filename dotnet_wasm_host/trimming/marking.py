"""Marking: everything that the roots reach.

A type is *marked* when something names it, *instantiated* when an object of it can exist. A virtual
method is reached when a method whose slot it fills is, and an object of its type can exist. An
interface stays on a type while something treats objects as that interface. These are the rules of
rapid type analysis; ECMA-335 II.12.2 says how slots are filled.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.il import CATCH, Op, tokens
from dotnet_wasm_host.ecma335.rows import (
    CustomAttributeRow,
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
    substitute_method,
)
from dotnet_wasm_host.ecma335.tables import TYPE_DEF_OR_REF, Table
from dotnet_wasm_host.trimming.attributes import (
    GUEST_ATTRIBUTES,
    READ_BY_THE_RUNTIME,
    AttributeValue,
    attribute_name,
    read_attribute,
)
from dotnet_wasm_host.trimming.descriptors import Kept, kept_by, parse_xml
from dotnet_wasm_host.trimming.reflection import Reflection
from dotnet_wasm_host.trimming.world import (
    FIELD_LITERAL,
    FIELD_STATIC,
    METHOD_ABSTRACT,
    METHOD_ACCESS,
    METHOD_NEW_SLOT,
    METHOD_PUBLIC,
    METHOD_STATIC,
    METHOD_VIRTUAL,
    ROW_BITS,
    TYPE_BEFORE_FIELD_INIT,
    VISIBLE_MEMBERS,
    Reference,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dotnet_wasm_host.trimming.constants import Constants
    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.world import World

__all__ = ["Marker"]

FRIENDS = "System.Runtime.CompilerServices.InternalsVisibleToAttribute"
DESCRIPTORS = "ILLink.Descriptors.xml"
#: What Mono finds by name or builds vtables from, beside what the core's own descriptor lists:
#: the interfaces that vectors implement, and those that it looks for on primitives.
VECTOR_INTERFACES = (
    "IList`1", "ICollection`1", "IEnumerable`1", "IReadOnlyList`1", "IReadOnlyCollection`1",
    "IEnumerator`1",
)  # fmt: skip
ALWAYS_INSTANTIATED = ("System.String", "System.Array", "System.Object")
ALWAYS_MARKED = ("System.IEquatable`1", "System.IComparable`1")
#: II.23.1.7: GenericParam flag of ``where T : new()``.
DEFAULT_CONSTRUCTOR = 0x10


class _Slot(NamedTuple):
    """A method and one that fills its slot.

    Attributes:
        interface: the interface that ``base`` belongs to; -1 for a class's slot.
    """

    base: int
    implementation: int
    type: int
    interface: int


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
        self._constants = constants
        self._features = features
        self._open = open_to_guests
        self._optional_names = optional_names
        self._reflection = Reflection(world, self)
        self.types: set[int] = set()
        self.methods: set[int] = set()
        self.fields: set[int] = set()
        self.instantiated: set[int] = set()
        self.used_interfaces: set[int] = set()
        self.generic_arguments: set[int] = set()
        self.reflected: set[int] = set()
        self.reasons: dict[tuple[str, int], str] = {}
        self._cause = "a root"
        self._slots_of: dict[int, list[_Slot]] = {}
        self._slots_over: dict[int, list[_Slot]] = {}
        self._implementors: dict[int, list[int]] = {}
        self._static_constructors: set[int] = set()
        self._described: set[int] = set()
        self._known_attributes: dict[tuple[int, int], str] = {}
        self._pending: deque[tuple[Callable[[int], None], int]] = deque()

    # The way in.

    def run(self) -> None:
        """Follow everything that was marked to its end."""
        while self._pending:
            action, argument = self._pending.popleft()
            action(argument)

    def mark_runtime_needs(self) -> None:
        """What Mono needs of the core library whatever runs on it."""
        world, core = self._world, self._world.core
        self._describe(core)
        for name in ALWAYS_INSTANTIATED:
            self.instantiate(self._core_type(name))
        for name in ALWAYS_MARKED:
            self.mark_type(self._core_type(name))
        for name in VECTOR_INTERFACES:
            interface = self._core_type(f"System.Collections.Generic.{name}")
            self.mark_type(interface)
            for method in world.methods(interface):
                self.mark_method(method)
        for method in world.methods(self._core_type("System.Array")):
            # The implementation of those interfaces, which Mono gives to vectors itself.
            if world.method_name(method).startswith("InternalArray__"):
                self.mark_method(method)
        for field in world.fields(self._core_type("System.String")):
            if world.field_name(field) == "Empty":
                self.mark_field(field)

    def _core_type(self, name: str) -> int:
        type_ = self._world.type_named(self._world.core, name)
        if type_ is None:
            raise MalformedImage(f"{self._world.core.name} has no {name}")
        return type_

    def mark_guest_attributes(self) -> None:
        """Attributes that compilers put onto any assembly: Mono asserts that it finds them."""
        for name in sorted(GUEST_ATTRIBUTES):
            type_ = self._world.type_named(self._world.core, name)
            if type_ is not None:
                self.instantiate(type_)
                self.mark_visible_members(type_)

    def mark_root(self, module: Module) -> None:
        """Everything in an assembly that is kept as it is."""
        world = self._world
        self._cause = module.name
        for row in module.types:
            type_ = world.identity(module, row)
            self.mark_whole(type_)
            for impl, interface, _ in world.declared_interfaces(type_):
                self.mark_type(interface)
                self._mark_interface_impl(module, impl, use=True)
        for row in module.metadata.numbers(Table.TYPE_REF):
            self._mark(world.type_of(module, TYPE_DEF_OR_REF.join(Table.TYPE_REF, row)))
        for row in module.metadata.numbers(Table.MEMBER_REF):
            self._mark_reference(world.reference(module, int(Table.MEMBER_REF) << ROW_BITS | row))
        for row in module.metadata.numbers(Table.CUSTOM_ATTRIBUTE):
            self._mark_attribute(module, row)
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

    def keep(self, kept: Kept, *, reflected: bool = False) -> None:
        """What a descriptor says of a type."""
        world, type_ = self._world, kept.type
        if kept.preserve == "public" and not world.is_visible(type_):
            return
        self.mark_type(type_)
        if reflected:
            self.reflected.add(type_)
        if not world.is_interface(type_):
            self.instantiate(type_)
        self._keep_members(kept)

    def _keep_members(self, kept: Kept) -> None:
        world, type_ = self._world, kept.type
        if kept.preserve in {"all", "fields"}:
            for field in world.fields(type_):
                self.mark_field(field)
        if kept.preserve in {"all", "methods"}:
            for method in world.methods(type_):
                self.mark_method(method)
        if kept.preserve == "public":
            self.mark_visible_members(type_)
        for method in kept.methods:
            self.mark_method(method)
        for field in kept.fields:
            self.mark_field(field)

    def mark_visible_members(self, type_: int) -> None:
        """Members that code of other assemblies can use."""
        for method in self._world.methods(type_):
            if self._is_visible(method):
                self.mark_method(method)
        for field in self._world.fields(type_):
            module, row = self._world.locate(field)
            flags = module.metadata.row(FieldRow, row).flags
            # II.23.1.5: fields have the access values of methods. Literals are in the callers.
            if flags & METHOD_ACCESS in VISIBLE_MEMBERS and not flags & FIELD_LITERAL:
                self.mark_field(field)

    def _is_visible(self, method: int) -> bool:
        return self._world.method_row(method).flags & METHOD_ACCESS in VISIBLE_MEMBERS

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
        self._describe(module)
        if row in module.enclosing:
            self.mark_type(world.identity(module, module.enclosing[row]), use=False)
        flags, _, _, extends, *_ = module.metadata.row(TypeDefRow, row)
        if extends:
            self._mark(world.type_of(module, extends))
        self._mark_constraints(module, Table.TYPE_DEF, row)
        self._mark_by_kind(type_)
        self._mark_attributes(module, Table.TYPE_DEF, row)
        if not flags & TYPE_BEFORE_FIELD_INIT:
            self._mark_static_constructor(type_)
        self._add_slots(type_)
        if self._open and world.is_visible(type_):
            self._mark_contract(type_)
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

    def _mark_contract(self, type_: int) -> None:
        """What classes of guests that are not known yet may have to implement."""
        methods = list(self._world.methods(type_))
        flags = [self._world.method_row(m).flags for m in methods]
        if self._world.is_interface(type_):
            if not any(f & METHOD_STATIC and f & METHOD_VIRTUAL for f in flags):
                for method in methods:
                    self.mark_method(method)
            return
        for method, flag in zip(methods, flags, strict=True):
            if flag & METHOD_ABSTRACT and self._is_visible(method):
                self.mark_method(method)

    def _mark(self, type_: Type, *, use: bool = True, argument: bool = False) -> None:
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
            self._mark(type_[2])
            self._mark(type_[3], use=use, argument=argument)
        elif head not in {VAR, METHOD_VAR, UNKNOWN}:
            self._mark(type_[1], use=use, argument=argument)

    def _mark_instance(self, type_: tuple, *, use: bool, argument: bool) -> None:  # type: ignore[type-arg]
        self._mark(type_[1], use=use, argument=argument)
        definition = self._world.definition(type_)
        as_argument = definition is None or not self._world.is_interface(definition) or use
        for each in type_[2:]:
            self._mark(each, argument=as_argument)
        if definition is not None:
            module, row = self._world.locate(definition)
            self._check_arguments(module, Table.TYPE_DEF, row, type_[2:])

    def _mark_signature_types(self, signature: MethodSignature) -> None:
        self._mark(signature.result)
        for parameter in signature.parameters:
            self._mark(parameter)

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
                self._mark(self._world.type_of(module, coded), use=False)

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
        for slot in self._slots_of.get(type_, ()):
            self._check(slot)
        for impl, interface, _ in self._world.declared_interfaces(type_):
            if self.keeps_interface(type_, interface):
                self._mark_interface_impl(module, impl, use=False)
        if type_ in self.instantiated:
            for method in self._methods_named(type_, "Finalize"):
                if not self._world.signature(method).parameters:
                    self.mark_method(method)

    def _recheck_interface(self, interface: int) -> None:
        if interface not in self.types:
            return
        for method in self._world.methods(interface):
            if method in self.methods:
                for slot in self._slots_over.get(method, ()):
                    self._check(slot)
        for type_ in list(self._implementors.get(interface, ())):
            self._recheck_type(type_)

    def _mark_interface_impl(self, module: Module, impl: int, *, use: bool) -> None:
        coded = module.metadata.row(InterfaceImplRow, impl).interface
        self._mark(self._world.type_of(module, coded), use=use)

    def _check(self, slot: _Slot) -> None:
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

    def _add_slots(self, type_: int) -> None:
        for slot in [*self._explicit_slots(type_), *self._inherited_slots(type_)]:
            self._add_slot(slot)
        if not self._world.is_interface(type_):
            for slot in self._interface_slots(type_):
                self._add_slot(slot)

    def _add_slot(self, slot: _Slot) -> None:
        self._slots_of.setdefault(slot.type, []).append(slot)
        self._slots_over.setdefault(slot.base, []).append(slot)

    def _explicit_slots(self, type_: int) -> Iterator[_Slot]:
        """II.22.27: MethodImpl."""
        world = self._world
        module, row = world.locate(type_)
        for body, declaration in module.method_impls.get(row, ()):
            base = world.method_of(module, declaration).target
            implementation = world.method_of(module, body).target
            if base and implementation and base != implementation:
                owner = world.owner_of_method(base)
                interface = owner if world.is_interface(owner) else -1
                yield _Slot(base, implementation, type_, interface)

    def _inherited_slots(self, type_: int) -> Iterator[_Slot]:
        """Overrides by name and signature, of every base class that has the slot."""
        world = self._world
        for method in world.methods(type_):
            flags = world.method_row(method).flags
            if flags & METHOD_VIRTUAL and not flags & (METHOD_STATIC | METHOD_NEW_SLOT):
                for base in self.overridden(type_, method):
                    yield _Slot(base, method, type_, -1)

    def overridden(self, type_: int, method: int) -> Iterator[int]:
        """Virtual methods of base classes whose slot a method reuses."""
        world = self._world
        name, signature = world.method_name(method), world.signature(method)
        for base, arguments in world.chain(type_):
            found = world.find_method(base, name, signature, arguments)
            if found is not None and world.method_row(found).flags & METHOD_VIRTUAL:
                yield found

    def _interface_slots(self, type_: int) -> Iterator[_Slot]:
        """II.12.2: interface methods that a public virtual method implements."""
        world = self._world
        chain = [(type_, ()), *world.chain(type_)]
        for interface, arguments in world.interfaces(type_):
            for method in world.methods(interface):
                flags = world.method_row(method).flags
                if flags & METHOD_STATIC or not flags & METHOD_VIRTUAL:
                    continue
                name = world.method_name(method)
                wanted = None
                for place, own in chain:
                    module, row = world.locate(place)
                    if not module.methods_named(row, name):
                        continue
                    if wanted is None:
                        wanted = substitute_method(world.signature(method), arguments)
                    found = world.find_method(place, name, wanted, own)
                    if found is not None and self._implements(found):
                        yield _Slot(method, found, type_, interface)
                        break

    def _implements(self, method: int) -> bool:
        flags = self._world.method_row(method).flags
        return (
            bool(flags & METHOD_VIRTUAL)
            and not flags & METHOD_STATIC
            and flags & METHOD_ACCESS == METHOD_PUBLIC
        )

    # Members.

    def mark_field(self, field: int) -> None:
        if field in self.fields:
            return
        self.fields.add(field)
        world = self._world
        module, row = world.locate(field)
        owner = world.owner_of_field(field)
        self.mark_type(owner, use=False)
        self._mark(world.field_type(field))
        flags = module.metadata.row(FieldRow, row).flags
        if flags & FIELD_STATIC and not flags & FIELD_LITERAL:
            self._mark_static_constructor(owner)
        self._mark_attributes(module, Table.FIELD, row)

    def mark_method(self, method: int) -> None:
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
            for base in self.overridden(owner, method):
                self.mark_method(base)
        if module.is_root:
            for body, declaration in module.method_impls.get(module.method_owner[row], ()):
                if world.method_of(module, body).target == method:
                    self._mark_reference(world.method_of(module, declaration))
        for slot in list(self._slots_over.get(method, ())):
            self._check(slot)
        self._mark_body(module, method)
        self._reflection.depend(module, row, method)

    def _mark_body(self, module: Module, method: int) -> None:
        world = self._world
        body = self._constants.body(method)
        if body is None:
            return
        if body.locals_token:
            for local in world.locals(module, body.locals_token):
                self._mark(local)
        for clause in body.clauses:
            if clause.kind == CATCH:
                self._mark_reference(world.reference(module, clause.extra))
        previous = None
        for _, op, token in (found := tokens(body.code)):
            if op == Op.LDSTR:
                continue
            reference = world.reference(module, token)
            if op == Op.CONSTRAINED:
                self._mark(reference.owner, use=False)
                previous = world.definition(reference.owner)
                continue
            self._mark_reference(reference, constrained=previous)
            if op == Op.LDTOKEN and reference.kind == "type":
                self._mark_open_type(reference.owner)
            previous = None
        self._reflection.follow(
            module, method, found, by_name=module.name not in self._optional_names
        )

    def _mark_open_type(self, type_: Type) -> None:
        """``typeof(G<>)`` and ``typeof(G<int>)`` are there to be made and created.

        No annotation survives MakeGenericType, so every constructor counts.
        """
        definition = self._world.definition(type_)
        if definition is None or self._world.is_interface(definition):
            return
        module, row = self._world.locate(definition)
        if module.generics_of(Table.TYPE_DEF, row):
            self.mark_methods_named(definition, ".ctor")

    def _mark_reference(self, reference: Reference, constrained: int | None = None) -> None:
        world = self._world
        if reference.kind == "signature" and reference.signature is not None:
            self._mark_signature_types(reference.signature)
            return
        self._mark(reference.owner, use=constrained is None)
        if constrained is not None:
            self._add_argument(constrained)
        if reference.kind == "field" and reference.target:
            self.mark_field(reference.target)
        if reference.kind == "method" and reference.target:
            for argument in reference.arguments:
                self._mark(argument, argument=True)
            module, row = world.locate(reference.target)
            self._check_arguments(module, Table.METHOD_DEF, row, reference.arguments)
            self.mark_method(reference.target)
        elif reference.kind == "method" and reference.signature is not None:
            # A method of an array, which the runtime provides.
            self._mark_signature_types(reference.signature)

    # Attributes and descriptors.

    def attribute_name(self, module: Module, row: int) -> str:
        """Full name of an attribute's class."""
        coded = module.metadata.row(CustomAttributeRow, row).type
        key = module.index, coded
        name = self._known_attributes.get(key)
        if name is None:
            name = attribute_name(self._world, module, row)
            self._known_attributes[key] = name
        return name

    def keeps_attribute(self, module: Module, row: int) -> bool:
        """Whether an attribute on something that is kept stays."""
        name = self.attribute_name(module, row)
        if name == FRIENDS:
            friend = str(read_attribute(self._world, module, row).fixed[0])
            return self._world.has(friend.partition(",")[0].strip())
        return name.rpartition(".")[2] in READ_BY_THE_RUNTIME

    def _mark_attributes(self, module: Module, table: Table, row: int) -> None:
        if module.is_root:
            return  # All at once, by mark_root.
        for attribute in module.attributes_of(table, row):
            if self.keeps_attribute(module, attribute):
                self._mark_attribute(module, attribute)

    def _mark_attribute(self, module: Module, row: int) -> None:
        try:
            value = read_attribute(self._world, module, row)
        except MalformedImage:
            if module.is_root:
                return
            raise
        self._mark_reference(value.constructor)
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

    def _describe(self, module: Module) -> None:
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
                self.keep(kept)
