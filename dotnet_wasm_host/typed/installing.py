"""Functions as members of the Python classes that stand for classes of C#."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.typed.signatures import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Self

    from dotnet_wasm_host.typed.objects import CSharpObject, ObjectTable
    from dotnet_wasm_host.typed.statics import Statics

__all__ = ["install_members", "install_statics"]


def install_members(
    cls: type[CSharpObject],
    made: Mapping[tuple[Role, str], Callable[..., Any]],
    table: ObjectTable | None,
    *,
    is_delegate: bool = False,
) -> None:
    """Give a class its constructor, methods, properties and indexers."""
    body: dict[str, Any] = {"dwh_table": table}
    signature = inspect.Signature()
    for (role, name), call in made.items():
        if role is Role.CONSTRUCTOR:
            body["__init__"], signature = _constructor(call), inspect.signature(call)
        elif role in {Role.METHOD, Role.OPERATOR}:
            body[name] = call
        elif role in {Role.GETTER, Role.SETTER}:
            getter, setter = made.get((Role.GETTER, name)), made.get((Role.SETTER, name))
            body[name] = property(getter, setter, doc=getter.__doc__ if getter else None)
        elif role in {Role.ITEM_GETTER, Role.ITEM_SETTER}:
            body[name] = _indexer(call)
        elif role is Role.ADDER and (Role.REMOVER, name) in made:
            body[name] = _event(name, call, made[Role.REMOVER, name])
        elif role is Role.ITERATOR:
            body["__iter__"] = call
    if is_delegate:
        body["__call__"] = body["Invoke"]
    _as_collection(body)
    for name, member in body.items():
        type.__setattr__(cls, name, member)
    # Also where it is that of a base class otherwise, whose constructor is another.
    type.__setattr__(cls, "__signature__", signature.replace(return_annotation=cls))
    install_statics(vars(cls)["dwh_statics"], made)


def install_statics(statics: Statics, made: Mapping[tuple[Role, str], Callable[..., Any]]) -> None:
    """Add static properties and fields."""
    for role, name in made:
        if role in {Role.STATIC_GETTER, Role.STATIC_SETTER}:
            getter, setter = (
                made.get((Role.STATIC_GETTER, name)),
                made.get((Role.STATIC_SETTER, name)),
            )
            statics[name] = getter, setter


def _constructor(construct: Callable[..., CSharpObject]) -> Callable[..., None]:
    def __init__(self: CSharpObject, *args: Any, **kwargs: Any) -> None:  # noqa: N807, ANN401
        made = construct(*args, **kwargs)
        # The object that was made is this one from now on; one that this was before is let go.
        self.dwh_handle, made.dwh_handle = made.dwh_handle, getattr(self, "dwh_handle", 0)

    __init__.__doc__ = construct.__doc__
    return __init__


class BoundEvent:
    """An event of an object: ``+=`` and ``-=`` a handler."""

    def __init__(self, add: Callable[[Any], None], remove: Callable[[Any], None]) -> None:
        self._add = add
        self._remove = remove

    def __iadd__(self, handler: Callable[..., Any]) -> Self:
        self._add(handler)
        return self

    def __isub__(self, handler: Callable[..., Any]) -> Self:
        self._remove(handler)
        return self


def _event(
    name: str, add: Callable[[Any, Any], None], remove: Callable[[Any, Any], None]
) -> property:
    def get(self: CSharpObject) -> BoundEvent:
        return BoundEvent(partial(add, self), partial(remove, self))

    def put(self: CSharpObject, value: object) -> None:
        # What += and -= give is put back.
        if not isinstance(value, BoundEvent):
            raise AttributeError(  # noqa: TRY004 - as for a property without setter
                f"expected += and -= for the event {name}, found an assignment; use += to add a "
                "handler",
                name=name,
                obj=self,
            )

    return property(get, put)


def _indexer(call: Callable[..., Any]) -> Callable[..., Any]:
    """``made[a, b]`` is one key for Python and two for C#."""

    def access(self: CSharpObject, key: Any, *value: Any) -> Any:  # noqa: ANN401 - what C# has
        keys = key if type(key) is tuple else (key,)
        return call(self, *keys, *value)

    access.__doc__ = call.__doc__
    return access


def _as_collection(body: dict[str, Any]) -> None:
    """What Python asks of collections, of those that are some."""
    is_collection = "__iter__" in body or "__getitem__" in body
    if not is_collection:
        return
    # Without it Python would count up until IndexError.
    body.setdefault("__iter__", None)
    for name in ("Count", "Length"):
        count = body.get(name)
        if isinstance(count, property) and count.fget is not None:
            body["__len__"] = count.fget
            break
    if "Contains" in body:
        body["__contains__"] = body["Contains"]
