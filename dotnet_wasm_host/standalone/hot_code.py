"""Compiled methods for a file: what runs often when its functions are called.

There are two rounds. In the first, methods get compiled code as soon as they are hot, batch by
batch, so that the profile of many calls takes little time and what is called from compiled code is
hot, too. In the second all of them are compiled anew as one batch, in which they know each other,
and their entries are pointed at that. The memory with these entries goes into the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.errors import StandaloneBuildError
from dotnet_wasm_host.images.boot import make_room_for_compiled_code
from dotnet_wasm_host.images.thread_context import find_thread_context
from dotnet_wasm_host.jit.facts import load_facts
from dotnet_wasm_host.jit.hot_methods import HotMethods
from dotnet_wasm_host.jit.interface import CompilerLimits
from dotnet_wasm_host.jit.translation import translate
from dotnet_wasm_host.linking.compiled_code import CompiledCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.engines.base import CodeLinker, CompiledModule, Engine
    from dotnet_wasm_host.guest.guest import Guest
    from dotnet_wasm_host.jit.interface import MintFacts

__all__ = ["HotCode"]

#: A method that the interpreter has optimised was called a thousand times. So often more, and it
#: is told of.
_HITS = b"--jiterpreter-minimum-trace-hit-count=100\0"
#: After these numbers of calls what is hot is compiled, and after each time that they double.
_FIRST_LOOK = 16
#: Methods of a batch, beside those that they call.
_BATCH = 2048
_LIMITS = CompilerLimits(method_work=200_000)
#: Calls that nest cost at least 1 KB of it. JavaScript engines have stacks of a megabyte, and
#: their first compiler keeps every local there.
_BUDGET = 256 << 10
#: Units of ``Limits.host_work`` for each round: 16 MB of WebAssembly, and a minute.
_WORK = 64 << 30


@final
class _Placed:
    """Adds code to the instance from a slot of its own choice, and notes what was added."""

    def __init__(self, linker: CodeLinker, first_slot: int) -> None:
        self._linker = linker
        self._end = first_slot
        self.modules: list[CompiledModule] = []

    @property
    def table_size(self) -> int:
        """Entries of the function table, as if there were none behind."""
        return self._end

    def grow_table(self, entries: int) -> int:
        """Have so many entries more."""
        before, self._end = self._end, self._end + entries
        missing = self._end - self._linker.table_size
        if missing > 0:
            self._linker.grow_table(missing)
        return before

    def link(self, module: CompiledModule) -> None:
        """Add code; what was in its slots before is not called any more."""
        self._linker.link(module)
        self.modules.append(module)


class _Room(NamedTuple):
    """Where compiled code goes."""

    first_slot: int
    records: int
    thread_context: int


@final
class HotCode:
    """The compiled methods of a guest that becomes a file.

    Args:
        guest: booted with entries of methods, functions not loaded yet.
        engine: that it runs in.

    Raises:
        StandaloneBuildError: the engine cannot add code to an instance.
    """

    def __init__(self, guest: Guest, engine: Engine) -> None:
        host = guest.host
        linker = host.instance.code_linker
        if linker is None:
            raise StandaloneBuildError(
                f"expected an engine that adds code to an instance, found {engine.name}; build "
                "with wasmtime, or without compiled methods"
            )
        self._guest = guest
        self._linker: CodeLinker = linker
        self._engine = engine
        self._wasm: dict[int, bytes] = {}
        self._kept: list[CompiledModule] = []  # so that numbers of modules stay theirs
        self._facts: MintFacts = load_facts(ArtifactStore.locate())
        host.work.budget = _WORK
        first_slot = linker.table_size
        records = make_room_for_compiled_code(host)
        context = find_thread_context(host.memory.read(0, host.memory.size))
        self._room = _Room(first_slot, records, context)
        with host.memory.allocate_bytes(_HITS) as option:
            host.call("mono_jiterp_parse_option", option.ptr)
        self._hot, _ = self._methods()

    def _methods(self) -> tuple[HotMethods, _Placed]:
        """What compiles for the guest from the first slot on."""
        room, host = self._room, self._guest.host
        placed = _Placed(self._linker, room.first_slot)
        hot = HotMethods(host, placed, self._facts, room.records, room.thread_context, _BUDGET)
        return hot, placed

    def profile(self, calls: int, call: Callable[[int], object]) -> None:
        """Make calls, and compile what gets hot meanwhile.

        Args:
            calls: how many.
            call: makes one; it is given how many there were before.
        """
        look = _FIRST_LOOK
        for number in range(calls):
            call(number)
            if number + 1 in {look, calls}:
                look *= 2
                self._compile(self._hot)

    def finish(self) -> CompiledCode | None:
        """Compile what is hot anew and together, and point the guest's methods at that.

        ``None`` if there is nothing. The guest may run afterwards.
        """
        methods = self._hot.hot
        self._hot.unlink()
        self._hot, placed = self._methods()
        self._hot.expect(methods)
        compiled = self._compile(self._hot)
        if not placed.modules:
            return None
        batches = [self._wasm[id(module)] for module in placed.modules]
        first = self._room.first_slot
        return CompiledCode(batches, first, placed.table_size - first, compiled)

    def _compile(self, hot: HotMethods) -> int:
        methods = 0
        while (taken := hot.take(_BATCH)) is not None:
            translation = translate(self._facts, self._engine.compile, taken, _LIMITS)
            if translation.module is not None:
                self._wasm[id(translation.module)] = translation.batch.wasm
                self._kept.append(translation.module)
            methods += hot.link(translation).methods
        return methods
