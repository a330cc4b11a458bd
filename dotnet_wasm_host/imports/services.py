"""What a runtime offers its guest beyond the operating system, and what an image knows of it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.imports.base import JsModule
    from dotnet_wasm_host.imports.host_functions import LentFunctions

__all__ = ["HostServices", "InteropState"]

_FIRST_PROMISE = -2


class HostServices(NamedTuple):
    """The same for every instance that a runtime ever has.

    Attributes:
        javascript: who offers functions to ``[JSImport]``; see
            :mod:`dotnet_wasm_host.imports.javascript.interop`.
        functions: what the guest calls with ``Host.Call``.
        wake: called from any thread when something has arrived for the guest.
    """

    javascript: tuple[JsModule, ...] = ()
    functions: LentFunctions | None = None
    wake: Callable[[], object] | None = None


class InteropState(NamedTuple):
    """What an image's memory has numbers for.

    Attributes:
        bindings: import handle to name, argument count, result type, inner type.
        next_handle: the next host object's handle.
        next_promise: the next task's handle; they count down.
    """

    bindings: Mapping[str, tuple[str, int, int, int]] = MappingProxyType({})
    next_handle: int = 1
    next_promise: int = _FIRST_PROMISE
