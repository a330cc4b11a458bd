"""What tests leave behind outside of Python: instances of the engine, and memory."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import dotnet_wasm_host as dwh
from dotnet_wasm_host.engines import get_engine

#: Allocators keep some memory, and a test may be the first that needs an image.
GROWTH_BYTES = 256 << 20


def private_bytes() -> int:
    """Resident memory of this process that is shared with nobody; 0 where nobody can tell."""
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm", encoding="ascii") as file:
        _, resident, shared, *_ = map(int, file.read().split())
    return (resident - shared) * os.sysconf("SC_PAGESIZE")


def orphans(runtimes: Iterable[dwh.Runtime]) -> list[object]:
    """Instances that exist and that no open runtime owns."""
    owned = {id(r._current.guest.host.instance) for r in runtimes if not r.closed}
    # Modules are in the same set; they have no memory.
    native = getattr(get_engine(), "_native", None)
    natives = tuple(native._dependents) if native is not None else ()
    return [n for n in natives if hasattr(n, "memory") and id(n) not in owned]


def new_orphans(runtimes: Iterable[dwh.Runtime], known: weakref.WeakSet[Any]) -> list[object]:
    return [orphan for orphan in orphans(runtimes) if orphan not in known]


@contextmanager
def nothing_leaks(runtimes: Iterable[dwh.Runtime]) -> Iterator[None]:
    """Whatever the block does, it leaves no instance and not much memory."""
    # Those of a test that failed live on in its traceback.
    known = weakref.WeakSet(orphans(runtimes))
    before = private_bytes()
    yield
    for thread in threading.enumerate():  # compiles for an image, in an instance of its own
        if thread.name == "dotnet-jit-image":
            thread.join()
    if new_orphans(runtimes, known) or private_bytes() - before > GROWTH_BYTES // 4:
        gc.collect()  # circles of functions and their runtimes, of errors and their tracebacks
    left, grown = len(new_orphans(runtimes, known)), private_bytes() - before
    assert left == 0, f"{left} instances are alive that nobody owns"
    assert grown <= GROWTH_BYTES, f"{grown >> 20} MiB were not given back"
