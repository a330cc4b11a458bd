"""Host objects that managed code holds as ``JSObject``, and what JavaScript interop raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from dotnet_wasm_host.imports.host_work import HostWork
    from dotnet_wasm_host.memory import Memory

__all__ = [
    "InGuest",
    "JsError",
    "JsHandles",
    "JsObject",
    "MemoryView",
    "keep_property",
    "set_property",
]

#: Handles of objects are positive, as in JavaScript; negative ones are the guest's (tasks).
_FIRST_HANDLE = 1
#: What an object and its entries in tables are taken to cost. It takes a tenth of that, but all
#: of an instance are let go in one piece and under the interpreter lock.
_OBJECT_BYTES = 16 * 1024
#: Objects that are let go between two rests.
_PORTION = 256


class JsError(Exception):
    """Raised by a host function: becomes a ``JSException`` with exactly this message.

    JavaScript puts the error's name first, and managed code looks for it:
    ``JsError("AbortError: the request was aborted")`` is a cancellation for ``HttpClient``.
    """


class JsObject:
    """An object of the host that managed code may hold, hand back and ask for properties.

    Derive from it. Managed code sees ``properties`` and nothing else: Python attributes are out
    of its reach, and a property that is not there reads as ``undefined``.

    Attributes:
        properties: ``None``, bool, int, float, str, bytes, list or another ``JsObject``.
    """

    __slots__ = ("__weakref__", "kept", "properties")

    def __init__(self, properties: dict[str, object] | None = None) -> None:
        self.properties: dict[str, object] = properties if properties is not None else {}
        #: Bytes that a guest has the host keep: of properties that it set, by name.
        self.kept: dict[str, int] = {}


@final
class InGuest:
    """The result of a future that is to be made on the guest's thread, where memory is.

    A future may end on any thread, but only the guest's own may touch linear memory. A future
    whose result is ``InGuest(make)`` has ``make()`` called there, right before the managed task
    completes, and its value (or exception) is what the task gets.
    """

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], object]) -> None:
        self.make: Callable[[], object] = make


@final
class MemoryView:
    """A ``Span<T>`` or ``ArraySegment<T>`` argument: the caller's own buffer.

    Valid during the call it was given to.
    """

    __slots__ = ("_memory", "_pointer", "length")

    def __init__(self, memory: Memory, pointer: int, length: int) -> None:
        self._memory: Memory | None = memory
        self._pointer = pointer
        #: Size in bytes.
        self.length: int = length

    def read(self) -> bytes:
        """A copy of all of it."""
        return self._live().read(self._pointer, self.length)

    def write(self, data: Buffer, offset: int = 0) -> None:
        """Copy ``data`` to ``offset``. IndexError past the end."""
        view = memoryview(data).cast("B")
        if offset < 0 or offset + view.nbytes > self.length:
            raise IndexError(f"{view.nbytes} bytes at {offset} of a view of {self.length}")
        self._live().write(self._pointer + offset, view)

    def close(self) -> None:
        """The call is over."""
        self._memory = None

    def _live(self) -> Memory:
        if self._memory is None:
            raise ValueError(
                "the memory view was used after the call it was given to; copy what is kept"
            )
        return self._memory


@final
class JsHandles:
    """Which host object has which handle. A handle means one object until it is released.

    Args:
        work: the meter of the instance, which pays for what it holds.
        next_handle: first to give out; one above all that an image has in its memory.
    """

    def __init__(self, work: HostWork, next_handle: int = _FIRST_HANDLE) -> None:
        self._work = work
        self.next_handle: int = next_handle
        self._objects: dict[int, JsObject] = {}
        self._handles: dict[int, int] = {}

    def handle_of(self, item: JsObject) -> int:
        """Its handle; the same one for as long as managed code holds it."""
        handle = self._handles.get(id(item))
        if handle is None:
            self._work.keep(_OBJECT_BYTES)
            handle, self.next_handle = self.next_handle, self.next_handle + 1
            self._objects[handle] = item
            self._handles[id(item)] = handle
        return handle

    def object_of(self, handle: int) -> JsObject:
        """The object. JsError when there is none, as after a snapshot was taken of it."""
        try:
            return self._objects[handle]
        except KeyError:
            raise JsError(
                f"ObjectDisposedException: host object {handle} does not exist (any more); objects "
                "of the host do not survive a snapshot or the replacement of an instance"
            ) from None

    def release(self, handle: int) -> None:
        """Managed code let go of it."""
        item = self._objects.pop(handle, None)
        if item is not None:
            del self._handles[id(item)]
            self._work.drop(_OBJECT_BYTES + sum(item.kept.values()))
            item.kept.clear()

    def close(self) -> None:
        """The instance is gone: let go of everything, in portions, since it takes its time."""
        self._handles.clear()
        objects = self._objects
        for count in range(len(objects)):
            if count % _PORTION == _PORTION - 1:
                self._work.offer_lock()
            objects.popitem()

    def __len__(self) -> int:
        return len(self._objects)


def keep_property(work: HostWork, item: object, name: object, *, size: int) -> None:
    """Charge ``size`` bytes of a property that was set to the instance, as long as it is held."""
    held = _checked(item).kept
    work.drop(held.pop(str(name), 0))
    work.keep(size)
    held[str(name)] = size


def get_property(item: object, name: str) -> object:
    """``INTERNAL.get_property``."""
    return _checked(item).properties.get(name)


def set_property(item: object, name: str, value: object) -> None:
    """``INTERNAL.set_property``."""
    _checked(item).properties[name] = value


def has_property(item: object, name: str) -> bool:
    """``INTERNAL.has_property``."""
    return name in _checked(item).properties


def typeof_property(item: object, name: str) -> str:
    """``INTERNAL.get_typeof_property``: what JavaScript's ``typeof`` says."""
    properties = _checked(item).properties
    if name not in properties:
        return "undefined"
    value = properties[name]
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "object"


def _checked(item: object) -> JsObject:
    if not isinstance(item, JsObject):
        raise JsError("TypeError: null has no properties")
    return item


#: What every instance has: access to properties of objects that it was given.
PROPERTY_FUNCTIONS: dict[str, Callable[..., object]] = {
    "INTERNAL.get_property": get_property,
    "INTERNAL.set_property": set_property,
    "INTERNAL.has_property": has_property,
    "INTERNAL.get_typeof_property": typeof_property,
}
