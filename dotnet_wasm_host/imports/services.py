"""What a runtime offers its guest beyond the operating system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.imports.interop import JsModule

__all__ = ["HostServices"]


@dataclass(frozen=True, slots=True)
class HostServices:
    """The same for every instance that a runtime ever has.

    Attributes:
        javascript: who offers functions to ``[JSImport]``; see
            :mod:`dotnet_wasm_host.imports.interop`.
        wake: called from any thread when something has arrived for the guest.
    """

    javascript: tuple[JsModule, ...] = ()
    wake: Callable[[], object] | None = None
