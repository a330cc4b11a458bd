"""Members of classes whose objects stay in .NET, as functions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.ecma335.signatures import INSTANCE, VOID
from dotnet_wasm_host.typed.building import csharp_name
from dotnet_wasm_host.typed.definitions import Method, Parameter
from dotnet_wasm_host.typed.shapes import Delegate, bare_shape
from dotnet_wasm_host.typed.signatures import Argument, Function, Refused, Role, make_function
from dotnet_wasm_host.typed.unsupported import Unsupported, is_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.typed.building import ShapeBuilder
    from dotnet_wasm_host.typed.definitions import Accessors, TypeDefinition
    from dotnet_wasm_host.typed.shapes import Handle

__all__ = ["read_members", "read_statics"]

_PUBLIC = 6
#: What every object has; :class:`~dotnet_wasm_host.typed.objects.CSharpObject` asks for it.
_UNIVERSAL = {("ToString", 0), ("Equals", 1), ("GetHashCode", 0)}
#: Python has no reflected names for comparisons; it asks the other object for the opposite.
_OPERATORS = {
    f"op_{name}": signs
    for name, signs in {
        "Addition": ("add", "+"), "Subtraction": ("sub", "-"), "Multiply": ("mul", "*"),
        "Division": ("truediv", "/"), "Modulus": ("mod", "%"), "BitwiseAnd": ("and", "&"),
        "BitwiseOr": ("or", "|"), "ExclusiveOr": ("xor", "^"), "LeftShift": ("lshift", "<<"),
        "RightShift": ("rshift", ">>"), "LessThan": ("lt", "<"), "GreaterThan": ("gt", ">"),
        "LessThanOrEqual": ("le", "<="), "GreaterThanOrEqual": ("ge", ">="),
        "UnaryNegation": ("neg", "-"), "UnaryPlus": ("pos", "+"),
        "OnesComplement": ("invert", "~"),
    }.items()
}  # fmt: skip
_ITERABLE = "System.Collections.Generic.IEnumerable`1"


def read_members(  # noqa: C901 - one branch for each kind of member
    of: TypeDefinition, shape: Handle, shapes: ShapeBuilder
) -> Iterator[Function | Refused]:
    """What can be called of a class and its objects, without its static methods."""
    if isinstance(shape, Delegate):
        arguments = [Argument(f"arg{n}", f"arg{n}", p) for n, p in enumerate(shape.parameters, 1)]
        given = (Argument("self", "self", shape), *arguments)
        passed = [f"{{{n + 1}}}" for n in range(len(shape.parameters))]
        for place in shape.tokens:
            passed.insert(place, "token")
        yield Function(
            of, "Invoke", given, shape.result, shape.task,
            role=Role.METHOD, template=f"{{0}}({', '.join(passed)})",
        )  # fmt: skip
        return
    if not of.row:
        return  # a type of .NET itself
    csharp = csharp_name(of)
    for method in of.reader.methods(of):
        if not method.is_public:
            continue
        if method.name == ".ctor" and not of.is_abstract:
            model = Function(
                of, of.name, (), None, role=Role.CONSTRUCTOR, template=f"new {csharp}({{all}})"
            )
            made = replace(method, result=("T", of))
            yield _member(of, made, shapes, model, None)
        elif not method.is_static and not method.is_special and _is_new(of, method, shapes):
            model = Function(
                of,
                method.name,
                (),
                None,
                role=Role.METHOD,
                template=f"{{0}}.@{method.name}({{rest}})",
            )
            yield _member(of, method, shapes, model, shape)
        elif method.is_static and method.name in _OPERATORS:
            yield _operator(of, method, shape, shapes)
        elif not method.is_static and method.name.startswith(("add_", "remove_")):
            yield from _event(of, method, shape, shapes)
    for property_ in of.reader.accessors(of):
        yield from _accessors(of, property_, shape, shapes)
    for field in of.reader.fields(of):
        if is_identifier(field.name):
            yield from _field(of, field.name, field.type, shape, shapes, settable=field.is_settable)
    yield from _iterator(of, shape, shapes)


def _operator(
    of: TypeDefinition, method: Method, shape: Handle, shapes: ShapeBuilder
) -> Function | Refused:
    """An operator as the special method of Python's."""
    name, sign = _OPERATORS[method.name]
    unary = len(method.parameters) == 1
    model = Function(
        of, f"__{name}__", (), None, role=Role.OPERATOR,
        template=f"{sign}{{0}}" if unary else f"{{0}} {sign} {{1}}",
    )  # fmt: skip
    found = _member(of, method, shapes, model, None)
    if isinstance(found, Function) and bare_shape(found.arguments[0].shape) is not shape:
        # Python calls it on the right one.
        found = replace(
            found,
            name=f"__r{name}__",
            arguments=found.arguments[::-1],
            template=f"{{1}} {sign} {{0}}",
        )
    return found


def _event(
    of: TypeDefinition, method: Method, shape: Handle, shapes: ShapeBuilder
) -> Iterator[Function | Refused]:
    kind, _, name = method.name.partition("_")
    if not is_identifier(name) or not method.is_special:
        return
    adds = kind == "add"
    role, sign = (Role.ADDER, "+=") if adds else (Role.REMOVER, "-=")
    model = Function(of, name, (), None, role=role, template=f"{{0}}.@{name} {sign} {{last}}")
    found = _member(of, method, shapes, model, shape)
    if isinstance(found, Function):
        # A handler that is taken away is the one that was given.
        handler = found.arguments[-1]
        inner = bare_shape(handler.shape)
        if not isinstance(inner, Delegate):
            return
        pack = f"{'A' if adds else 'R'}{inner.number}({{0}}, lent)"
        given = replace(handler, shape=replace(inner, pack=pack))
        found = replace(found, arguments=(*found.arguments[:-1], given))
    yield found


def read_statics(of: TypeDefinition, shapes: ShapeBuilder) -> Iterator[Function | Refused]:
    """Static properties and fields of a type."""
    csharp = csharp_name(of)
    for found in of.reader.accessors(of):
        for method, role in (
            (found.getter, Role.STATIC_GETTER),
            (found.setter, Role.STATIC_SETTER),
        ):
            if method is not None and method.is_static and is_identifier(found.name):
                assign = " = {last}" if role is Role.STATIC_SETTER else ""
                template = f"{csharp}.@{found.name}{assign}"
                model = Function(of, found.name, (), None, role=role, template=template)
                yield _member(of, method, shapes, model, None)
    for field in of.reader.static_fields(of):
        if is_identifier(field.name):
            yield from _field(of, field.name, field.type, None, shapes, settable=field.is_settable)


def _is_new(of: TypeDefinition, method: Method, shapes: ShapeBuilder) -> bool:
    """Whether a method is not one that a base class in Python has already."""
    if not is_identifier(method.name) or (method.name, len(method.parameters)) in _UNIVERSAL:
        return False
    # What a base class of .NET itself has is not there in Python.
    return not (method.is_override and shapes.has_base(of))


def _member(
    of: TypeDefinition,
    method: Method,
    shapes: ShapeBuilder,
    model: Function,
    receiver: Handle | None,
) -> Function | Refused:
    try:
        return make_function(method, shapes, model, receiver)
    except Unsupported as reason:
        return Refused(of, model.name, str(reason), model.role)


def _accessors(
    of: TypeDefinition, found: Accessors, shape: Handle, shapes: ShapeBuilder
) -> Iterator[Function | Refused]:
    for method, is_setter in ((found.getter, False), (found.setter, True)):
        if method is None or method.is_static or (is_setter and method.is_init):
            continue
        if not is_identifier(found.name):
            continue
        indexed = len(method.parameters) > is_setter
        if indexed:
            role, name = (
                (Role.ITEM_SETTER, "__setitem__")
                if is_setter
                else (Role.ITEM_GETTER, "__getitem__")
            )
            template = "{0}[{index}] = {last}" if is_setter else "{0}[{rest}]"
        else:
            role, name = Role.SETTER if is_setter else Role.GETTER, found.name
            template = f"{{0}}.@{found.name}" + (" = {last}" if is_setter else "")
        model = Function(of, name, (), None, role=role, template=template)
        yield _member(of, method, shapes, model, shape)


def _field(
    of: TypeDefinition,
    name: str,
    type_: Any,  # noqa: ANN401 - as the reader has it
    shape: Handle | None,
    shapes: ShapeBuilder,
    *,
    settable: bool,
) -> Iterator[Function | Refused]:
    """A field as the accessors that it has not."""
    owner = "{0}" if shape is not None else csharp_name(of)
    roles = (Role.GETTER, Role.SETTER) if shape else (Role.STATIC_GETTER, Role.STATIC_SETTER)
    getter = Method(name, _PUBLIC, 0, type_, ())
    model = Function(of, name, (), None, role=roles[0], template=f"{owner}.@{name}")
    yield _member(of, getter, shapes, model, shape)
    if settable:
        setter = Method(name, _PUBLIC, 0, VOID, (Parameter("value", type_, 0, ()),))
        template = f"{owner}.@{name} = {{last}}"
        model = Function(of, name, (), None, role=roles[1], template=template)
        yield _member(of, setter, shapes, model, shape)


def _iterator(
    of: TypeDefinition, shape: Handle, shapes: ShapeBuilder
) -> Iterator[Function | Refused]:
    for interface in of.reader.interfaces(of):
        if interface[0] == INSTANCE and interface[1] == ("T", _ITERABLE):
            try:
                element = shapes.build(interface[2])
            except Unsupported as reason:
                yield Refused(of, "__iter__", str(reason), Role.ITERATOR)
                return
            method = Method("__iter__", _PUBLIC, 0, interface, ())
            items = f"global::System.Collections.Generic.IEnumerable<{element.csharp}>"
            model = Function(
                of, "__iter__", (), None, role=Role.ITERATOR, template=f"(({items}){{0}})"
            )
            yield _member(of, method, shapes, model, shape)
            return
