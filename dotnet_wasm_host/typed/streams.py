"""Results that come one after the other, as iterators of Python."""

from __future__ import annotations

import inspect
from collections import abc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

__all__ = ["streamed"]


def streamed(
    start: Callable[..., Any],
    go_on: Callable[[int], Any],
    end: Callable[[int], Any],
    *,
    asynchronous: bool,
) -> Callable[..., Any]:
    """A function that gives an iterator, or an asynchronous one.

    C# goes on when Python asks for the next one, and not before. The stream ends in C# when the
    iterator is closed, or collected.
    """

    def call(*args: Any, **kwargs: Any) -> Iterator[Any]:  # noqa: ANN401 - what C# has
        return _iterate(start(*args, **kwargs), go_on, end)

    def call_async(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: ANN401
        return _iterate_async(start(*args, **kwargs), go_on, end)

    made = call_async if asynchronous else call
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(made, name, getattr(start, name))
    element = go_on.__annotations__["return"].__args__[0]
    of: Any = abc.AsyncIterator if asynchronous else abc.Iterator
    signature = inspect.signature(start).replace(return_annotation=of[element])
    vars(made)["__signature__"] = signature
    return made


def _iterate(
    number: int, go_on: Callable[[int], list[Any]], end: Callable[[int], None]
) -> Iterator[Any]:
    try:
        while found := go_on(number):
            yield found[0]
    finally:
        end(number)


async def _iterate_async(
    begun: Awaitable[int],
    go_on: Callable[[int], Awaitable[list[Any]]],
    end: Callable[[int], Awaitable[None]],
) -> AsyncIterator[Any]:
    number = await begun
    try:
        while found := await go_on(number):
            yield found[0]
    finally:
        await end(number)
