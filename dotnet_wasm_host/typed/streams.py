"""Results that come one after the other, as iterators of Python."""

from __future__ import annotations

import inspect
import itertools
from collections import abc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

__all__ = ["next_number", "streamed"]

#: Streams have numbers of ours, so that one whose beginning was lost can be ended, too.
next_number = itertools.count(1).__next__


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
    numbered = inspect.signature(start)
    given = numbered.replace(parameters=list(numbered.parameters.values())[1:])
    element = go_on.__annotations__["return"].__args__[0]
    of: Any = abc.AsyncIterator if asynchronous else abc.Iterator

    def call(*args: Any, **kwargs: Any) -> Iterator[Any]:  # noqa: ANN401 - what C# has
        bound = given.bind(*args, **kwargs)
        number = next_number()
        made = _iterate(number, lambda: start(number, *bound.args, **bound.kwargs), go_on, end)
        next(made)  # begins, and from now on the end of this is the end of the stream
        return made

    def call_async(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: ANN401
        bound = given.bind(*args, **kwargs)
        number = next_number()
        return _iterate_async(
            number, lambda: start(number, *bound.args, **bound.kwargs), go_on, end
        )

    made = call_async if asynchronous else call
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(made, name, getattr(start, name))
    vars(made)["__signature__"] = given.replace(return_annotation=of[element])
    return made


def _iterate(
    number: int,
    begin: Callable[[], None],
    go_on: Callable[[int], list[Any]],
    end: Callable[[int], None],
) -> Iterator[Any]:
    begin()
    try:
        yield None
        while found := go_on(number):
            yield found[0]
    finally:
        end(number)


async def _iterate_async(
    number: int,
    begin: Callable[[], Awaitable[None]],
    go_on: Callable[[int], Awaitable[list[Any]]],
    end: Callable[[int], Awaitable[None]],
) -> AsyncIterator[Any]:
    begun = True
    try:
        try:
            await begin()
        except Exception:
            begun = False  # one that is cancelled may have begun
            raise
        while found := await go_on(number):
            yield found[0]
    finally:
        if begun:
            await end(number)
