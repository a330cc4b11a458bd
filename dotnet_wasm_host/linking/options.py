"""How a standalone module is to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from dotnet_wasm_host.options import MAX_MEMORY_BYTES
from dotnet_wasm_host.wasm import PAGE

__all__ = ["Boot", "ModuleOptions", "SegmentLayout", "Target", "Wasi"]

Target = Literal["library", "command", "extism"]
Wasi = Literal["original", "full"]
Boot = Literal["inside", "at-start"]
SegmentLayout = Literal["sparse", "dense"]
_MIN_MEMORY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ModuleOptions:
    """How a standalone module is to be.

    Attributes:
        target: ``"library"`` has the exports of the original TypeScript host's module,
            ``"command"`` runs its function on standard input and output, ``"extism"`` is an
            Extism plugin with an export for each function.
        wasi: ``"original"`` imports no more than the ten functions of WASI preview 1 that the
            original host gives; ``"full"`` has files, too.
        layout: ``"sparse"`` leaves zeros out of the file, ``"dense"`` writes memory as one
            segment, which wasmtime maps copy-on-write.
        js_log: what .NET prints goes to ``env.js_log(pointer, length)``.
        max_memory_bytes: what linear memory may grow to, 1 MiB..2 GiB; ``None`` for 2 GiB.
        max_bytes: the largest file that is of use; ``None`` for any size.
    """

    target: Target = "library"
    wasi: Wasi = "original"
    layout: SegmentLayout = "sparse"
    js_log: bool = False
    max_memory_bytes: int | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, kind in (("target", Target), ("wasi", Wasi), ("layout", SegmentLayout)):
            require_one_of(name, getattr(self, name), get_args(kind))
        limit = self.max_memory_bytes
        if limit is not None and not _MIN_MEMORY_BYTES <= limit <= MAX_MEMORY_BYTES:
            raise ValueError(
                f"expected max_memory_bytes of 1 MiB to 2 GiB, found {limit}; give such a "
                "number, or None"
            )
        if self.max_bytes is not None and self.max_bytes <= 0:
            raise ValueError(f"expected max_bytes above 0, found {self.max_bytes}; leave it out")

    @property
    def memory_limit(self) -> int:
        """What linear memory may grow to, in bytes; whole pages."""
        return (self.max_memory_bytes or MAX_MEMORY_BYTES) // PAGE * PAGE


def require_one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    """ValueError if an option is none of its values."""
    if value not in choices:
        raise ValueError(
            f"expected {name} to be one of {list(choices)}, found {value!r}; choose one of these"
        )
