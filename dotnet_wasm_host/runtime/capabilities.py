"""The capabilities of a runtime: assemblies that its functions share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.guest.loading import unload_capability
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.runtime.current_guest import Tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dotnet_wasm_host.guest.function_source import FunctionSource
    from dotnet_wasm_host.guest.guest import Guest
    from dotnet_wasm_host.runtime.current_guest import CurrentGuest
    from dotnet_wasm_host.runtime.loading import Loader

__all__ = ["Capabilities"]

_log = logging.getLogger(__name__)


@final
class Capabilities(Tenant):
    """What is loaded by name, and again at once into each fresh guest.

    Args:
        current, loader: where.
        frozen: names of those that are part of the image.
    """

    __slots__ = ("_current", "_frozen", "_loader", "_sources")

    def __init__(self, current: CurrentGuest, loader: Loader, frozen: Iterable[str]) -> None:
        self._current = current
        self._loader = loader
        self._frozen = tuple(frozen)
        # No source for those that are part of the image.
        self._sources: dict[str, FunctionSource | None] = dict.fromkeys(self._frozen)

    @property
    def names(self) -> tuple[str, ...]:
        """What is loaded."""
        return tuple(self._sources)

    def assembly_names(self) -> frozenset[str] | None:
        """Simple names of all that they bring; ``None`` if one is part of the image."""
        names: set[str] = set()
        for source in self._sources.values():
            if source is None:
                return None
            names.update(source.assemblies())
        return frozenset(names)

    def load(self, name: str, source: FunctionSource) -> None:
        """Load one, after unloading the one of the same name."""
        self.unload(name)
        _, stays = self._loader.load(source, self._loader.capability(name, source))
        if stays:
            self._sources[name] = source
        else:  # work in the background broke the guest
            self._load_again(name, source)

    def unload(self, name: str) -> bool:
        """Unload one. False when it was not loaded."""
        if name not in self._sources:
            return False
        source = self._sources.pop(name)
        self._loader.unload(source, _unloading(name))
        return True

    @override
    def evicted(self) -> None:
        pass

    @override
    def move_in(self) -> None:
        # What breaks the fresh guest replaces it, and this is called again from within.
        wanted, self._sources = self._sources, {}
        for name in self._frozen:
            if name not in wanted:
                self._loader.unload(None, _unloading(name))
        for name, source in wanted.items():
            self._load_again(name, source)

    def _load_again(self, name: str, source: FunctionSource | None) -> None:
        if source is not None:
            try:
                self._current.run(self._loader.capability(name, source))
            except DotnetHostError as error:
                # It is not among the loaded ones now, should this have killed the guest again.
                _log.warning("capability %r could not be loaded again: %s", name, str(error))
                return
        self._sources[name] = source


def _unloading(name: str) -> Callable[[Guest], bool]:
    return lambda guest: unload_capability(guest, name)
