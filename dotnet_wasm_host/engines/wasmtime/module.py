"""Compiled modules, and code modules linked with their host functions."""

from __future__ import annotations

import os
import threading
from ctypes import addressof, byref, c_void_p
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.engines.wasmtime.c_api import (
    HostCallback,
    Instance,
    NativeError,
    Owned,
    Signature,
)
from dotnet_wasm_host.engines.wasmtime.callbacks import dispatcher, host_callback
from dotnet_wasm_host.engines.wasmtime.exports import Exports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dotnet_wasm_host.engines.wasmtime.c_api import Stop
    from dotnet_wasm_host.engines.wasmtime.native_engine import NativeEngine
    from dotnet_wasm_host.engines.wasmtime.store import Store, WasmtimeMemory

__all__ = ["WasmtimeModule"]


@final
class WasmtimeModule(Owned):
    """A compiled module; a code module also carries the linker with its host functions.

    Attributes:
        engine: what compiled it.
        signatures: of the exported functions that somebody has asked for: asking for all of them
            would take a new process some milliseconds.
    """

    __slots__ = ("_imported_names", "_imports", "_linker", "_lock", "engine", "signatures")

    def __init__(self, engine: NativeEngine, pointer: int) -> None:
        super().__init__(pointer, engine.api.wasmtime_module_delete)
        self.engine: NativeEngine = engine
        self.signatures: dict[str, Signature] = {}
        self._imports: tuple[str, ...] | None = None
        self._imported_names: tuple[tuple[str, str], ...] | None = None
        self._lock = threading.Lock()
        self._linker: _Linker | None = None
        engine.add(self)

    @classmethod
    def compile(cls, engine: NativeEngine, wasm: bytes) -> WasmtimeModule:
        """Compile a module. NativeError."""
        api, module = engine.api, c_void_p()
        if engine.has_threads():
            error = api.wasmtime_module_new(engine.pointer, wasm, len(wasm), addressof(module))
        else:
            code = engine.compile_alone(wasm)
            error = api.wasmtime_module_deserialize(
                engine.pointer, code, len(code), addressof(module)
            )
        api.check(error)
        return cls(engine, module.value or 0)

    @classmethod
    def load(cls, engine: NativeEngine, path: Path) -> WasmtimeModule:
        """Map a serialized module from a file. NativeError."""
        api, module = engine.api, c_void_p()
        api.check(
            api.wasmtime_module_deserialize_file(
                engine.pointer, os.fsencode(path), addressof(module)
            )
        )
        return cls(engine, module.value or 0)

    @property
    def imports(self) -> Sequence[str]:
        """Names of the imported functions, in module order."""
        if self._imports is None:
            with self.engine.api.imported_functions(self.pointer) as declared:
                self._imports = tuple(name.decode() for _space, name, _type in declared)
        return self._imports

    @property
    def imported_names(self) -> Sequence[tuple[str, str]]:
        """Module and name of everything that is imported, in module order."""
        if self._imported_names is None:
            names = self.engine.api.imported_names(self.pointer)
            self._imported_names = tuple((s.decode(), n.decode()) for s, n in names)
        return self._imported_names

    def serialize(self) -> bytes:
        """Bytes for the engine's ``load``; valid for the same fingerprint."""
        return self.engine.api.serialized(self.pointer)

    def instantiate(
        self, store: Store, memory: WasmtimeMemory, failure: Callable[[Stop], BaseException]
    ) -> Exports:
        """Instantiate this code module on a memory of the same store.

        Args:
            store: where the instance is to be.
            memory: what it imports as ``env.memory``.
            failure: says what to raise if a start function ends in a trap.

        Raises:
            ValueError: the module imports something else.
        """
        # Its memory goes by way of the linker; nobody else's may come in between.
        with self._lock:
            try:
                if self._linker is None:
                    self._linker = _Linker(self)
                return self._linker.instantiate(self, store, memory, failure)
            except NativeError as error:
                raise ValueError(f"the module cannot be instantiated: {error}") from error

    def start_afresh(self) -> None:
        """Replace the lock, which a thread of the parent process may have held at a fork."""
        self._lock = threading.Lock()

    def stop(self) -> None:
        """A module runs nothing."""

    def leave_native(self) -> None:
        """Let what is native live on: no finalizer of wasmtime's may run."""
        self.leak()
        if self._linker is not None:
            self._linker.leak()


@final
class _Linker(Owned):
    """``wasmtime_linker_t`` with the host functions of a module."""

    __slots__ = ("_api",)

    def __init__(self, module: WasmtimeModule) -> None:
        engine = module.engine
        self._api = api = engine.api
        super().__init__(api.wasmtime_linker_new(engine.pointer), api.wasmtime_linker_delete)
        # The memory is the one import that differs from instance to instance.
        api.wasmtime_linker_allow_shadowing(self.pointer, True)  # noqa: FBT003 - C
        with api.imported_functions(module.pointer) as declared:
            for index, (space, name, functype) in enumerate(declared):
                function = dispatcher(engine.active, index)
                signature = api.signature(functype)
                callback = HostCallback(host_callback(api, engine.active, signature, function))
                engine.callbacks.append(callback)
                error = api.wasmtime_linker_define_func_unchecked(
                    self.pointer, space, len(space), name, len(name),
                    functype, callback, None, None,
                )  # fmt: skip
                api.check(error)

    def instantiate(
        self,
        module: WasmtimeModule,
        store: Store,
        memory: WasmtimeMemory,
        failure: Callable[[Stop], BaseException],
    ) -> Exports:
        """A new instance on a memory of the same store. One thread at a time."""
        api, instance, trap = self._api, Instance(), c_void_p()
        api.check(
            api.wasmtime_linker_define(
                self.pointer, store.context, b"env", 3, b"memory", 6, byref(memory.extern)
            )
        )
        error = api.wasmtime_linker_instantiate(
            self.pointer, store.context, module.pointer, byref(instance), byref(trap)
        )
        if trap.value:
            raise failure(api.stop(trap.value))
        api.check(error)
        return Exports(api, store.context, instance, module.signatures)
