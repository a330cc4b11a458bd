"""Compiles everything as early as it can be, for tests that know nothing of it (``--jit``)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.images import builder
from dotnet_wasm_host.images.image import frozen_of
from dotnet_wasm_host.runtime import compilation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.images.state import ImageState
    from dotnet_wasm_host.imports.host import Host

__all__ = ["everything_at_once"]

_EARLY = b"--jiterpreter-minimum-trace-hit-count=3\0"


@contextmanager
def everything_at_once() -> Iterator[None]:
    """Methods are told of when they have run thrice, and are compiled at once.

    Images are made so: to tell an instance would be a call of it, which might be cancelled.
    """
    make_ready = vars(builder)["_for_compiled_code"]

    def make_ready_early(state: ImageState, host: Host) -> ImageState:
        with host.memory.allocate_bytes(_EARLY) as option:
            host.call("mono_jiterp_parse_option", option.ptr)
        made: ImageState = make_ready(state, host)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "_for_compiled_code", make_ready_early)
        patch.setattr(builder, "_ROOM", "for tests: three times are often")
        patch.setattr(compilation, "_GATHER", 0.001)
        # What is made the first time is nothing of a test's: the image, an engine's probe.
        image = dwh.RuntimeImage.load("full", jit="auto")
        frozen_of(image).engine.compile(b"\0asm\1\0\0\0")
        yield
