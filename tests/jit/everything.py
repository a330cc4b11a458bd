"""Compiles everything as early as it can be, for tests that know nothing of it (``--jit``)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.runtime import compilation

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["everything_at_once"]

_EARLY = b"--jiterpreter-minimum-trace-hit-count=3\0"


@contextmanager
def everything_at_once() -> Iterator[None]:
    """Methods are told of when they have run thrice, and are compiled at once."""
    move_in = compilation.Compilation.move_in

    def move_in_early(self: compilation.Compilation) -> None:
        host = self._current.guest.host
        with host.memory.allocate_bytes(_EARLY) as option:
            host.call("mono_jiterp_parse_option", option.ptr)
        move_in(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation.Compilation, "move_in", move_in_early)
        patch.setattr(compilation, "_GATHER", 0.001)
        yield
