"""Linear memory with bounds checks: pointer/length marshalling for users and host imports."""

from __future__ import annotations

import ctypes
import struct
import threading
from contextlib import contextmanager
from operator import index
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.errors import (
    GuestOutOfMemory,
    MarshallingError,
    MarshallingTypeError,
    MemoryAccessError,
    RuntimeClosed,
)
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Buffer

    from dotnet_wasm_host.engines.base import LinearMemory

__all__ = ["Block", "Memory", "buffer_of", "bytes_at"]

#: Bytes that are worth the lock of the interpreter: their copy takes more than a moment.
_LARGE = 1 << 20
_U8, _I8 = struct.Struct("<B"), struct.Struct("<b")
_U16, _I16 = struct.Struct("<H"), struct.Struct("<h")
_U32, _I32 = struct.Struct("<I"), struct.Struct("<i")
_U64, _I64 = struct.Struct("<Q"), struct.Struct("<q")
_F32, _F64 = struct.Struct("<f"), struct.Struct("<d")


#: In formats of PEP 3118: Python objects, pointers, functions; in those of ctypes, strings as well.
_POINTERS = frozenset("OPXzZ&")
_COMPLEX = ("Zf", "Zd", "Zg")


def buffer_of(data: Buffer, what: str = "data") -> memoryview:
    """A flat byte view of anything with the buffer protocol, without a copy if it is contiguous.

    Raises:
        MarshallingTypeError: ``data`` has no buffer protocol, or holds pointers: Python objects,
            for example.
    """
    try:
        view = memoryview(data)
    except (TypeError, ValueError):  # ValueError: of numpy, for what buffers cannot tell of
        raise MarshallingTypeError(
            f"{what} must be bytes or another buffer (bytearray, memoryview, array), "
            f"not {type(data).__name__}; convert it"
        ) from None
    if view.format != "B" and _has_pointers(view.format):
        raise MarshallingTypeError(
            f"expected {what} that holds values, found a buffer of format {view.format!r}, which "
            "holds addresses of this process; convert its items to bytes or numbers"
        )
    if not view.c_contiguous:
        return memoryview(view.tobytes())
    # A zero in the shape makes cast() fail; such a view has no bytes anyway.
    return view.cast("B") if view.nbytes else memoryview(b"")


#: Include/pybuffer.h.
_PYBUF_WRITE = 0x200
_memory_view = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)(
    ("PyMemoryView_FromMemory", ctypes.pythonapi)
)


def bytes_at(address: int, size: int) -> memoryview:
    """The bytes at an address of this process, writable. Somebody else keeps them there.

    An array of ctypes would be of a type of its own for each size, and a type is a circle that
    only the garbage collector takes apart.
    """
    view: memoryview = _memory_view(address, size, _PYBUF_WRITE)
    return view


def _has_pointers(buffer_format: str) -> bool:
    # Between colons are names of fields.
    kinds = "".join(buffer_format.split(":")[::2])
    for kind in _COMPLEX:
        kinds = kinds.replace(kind, "")
    return not _POINTERS.isdisjoint(kinds)


@final
class Block(Uncopyable):
    """A piece of the guest's heap, given back when its ``with`` statement ends."""

    __slots__ = ("_ptr", "_size")

    def __init__(self, ptr: int, size: int) -> None:
        self._ptr = ptr
        self._size = size

    @property
    def ptr(self) -> int:
        """Address in linear memory. MemoryAccessError once the block was freed."""
        if self._ptr == 0:
            raise MemoryAccessError(
                0, self._size, 0, "the block was freed already; allocate another"
            )
        return self._ptr

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._size

    def release(self) -> int:
        """Give up the address. For the memory that made the block."""
        ptr, self._ptr = self.ptr, 0
        return ptr


@final
class Memory(Uncopyable):
    """The linear memory of one instance: little-endian, addressed by byte, 0..size-1.

    Every access is checked against the present size and raises
    :class:`~dotnet_wasm_host.MemoryAccessError` outside of it. A number that does not fit its
    type raises :class:`~dotnet_wasm_host.MarshallingError`. When the runtime replaces its
    instance this object is closed and every access raises
    :class:`~dotnet_wasm_host.RuntimeClosed`; take ``runtime.memory`` again.
    """

    __slots__ = ("_free", "_linear", "_lock", "_malloc", "_meter", "_owner")

    def __init__(
        self,
        linear: LinearMemory,
        *,
        owner: object,
        malloc: Callable[[int], int],
        free: Callable[[int], object],
        lock: threading.RLock | None = None,
        meter: Callable[[int], object] | None = None,
    ) -> None:
        # Told of the bytes of every copy before it is made; for host imports.
        self._meter = meter
        self._linear: LinearMemory | None = linear
        self._owner: object = owner
        self._malloc = malloc
        self._free = free
        self._lock = lock or threading.RLock()

    def metered(self, meter: Callable[[int], object]) -> Memory:
        """The same memory; ``meter`` is told the bytes of every copy before it is made."""
        return Memory(
            self._live(),
            owner=self._owner,
            malloc=self._malloc,
            free=self._free,
            lock=self._lock,
            meter=meter,
        )

    @property
    def size(self) -> int:
        """Current size in bytes. Any guest call may make it larger; it never shrinks."""
        return self._live().size

    def read(self, ptr: int, length: int) -> bytes:
        """Copy ``length`` bytes at ``ptr`` out of the guest."""
        with self._lock:
            return ctypes.string_at(self._check_bulk(ptr, length), length)

    def require(self, ptr: int, length: int) -> None:
        """MemoryAccessError unless there are ``length`` bytes at ``ptr``."""
        with self._lock:
            self._check_bulk(ptr, length)

    def view(self, ptr: int, length: int) -> memoryview:
        """The guest's own bytes, writable, without a copy.

        Valid until the next guest call: then the guest may have moved on to other content
        there. The view keeps the memory mapped, so a stale one reads old bytes, never faults.
        """
        with self._lock:
            address = self._check_bulk(ptr, length)
            array = (ctypes.c_ubyte * length).from_address(address)
            array.owner = self._owner  # type: ignore[attr-defined]
            return memoryview(array).cast("B")

    def write(self, ptr: int, data: Buffer) -> None:
        """Copy ``data`` into the guest at ``ptr``."""
        source = buffer_of(data)
        with self._lock:
            address = self._check_bulk(ptr, source.nbytes)
            whole = source.obj
            if source.nbytes > _LARGE and type(whole) is bytes and len(whole) == source.nbytes:
                ctypes.memmove(address, whole, source.nbytes)  # without the interpreter lock
            elif source.nbytes:
                bytes_at(address, source.nbytes)[:] = source

    def read_struct(self, layout: struct.Struct, ptr: int) -> tuple[Any, ...]:
        """Unpack ``layout`` at ``ptr``. Give the struct ``<`` order: the guest is little-endian."""
        with self._lock:
            return layout.unpack(ctypes.string_at(self._check(ptr, layout.size), layout.size))

    def write_struct(self, layout: struct.Struct, ptr: int, *values: object) -> None:
        """Pack ``values`` by ``layout`` at ``ptr``."""
        try:
            data = layout.pack(*values)
        except (struct.error, OverflowError, TypeError) as error:
            raise MarshallingError(
                f"{values!r} cannot be packed as {layout.format!r}: {error}; give values that fit"
            ) from None
        with self._lock:
            ctypes.memmove(self._check(ptr, layout.size), data, layout.size)

    def read_utf8(self, ptr: int, length: int) -> str:
        """Decode ``length`` bytes at ``ptr``. MarshallingError if they are not UTF-8."""
        data = self.read(ptr, length)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise MarshallingError(
                f"the {length} bytes at address {ptr:#x} are not UTF-8: {error.reason}; "
                "read them as bytes"
            ) from None

    def read_c_string(self, ptr: int, limit: int = 64 * 1024) -> bytes:
        """The bytes at ``ptr`` up to the first NUL, which must come within ``limit`` bytes."""
        with self._lock:
            address = self._check(ptr, 1)
            window = min(limit, self._live().size - ptr)
            chunk = 256
            while True:
                self._check_bulk(ptr, min(chunk, window))
                data = ctypes.string_at(address, min(chunk, window))
                end = data.find(0)
                if end >= 0:
                    return data[:end]
                if chunk >= window:
                    raise MarshallingError(
                        f"no NUL within {window} bytes of address {ptr:#x}; give the address of a "
                        "C string, or raise the limit"
                    )
                chunk *= 8

    def read_u8(self, ptr: int) -> int:
        """Unsigned 8-bit integer at ``ptr``."""
        return int(self.read_struct(_U8, ptr)[0])

    def read_i8(self, ptr: int) -> int:
        """Signed 8-bit integer at ``ptr``."""
        return int(self.read_struct(_I8, ptr)[0])

    def read_u16(self, ptr: int) -> int:
        """Unsigned 16-bit integer at ``ptr``; no alignment is asked for, here and below."""
        return int(self.read_struct(_U16, ptr)[0])

    def read_i16(self, ptr: int) -> int:
        """Signed 16-bit integer at ``ptr``."""
        return int(self.read_struct(_I16, ptr)[0])

    def read_u32(self, ptr: int) -> int:
        """Unsigned 32-bit integer at ``ptr``."""
        return int(self.read_struct(_U32, ptr)[0])

    def read_i32(self, ptr: int) -> int:
        """Signed 32-bit integer at ``ptr``."""
        return int(self.read_struct(_I32, ptr)[0])

    def read_u64(self, ptr: int) -> int:
        """Unsigned 64-bit integer at ``ptr``."""
        return int(self.read_struct(_U64, ptr)[0])

    def read_i64(self, ptr: int) -> int:
        """Signed 64-bit integer at ``ptr``."""
        return int(self.read_struct(_I64, ptr)[0])

    def read_f32(self, ptr: int) -> float:
        """IEEE 754 binary32 at ``ptr``."""
        return float(self.read_struct(_F32, ptr)[0])

    def read_f64(self, ptr: int) -> float:
        """IEEE 754 binary64 at ``ptr``."""
        return float(self.read_struct(_F64, ptr)[0])

    def write_u8(self, ptr: int, value: int) -> None:
        """Write 0..2**8-1 at ``ptr``."""
        self.write_struct(_U8, ptr, value)

    def write_i8(self, ptr: int, value: int) -> None:
        """Write -2**7..2**7-1 at ``ptr``."""
        self.write_struct(_I8, ptr, value)

    def write_u16(self, ptr: int, value: int) -> None:
        """Write 0..2**16-1 at ``ptr``."""
        self.write_struct(_U16, ptr, value)

    def write_i16(self, ptr: int, value: int) -> None:
        """Write -2**15..2**15-1 at ``ptr``."""
        self.write_struct(_I16, ptr, value)

    def write_u32(self, ptr: int, value: int) -> None:
        """Write 0..2**32-1 at ``ptr``."""
        self.write_struct(_U32, ptr, value)

    def write_i32(self, ptr: int, value: int) -> None:
        """Write -2**31..2**31-1 at ``ptr``."""
        self.write_struct(_I32, ptr, value)

    def write_u64(self, ptr: int, value: int) -> None:
        """Write 0..2**64-1 at ``ptr``."""
        self.write_struct(_U64, ptr, value)

    def write_i64(self, ptr: int, value: int) -> None:
        """Write -2**63..2**63-1 at ``ptr``."""
        self.write_struct(_I64, ptr, value)

    def write_f32(self, ptr: int, value: float) -> None:
        """Write the nearest binary32; MarshallingError if it would overflow to infinity."""
        self.write_struct(_F32, ptr, value)

    def write_f64(self, ptr: int, value: float) -> None:
        """Write a binary64 at ``ptr``."""
        self.write_struct(_F64, ptr, value)

    @contextmanager
    def allocate(self, size: int) -> Iterator[Block]:
        """``size`` bytes of the guest's C heap, uninitialised, 8-byte aligned, for a ``with``.

        Raises:
            MarshallingError: ``size`` is negative or above 2**31-1.
            MarshallingTypeError: ``size`` is no integer.
            GuestOutOfMemory: the guest's heap cannot grow that far.
        """
        size = _integer(size)
        if not 0 <= size < 2**31:
            raise MarshallingError(f"cannot allocate {size} bytes; give 0..2**31-1")
        with self._lock:
            linear = self._live()
            ptr = self._malloc(max(size, 1))
            if ptr == 0:
                raise GuestOutOfMemory(
                    f"the guest's heap has no room for {size} bytes; free blocks, or raise "
                    "Limits(memory_bytes=...)"
                )
        block = Block(ptr, size)
        try:
            yield block
        finally:
            with self._lock:
                ptr = block.release()
                # A replaced instance took its heap with it; there is nothing to free then.
                if self._linear is linear:
                    self._free(ptr)

    @contextmanager
    def allocate_bytes(self, data: Buffer) -> Iterator[Block]:
        """A block that holds a copy of ``data``."""
        source = buffer_of(data)
        with self.allocate(source.nbytes) as block:
            self.write(block.ptr, source)
            yield block

    @contextmanager
    def allocate_utf8(self, text: str) -> Iterator[Block]:
        """A block that holds ``text`` as UTF-8, without a terminator."""
        if not isinstance(text, str):
            raise MarshallingTypeError(
                f"text must be a string, not {type(text).__name__}; decode it first"
            )
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise MarshallingError(
                f"{text!r} cannot be UTF-8: {error.reason} at index {error.start}; use "
                "allocate_bytes, or replace that character"
            ) from None
        with self.allocate_bytes(data) as block:
            yield block

    def close(self) -> None:
        """Refuse every further access. The runtime calls this when the instance goes."""
        with self._lock:
            self._linear = None
            self._owner = None

    def _live(self) -> LinearMemory:
        linear = self._linear
        if linear is None:
            raise RuntimeClosed(
                "the instance that this memory belonged to is closed; take runtime.memory again"
            )
        return linear

    def _check_bulk(self, ptr: int, length: int) -> int:
        address = self._check(ptr, length)
        if self._meter is not None:
            self._meter(length)
        return address

    def _check(self, ptr: int, length: int) -> int:
        linear = self._live()
        ptr, length = _integer(ptr), _integer(length)
        if ptr < 0 or length < 0 or ptr + length > linear.size:
            raise MemoryAccessError(ptr, length, linear.size)
        return linear.address + ptr


def _integer(value: int) -> int:
    try:
        return index(value)
    except TypeError:
        raise MarshallingTypeError(
            f"an address or length is an integer, not {type(value).__name__}; give one"
        ) from None
