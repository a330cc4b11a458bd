"""Objects that stay in .NET: what Python has of them, and how they are let go."""

from __future__ import annotations

import itertools
import struct
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, final

from dotnet_wasm_host.errors import DotnetHostError, InvocationError, MarshallingError
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.typed.statics import NO_STATIC, get_static, is_set_as_static
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from dotnet_wasm_host.typed.statics import Static, Statics

__all__ = [
    "TYPE_BITS",
    "CSharpClass",
    "CSharpObject",
    "ObjectTable",
    "make_object_class",
]

#: ``Objects.TypeBits`` of the C# half: the lowest bits of a handle are its type's number.
TYPE_BITS = 12
#: ``Objects``: what every object is asked, and objects that are let go before a call.
_TEXT, _EQUALS, _HASH, _DISPOSE, _COUNT, _DELEGATES, _RELEASE = -2, -3, -4, -5, -6, -7, -1
#: Objects that are let go with one call; the others wait for the next.
_PORTION = 4096
_HASHED = struct.Struct("<i")


class CSharpClass(type):
    """Class of the classes that stand for classes of C#.

    Static properties and fields are read and set as attributes of the class.
    """

    dwh_statics: Statics

    def __getattr__(cls, name: str) -> Any:  # noqa: ANN401 - what C# has
        return get_static(_static(cls, name), cls, name)

    @override
    def __setattr__(cls, name: str, value: object) -> None:
        found = _static(cls, name)
        if not is_set_as_static(found, cls, name, value):
            super().__setattr__(name, value)

    @override
    def __dir__(cls) -> Iterable[str]:
        statics = [name for level in cls.__mro__ for name in vars(level).get("dwh_statics", ())]
        return {*super().__dir__(), *statics}


def _static(cls: type, name: str) -> Static:
    for level in cls.__mro__:
        found = vars(level).get("dwh_statics", {}).get(name)
        if found is not None:
            return found  # type: ignore[no-any-return]
    return NO_STATIC


class CSharpObject(Uncopyable, metaclass=CSharpClass):
    """An object of C# that stays in .NET; Python has its number.

    Classes of a module derive from this one, and from each other as they do in C#. An object is
    let go in .NET when Python lets go of it, with the next call. ``==`` asks ``Equals``,
    ``hash()`` asks ``GetHashCode``, ``str()`` asks ``ToString``; of what is ``IDisposable`` a
    ``with`` block calls ``Dispose``.

    After the instance was replaced, because a call crashed it or by
    :meth:`~dotnet_wasm_host.Runtime.recycle`, its objects are gone, and calls of them raise
    :class:`~dotnet_wasm_host.StaleObject`.
    """

    __slots__ = ("__weakref__", "dwh_handle")
    _instead_of_copying: ClassVar[str] = "share it, or write a method that makes another"

    dwh_handle: int
    dwh_table: ClassVar[ObjectTable]

    def __init__(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - what C# has
        raise MarshallingError(
            f"expected a class that has a public constructor, found {type(self).__name__}; let a "
            "method of C# make the object"
        )

    def __del__(self) -> None:
        # Without one if the constructor was not called, or threw.
        handle = getattr(self, "dwh_handle", 0)
        if handle:
            self.dwh_table.released.append(handle)

    @override
    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, CSharpObject) or other.dwh_table is not self.dwh_table:
            return NotImplemented
        return self.dwh_table.ask(_EQUALS, "Equals", self, other) == b"\1"

    @override
    def __hash__(self) -> int:
        answer = self.dwh_table.ask(_HASH, "GetHashCode", self)
        return int.from_bytes(answer[:4], "little", signed=True)

    @override
    def __str__(self) -> str:
        answer = self.dwh_table.ask(_TEXT, "ToString", self)
        return answer.decode(errors="replace")

    @override
    def __repr__(self) -> str:
        # Without a call: a debugger may ask in the middle of one.
        return f"<C# {type(self).__module__}.{type(self).__qualname__} object at {id(self):#x}>"

    def ToString(self) -> str:  # noqa: N802 - C#'s name
        """``ToString`` of C#."""
        return str(self)

    def Equals(self, other: object) -> bool:  # noqa: N802 - C#'s name
        """``Equals`` of C#."""
        return self == other

    def GetHashCode(self) -> int:  # noqa: N802 - C#'s name
        """``GetHashCode`` of C#."""
        return hash(self)


def dispose(made: CSharpObject) -> None:
    """Call ``Dispose`` of an object."""
    made.dwh_table.ask(_DISPOSE, "Dispose", made)


@final
class ObjectTable:
    """What the objects of one module have in common.

    Args:
        invoke: takes a payload, gives what the dispatcher answers.
        wait: the same, awaitable.
        failed: makes a typed error of what a call raised.

    Attributes:
        released: handles that Python let go and .NET has not yet, and below 0 the numbers of
            answers that were lost; appending is atomic, so any thread may, also from within a
            garbage collection.
    """

    def __init__(
        self,
        invoke: Callable[[bytes], bytes],
        wait: Callable[[bytes], Awaitable[bytes]],
        failed: Callable[[InvocationError, str], DotnetHostError],
    ) -> None:
        self.released: deque[int] = deque()
        #: Gives the number of an answer that has objects.
        self.next_ticket: Callable[[], int] = itertools.count(1).__next__
        self._invoke = invoke
        self._wait = wait
        self._failed = failed

    def invoke(self, _: str, payload: bytes) -> bytes:
        """Let go what waits for that, and call."""
        if not self.released:
            return self._invoke(payload)
        handles, lead = self._take()
        try:
            return self._invoke(lead + payload)
        except InvocationError:
            raise  # the method threw, which comes after
        except BaseException:
            self.released.extend(handles)
            raise

    async def wait(self, _: str, payload: bytes) -> bytes:
        """The same, awaitable."""
        if not self.released:
            return await self._wait(payload)
        handles, lead = self._take()
        try:
            return await self._wait(lead + payload)
        except InvocationError:
            raise
        except BaseException:
            # What was let go already is not known there any more, and is no error.
            self.released.extend(handles)
            raise

    def discard(self, ticket: int) -> None:
        """Let go the objects of an answer that nobody has read to its end."""
        self.released.append(-ticket)
        # In the middle of a call it goes with the next one; without an instance there is nothing.
        with suppress(DotnetHostError):
            self.ask(_COUNT, "count")

    async def discard_async(self, ticket: int) -> None:
        """The same, awaitable."""
        self.released.append(-ticket)
        with suppress(DotnetHostError):
            await self.wait("", _HASHED.pack(_COUNT))

    def discard_later(self, ticket: int) -> None:
        """The same with the next call, for those who may not wait for one."""
        self.released.append(-ticket)

    def ask(self, what: int, name: str, *objects: CSharpObject) -> bytes:
        """Ask an object what every object can be asked."""
        handles = [getattr(one, "dwh_handle", 0) for one in objects]
        if not all(handles):
            raise MarshallingError(
                f"{name}(): expected an object of C#, found one whose constructor was not called; "
                "call super().__init__() of it"
            )
        payload = struct.pack(f"<i{len(handles)}q", what, *handles)
        try:
            return self.invoke("", payload)
        except InvocationError as error:
            thrown = self._failed(error, name)
        raise thrown

    def count(self) -> int:
        """Objects that .NET holds for Python, after what waited was let go."""
        while self.released:
            self.ask(_COUNT, "count")
        return _HASHED.unpack(self.ask(_COUNT, "count"))[0]  # type: ignore[no-any-return]

    def delegates(self) -> bytes:
        """Numbers of the callables that .NET has as delegates, after a garbage collection."""
        return self.ask(_DELEGATES, "delegates")

    def _take(self) -> tuple[list[int], bytes]:
        handles: list[int] = []
        pop = self.released.popleft
        while len(handles) < _PORTION:
            try:
                handles.append(pop())
            except IndexError:  # another thread took the rest
                break
        return handles, struct.pack(f"<ii{len(handles)}q", _RELEASE, len(handles), *handles)


def make_object_class(
    name: str, bases: Iterable[type], module: str, *, disposable: bool
) -> CSharpClass:
    """A class for objects of a class of C#."""
    body: dict[str, Any] = {"__slots__": (), "__module__": module, "dwh_statics": {}}
    if disposable:
        body["__enter__"] = lambda self: self
        body["__exit__"] = lambda self, *_: dispose(self)
    kept = _without_ancestors([*bases]) or [CSharpObject]
    try:
        return CSharpClass(name, tuple(kept), body)
    except TypeError:  # an order of bases that C# has and Python has not
        return CSharpClass(name, (kept[0],), body)


def _without_ancestors(bases: list[type]) -> list[type]:
    return [
        base
        for n, base in enumerate(bases)
        if not any(other is not base and issubclass(other, base) for other in bases)
        and base not in bases[:n]
    ]
