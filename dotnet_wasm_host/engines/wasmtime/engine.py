"""The default engine: wasmtime, through its C API."""

from __future__ import annotations

import hashlib
from ctypes import ArgumentError
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.engines.process import follow_process
from dotnet_wasm_host.engines.threads import any_thread_is_in
from dotnet_wasm_host.engines.wasmtime.c_api import Api, NativeError, conversion_error, explain
from dotnet_wasm_host.engines.wasmtime.calls import Call
from dotnet_wasm_host.engines.wasmtime.instance import WasmtimeInstance
from dotnet_wasm_host.engines.wasmtime.module import WasmtimeModule
from dotnet_wasm_host.engines.wasmtime.native_engine import NativeEngine
from dotnet_wasm_host.engines.wasmtime.probe import probe_library
from dotnet_wasm_host.errors import EngineUnavailable, RuntimeClosed
from dotnet_wasm_host.options import DEFAULT_STACK_BYTES, MAX_STACK_BYTES, MIN_STACK_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from dotnet_wasm_host.engines.base import CompiledModule

__all__ = ["WasmtimeEngine"]

_EMPTY_MODULE = b"\0asm\x01\0\0\0"


@final
class WasmtimeEngine:
    """wasmtime with epoch interruption and copy-on-write memory images.

    Args:
        stack_bytes: stack of the calling thread that guest code may use.

    Raises:
        EngineUnavailable: wasmtime is not installed, or its library lacks a function.
        ValueError: ``stack_bytes`` is out of range.
        StackTooSmall: this thread has less.
    """

    name = "wasmtime"

    def __init__(self, *, stack_bytes: int = DEFAULT_STACK_BYTES) -> None:
        if not MIN_STACK_BYTES <= stack_bytes <= MAX_STACK_BYTES:
            raise ValueError(f"stack_bytes is {stack_bytes}; give 256 KiB to 2 MiB")
        self.stack_bytes = stack_bytes
        self._native = NativeEngine(_api(), stack_bytes, lambda: any_thread_is_in(Call.__call__))
        self._probed = False
        # wasmtime writes its version, settings and the CPU features it compiled for into the
        # head of every serialized module; a tiny module therefore identifies all of them.
        probe = self._native.compile_alone(_EMPTY_MODULE)
        self.fingerprint: str = hashlib.sha256(probe).hexdigest()[:16]
        # Not this object: guests keep the native engine, and may outlive this one.
        follow_process(self._native)

    @property
    def version(self) -> str:
        """Version of the wasmtime package."""
        from importlib import metadata

        return metadata.version("wasmtime")

    def compile(self, wasm: bytes) -> WasmtimeModule:
        """Compile a module.

        Raises:
            ValueError: it is not valid WebAssembly.
            EngineUnavailable: the library is not as it is expected to be.
        """
        if not self._probed:
            # Not by __init__: compiling the probe takes 5 ms, and what is loaded was compiled by
            # an engine of this fingerprint, hence of this version, which ran the probe.
            probe_library(self._native)
            self._probed = True
        try:
            return WasmtimeModule.compile(self._native, wasm)
        except NativeError as error:
            raise ValueError(f"not a valid WebAssembly module: {error}") from error

    def validate(self, wasm: bytes) -> None:
        """ValueError if a module is not valid WebAssembly. Compiles nothing."""
        api = self._native.api
        try:
            api.check(api.wasmtime_module_validate(self._native.pointer, wasm, len(wasm)))
        except NativeError as error:
            raise ValueError(f"not a valid WebAssembly module: {error}") from error

    def load(self, path: Path) -> WasmtimeModule:
        """Map a file of ``serialize``, which the caller verified. ValueError if it is none."""
        try:
            return WasmtimeModule.load(self._native, path)
        except NativeError as error:
            raise ValueError(f"{path} was not compiled by this engine: {error}") from error

    def instantiate(
        self, code: CompiledModule, memory: CompiledModule, *, memory_limit: int
    ) -> WasmtimeInstance:
        """Instantiate a code module on a memory of at most ``memory_limit`` bytes."""
        if not isinstance(code, WasmtimeModule) or not isinstance(memory, WasmtimeModule):
            raise TypeError("both modules must come from wasmtime")
        if not self._native is code.engine is memory.engine:
            raise ValueError("both modules must come from this engine")
        if self._native.exiting:
            raise RuntimeClosed("the interpreter is shutting down; close runtimes before it does")
        try:
            return WasmtimeInstance(code, memory, memory_limit)
        except ArgumentError as error:
            raise conversion_error(error) from error


def _api() -> Api:
    try:
        return Api()
    except ImportError as error:
        raise EngineUnavailable(explain(error)) from error
