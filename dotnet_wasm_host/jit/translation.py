"""From methods that run often to machine code, without the instance that they are of.

What is here takes seconds at times, on a thread of its own. It refers to no instance: one that is
replaced or closed meanwhile goes at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.compiler import compile_batch
from dotnet_wasm_host.jit.view import MemoryCopy, RecordingView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.engines.base import CompiledModule, Engine
    from dotnet_wasm_host.jit.interface import (
        CompiledBatch,
        CompilerLimits,
        LinkTarget,
        MintFacts,
    )

__all__ = ["Taken", "Translation", "translate"]


@dataclass(frozen=True, slots=True)
class Taken:
    """What is to be compiled.

    Attributes:
        methods: addresses.
        memory: a copy of linear memory.
        target: where the code will be.
        work: steps that it may take (``CompilerLimits.batch_work``).
    """

    methods: Sequence[int]
    memory: bytes
    target: LinkTarget
    work: int


@dataclass(frozen=True, slots=True)
class Translation:
    """A batch that is compiled and not linked.

    Attributes:
        batch: what the compiler gave.
        module: machine code, ``None`` where there is none.
        read: address to content of all that was read for each method.
    """

    batch: CompiledBatch
    module: CompiledModule | None
    read: dict[int, dict[int, bytes]]


def translate(
    facts: MintFacts, engine: Engine, taken: Taken, limits: CompilerLimits
) -> Translation:
    """Compile methods. From any thread.

    Raises:
        ValueError: the engine refuses the module, which is a defect of the compiler.
    """
    view = RecordingView(MemoryCopy(taken.memory))
    limits = replace(limits, batch_work=min(limits.batch_work, taken.work))
    batch = compile_batch(
        facts, view, taken.target, taken.methods, limits, before_method=view.begin
    )
    module = engine.compile(batch.wasm) if batch.wasm else None
    return Translation(batch, module, view.read_for)
