"""Shapes made of the types in signatures."""

from __future__ import annotations

import enum
from collections import abc
from dataclasses import replace
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
    VOID,
)
from dotnet_wasm_host.typed import library
from dotnet_wasm_host.typed.classes import make_abstract, make_enum, make_record, python_names
from dotnet_wasm_host.typed.composing import (
    MAPPINGS,
    checked,
    contains,
    is_hashable,
    is_record,
    mapping_of,
    python_name,
    tuple_of,
)
from dotnet_wasm_host.typed.containers import collection_of, grid_of
from dotnet_wasm_host.typed.definitions import TypeDefinition, library_type
from dotnet_wasm_host.typed.handles import handle_packer, handle_reader, make_delegate, make_handle
from dotnet_wasm_host.typed.inheritance import Families
from dotnet_wasm_host.typed.nullability import ANNOTATED, NEVER, bare
from dotnet_wasm_host.typed.objects import TYPE_BITS, make_object_class
from dotnet_wasm_host.typed.record_fields import record_fields
from dotnet_wasm_host.typed.shapes import (
    Block,
    Delegate,
    Dynamic,
    Fixed,
    Handle,
    Kind,
    Number,
    Optional,
    Record,
    Shape,
    Tuple,
    alias,
    bare_shape,
)
from dotnet_wasm_host.typed.unsupported import Unsupported, is_identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dotnet_wasm_host.typed.metadata import TypeReader

__all__ = ["ShapeBuilder", "csharp_name"]

#: Types inside of types; the deepest that people write has five.
_MAX_DEPTH = 40
#: Constructed types of an assembly's own generic types. A generic type can name ever larger ones.
_MOST_CONSTRUCTED = 500
#: Records that derive from one: each has a number of a byte.
_MOST_DERIVED = 250
_VALUE_TUPLE, _KEY_VALUE = "System.ValueTuple`", "System.Collections.Generic.KeyValuePair`2"
_OPEN = "type parameters are not supported; write the method for one type"
_ADVICE = "use a record, a struct or a type that docs/typed.md names"


def csharp_name(of: TypeDefinition) -> str:
    """A type as C# writes it, complete. ``@`` so that no name is a keyword."""
    return of.csharp or "global::" + ".".join(f"@{part}" for part in of.path)


@final
class ShapeBuilder:
    """Makes shapes; each enum and record gets one class, whoever uses it.

    Args:
        readers: the assembly's, and those of what it refers to.
        module: ``__module__`` of the classes.
        framework: finds a type of .NET itself.
        nullability: whether shapes say what C# says of null.
    """

    def __init__(
        self,
        readers: Iterable[TypeReader],
        module: str,
        framework: Callable[[str], TypeDefinition | None] = lambda _: None,
        *,
        nullability: bool = True,
    ) -> None:
        self._nullability = nullability
        self._readers = tuple(readers)
        self._framework = framework
        self._library_enums: dict[str, TypeDefinition | None] = {}
        self._constructed_types: dict[tuple[Any, ...], TypeDefinition] = {}
        self._module = module
        self._named: dict[TypeDefinition, Shape] = {}
        self._by_name: dict[str, TypeDefinition] | None = None
        #: Classes by the type that they stand for.
        self.classes: dict[TypeDefinition, type] = {}
        #: Records, likewise.
        self.records: dict[TypeDefinition, Record] = {}
        #: Types whose objects stay in .NET, likewise.
        self.objects: dict[TypeDefinition, Handle] = {}
        self._families = Families(
            (t for r in self._readers for t in r.types.values()),
            lambda of, arguments: self._closed(of, arguments, 0),
        )
        self._begun: set[TypeDefinition] = set()
        self._delegates: dict[tuple[Any, ...], Delegate] = {}
        self._dynamic: Dynamic | None = None
        #: Enum classes and their members by number, by shape.
        self.enums: dict[Shape, type] = {}

    def build(self, type_: Any, depth: int = 0) -> Shape:  # noqa: ANN401 - as the reader has it
        """The shape of a type. :class:`Unsupported` if it has none."""
        if isinstance(type_, tuple) and type_[0] == ANNOTATED:
            inner = self.build(type_[2], depth)
            return checked(inner, is_nullable=type_[1] != NEVER) if self._nullability else inner
        shape = self._build(type_, depth)
        if depth and isinstance(bare_shape(shape), Delegate):
            raise Unsupported("delegates are not supported inside of other values")
        return shape

    def _build(self, type_: Any, depth: int) -> Shape:  # noqa: ANN401 - as the reader has it
        if depth > _MAX_DEPTH:
            raise Unsupported(f"types of more than {_MAX_DEPTH} levels are not supported")
        if isinstance(type_, int):
            if type_ in library.PRIMITIVES:
                return library.PRIMITIVES[type_]
            if type_ == OBJECT:
                return self._object()
            raise Unsupported(f"this type cannot be passed; {_ADVICE}")
        head = type_[0]
        if head == "T":
            return self._simple(type_[1])
        if head == VECTOR:
            return collection_of("[]", self.build(type_[1], depth + 1))
        if head == INSTANCE:
            return self._constructed(type_, depth)
        if head == ARRAY:
            return grid_of(self.build(type_[1], depth + 1), type_[2])
        reasons: dict[Any, str] = {
            BYREF: "references are not supported here",
            POINTER: "pointers cannot be passed; use a span",
            **dict.fromkeys((VAR, METHOD_VAR), _OPEN),
        }
        raise Unsupported(reasons.get(head, "this type is not supported"))

    def _object(self) -> Dynamic:
        """``object``, whose values are of any type."""
        if self._dynamic is None:
            of = replace(library_type(self._readers[0], "System.Object"), csharp="object")
            cls = make_object_class(of.name, (), self._module, disposable=False)
            number = self._next_number(of.name)
            handle = self.objects[of] = make_handle("object", cls, number, of.name)
            self._dynamic = Dynamic("object", Any, handle)
        return self._dynamic

    def finish(self) -> None:
        """Say what values of ``object`` may be, when all signatures are known."""
        if self._dynamic is not None:
            records = self.records.values()
            self._dynamic.records.extend(r for r in records if not r.is_abstract)
            self._dynamic.enums.extend(one for one in self.enums if isinstance(one, Fixed))

    def _simple(self, of: TypeDefinition | str) -> Shape:
        if isinstance(of, str):
            if library.is_delegate(of):
                return self._library_delegate(of, [])
            if of == library.EVENT_ARGUMENTS:
                return replace(self._object(), csharp=f"global::{of}")
            found = library.FIXED.get(of) or library.NAMED.get(of)
            if found is not None:
                return found
            defined = self.find(of) or self._library_enum(of)
            if defined is None:
                raise Unsupported(f"{of} cannot be passed; {_ADVICE}")
            of = defined
        if of not in self._named:
            self._check(of)
            if of.is_enum:
                self._named[of] = self._enum(of)
            elif of.is_value_type:
                self._record(of)
            elif of.is_delegate:
                self._named[of] = self._own_delegate(of)
            else:
                self._object_or_record(of)
        return self._named[of]

    def _object_or_record(self, of: TypeDefinition) -> None:
        """A record if Python can have all of it, else an object that stays in .NET."""
        if is_record(of):
            before = [kept.copy() for kept in self._kept()]
            try:
                self._record(of)
            except Unsupported:
                # What was built on the way may have this inside.
                self._restore(before)
            else:
                return
        self._named[of] = self.objects[of] = self._handle(of)

    def _restore(self, before: list[Any]) -> None:
        for kept, content in zip(self._kept(), before, strict=True):
            kept.clear()
            kept.update(content)

    def _kept(self) -> tuple[Any, ...]:
        return (self._named, self.classes, self.records, self.objects, self._begun,
                self._delegates, self.enums)  # fmt: skip

    def find(self, full_name: str) -> TypeDefinition | None:
        """A type of the assembly, or of those it refers to."""
        if self._by_name is None:
            self._by_name = {}
            for reader in self._readers:
                for defined in reader.types.values():
                    self._by_name.setdefault(defined.full_name, defined)
        return self._by_name.get(full_name)

    def _library_enum(self, name: str) -> TypeDefinition | None:
        """An enum of .NET itself."""
        if name not in self._library_enums:
            self._library_enums[name] = found = self._framework(name)
            if found is not None and not (found.is_enum and found.is_visible):
                self._library_enums[name] = None
        return self._library_enums[name]

    def _closed(self, of: TypeDefinition, arguments: tuple[Any, ...], depth: int) -> TypeDefinition:
        """A generic type with types for its type parameters, as a type of its own."""
        key = (of, *map(bare, arguments))
        if key not in self._constructed_types:
            if len(self._constructed_types) >= _MOST_CONSTRUCTED:
                raise Unsupported(
                    f"more than {_MOST_CONSTRUCTED} constructed types are not supported"
                )
            parts = [self.build(argument, depth + 1) for argument in arguments]
            names, rest = [], [part.csharp for part in parts]
            for part in of.path:
                name, _, count = part.partition("`")
                own, rest = rest[: int(count or 0)], rest[int(count or 0) :]
                names.append(f"@{name}<{', '.join(own)}>" if own else f"@{name}")
            plain = [part.partition("`")[0] for part in of.path]
            plain[-1] = "_".join((plain[-1], *(python_name(part.csharp) for part in parts)))
            self._constructed_types[key] = replace(
                of,
                path=tuple(plain),
                generic_count=0,
                arguments=arguments,
                csharp=f"global::{'.'.join(names)}",
                generic=of,
            )
        return self._constructed_types[key]

    def _check(self, of: TypeDefinition) -> None:
        name = ".".join(of.path)
        if not of.is_visible:
            raise Unsupported(f"{name} is not public; make it public")
        if of.generic_count:
            raise Unsupported(f"{name} is generic; write which types it is of")
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
        self._begun.add(of)
        bases = list(self._bases(of))
        number = self._next_number(name)
        cls = make_object_class(
            of.name,
            [base.cls for base in bases],
            self._module,
            disposable=("T", "System.IDisposable") in of.reader.interfaces(of),
        )
        self.classes[of] = cls
        return make_handle(csharp, cls, number, name)

    def _next_number(self, name: str) -> int:
        number = len(self.objects) + 1
        if number >= 1 << TYPE_BITS:
            raise Unsupported(f"{name} is one class too many: {number - 1} can be passed")
        return number

    def _delegate(
        self,
        of: TypeDefinition,
        csharp: str,
        parameters: Iterable[Any],
        result: Any,  # noqa: ANN401
    ) -> Delegate:
        """A delegate's shape."""
        types = list(parameters)
        tokens = tuple(n for n, type_ in enumerate(types) if type_ == library.TOKEN)
        shapes = tuple(self.build(type_) for type_ in types if type_ != library.TOKEN)
        result, task = library.task_of(result)
        if tokens and not task:
            raise Unsupported(f"{of.name} takes a CancellationToken and gives no task")
        if any(isinstance(shape, Block) and shape.result == "memoryview" for shape in shapes):
            raise Unsupported(f"{of.name} takes spans, which delegates of Python cannot")
        given = None if result == VOID else self.build(result)
        if any(isinstance(bare_shape(s), Delegate) for s in (*shapes, *([given] if given else []))):
            raise Unsupported(f"{of.name} takes or gives delegates, which those of Python cannot")
        number = self._next_number(of.name)
        cls = make_object_class(of.name, (), self._module, disposable=False)
        callable_: Any = abc.Callable
        gives: Any = given.python if given else None
        python = callable_[[s.python for s in shapes], abc.Awaitable[gives] if task else gives]
        name = ".".join(of.path)
        shape = make_delegate(csharp, python, cls, number, name, shapes, given, task, tokens)
        self.objects[of] = shape
        return shape

    def _own_delegate(self, of: TypeDefinition) -> Delegate:
        """A delegate type of the assembly."""
        name = ".".join(of.path)
        if of in self._begun:
            raise Unsupported(f"{name} takes or gives itself")
        self._begun.add(of)
        for method in of.reader.methods(of):
            if method.name == "Invoke":
                types = [parameter.type for parameter in method.parameters]
                if any(isinstance(type_, tuple) and type_[0] == BYREF for type_ in types):
                    raise Unsupported(f"{name} has 'ref', 'out' or 'in', which Python has not")
                return self._delegate(of, csharp_name(of), types, method.result)
        raise Unsupported(f"{name} is no delegate")

    def _library_delegate(self, name: str, arguments: list[Any]) -> Delegate:
        """One of .NET's own."""
        key = (name, *arguments)
        if key not in self._delegates:
            parameters, result = library.delegate_signature(name, arguments)
            parts = [self._csharp(argument) for argument in arguments]
            short = name.partition("`")[0]
            inner = f"<{', '.join(parts)}>" if parts else ""
            of = library_type(self._readers[0], short)
            self._delegates[key] = self._delegate(of, f"global::{short}{inner}", parameters, result)
        return self._delegates[key]

    def _csharp(self, type_: Any) -> str:  # noqa: ANN401 - as the reader has it
        """A type argument of a delegate of .NET as C# writes it."""
        if type_ == library.TOKEN:
            return "global::System.Threading.CancellationToken"
        result, task = library.task_of(type_)
        if not task:
            return self.build(type_).csharp
        inner = "" if result == VOID else f"<{self.build(result).csharp}>"
        return f"global::System.Threading.Tasks.{task}{inner}"

    def _bases(self, of: TypeDefinition) -> Iterator[Handle]:
        """The base class, then interfaces, as far as they are public and not of .NET itself."""
        for type_ in (of.reader.base(of), *of.reader.interfaces(of)):
            name = type_[1] if type_ is not None else ""
            if isinstance(name, tuple):  # a constructed type
                name = name[1]
            if not isinstance(name, str) or self.find(name) is not None:
                try:
                    shape = self.build(type_)
                except Unsupported:
                    continue
                if isinstance(shape, Handle):
                    yield shape

    def has_base(self, of: TypeDefinition) -> bool:
        """Whether the base class is one that Python has, too."""
        base = of.reader.base(of)
        try:
            return isinstance(base, tuple) and isinstance(self.build(base), Handle)
        except Unsupported:
            return False

    def object_names(self) -> Iterator[tuple[str, Any]]:
        """What the expressions of objects call."""
        handles = sorted(self.objects.values(), key=lambda handle: handle.number)
        for shape in handles:
            is_any = self._dynamic is not None and shape is self._dynamic.handle
            known = {h.number: h.cls for h in handles if is_any or issubclass(h.cls, shape.cls)}
            yield f"O{shape.number}", handle_packer(shape.cls)
            yield f"o{shape.number}", handle_reader(known)

    # ---------------------------------------------------------------- records

    def _record(self, of: TypeDefinition) -> None:
        """A record or struct; known by name before its fields are, which may have it inside."""
        name = ".".join(of.path)
        shape = Record(
            csharp_name(of), object, of.name, not of.is_value_type, is_abstract=of.is_abstract
        )
        self._named[of] = shape
        try:
            if not of.is_abstract:
                shape.fields = tuple(record_fields(of, lambda type_: self.build(type_, 1)))
        except Unsupported as reason:
            del self._named[of]
            raise Unsupported(f"{name}: {reason}") from None
        names = [field.name for field in shape.fields]
        if python_names(names) != names:
            del self._named[of]
            raise Unsupported(f"{name} has fields whose names Python cannot have")
        derived = self._families.derived(of) if shape.is_class else []
        shape.is_open = bool(derived)
        if of.is_abstract and not derived:
            raise Unsupported(f"{name} has no record that derives from it")
        fields = [(field.name, field.shape.python) for field in shape.fields]
        make = make_abstract if of.is_abstract else make_record
        shape.python = self.classes[of] = make(of.name, fields, self._module, is_open=shape.is_open)
        self.records[of] = shape
        shape.derived = tuple(self._derived(shape, derived))
        if of.is_abstract and not shape.derived:  # that others may see
            raise Unsupported(f"{name} has no record that derives from it")
        for other in shape.derived:
            shape.python.register(other.python)
        for one in (shape, *shape.derived):
            one.recursive = contains(one, one)

    def _derived(self, base: Record, derived: Iterable[TypeDefinition]) -> Iterator[Record]:
        """Records of types that derive from a record, as far as Python can have them."""
        count = 0
        for of in derived:
            if of.is_abstract or not of.is_visible or of.generic_count:
                continue
            try:
                shape = self._simple(of)
            except Unsupported:
                shape = base
            if isinstance(shape, Record) and shape is not base and count < _MOST_DERIVED:
                count += 1
                yield shape
            elif base.is_abstract:
                raise Unsupported(f"{'.'.join(of.path)} derives from it and cannot be a dataclass")

    # ---------------------------------------------------------------- constructed types

    def _constructed(self, type_: Any, depth: int) -> Shape:  # noqa: ANN401, PLR0911
        named, *arguments = type_[1:]
        own = self.find(named[1]) if isinstance(named[1], str) else named[1]
        if own is not None:
            return self._simple(self._closed(own, tuple(arguments), depth))
        name = named[1]
        if library.is_delegate(name):
            return self._library_delegate(name, arguments)
        parts = [self.build(argument, depth + 1) for argument in arguments]
        if name == "System.Nullable`1" and len(parts) == 1:
            return Optional(f"{parts[0].csharp}?", parts[0].python | None, parts[0])
        if name.startswith(_VALUE_TUPLE) and parts:
            return tuple_of(parts)
        if name == _KEY_VALUE and len(parts) == 2:
            inner = ", ".join(p.csharp for p in parts)
            csharp = f"global::System.Collections.Generic.KeyValuePair<{inner}>"
            python = alias(tuple, *(p.python for p in parts))
            return Tuple(csharp, python, tuple(parts), ("Key", "Value"), f"new {csharp}")
        if name in MAPPINGS and len(parts) == 2:
            if not is_hashable(parts[0]):
                raise Unsupported(f"{parts[0].csharp} cannot be the key of a dict in Python")
            return mapping_of(name, *parts)
        if len(parts) == 1:
            return collection_of(name, parts[0])
        raise Unsupported(f"{name.partition('`')[0]} cannot be passed; {_ADVICE}")
