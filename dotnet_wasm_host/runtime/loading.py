"""Getting assemblies into a guest, and out of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar, final

from dotnet_wasm_host.errors import AssemblyLoadError, DotnetHostError
from dotnet_wasm_host.guest.loading import (
    LEAK_PER_UNLOAD,
    add_base_library,
    load_capability,
    load_function,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.abi import LoadReport
    from dotnet_wasm_host.base_library.library import BaseLibrary
    from dotnet_wasm_host.guest.function_source import FunctionSource
    from dotnet_wasm_host.guest.guest import Guest
    from dotnet_wasm_host.runtime.current_guest import CurrentGuest

__all__ = ["Loader"]

T = TypeVar("T")
_log = logging.getLogger(__name__)


@final
class Loader:
    """Loads and unloads in the present guest, and keeps account of what that leaves behind.

    Args:
        current: the guest.
        library: assemblies of the base library that the image lacks, if it lacks any.
    """

    __slots__ = ("_current", "_library")

    def __init__(self, current: CurrentGuest, library: BaseLibrary | None) -> None:
        self._current = current
        self._library = library

    def function(self, function_id: str, source: FunctionSource) -> Callable[[Guest], LoadReport]:
        """What loads a function."""

        def give(guest: Guest) -> LoadReport:
            self._add_base_library(guest, function_id, source)
            return load_function(
                guest,
                function_id,
                source.image,
                source.dependencies,
                source.handler_type,
                source.symbols,
            )

        return give

    def capability(self, name: str, source: FunctionSource) -> Callable[[Guest], None]:
        """What loads a capability."""

        def give(guest: Guest) -> None:
            self._add_base_library(guest, name, source)
            load_capability(guest, name, source.image, source.dependencies, source.symbols)

        return give

    def load(
        self,
        source: FunctionSource,
        operation: Callable[[Guest], T],
        timeout: float | None = None,
    ) -> tuple[T, bool]:
        """Load into the guest, and say whether the guest that has it is still the present one."""
        try:
            result, guest = self._current.run(lambda guest: (operation(guest), guest), timeout)
        except AssemblyLoadError:
            # A load that fails leaves as much behind as one that was unloaded.
            self._current.count_leak(source.leak)
            raise
        return result, guest is self._current.guest

    def unload(self, source: FunctionSource | None, operation: Callable[[Guest], object]) -> None:
        """Unload from the guest, whatever the Unloading handlers of the context do.

        There is no source for what is part of the image.
        """
        guest = self._current.guest
        try:
            self._current.run(operation)
        except DotnetHostError as error:
            # The dispatcher forgets a function before it unloads the context.
            _log.warning("an Unloading handler failed: %s", str(error))
        if self._current.guest is guest:
            self._current.count_leak(source.leak if source else LEAK_PER_UNLOAD)

    def _add_base_library(self, guest: Guest, wanted_by: str, source: FunctionSource) -> None:
        if self._library is not None:
            own = [source.image, *(content for _, content in source.dependencies)]
            add_base_library(guest, wanted_by, own, self._library)
