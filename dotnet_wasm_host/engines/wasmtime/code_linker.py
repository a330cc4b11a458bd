"""Linking further modules with an instance that exists, through wasmtime's C API."""

from __future__ import annotations

from ctypes import addressof, byref, c_uint64, c_void_p
from functools import cache
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.engines.wasmtime.c_api import (
    FUNCREF,
    FUNCTION,
    TABLE,
    Extern,
    Instance,
    NativeError,
    Value,
)
from dotnet_wasm_host.engines.wasmtime.module import WasmtimeModule

if TYPE_CHECKING:
    from collections.abc import Callable
    from ctypes import Array

    from dotnet_wasm_host.engines.base import CompiledModule
    from dotnet_wasm_host.engines.wasmtime.active import Active
    from dotnet_wasm_host.engines.wasmtime.c_api import Stop
    from dotnet_wasm_host.engines.wasmtime.exports import Exports

__all__ = ["FUNCTION_TABLE", "MAX_TABLE_ENTRIES", "WasmtimeCodeLinker"]

#: Name of the code module's exported function table.
FUNCTION_TABLE = "__indirect_function_table"
#: 16 MB of the host's memory; the code module's own functions are some 7,000.
MAX_TABLE_ENTRIES = 1 << 20


@cache
def _externs(count: int) -> type[Array[Extern]]:
    """The type of so many imports: each that is made is garbage for the collector."""
    return Extern * count


@final
class WasmtimeCodeLinker:
    """Adds code to an instance of wasmtime; :class:`~dotnet_wasm_host.engines.base.CodeLinker`.

    Raises:
        KeyError: the code module exports no function table.
    """

    __slots__ = ("_active", "_api", "_context", "_exports", "_failure", "_found", "_table")

    def __init__(
        self,
        exports: Exports,
        memory: Extern,
        failure: Callable[[Stop], BaseException],
        active: Active,
    ) -> None:
        self._active = active
        self._api = exports.api
        self._context = exports.context
        self._exports = exports
        self._failure = failure
        self._table = exports.get(FUNCTION_TABLE, TABLE)
        self._found: dict[str, Extern] = {"memory": memory, FUNCTION_TABLE: self._table}

    @property
    def table_size(self) -> int:
        """Entries of the instance's function table."""
        return int(self._api.wasmtime_table_size(self._context, addressof(self._table.of)))

    def grow_table(self, entries: int) -> int:
        """Add empty entries and return the index of the first. ValueError without room."""
        room = MAX_TABLE_ENTRIES - self.table_size
        if not 0 <= entries <= room:
            raise ValueError(
                f"expected at most {room} new entries of the function table, found {entries}; "
                "compile less"
            )
        before, null = c_uint64(), Value(kind=FUNCREF)
        try:
            self._api.check(
                self._api.wasmtime_table_grow(
                    self._context, addressof(self._table.of), entries, byref(null), byref(before)
                )
            )
        except NativeError as error:
            raise ValueError(
                f"the function table of {self.table_size} entries cannot grow by {entries} "
                f"({error}); compile less"
            ) from error
        return before.value

    def link(self, module: CompiledModule) -> None:
        """Instantiate a further module on the memory and the function table.

        Raises:
            TypeError: the module is not of this engine.
            ValueError: an import is something else, or of another type.
            GuestTrap: an element segment is not inside of the table.
        """
        if not isinstance(module, WasmtimeModule):
            raise TypeError(
                f"expected a module of wasmtime, found {type(module).__name__}; compile it with "
                "the engine of the instance"
            )
        names = module.imported_names
        # Most names are there several times: compiled methods share them.
        found = {both: self._extern(*both) for both in dict.fromkeys(names)}
        externs = _externs(len(names))(*map(found.__getitem__, names))
        instance, trap = Instance(), c_void_p()
        # What is to stop a call that runs later, or ran before, does not stop this.
        outer, self._active.presence = self._active.presence, None
        try:
            error = self._api.wasmtime_instance_new(
                self._context, module.pointer, externs, len(names), byref(instance), byref(trap)
            )
        finally:
            self._active.presence = outer
        if trap.value:
            raise self._failure(self._api.stop(trap.value))
        try:
            self._api.check(error)
        except NativeError as reason:
            raise ValueError(f"the module cannot be linked: {reason}") from reason

    def _extern(self, space: str, name: str) -> Extern:
        found = self._found.get(name)
        if space != "env":
            raise ValueError(
                f"expected imports of 'env', found {space}.{name}; name exports of the code module"
            )
        if found is None:
            try:
                found = self._found[name] = self._exports.get(name, FUNCTION)
            except KeyError:
                raise ValueError(
                    f"expected imports that the code module exports, found {name!r}; keep it in "
                    "code_module.COMPILER_EXPORTS"
                ) from None
        return found
