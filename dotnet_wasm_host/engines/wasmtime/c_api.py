"""wasmtime's C API: as much of it as this project calls.

The Python package ``wasmtime`` declares all of its 762 functions when it is imported, which took
a quarter of a new process's time. So this file finds the package's library and declares the
functions itself. It is the only one that knows where the library is and what is in it.

Signatures and layouts are those of the headers of wasmtime 48 to 50 (``wasm.h``,
``wasmtime/*.h``); probe.py looks whether a library has them. Pointers to what wasmtime owns are
``c_void_p``: plain integers in Python.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import contextmanager
from ctypes import (
    CDLL,
    POINTER,
    addressof,
    byref,
    c_bool,
    c_char_p,
    c_int32,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "FRAMES",
    "FUNCREF",
    "FUNCTION",
    "GLOBAL",
    "I32",
    "MEMORY",
    "SUPPORTED_VERSIONS",
    "TABLE",
    "VAL_RAW_SIZE",
    "Api",
    "ByteVector",
    "DeadlineCallback",
    "Extern",
    "HostCallback",
    "Instance",
    "NativeError",
    "Owned",
    "PointerVector",
    "Signature",
    "Stop",
    "Value",
    "conversion_error",
    "explain",
]

#: Versions of the Python package that the tests run on, the oldest and the newest of them. 48 is
#: a version with long-term support.
SUPPORTED_VERSIONS = ">=48,<51"
_LIBRARIES = {"win32": "_wasmtime.dll", "darwin": "_libwasmtime.dylib"}
#: wasm.h, wasm_valkind_enum.
_VALUE_TYPES = {0: "i32", 1: "i64", 2: "f32", 3: "f64"}
#: wasm.h, wasm_externkind_enum, and wasmtime/extern.h: they agree on functions.
FUNCTION = 0
#: wasmtime/extern.h
GLOBAL = 1
TABLE = 2
MEMORY = 3
#: wasmtime/val.h
I32 = 0
FUNCREF = 5
#: wasmtime/trap.h
_INTERRUPT = 10
#: Bytes of a ``wasmtime_val_raw_t``, a little-endian union (wasmtime/val.h).
VAL_RAW_SIZE = 16
#: Frames of a trap that are kept: deep recursion has tens of thousands, all alike.
FRAMES = 32

#: ``wasmtime_func_unchecked_callback_t``: environment, caller, values, their number; gives a trap.
HostCallback: type[Any] = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, c_size_t)
#: Context, data, where to write how many epochs to go on for, the kind of that; gives an error.
DeadlineCallback: type[Any] = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)


class NativeError(Exception):
    """wasmtime refused to do something, in its own words."""


class Stop(NamedTuple):
    """Why a call came back without a result.

    Attributes:
        message: of wasmtime.
        trap: a trap, not an error of wasmtime's.
        interrupted: a trap because the deadline was reached.
        by_callback: what a callback answered with.
        frames: what the guest was doing, the innermost first: index of a function in its module
            and offset in bytes into its body. At most :data:`FRAMES`.
    """

    message: str
    trap: bool = False
    interrupted: bool = False
    by_callback: bool = False
    frames: Sequence[tuple[int, int]] = ()


class Signature(NamedTuple):
    """Type of a function; value types by their names in the text format: ``i32``."""

    params: tuple[str, ...]
    results: tuple[str, ...]


class ByteVector(ctypes.Structure):
    """``wasm_byte_vec_t``."""

    _fields_ = (("size", c_size_t), ("data", c_void_p))


class PointerVector(ctypes.Structure):
    """``wasm_importtype_vec_t`` and its like."""

    _fields_ = (("size", c_size_t), ("data", POINTER(c_void_p)))


class Extern(ctypes.Structure):
    """``wasmtime_extern_t``. What is in ``of``, a union of 24 bytes, depends on the kind."""

    _fields_ = (("kind", c_uint8), ("of", c_uint64 * 3))


class Instance(ctypes.Structure):
    """``wasmtime_instance_t``."""

    _fields_ = (("store", c_uint64), ("index", c_size_t))


class Value(ctypes.Structure):
    """``wasmtime_val_t``; of its union of 24 bytes only the i32 has a name here."""

    _fields_ = (("kind", c_uint8), ("_gap", c_uint8 * 7), ("i32", c_int32), ("_rest", c_uint32 * 5))


#: Name, result and arguments of each function.
_PROTOTYPES: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
    ("wasm_config_new", c_void_p, ()),
    ("wasmtime_config_epoch_interruption_set", None, (c_void_p, c_bool)),
    ("wasmtime_config_max_wasm_stack_set", None, (c_void_p, c_size_t)),
    ("wasmtime_config_memory_init_cow_set", None, (c_void_p, c_bool)),
    ("wasmtime_config_parallel_compilation_set", None, (c_void_p, c_bool)),
    ("wasm_engine_new_with_config", c_void_p, (c_void_p,)),
    ("wasm_engine_delete", None, (c_void_p,)),
    ("wasmtime_engine_increment_epoch", None, (c_void_p,)),
    ("wasmtime_module_new", c_void_p, (c_void_p, c_char_p, c_size_t, c_void_p)),
    ("wasmtime_module_validate", c_void_p, (c_void_p, c_char_p, c_size_t)),
    ("wasmtime_module_deserialize", c_void_p, (c_void_p, c_char_p, c_size_t, c_void_p)),
    ("wasmtime_module_deserialize_file", c_void_p, (c_void_p, c_char_p, c_void_p)),
    ("wasmtime_module_serialize", c_void_p, (c_void_p, POINTER(ByteVector))),
    ("wasmtime_module_imports", None, (c_void_p, POINTER(PointerVector))),
    ("wasmtime_module_delete", None, (c_void_p,)),
    ("wasm_importtype_vec_delete", None, (POINTER(PointerVector),)),
    ("wasm_importtype_module", POINTER(ByteVector), (c_void_p,)),
    ("wasm_importtype_name", POINTER(ByteVector), (c_void_p,)),
    ("wasm_importtype_type", c_void_p, (c_void_p,)),
    ("wasm_externtype_kind", c_uint8, (c_void_p,)),
    ("wasm_externtype_as_functype_const", c_void_p, (c_void_p,)),
    ("wasmtime_func_type", c_void_p, (c_void_p, c_void_p)),
    ("wasm_functype_delete", None, (c_void_p,)),
    ("wasm_functype_params", POINTER(PointerVector), (c_void_p,)),
    ("wasm_functype_results", POINTER(PointerVector), (c_void_p,)),
    ("wasm_valtype_kind", c_uint8, (c_void_p,)),
    ("wasmtime_linker_new", c_void_p, (c_void_p,)),
    ("wasmtime_linker_allow_shadowing", None, (c_void_p, c_bool)),
    (
        "wasmtime_linker_define",
        c_void_p,
        (c_void_p, c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, POINTER(Extern)),
    ),
    (
        "wasmtime_linker_define_func_unchecked",
        c_void_p,
        (
            c_void_p, c_char_p, c_size_t, c_char_p, c_size_t,
            c_void_p, HostCallback, c_void_p, c_void_p,
        ),
    ),
    (
        "wasmtime_linker_instantiate",
        c_void_p,
        (c_void_p, c_void_p, c_void_p, POINTER(Instance), POINTER(c_void_p)),
    ),
    ("wasmtime_linker_delete", None, (c_void_p,)),
    ("wasmtime_store_new", c_void_p, (c_void_p, c_void_p, c_void_p)),
    ("wasmtime_store_context", c_void_p, (c_void_p,)),
    (
        "wasmtime_store_epoch_deadline_callback",
        None,
        (c_void_p, DeadlineCallback, c_void_p, c_void_p),
    ),
    ("wasmtime_store_delete", None, (c_void_p,)),
    (
        "wasmtime_instance_new",
        c_void_p,
        (c_void_p, c_void_p, c_void_p, c_size_t, POINTER(Instance), POINTER(c_void_p)),
    ),
    (
        "wasmtime_instance_export_get",
        c_bool,
        (c_void_p, POINTER(Instance), c_char_p, c_size_t, POINTER(Extern)),
    ),
    (
        "wasmtime_instance_export_nth",
        c_bool,
        (
            c_void_p, POINTER(Instance), c_size_t,
            POINTER(c_void_p), POINTER(c_size_t), POINTER(Extern),
        ),
    ),
    ("wasmtime_memory_data", c_void_p, (c_void_p, c_void_p)),
    ("wasmtime_memory_data_size", c_size_t, (c_void_p, c_void_p)),
    ("wasmtime_memory_grow", c_void_p, (c_void_p, c_void_p, c_uint64, POINTER(c_uint64))),
    ("wasmtime_table_size", c_uint64, (c_void_p, c_void_p)),
    (
        "wasmtime_table_grow",
        c_void_p,
        (c_void_p, c_void_p, c_uint64, POINTER(Value), POINTER(c_uint64)),
    ),
    ("wasmtime_global_get", None, (c_void_p, c_void_p, POINTER(Value))),
    ("wasmtime_global_set", c_void_p, (c_void_p, c_void_p, POINTER(Value))),
    ("wasmtime_func_call_unchecked", c_void_p, (c_void_p, c_void_p, c_void_p, c_size_t, c_void_p)),
    ("wasmtime_error_new", c_void_p, (c_char_p,)),
    ("wasmtime_error_message", None, (c_void_p, POINTER(ByteVector))),
    ("wasmtime_error_delete", None, (c_void_p,)),
    ("wasmtime_trap_new", c_void_p, (c_char_p, c_size_t)),
    ("wasmtime_trap_code", c_bool, (c_void_p, POINTER(c_uint8))),
    ("wasm_trap_message", None, (c_void_p, POINTER(ByteVector))),
    ("wasm_trap_trace", None, (c_void_p, POINTER(PointerVector))),
    ("wasm_trap_delete", None, (c_void_p,)),
    ("wasm_frame_func_index", c_uint32, (c_void_p,)),
    ("wasm_frame_func_offset", c_size_t, (c_void_p,)),
    ("wasm_frame_vec_delete", None, (POINTER(PointerVector),)),
    ("wasm_byte_vec_delete", None, (POINTER(ByteVector),)),
)  # fmt: skip


@final
class Api:
    """The functions, by their names in C, and what belongs to some of them.

    Raises:
        ImportError: the package ``wasmtime`` is not installed, or its library is not in it or is
            not the one that is meant.
    """

    def __init__(self) -> None:
        path = _library()
        try:
            library = CDLL(str(path))
        except OSError as error:
            raise ImportError(f"{path} cannot be loaded: {error}") from error
        for name, result, arguments in _PROTOTYPES:
            try:
                function = library[name]
            except AttributeError:
                raise ImportError(f"{path} has no {name}; it is of another version") from None
            function.restype = result
            function.argtypes = arguments
            setattr(self, name, function)
        # For arguments that from_param has made: without types to convert them to, they cross
        # faster.
        self.call_prepared: Any = library["wasmtime_func_call_unchecked"]
        self.call_prepared.restype = c_void_p
        said = b"host function raised"
        self.new_trap: Callable[[], int] = partial(self.wasmtime_trap_new, said, len(said))
        self.new_error: Callable[[], int] = partial(self.wasmtime_error_new, b"interrupted")

    def __getattr__(self, name: str) -> Any:
        # Here for type checkers: every function that there is, is an attribute.
        raise AttributeError(name)

    def check(self, error: int | None) -> None:
        """NativeError if there is an error, which is freed."""
        if error:
            raise NativeError(self.error_message(error))

    def serialized(self, module: int) -> bytes:
        """A compiled module as bytes. NativeError."""
        vector = ByteVector()
        self.check(self.wasmtime_module_serialize(module, byref(vector)))
        return self.take(vector)

    def error_message(self, error: int) -> str:
        """Text of an error, which is freed."""
        vector = ByteVector()
        self.wasmtime_error_message(error, byref(vector))
        self.wasmtime_error_delete(error)
        return self.take(vector).decode("utf-8", "replace")

    def stop(self, trap: int) -> Stop:
        """What a trap says. It is freed."""
        vector, frames, code = ByteVector(), PointerVector(), c_uint8()
        self.wasm_trap_message(trap, byref(vector))
        self.wasm_trap_trace(trap, byref(frames))
        has_code = self.wasmtime_trap_code(trap, byref(code))
        places = [
            (self.wasm_frame_func_index(frame), self.wasm_frame_func_offset(frame))
            for frame in frames.data[: min(frames.size, FRAMES)]
        ]
        self.wasm_frame_vec_delete(byref(frames))
        self.wasm_trap_delete(trap)
        message = self.take(vector).removesuffix(b"\0").decode("utf-8", "replace")
        return Stop(
            message,
            trap=True,
            interrupted=bool(has_code) and code.value == _INTERRUPT,
            by_callback=not has_code,
            frames=places,
        )

    def ended(self, error: int | None, trap: c_void_p) -> Stop:
        """What a call ended in: an error, or else ``trap``, which is NULL afterwards.

        RecursionError if the stack is too deep to read it.
        """
        try:
            if error:
                return Stop(self.error_message(error), by_callback=True)
            # Here no longer, whatever is raised: the next call finds none.
            of, trap.value = trap.value, None
            return self.stop(of or 0)
        except ctypes.ArgumentError as failed:
            raise conversion_error(failed) from failed

    def take(self, vector: ByteVector) -> bytes:
        """Content of a vector, which is freed."""
        content = _content(vector)
        self.wasm_byte_vec_delete(byref(vector))
        return content

    @contextmanager
    def imported_functions(self, module: int) -> Iterator[list[tuple[bytes, bytes, int]]]:
        """Module, name and functype of the functions that a module imports, in its order.

        The functypes live as long as the context.
        """
        types = PointerVector()
        self.wasmtime_module_imports(module, byref(types))
        try:
            found = []
            for item in types.data[: types.size]:
                kind = self.wasm_importtype_type(item)
                if self.wasm_externtype_kind(kind) == FUNCTION:
                    space = _content(self.wasm_importtype_module(item).contents)
                    name = _content(self.wasm_importtype_name(item).contents)
                    found.append((space, name, self.wasm_externtype_as_functype_const(kind)))
            yield found
        finally:
            self.wasm_importtype_vec_delete(byref(types))

    def imported_names(self, module: int) -> list[tuple[bytes, bytes]]:
        """Module and name of everything that a module imports, in its order."""
        types = PointerVector()
        self.wasmtime_module_imports(module, byref(types))
        try:
            return [
                (
                    _content(self.wasm_importtype_module(item).contents),
                    _content(self.wasm_importtype_name(item).contents),
                )
                for item in types.data[: types.size]
            ]
        finally:
            self.wasm_importtype_vec_delete(byref(types))

    def function_signature(self, context: int, function: Extern) -> Signature:
        """Type of a function of an instance."""
        functype = self.wasmtime_func_type(context, addressof(function.of))
        try:
            return self.signature(functype)
        finally:
            self.wasm_functype_delete(functype)

    def signature(self, functype: int) -> Signature:
        """What a functype says."""
        return Signature(
            self._value_types(self.wasm_functype_params(functype).contents),
            self._value_types(self.wasm_functype_results(functype).contents),
        )

    def _value_types(self, types: PointerVector) -> tuple[str, ...]:
        kinds = [self.wasm_valtype_kind(item) for item in types.data[: types.size]]
        return tuple(_VALUE_TYPES.get(kind, f"kind {kind}") for kind in kinds)


class Owned:
    """Owns something native and frees it when it goes.

    Attributes:
        pointer: to what is owned.
        delete: frees it; ``None`` once it belongs to somebody else.
    """

    __slots__ = ("__weakref__", "delete", "pointer")

    def __init__(self, pointer: int, delete: Callable[[int], object] | None) -> None:
        self.pointer: int = pointer
        self.delete: Callable[[int], object] | None = delete

    def leak(self) -> None:
        """Let it live on, for as long as the process does: it may still be used."""
        self.delete = None

    def __del__(self) -> None:
        delete = getattr(self, "delete", None)  # not there if __init__ failed
        if delete is not None:
            delete(self.pointer)


def conversion_error(error: ctypes.ArgumentError) -> RecursionError:
    """What ``error`` is where the arguments are right.

    ctypes calls by its own name what its conversions meet, and that is a stack at the recursion
    limit.
    """
    return RecursionError(str(error))


def _content(vector: ByteVector) -> bytes:
    return ctypes.string_at(vector.data, vector.size) if vector.size else b""


def explain(reason: object) -> str:
    """Why wasmtime cannot be used, and which versions can be."""
    from importlib import metadata

    try:
        found = f"{metadata.version('wasmtime')}, which cannot be used"
    except metadata.PackageNotFoundError:
        found = "none"
    return (
        f"expected the package wasmtime{SUPPORTED_VERSIONS}, found {found} "
        f"({reason}); run: pip install 'wasmtime{SUPPORTED_VERSIONS}'"
    )


def _library() -> Path:
    name = _LIBRARIES.get(sys.platform, "_libwasmtime.so")
    # Finding the package does not import it.
    package = find_spec("wasmtime")
    folders = (package.submodule_search_locations if package is not None else None) or ()
    # A folder named after the platform; a wheel has one.
    found = [path for folder in folders for path in Path(folder).glob(f"*/{name}")]
    if not found:
        raise ImportError(f"no {name} in the package wasmtime" if folders else "no module wasmtime")
    return found[0]
