"""Who is told of calls and instances, if somebody wants to know.

Runtimes and pools ask when they are made, so that calls cost nothing where nobody does.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from dotnet_wasm_host.guest.pending import PendingCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Buffer

    from dotnet_wasm_host.runtime.functions import LoadedEntry

    #: Begins a call of a function, which may wait.
    Begin = Callable[[LoadedEntry, Buffer, float | None], bytes | PendingCall]

__all__ = [
    "Figures",
    "ObservedCall",
    "Observer",
    "observe",
    "observed",
    "observer",
    "observing",
    "timed",
    "unobserved",
]

T = TypeVar("T")
R = TypeVar("R")


class Figures(NamedTuple):
    """A moment of a runtime or a pool.

    Attributes:
        running, waiting: calls that run, and that wait for a place.
        instances: WebAssembly instances.
        suspended: functions that crashed so often that they are not called.
        linear_memory_bytes: of idle instances.
        jit_methods, jit_code_bytes: machine code of the instances.
        recycles: instances that were replaced, ever.
        host_work: units of ``Limits.host_work`` that guests have cost, ever.
    """

    running: int = 0
    waiting: int = 0
    instances: int = 0
    suspended: int = 0
    linear_memory_bytes: int = 0
    jit_methods: int = 0
    jit_code_bytes: int = 0
    recycles: int = 0
    host_work: int = 0


class ObservedCall(Protocol):
    """A call that somebody is told of."""

    def end(self, error: BaseException | None, results: int = 1) -> None:
        """It has ended: in the thread or task, and in the context, in which it began."""


class Observer(Protocol):
    """Is told of calls and instances, from any thread."""

    def begin(self, function_id: str) -> ObservedCall:
        """A call begins in this thread or task; :meth:`ObservedCall.end` is called in any case."""

    def started(self, seconds: float) -> None:
        """An instance was started, by a call of this context if there is one."""

    def named(self, name: str, function: Callable[..., T]) -> Callable[..., T]:
        """The same function, whose calls of a guest are those of a method of this name."""

    def watch(self, host: T, figures: Callable[[T], Figures]) -> None:
        """Ask a runtime or a pool now and then. It is not kept alive."""

    def ignore(self, host: object) -> None:
        """Ask it no more: it is a part of another one, which is asked."""

    def forget(self, host: object) -> None:
        """It is about to be closed: keep what it has counted."""


_observer: Observer | None = None
_quiet: ContextVar[bool] = ContextVar("dotnet_wasm_host unobserved", default=False)


def observe(wanted: Observer | None) -> None:
    """Tell this one from now on of runtimes and pools that are made, or nobody."""
    global _observer  # noqa: PLW0603 - as the providers of OpenTelemetry, it is one for a process
    _observer = wanted


def observer() -> Observer | None:
    """Who is told of what is made now."""
    return None if _quiet.get() else _observer


@contextmanager
def unobserved() -> Iterator[None]:
    """Nobody is told of what is made in this block: runtimes of the library's own."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


@contextmanager
def observing(told: Observer | None, function_id: str) -> Iterator[Callable[[int], None]]:
    """Tell of a call that is made in its ``with`` block; what is given counts its results."""
    results = 1

    def count(number: int) -> None:
        nonlocal results
        results = number

    if told is None:
        yield count
        return
    call = told.begin(function_id)
    try:
        yield count
    except BaseException as error:
        call.end(error)
        raise
    call.end(None, results)


def timed(told: Observer | None, start: Callable[[T], R]) -> Callable[[T], R]:
    """``start``, which makes an instance, and tells of it."""
    if told is None:
        return start

    def start_and_tell(argument: T) -> R:
        started = time.perf_counter()
        made = start(argument)
        told.started(time.perf_counter() - started)
        return made

    return start_and_tell


def observed(
    told: Observer | None, begin: Begin, wait_for: Callable[[PendingCall], bytes]
) -> Begin:
    """``begin`` for those who wait for the call anyway, which tells of it."""
    if told is None:
        return begin

    def begin_and_wait(entry: LoadedEntry, payload: Buffer, timeout: float | None) -> bytes:
        with observing(told, entry.function_id):
            result = begin(entry, payload, timeout)
            return wait_for(result) if type(result) is PendingCall else result

    return begin_and_wait
