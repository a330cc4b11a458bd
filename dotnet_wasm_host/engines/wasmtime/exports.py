"""What an instance exports."""

from __future__ import annotations

import ctypes
from ctypes import ArgumentError, addressof, byref, c_size_t, c_void_p
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.engines.wasmtime.c_api import (
    FUNCTION,
    GLOBAL,
    I32,
    Extern,
    Value,
    conversion_error,
)

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.wasmtime.c_api import Api, Instance, Signature

__all__ = ["Exports"]

_I32_RANGE = 2**32


@final
class Exports:
    """Exports of a ``wasmtime_instance_t``, by name.

    Whoever has this keeps the store alive.

    Args:
        api: wasmtime's functions.
        context: ``wasmtime_context_t`` of the store.
        native: the instance.
        signatures: what is known of the types of its functions.

    Attributes:
        api, context: see the arguments.
    """

    __slots__ = ("_native", "_signatures", "api", "context")

    def __init__(
        self, api: Api, context: int, native: Instance, signatures: dict[str, Signature]
    ) -> None:
        self.api: Api = api
        self.context: int = context
        self._native = native
        self._signatures = signatures

    def get(self, name: str, kind: int) -> Extern:
        """An export of a kind. KeyError if there is none of this name."""
        extern, encoded = Extern(), name.encode()
        try:
            found = self.api.wasmtime_instance_export_get(
                self.context, byref(self._native), encoded, len(encoded), byref(extern)
            )
        except ArgumentError as error:
            raise conversion_error(error) from error
        if not found or extern.kind != kind:
            raise KeyError(name)
        return extern

    def function(self, name: str) -> tuple[Extern, Signature]:
        """An exported function and its type. KeyError if there is none of this name."""
        extern = self.get(name, FUNCTION)
        signature = self._signatures.get(name)
        if signature is None:
            signature = self.api.function_signature(self.context, extern)
            self._signatures[name] = signature
        return extern, signature

    def globals(self) -> dict[str, int]:
        """Values of the exported mutable i32 globals, by name."""
        api, context = self.api, self.context
        found: dict[str, int] = {}
        start, size, extern, value = c_void_p(), c_size_t(), Extern(), Value()
        index = 0
        while api.wasmtime_instance_export_nth(
            context, byref(self._native), index, byref(start), byref(size), byref(extern)
        ):
            index += 1
            if extern.kind == GLOBAL:
                api.wasmtime_global_get(context, addressof(extern.of), byref(value))
                if value.kind == I32:
                    name = ctypes.string_at(start.value or 0, size.value).decode()
                    found[name] = value.i32 % _I32_RANGE
        return found

    def set_global(self, name: str, value: int) -> None:
        """Set an exported i32 global. KeyError if there is none of this name."""
        extern = self.get(name, GLOBAL)
        # ctypes takes an integer modulo 2**32.
        native = Value(kind=I32, i32=value)
        self.api.check(
            self.api.wasmtime_global_set(self.context, addressof(extern.of), byref(native))
        )
