"""What an action leaves to the garbage collector."""

from __future__ import annotations

import gc
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Frames and errors of a call that failed hold everything that it knew.
_HOLDERS = ("frame", "traceback", "PyCArrayType")


@contextmanager
def no_garbage() -> Iterator[None]:
    """Fail if the block leaves objects of this package, or frames, that only a collection finds.

    Do it once before: what is imported, compiled or cached the first time is nothing of a call's.
    """
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        left = Counter(
            type(found).__name__
            for found in gc.garbage
            if type(found).__module__.startswith("dotnet_wasm_host")
            or type(found).__name__ in _HOLDERS
        )
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == {}
