"""Whether the library that was loaded is one whose layouts and calls this package knows.

C has no types at run time. So structures are given to the library with canaries behind them, and
a small module is used as every image is: exports of each kind, a call into the guest, a call of a
host function out of it. A version with another layout fails here, with a sentence, and not in the
middle of somebody's call.
"""

from __future__ import annotations

import ctypes
from ctypes import addressof, byref, c_size_t, c_uint32, c_void_p, sizeof
from typing import TYPE_CHECKING, Any, Final

from dotnet_wasm_host.engines.wasmtime.c_api import (
    FUNCTION,
    GLOBAL,
    I32,
    MEMORY,
    TABLE,
    VAL_RAW_SIZE,
    Extern,
    HostCallback,
    Instance,
    NativeError,
    Owned,
    Signature,
    Value,
    explain,
)
from dotnet_wasm_host.engines.wasmtime.module import WasmtimeModule
from dotnet_wasm_host.errors import EngineUnavailable
from dotnet_wasm_host.wasm import PAGE

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.wasmtime.native_engine import NativeEngine

__all__ = ["probe_library"]

#: The module, in WebAssembly's text format::
#:
#:    (module
#:      (import "env" "add" (func $add (param i32 i32) (result i32)))
#:      (memory (export "memory") 1)
#:      (table (export "table") 3 funcref)
#:      (global (export "global") (mut i32) (i32.const 7))
#:      (func (export "function") (param i32 i32) (result i32)
#:        (call $add (local.get 0) (local.get 1))))
_PROBE: Final = bytes.fromhex(
    "0061736d0100000001070160027f7f017f020b0103656e76036164640000030201000404017000030503010001"
    "0606017f0141070b072604066d656d6f72790200057461626c65010006676c6f62616c03000866756e6374696f6e"
    "00010a0a0108002000200110000b"
)
_TABLE_SIZE, _GLOBAL = 3, 7
_CANARY = b"\xa5" * 16
_ADDENDS = (20, 22)


class _Guarded:
    """A structure of C with canaries behind it: the library must not write more than it is."""

    def __init__(self, kind: type[Any]) -> None:
        size = sizeof(kind)
        self._buffer = ctypes.create_string_buffer(bytes(size) + _CANARY)
        self._size = size
        self.value = kind.from_buffer(self._buffer)

    def check(self) -> None:
        """ImportError if it is larger in C."""
        if self._buffer.raw[self._size : self._size + len(_CANARY)] != _CANARY:
            raise ImportError(
                f"{type(self.value).__name__} has more than the {self._size} bytes that "
                "were expected"
            )


def probe_library(engine: NativeEngine) -> None:
    """Use the library as this package does.

    Raises:
        EngineUnavailable: something is not as it was expected.
    """
    try:
        _probe(engine)
    except (ImportError, NativeError) as error:
        raise EngineUnavailable(explain(error)) from error


def _probe(engine: NativeEngine) -> None:
    module = WasmtimeModule.compile(engine, _PROBE)
    api = engine.api
    store = Owned(api.wasmtime_store_new(engine.pointer, None, None), api.wasmtime_store_delete)
    context = api.wasmtime_store_context(store.pointer)
    api.wasmtime_store_epoch_deadline_callback(store.pointer, engine.look_up, None, None)
    linker = Owned(api.wasmtime_linker_new(engine.pointer), api.wasmtime_linker_delete)
    add = HostCallback(_add)
    with api.imported_functions(module.pointer) as declared:
        _expect("the imports", [(space, name) for space, name, _ in declared], [(b"env", b"add")])
        ((space, name, functype),) = declared
        signature = Signature(("i32", "i32"), ("i32",))
        _expect("the import's type", api.signature(functype), signature)
        api.check(
            api.wasmtime_linker_define_func_unchecked(
                linker.pointer, space, len(space), name, len(name), functype, add, None, None
            )
        )
    instance, trap = _Guarded(Instance), c_void_p()
    api.check(
        api.wasmtime_linker_instantiate(
            linker.pointer, context, module.pointer, byref(instance.value), byref(trap)
        )
    )
    instance.check()
    _expect("a trap", trap.value, None)

    def export(name: bytes, kind: int) -> Extern:
        extern = _Guarded(Extern)
        found = api.wasmtime_instance_export_get(
            context, byref(instance.value), name, len(name), byref(extern.value)
        )
        extern.check()
        _expect(f"the export {name.decode()}", (found, extern.value.kind), (True, kind))
        result: Extern = extern.value
        return result

    # Each is a variable: the library is given addresses inside of them.
    memory, table = export(b"memory", MEMORY), export(b"table", TABLE)
    variable, function = export(b"global", GLOBAL), export(b"function", FUNCTION)
    _expect("its memory", api.wasmtime_memory_data_size(context, addressof(memory.of)), PAGE)
    _expect("its table", api.wasmtime_table_size(context, addressof(table.of)), _TABLE_SIZE)
    value = _Guarded(Value)
    api.wasmtime_global_get(context, addressof(variable.of), byref(value.value))
    value.check()
    _expect("its global", (value.value.kind, value.value.i32), (I32, _GLOBAL))
    values = (c_uint32 * (2 * VAL_RAW_SIZE // 4))()
    values[0], values[VAL_RAW_SIZE // 4] = _ADDENDS
    api.check(
        api.wasmtime_func_call_unchecked(
            context, addressof(function.of), addressof(values),
            c_size_t(len(_ADDENDS)), addressof(trap),
        )
    )  # fmt: skip
    _expect("a trap", trap.value, None)
    _expect("the sum", values[0], sum(_ADDENDS))


def _add(_env: int, _caller: int, values: int, _count: int) -> None:
    first = c_uint32.from_address(values)
    first.value += c_uint32.from_address(values + VAL_RAW_SIZE).value


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise ImportError(f"{what} of the probe: expected {expected}, found {found}")
