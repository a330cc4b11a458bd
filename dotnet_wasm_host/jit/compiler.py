"""Compiles a batch of methods to one module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.interface import CompiledBatch, CompilerLimits, Rejected, Statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.jit.interface import GuestView, LinkTarget, MintFacts

__all__ = ["compile_batch"]


def compile_batch(
    facts: MintFacts,
    view: GuestView,
    target: LinkTarget,
    methods: Sequence[int],
    limits: CompilerLimits = CompilerLimits(),  # noqa: B008 - it is frozen
) -> CompiledBatch:
    """Compile ``methods`` (addresses of ``InterpMethod``) and what they call directly.

    Never raises because of what the view says: a method that cannot be compiled is in
    ``rejected``.
    """
    del facts, view, target, limits
    rejected = tuple(Rejected(method, "no instruction is translated yet") for method in methods)
    return CompiledBatch(b"", 0, (), (), rejected, Statistics(0, 0, {}, 0.0))
