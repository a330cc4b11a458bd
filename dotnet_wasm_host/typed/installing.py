"""Functions as members of the Python classes that stand for classes of C#."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.typed.signatures import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.typed.objects import CSharpObject, ObjectTable

    #: Getter and setter by name.
    Statics = dict[str, tuple[Callable[[], Any] | None, Callable[[Any], None] | None]]

__all__ = ["install_members", "install_statics"]


def install_members(
    cls: type[CSharpObject],
    made: Mapping[tuple[Role, str], Callable[..., Any]],
    table: ObjectTable | None,
) -> None:
    """Give a class its constructor, methods, properties and indexers."""
    body: dict[str, Any] = {"dwh_table": table}
    signature = inspect.Signature()
    for (role, name), call in made.items():
        if role is Role.CONSTRUCTOR:
            body["__init__"], signature = _constructor(call), inspect.signature(call)
        elif role is Role.METHOD:
            body[name] = call
        elif role in {Role.GETTER, Role.SETTER}:
            getter, setter = made.get((Role.GETTER, name)), made.get((Role.SETTER, name))
            body[name] = property(getter, setter, doc=getter.__doc__ if getter else None)
        elif role in {Role.ITEM_GETTER, Role.ITEM_SETTER}:
            body[name] = _indexer(call)
        elif role is Role.ITERATOR:
            body["__iter__"] = call
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
        # The object that was made is this one from now on.
        self.dwh_handle, made.dwh_handle = made.dwh_handle, 0

    __init__.__doc__ = construct.__doc__
    return __init__


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
