"""The runtimes of a pool: started, looked after, given up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol, final

from dotnet_wasm_host.pool.pump_scheduler import PumpScheduler
from dotnet_wasm_host.pool.stats import total
from dotnet_wasm_host.runtime.registry import FunctionState

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.images.image import RuntimeImage
    from dotnet_wasm_host.jit.reports import JitStats
    from dotnet_wasm_host.pool.deployments import Deployment
    from dotnet_wasm_host.runtime import Runtime
    from dotnet_wasm_host.runtime.lifetime import Lifetime

__all__ = ["Instances", "StartRuntime"]


class Counts(NamedTuple):
    """Of all runtimes of a pool.

    Attributes:
        runtimes: that exist.
        recycles: how often one was replaced.
        host_work: units that the host has worked.
        jit: machine code of those that exist.
    """

    runtimes: int
    recycles: int
    host_work: int
    jit: JitStats


class StartRuntime(Protocol):
    """Makes a runtime with everything that the pool was told."""

    def __call__(self, image: RuntimeImage | None = None) -> Runtime:
        """From the pool's image if none is given."""


@final
class Instances:
    """Every runtime that a pool has, busy or free.

    One in which calls wait has somebody who visits it, and is closed when they have ended.

    Args:
        lifetime: of the pool.
        make: makes a runtime.
        visits: runtimes visited at the same time.
        thread_start: called first in each thread that visits.
    """

    def __init__(
        self,
        lifetime: Lifetime,
        make: StartRuntime,
        visits: int,
        thread_start: Callable[[], object] | None = None,
    ) -> None:
        self._lifetime = lifetime
        self._make = make
        self._lock = threading.Lock()
        self._runtimes: set[Runtime] = set()
        # Those that go as soon as no call waits in them.
        self._leaving: set[Runtime] = set()
        self._recycles = self._host_work = 0  # of runtimes that are gone
        self._pump_scheduler = PumpScheduler(visits, self._is_idle, thread_start)

    def start(self, image: RuntimeImage | None = None) -> Runtime:
        """A new runtime, from the pool's image if none is given."""
        runtime = self._make(image)
        with self._lock:
            self._runtimes.add(runtime)
        return runtime

    def attend(self, runtime: Runtime) -> None:
        """Look after a runtime in which calls wait."""
        self._pump_scheduler.watch(runtime)
        self._pump_scheduler.visit(runtime)

    def leave_when_idle(self, runtime: Runtime) -> None:
        """Give a runtime up as soon as a visit finds no call waiting in it."""
        with self._lock:
            self._leaving.add(runtime)

    def give_up(self, runtime: Runtime) -> None:
        """Close a runtime, as soon as the calls that wait in it have ended."""
        if runtime._port.calls_waiting and not self._lifetime.closed:
            self.leave_when_idle(runtime)
            self._pump_scheduler.visit(runtime)  # they may have ended just now
            return
        self._pump_scheduler.forget(runtime)
        runtime.close()
        with self._lock:
            if runtime in self._runtimes:
                self._runtimes.discard(runtime)
                self._recycles += runtime._port.recycles
                self._host_work += runtime._port.host_work
            self._leaving.discard(runtime)

    def retire(self, deployment: Deployment) -> None:
        """Give up the free instances of a function that is not served any more."""
        deployment.life.state = FunctionState.UNLOADED
        runtimes = deployment.stock.runtimes
        while runtimes:
            try:
                runtime = runtimes.pop()
            except IndexError:  # a call was faster
                break
            self.give_up(runtime)

    def count(self) -> Counts:
        """All runtimes, and what those that are gone have counted."""
        with self._lock:
            ports = [runtime._port for runtime in self._runtimes]
            return Counts(
                len(ports),
                self._recycles + sum(port.recycles for port in ports),
                self._host_work + sum(port.host_work for port in ports),
                total(port.jit for port in ports),
            )

    def end_waiting(self) -> None:
        """The pool is closed: end the calls that wait in runtimes."""
        for runtime in tuple(self._runtimes):
            if runtime._port.calls_waiting:
                runtime.close()

    def close(self) -> None:
        """Stop visits, and give up what was to leave."""
        self._pump_scheduler.close()
        for runtime in tuple(self._leaving):
            self.give_up(runtime)

    def after_fork_in_child(self) -> None:
        """Replace the lock, which a thread of the parent may hold for ever."""
        self._lock = threading.Lock()

    def _is_idle(self, runtime: Runtime) -> None:
        if runtime in self._leaving:
            self.give_up(runtime)
