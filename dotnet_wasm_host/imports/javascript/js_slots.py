"""Values of JavaScript interop in linear memory: ``JSMarshalerArgument`` and signatures.

Layouts and numbers are those of .NET 10's ``System.Runtime.InteropServices.JavaScript``
(``JSMarshalerArgument``, ``JSFunctionBinding.JSBindingHeader``, ``MarshalerType``), which its
JavaScript half has in ``src/mono/browser/runtime/marshal.ts``. Strings are managed objects in
this build, so one is made by a call into the guest.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, final

from dotnet_wasm_host.errors import MarshallingError
from dotnet_wasm_host.imports.host_work import ITEM
from dotnet_wasm_host.imports.javascript.js_objects import JsError, JsObject, MemoryView
from dotnet_wasm_host.memory import buffer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.imports.base import Caller
    from dotnet_wasm_host.imports.javascript.js_objects import JsHandles

__all__ = ["SLOT_SIZE", "MarshalerType", "Signature", "Slots", "message_of"]

SLOT_SIZE = 32
#: Handle (of a JSObject, or of a GCHandle).
HANDLE_OFFSET = 4
LENGTH_OFFSET = 8
TYPE_OFFSET = 12
ELEMENT_OFFSET = 13
#: JSBindingHeader: Version, ArgumentCount, ImportHandle, reserved, FunctionNameOffset,
#: FunctionNameLength, ModuleNameOffset, ModuleNameLength (bytes of UTF-16).
_HEADER = struct.Struct("<iIIxxxxIIII")
_RESULT_OFFSET = 64
#: JSBindingType: Type, ResultMarshalerType, Arg1MarshalerType.
_BINDING_TYPE = struct.Struct("<B15xB3xB")
SIGNATURE_VERSION = 2
LONGEST_NAME = 1024
#: MonoString of a 32-bit build: vtable, synchronisation, length, UTF-16 code units.
_STRING_LENGTH_OFFSET, _STRING_CHARS_OFFSET = 8, 12
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MOST_DEEP = 8
#: What a value is taken to cost in Python beside what is inside of it: its object, its place in a
#: list, and the time in which a list is let go, in one piece and under the interpreter lock.
_VALUE_BYTES = 1024
#: Most bytes of a string (UTF-16) or an array of bytes. Each is copied in one piece, too; what
#: .NET passes are names, URLs and headers, since bodies go another way.
_MOST_BYTES = 2 << 20
#: Most characters of an exception's message.
_LONGEST_MESSAGE = 16 * 1024


class MarshalerType(IntEnum):
    """``MarshalerType`` of the managed half."""

    NONE = 0
    VOID = 1
    DISCARD = 2
    BOOLEAN = 3
    BYTE = 4
    CHAR = 5
    INT16 = 6
    INT32 = 7
    #: An integer that a double holds, which it travels as.
    INT52 = 8
    BIG_INT64 = 9
    DOUBLE = 10
    SINGLE = 11
    INT_PTR = 12
    JS_OBJECT = 13
    OBJECT = 14
    STRING = 15
    EXCEPTION = 16
    DATE_TIME = 17
    DATE_TIME_OFFSET = 18
    NULLABLE = 19
    TASK = 20
    ARRAY = 21
    ARRAY_SEGMENT = 22
    SPAN = 23
    ACTION = 24
    FUNCTION = 25
    DISCARD_NO_WAIT = 26
    JS_EXCEPTION = 27
    TASK_RESOLVED = 28
    TASK_REJECTED = 29
    TASK_PRE_CREATED = 30


_T = MarshalerType
_NOTHING = frozenset({_T.NONE, _T.VOID, _T.DISCARD, _T.DISCARD_NO_WAIT})
_INTEGERS: dict[int, struct.Struct] = {
    _T.BYTE: struct.Struct("<B"),
    _T.CHAR: struct.Struct("<H"),
    _T.INT16: struct.Struct("<h"),
    _T.INT32: struct.Struct("<i"),
    _T.BIG_INT64: struct.Struct("<q"),
    _T.INT_PTR: struct.Struct("<I"),
}
_FLOATS: dict[int, struct.Struct] = {_T.DOUBLE: struct.Struct("<d"), _T.SINGLE: struct.Struct("<f")}
_DOUBLE = _FLOATS[_T.DOUBLE]
_NUMBERS = {**_INTEGERS, **_FLOATS}
#: Bytes of an element of an array or span; the rest are slots.
_ELEMENTS: dict[int, str] = {_T.BYTE: "B", _T.INT32: "i", _T.DOUBLE: "d", _T.SINGLE: "f"}
_ROOTED = frozenset({_T.STRING, _T.OBJECT})


@dataclass(frozen=True, slots=True)
class Signature:
    """What ``[JSImport]`` says of a function.

    Attributes:
        name: for example ``"INTERNAL.http_wasm_fetch"``.
        argument_count: how many arguments it is called with.
        result: type of the result.
        inner: of a task, array or nullable: what is inside.
    """

    name: str
    argument_count: int
    result: int
    inner: int

    @classmethod
    def read(cls, caller: Caller, address: int) -> tuple[int, Signature]:
        """The import handle and signature at ``address``. JsError if it is of another version."""
        memory = caller.memory
        version, count, handle, at, length, _, _ = memory.read_struct(_HEADER, address)
        if version != SIGNATURE_VERSION or length > LONGEST_NAME:
            raise JsError(f"a JavaScript binding has version {version} and {length} bytes of name")
        name = memory.read(address + at, length).decode("utf-16-le", errors="replace")
        kind, of_result, of_argument = memory.read_struct(_BINDING_TYPE, address + _RESULT_OFFSET)
        inner = of_argument if kind == _T.ARRAY else of_result
        return handle, cls(name, count, kind, inner)


@final
class Slots:
    """Reads and writes slots of one instance."""

    def __init__(self, caller: Caller, handles: JsHandles) -> None:
        self._caller = caller
        self._handles = handles
        self._work = caller.work
        self._held = 0

    # ---------------------------------------------------------------- reading

    def let_go(self) -> int:
        """What was read since the last time is needed no longer; the bytes it took."""
        held, self._held = self._held, 0
        self._work.drop(held)
        return held

    def _hold(self, size: int) -> None:
        """Announce values of ``size`` bytes, which exist beside those that were read before."""
        self._work.keep(size)
        self._held += size

    def read(self, address: int, depth: int = 0) -> object:
        """The value in a slot. JsError for what has no meaning on the host.

        ``None``, bool, int, float, str, an aware ``datetime``, a :class:`JsObject`, ``bytes``
        for a byte array, a list for other arrays, a :class:`MemoryView` for a span, and a
        ``JsError`` with its message for an exception.
        """
        self._work.charge(ITEM)
        kind = self._caller.memory.read_u8(address + TYPE_OFFSET)
        if kind in _NOTHING:
            return None
        layout = _NUMBERS.get(kind)
        if layout is not None:
            return self._caller.memory.read_struct(layout, address)[0]
        if kind == _T.ARRAY and depth < _MOST_DEEP:
            return self._read_array(address, depth)
        read = self._READERS.get(kind)
        if read is None:
            raise JsError(f"NotSupportedException: a {_name(kind)} cannot be handed to the host")
        return read(self, address)

    def _read_boolean(self, address: int) -> bool:
        return self._caller.memory.read_u8(address) != 0

    def _read_int52(self, address: int) -> int:
        return int(self._caller.memory.read_f64(address))

    def _read_js_object(self, address: int) -> JsObject:
        return self._handles.object_of(self._caller.memory.read_i32(address + HANDLE_OFFSET))

    def _read_error(self, address: int) -> JsError:
        return JsError(self._read_string(address) if self._caller.memory.read_u32(address) else "")

    def _read_time(self, address: int) -> datetime:
        return _EPOCH + timedelta(milliseconds=self._caller.memory.read_f64(address))

    def _read_string(self, address: int) -> str:
        memory = self._caller.memory
        text = memory.read_u32(address)
        length = memory.read_u32(text + _STRING_LENGTH_OFFSET)
        memory.require(text + _STRING_CHARS_OFFSET, 2 * length)  # a length that cannot be ends here
        _require_short(2 * length)
        # Python takes four bytes for a character if one of them needs more than two.
        self._hold(4 * length + _VALUE_BYTES)
        data = memory.read(text + _STRING_CHARS_OFFSET, 2 * length)
        return data.decode("utf-16-le", errors="surrogatepass")

    def _read_view(self, address: int) -> MemoryView:
        memory = self._caller.memory
        if memory.read_u8(address + ELEMENT_OFFSET) not in {0, _T.BYTE}:
            raise JsError("NotSupportedException: only Span<byte> can be handed to the host")
        pointer, length = memory.read_u32(address), memory.read_u32(address + LENGTH_OFFSET)
        return MemoryView(memory, pointer, length)

    def _read_array(self, address: int, depth: int) -> object:
        memory = self._caller.memory
        buffer, length = memory.read_u32(address), memory.read_u32(address + LENGTH_OFFSET)
        element = memory.read_u8(address + ELEMENT_OFFSET)
        try:
            if element in _ELEMENTS:
                layout = struct.Struct(f"<{length}{_ELEMENTS[element]}")
                memory.require(buffer, layout.size)  # a length that cannot be is an error here
                if element == _T.BYTE:
                    _require_short(layout.size)
                self._hold(length * (1 if element == _T.BYTE else _VALUE_BYTES))
                data = memory.read(buffer, layout.size)
                return data if element == _T.BYTE else list(layout.unpack(data))
            memory.require(buffer, length * SLOT_SIZE)  # a length that cannot be is an error here
            self._hold(length * _VALUE_BYTES)
            return [self.read(buffer + i * SLOT_SIZE, depth + 1) for i in range(length)]
        finally:
            # If the guest is being stopped, nothing of it is entered any more.
            if not self._work.stopped:
                self._free_array(buffer, element)

    def _free_array(self, buffer: int, element: int) -> None:
        # The array is a copy that managed code made for the host.
        if element in _ROOTED:
            self._caller.call("mono_wasm_deregister_root", buffer)
        self._caller.call("free", buffer)

    # ---------------------------------------------------------------- writing

    def write(self, address: int, kind: int, value: object, inner: int = _T.NONE) -> None:
        """Put ``value`` into a slot as ``kind``. MarshallingError if it is not of that kind."""
        if kind == _T.NULLABLE:
            kind = inner
        if value is None or kind in _NOTHING:
            self._set_type(address, _T.NONE)
        elif kind in self._WRITERS:
            self._WRITERS[kind](self, address, value)
        elif kind in _INTEGERS and isinstance(value, int):
            self._caller.memory.write_struct(_INTEGERS[kind], address, value)
            self._set_type(address, kind)
        elif kind in _FLOATS and isinstance(value, (int, float)):
            self._caller.memory.write_struct(_FLOATS[kind], address, value)
            self._set_type(address, kind)
        elif kind == _T.ARRAY:
            self._write_array(address, value, inner)
        else:
            raise _mismatch(value, kind)

    def write_error(self, address: int, error: BaseException) -> None:
        """Put an exception into a slot: managed code throws it as ``JSException``."""
        text = message_of(error)
        self._put_string(address, text)
        self._caller.memory.write_i32(address + HANDLE_OFFSET, 0)
        self._set_type(address, _T.JS_EXCEPTION)

    def write_promise(self, address: int, handle: int) -> None:
        """Put a task into a slot that will be completed under ``handle``."""
        self._caller.memory.write_i32(address + HANDLE_OFFSET, handle)
        self._set_type(address, _T.TASK)

    def write_holder(self, address: int, handle: int) -> None:
        """Put the identity of a managed object into a slot."""
        self._caller.memory.write_i32(address + HANDLE_OFFSET, handle)
        self._set_type(address, _T.OBJECT)

    def _set_type(self, address: int, kind: int) -> None:
        self._caller.memory.write_u8(address + TYPE_OFFSET, kind)

    def _put_string(self, address: int, text: str) -> None:
        self._work.charge(4 * len(text))
        data = text.encode("utf-16-le", errors="surrogatepass")
        with self._caller.memory.allocate_bytes(data) as block:
            # The slot is in memory that the collector scans, so it is the string's root.
            self._caller.call("mono_wasm_string_from_utf16_ref", block.ptr, len(data) // 2, address)

    def _write_string(self, address: int, value: object) -> None:
        if not isinstance(value, str):
            raise _mismatch(value, _T.STRING)
        self._put_string(address, value)
        self._set_type(address, _T.STRING)

    def _write_boolean(self, address: int, value: object) -> None:
        if not isinstance(value, bool):
            raise _mismatch(value, _T.BOOLEAN)
        self._caller.memory.write_u8(address, int(value))
        self._set_type(address, _T.BOOLEAN)

    def _write_int52(self, address: int, value: object) -> None:
        if not isinstance(value, int) or abs(value) >= 2**53:
            raise _mismatch(value, _T.INT52)
        self._caller.memory.write_f64(address, float(value))
        self._set_type(address, _T.INT52)

    def _write_js_object(self, address: int, value: object) -> None:
        if not isinstance(value, JsObject):
            raise _mismatch(value, _T.JS_OBJECT)
        self._caller.memory.write_i32(address + HANDLE_OFFSET, self._handles.handle_of(value))
        self._set_type(address, _T.JS_OBJECT)

    def _write_time(self, address: int, value: object) -> None:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise _mismatch(value, _T.DATE_TIME)
        self._caller.memory.write_f64(address, (value - _EPOCH) / timedelta(milliseconds=1))
        self._set_type(address, _T.DATE_TIME_OFFSET)

    def _write_any(self, address: int, value: object) -> None:
        """As JavaScript's own values cross where the signature says ``object``."""
        if isinstance(value, bool):
            self._write_boolean(address, value)
        elif isinstance(value, (int, float)):
            self._caller.memory.write_struct(_DOUBLE, address, value)
            self._set_type(address, _T.DOUBLE)
        elif isinstance(value, str):
            self._write_string(address, value)
        elif isinstance(value, JsObject):
            self._write_js_object(address, value)
        elif isinstance(value, (bytes, bytearray, memoryview)):
            self._write_array(address, value, _T.BYTE)
        elif isinstance(value, (list, tuple)):
            self._write_array(address, value, _T.OBJECT)
        else:
            raise _mismatch(value, _T.OBJECT)

    def _write_array(self, address: int, value: object, element: int) -> None:
        memory = self._caller.memory
        if element in _ELEMENTS:
            data, length = _packed(value, element)
            buffer = self._allocate(len(data))
            memory.write(buffer, data)
        else:
            if not isinstance(value, (list, tuple)):
                raise _mismatch(value, _T.ARRAY)
            length = len(value)
            self._work.charge_items(length)
            buffer = self._allocate(length * SLOT_SIZE)
            memory.write(buffer, bytes(length * SLOT_SIZE))
            if element in _ROOTED:
                self._caller.call("mono_wasm_register_root", buffer, length * SLOT_SIZE, 0)
            for index, item in enumerate(value):
                self.write(buffer + index * SLOT_SIZE, element, item)
        # Managed code copies and frees it.
        memory.write_u32(address, buffer)
        memory.write_u32(address + LENGTH_OFFSET, length)
        memory.write_u8(address + ELEMENT_OFFSET, element)
        self._set_type(address, _T.ARRAY)

    def _allocate(self, size: int) -> int:
        pointer = self._caller.call("malloc", max(size, 1))
        if pointer == 0:
            raise MarshallingError(
                f"linear memory has no room for an array of {size} bytes; pass less at a time"
            )
        return pointer

    # Functions, not methods of an object: they would refer to it, and it to them.
    _READERS: ClassVar[dict[int, Callable[[Slots, int], object]]] = {
        _T.BOOLEAN: _read_boolean,
        _T.INT52: _read_int52,
        _T.STRING: _read_string,
        _T.JS_OBJECT: _read_js_object,
        _T.EXCEPTION: _read_error,
        _T.JS_EXCEPTION: _read_error,
        _T.DATE_TIME: _read_time,
        _T.DATE_TIME_OFFSET: _read_time,
        _T.SPAN: _read_view,
    }
    _WRITERS: ClassVar[dict[int, Callable[[Slots, int, object], None]]] = {
        _T.STRING: _write_string,
        _T.BOOLEAN: _write_boolean,
        _T.INT52: _write_int52,
        _T.JS_OBJECT: _write_js_object,
        _T.OBJECT: _write_any,
        _T.DATE_TIME: _write_time,
        _T.DATE_TIME_OFFSET: _write_time,
    }


def message_of(error: BaseException) -> str:
    """The description of an exception for managed code."""
    said = str(error)
    text = said if isinstance(error, JsError) else f"{type(error).__name__}: {said}"
    return text[:_LONGEST_MESSAGE]


def _packed(value: object, element: int) -> tuple[bytes | memoryview, int]:
    if element == _T.BYTE:
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise _mismatch(value, _T.ARRAY)
        view = buffer_of(value)
        return view, view.nbytes
    if not isinstance(value, (list, tuple)):
        raise _mismatch(value, _T.ARRAY)
    try:
        return struct.pack(f"<{len(value)}{_ELEMENTS[element]}", *value), len(value)
    except struct.error as error:
        raise MarshallingError(
            f"an array element cannot be {_name(element)}: {error}; give values that fit"
        ) from None


def _require_short(size: int) -> None:
    if size > _MOST_BYTES:
        raise JsError(
            f"ArgumentException: expected at most {_MOST_BYTES} bytes in a string or array for the "
            f"host, found {size}; pass it in parts, or as a span"
        )


def _name(kind: int) -> str:
    try:
        return _T(kind).name
    except ValueError:
        return f"value of type {kind}"


def _mismatch(value: object, kind: int) -> MarshallingError:
    return MarshallingError(f"a {type(value).__name__} cannot cross as {_name(kind)}")
