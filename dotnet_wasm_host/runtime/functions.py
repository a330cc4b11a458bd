"""The functions of a runtime: loaded, loaded again into a fresh guest, unloaded, frozen."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import (
    CRASHES,
    AssemblyLoadError,
    DotnetHostError,
    FunctionNotLoaded,
    FunctionSuspended,
    InstanceLost,
    LimitExceeded,
)
from dotnet_wasm_host.guest.loading import unload_function
from dotnet_wasm_host.images.state import FrozenFunction
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.runtime.current_guest import Tenant
from dotnet_wasm_host.runtime.registry import (
    FunctionLife,
    FunctionRegistry,
    FunctionState,
    FunctionTable,
    LoadedFunction,
)

if TYPE_CHECKING:
    from dotnet_wasm_host.guest.function_source import FunctionSource
    from dotnet_wasm_host.options import Limits
    from dotnet_wasm_host.runtime.current_guest import CurrentGuest
    from dotnet_wasm_host.runtime.lifetime import Lifetime
    from dotnet_wasm_host.runtime.loading import Loader
    from dotnet_wasm_host.runtime.registry import InvokeGeneration

__all__ = ["Functions", "LoadedEntry"]


@final
class LoadedEntry:
    """A function, and where the guest has it.

    Attributes:
        facts: what loading it has told.
        function, life: what users see of it, and the part of that which changes.
        handle: the guest's; ``None`` after the guest was replaced.
        source: what to load again; ``None`` for a function that is part of the image.
        crashes: times in a row that it killed its guest.
    """

    __slots__ = ("crashes", "facts", "function", "function_id", "handle", "life", "source")

    def __init__(
        self,
        facts: FrozenFunction,
        function: LoadedFunction,
        life: FunctionLife,
        source: FunctionSource | None,
        handle: int | None,
    ) -> None:
        self.facts: FrozenFunction = facts
        self.function_id: str = facts.function_id
        self.function: LoadedFunction = function
        self.life: FunctionLife = life
        self.source: FunctionSource | None = source
        self.handle: int | None = handle
        self.crashes: int = 0


@final
class Functions(Tenant):
    """What is loaded in a runtime, whichever guest it has.

    Args:
        current, loader: where.
        limits: how many functions there may be, and how often in a row they may crash.
        lifetime: of the runtime.

    Attributes:
        registry: what users see.
        entries: by id.
        loads, unloads: since the runtime was made.
    """

    __slots__ = ("_current", "_life_lock", "_lifetime", "_limits", "_loader", "_table", "entries",
                 "loads", "registry", "unloads")  # fmt: skip

    def __init__(
        self, current: CurrentGuest, loader: Loader, limits: Limits, lifetime: Lifetime
    ) -> None:
        self._current = current
        self._loader = loader
        self._limits = limits
        self._lifetime = lifetime
        # Guards the step to UNLOADING, which must not wait for a running call.
        self._life_lock = threading.Lock()
        self._table = FunctionTable()
        self.registry: FunctionRegistry = FunctionRegistry(self._table)
        self.entries: dict[str, LoadedEntry] = {}
        self.loads: int = 0
        self.unloads: int = 0

    def entry(self, function_id: str) -> LoadedEntry:
        """A function that can be called. FunctionNotLoaded if there is none of this id."""
        try:
            entry = self.entries[function_id]
        except (KeyError, TypeError):
            self._lifetime.require_open()
            raise FunctionNotLoaded(function_id) from None
        if entry.life.state is not FunctionState.LOADED:
            raise FunctionNotLoaded(function_id, "is being unloaded; load it again")
        return entry

    def generation(self, function: LoadedFunction) -> LoadedEntry:
        """The same for one generation. FunctionNotLoaded if its id stands for another by now."""
        self._lifetime.require_open()
        entry = self.entries.get(function.function_id)
        if entry is None or entry.function is not function or not function.is_alive:
            raise FunctionNotLoaded(
                function.function_id,
                f"generation {function.generation} is no longer loaded; use what load_assembly "
                "returned last",
            )
        return entry

    # ---------------------------------------------------------------- loading

    def load(
        self, function_id: str, source: FunctionSource, invoke: InvokeGeneration
    ) -> LoadedFunction:
        """Load a function, after unloading the one of the same id; ``invoke`` calls it."""
        limit = self._limits.function_count
        if function_id not in self.entries and len(self.entries) >= limit:
            raise LimitExceeded(
                f"{limit} functions are loaded, as many as function_count allows; unload one, or "
                "raise that",
                limit="function_count",
            )
        old = self.entries.get(function_id)
        if old is not None:
            self.unload(old)
        from dotnet_wasm_host.guest.known_faults import warn_of_faults

        warn_of_faults(function_id, source.image, (content for _, content in source.dependencies))
        report, stays = self._loader.load(source, self._loader.function(function_id, source))
        facts = FrozenFunction.of(function_id, source, report)
        self.loads += 1
        return self._add(facts, source, report.handle if stays else None, invoke)

    def add_frozen(self, facts: FrozenFunction, invoke: InvokeGeneration) -> None:
        """A function is part of the image, and has its handle in every fresh guest."""
        self._add(facts, None, facts.handle, invoke)

    def _add(
        self,
        facts: FrozenFunction,
        source: FunctionSource | None,
        handle: int | None,
        invoke: InvokeGeneration,
    ) -> LoadedFunction:
        life = FunctionLife()
        function = self._table.describe(facts, life, invoke)
        self.entries[facts.function_id] = LoadedEntry(facts, function, life, source, handle)
        self._table.add(function)
        return function

    def handle(self, entry: LoadedEntry, timeout: float | None = None) -> int:
        """The function's handle, after loading it into a fresh guest if need be."""
        if entry.handle is None:
            limit = self._limits.crash_limit
            if limit is not None and entry.crashes >= limit:
                raise FunctionSuspended(entry.function_id, entry.crashes)
            if self._current.guest.broken:
                self._current.replace()
            if entry.source is None:
                entry.handle = entry.facts.handle
            else:
                self._load_again(entry, entry.source, timeout)
        assert entry.handle is not None
        return entry.handle

    def _load_again(
        self, entry: LoadedEntry, source: FunctionSource, timeout: float | None
    ) -> None:
        function_id = entry.function_id
        try:
            report, stays = self._loader.load(
                source, self._loader.function(function_id, source), timeout
            )
        except AssemblyLoadError:
            self._drop(function_id)
            raise
        except CRASHES:
            entry.crashes += 1
            raise
        if not stays:
            entry.crashes += 1
            raise InstanceLost(function_id, "what it does in the background when it is loaded")
        entry.handle = report.handle

    @override
    def evicted(self) -> None:
        for entry in self.entries.values():
            entry.handle = None

    @override
    def move_in(self) -> None:
        """Load nothing: each function is loaded when it is called next.

        So a function that cannot survive its own loading does not harm the others.
        """

    # ---------------------------------------------------------------- unloading

    def refuse_calls(self, function_id: str) -> LoadedEntry | None:
        """The first half of unloading, from any thread; a call that runs is not waited for.

        ``None`` if there is nothing to unload, or another thread is at it.
        """
        try:
            entry = self.entries.get(function_id)
        except TypeError:
            return None
        if entry is None:
            return None
        with self._life_lock:
            if entry.life.state is not FunctionState.LOADED:
                return None
            entry.life.state = FunctionState.UNLOADING
        return entry

    def unload(self, entry: LoadedEntry) -> None:
        """Unload on both sides."""
        function_id, handle = entry.function_id, entry.handle
        # Somebody may have replaced it meanwhile; what they loaded is to stay.
        if self.entries.get(function_id) is not entry:
            return
        self._drop(function_id)
        self.unloads += 1
        if handle is not None:
            self._loader.unload(entry.source, lambda guest: unload_function(guest, function_id))

    def refuse(self, function_id: str) -> None:
        """Nothing is loaded under the id: what was to be cannot be."""
        old = self.entries.get(function_id)
        if old is not None:
            self.unload(old)

    def drop_all(self) -> None:
        """The runtime is closed, and the guest with it."""
        for function_id in tuple(self.entries):
            self._drop(function_id)

    def _drop(self, function_id: str) -> None:
        self.entries.pop(function_id).life.state = FunctionState.UNLOADED
        self._table.remove(function_id)

    def after_fork_in_child(self) -> None:
        """Forget all functions: their guest belongs to the parent process."""
        self._life_lock = threading.Lock()
        self.drop_all()

    # ---------------------------------------------------------------- freezing

    def load_all(self) -> None:
        """Have all of them in the present guest."""
        for entry in self.entries.values():
            self.handle(entry)

    @property
    def suspended(self) -> int:
        """Functions that crashed so often in a row that they are not called. From any thread."""
        limit = self._limits.crash_limit
        entries = tuple(self.entries.values())
        return 0 if limit is None else sum(entry.crashes >= limit for entry in entries)

    def frozen(self) -> list[FrozenFunction]:
        """All of them, as parts of an image of the present guest."""
        frozen = []
        for entry in self.entries.values():
            if entry.handle is None:
                raise DotnetHostError(
                    "finalizers or other work in the background broke the instance, so there is "
                    "nothing to freeze; call the functions, which loads them again, and freeze "
                    "then"
                )
            frozen.append(replace(entry.facts, handle=entry.handle))
        return frozen
