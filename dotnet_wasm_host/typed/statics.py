"""Static properties and fields of C#, read and set as attributes of what stands for their class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Getter and setter; ``None`` for what C# does not let others do, both if there is no such.
    Static = tuple[Callable[[], Any] | None, Callable[[Any], None] | None]
    #: By name.
    Statics = dict[str, Static]

__all__ = ["NO_STATIC", "get_static", "is_set_as_static"]

NO_STATIC: Static = (None, None)


def get_static(found: Static, owner: Any, name: str) -> Any:  # noqa: ANN401 - what C# has
    """The value of what was found under a name. AttributeError if that is nothing."""
    getter, _ = found
    if getter is None:
        raise AttributeError(
            f"expected a member of the C# class {owner.__name__}, found {name!r}",
            name=name,
            obj=owner,
        )
    return getter()


def is_set_as_static(found: Static, owner: object, name: str, value: object) -> bool:
    """Set what was found under a name; False if that is nothing.

    Args:
        found: under the name.
        owner: whose attribute it is.
        name: the attribute's.
        value: its new value.

    Raises:
        AttributeError: it has no setter.
    """
    getter, setter = found
    if setter is not None:
        setter(value)
    elif getter is not None:
        of = getattr(owner, "__name__", "")
        raise AttributeError(
            f"{of}{'.' if of else ''}{name} cannot be set in C#; give it a setter",
            name=name,
            obj=owner,
        )
    return setter is not None
