"""From methods that run often to machine code, without the instance that they are of.

What is here takes seconds at times, on a thread of its own. It refers to no instance: one that is
replaced or closed meanwhile goes at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, final

from dotnet_wasm_host.jit.compiler import compile_batch
from dotnet_wasm_host.jit.view import RecordingView, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from dotnet_wasm_host.engines.base import CompiledModule
    from dotnet_wasm_host.jit.interface import (
        CompiledBatch,
        CompilerLimits,
        LinkTarget,
        MintFacts,
    )
    from dotnet_wasm_host.jit.view import LivePages

__all__ = ["Pace", "Process", "Taken", "Translation", "translate"]

#: Seconds of Python after which other threads may have the interpreter lock, and for how long: a
#: thread that waits for it needs some 50 microseconds to wake up.
_SLICE, _REST = 0.0003, 0.0002
#: Methods for which a process is started that is not there yet.
_WORTH_A_PROCESS = 4


@dataclass(frozen=True, slots=True)
class Taken:
    """What is to be compiled.

    Attributes:
        methods: addresses.
        memory: linear memory, which may change.
        target: where the code will be.
        work: steps that it may take (``CompilerLimits.batch_work``).
    """

    methods: Sequence[int]
    memory: LivePages
    target: LinkTarget
    work: int


@dataclass(frozen=True, slots=True)
class Translation:
    """A batch that is compiled and not linked.

    Attributes:
        batch: what the compiler gave.
        module: machine code, ``None`` where there is none.
        seen: what was read for each method.
        copied: bytes of memory.
        known: methods of former batches that its code may call.
    """

    batch: CompiledBatch
    module: CompiledModule | None
    seen: Seen
    copied: int
    known: Container[int]


class Process(Protocol):
    """Translates somewhere else."""

    @property
    def is_running(self) -> bool:
        """Whether it has been started."""

    def translate(
        self, facts: MintFacts, taken: Taken, limits: CompilerLimits
    ) -> tuple[CompiledBatch, Seen] | None:
        """Translate methods; ``None`` if it has to be done here.

        Raises:
            GuestGone: so is the instance.
        """


@final
class Pace:
    """Gives other threads the interpreter lock after each fraction of a millisecond.

    By itself Python takes it away from a thread after five: a call of some microseconds that needs
    it between two pieces of WebAssembly would wait so long.
    """

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def __call__(self) -> None:
        """Rest, if it is time to. Every fifty microseconds or so."""
        if time.perf_counter() - self._since > _SLICE:
            time.sleep(_REST)
            self._since = time.perf_counter()


def translate(
    facts: MintFacts,
    compile_module: Callable[[bytes], CompiledModule],
    taken: Taken,
    limits: CompilerLimits,
    pace: Callable[[], object] | None = None,
    process: Process | None = None,
) -> Translation:
    """Compile methods. From any thread.

    Args:
        facts: of the code module that runs in the guest.
        compile_module: to machine code, an engine's.
        taken: methods, and where they are.
        limits: what they may cost.
        pace: called often meanwhile, and may let others work.
        process: translates, if it can.

    Raises:
        ValueError: the engine refuses the module, which is a defect of the compiler.
        GuestGone: so is the instance.
    """
    limits = replace(limits, batch_work=min(limits.batch_work, taken.work))
    found = None
    if process is not None and (process.is_running or len(taken.methods) >= _WORTH_A_PROCESS):
        found = process.translate(facts, taken, limits)
    if found is None:
        view = RecordingView(taken.memory)
        batch = compile_batch(
            facts, view, taken.target, taken.methods, limits, before_method=view.begin, pace=pace
        )
        found = batch, Seen(taken.memory.pages, view.spans)
    batch, seen = found
    module = compile_module(batch.wasm) if batch.wasm else None
    return Translation(batch, module, seen, taken.memory.copied, taken.target.callees)
