"""Stores: where an instance and its memory are."""

from __future__ import annotations

from ctypes import addressof, byref, c_uint64, c_void_p
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.engines.instance import LimitedMemory
from dotnet_wasm_host.engines.page_release import release_pages
from dotnet_wasm_host.engines.wasmtime.c_api import MEMORY, Instance, NativeError, Owned
from dotnet_wasm_host.engines.wasmtime.exports import Exports

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.wasmtime.c_api import Api, Extern
    from dotnet_wasm_host.engines.wasmtime.native_engine import NativeEngine

__all__ = ["Store", "WasmtimeMemory"]


@final
class Store(Owned):
    """``wasmtime_store_t``; its guest looks up at every epoch.

    Attributes:
        api: wasmtime's functions.
        context: ``wasmtime_context_t``; borrowed from the store.
    """

    __slots__ = ("api", "context")

    def __init__(self, engine: NativeEngine) -> None:
        api: Api = engine.api
        self.api: Api = api
        pointer = api.wasmtime_store_new(engine.pointer, None, None)
        super().__init__(pointer, api.wasmtime_store_delete)
        self.context: int = api.wasmtime_store_context(pointer)
        # Its deadline is the epoch it was made in: the guest looks up when it starts.
        api.wasmtime_store_epoch_deadline_callback(pointer, engine.look_up, None, None)

    def instantiate_memory(self, module: int) -> Extern:
        """The memory of a new instance of a memory module. NativeError."""
        api, instance, trap = self.api, Instance(), c_void_p()
        error = api.wasmtime_instance_new(
            self.context, module, None, 0, byref(instance), byref(trap)
        )
        if trap.value:
            raise NativeError(api.stop(trap.value).message)
        api.check(error)
        return Exports(api, self.context, instance, {}).get("memory", MEMORY)


@final
class WasmtimeMemory(LimitedMemory):
    """Linear memory of one instance. wasmtime reserves its address range, so it never moves.

    Attributes:
        extern: the memory as an import of other modules.
    """

    __slots__ = ("_api", "_store", "extern")

    def __init__(self, store: Store, extern: Extern, limit: int) -> None:
        super().__init__(limit)
        self._api: Api = store.api
        self._store = store
        self.extern: Extern = extern
        self._refresh()

    def _grow(self, pages: int) -> bool:
        before = c_uint64()
        error = self._api.wasmtime_memory_grow(
            self._store.context, addressof(self.extern.of), pages, byref(before)
        )
        if error:
            self._api.wasmtime_error_delete(error)
        return not error

    def _refresh(self) -> None:
        context, memory = self._store.context, addressof(self.extern.of)
        self.address: int = self._api.wasmtime_memory_data(context, memory) or 0
        self.size: int = self._api.wasmtime_memory_data_size(context, memory)

    def discard(self) -> None:
        """Nobody will read it again: give back its pages."""
        self._refresh()
        release_pages(self.address, self.size)
