"""One call of a pool: its place, its runtime, what is counted, and who waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import ExitStack
from threading import get_ident
from typing import TYPE_CHECKING, Protocol, final

from dotnet_wasm_host.errors import (
    FunctionNotLoaded,
    FunctionSuspended,
    LimitExceeded,
    RuntimeClosed,
)
from dotnet_wasm_host.guest.pending import PendingCall
from dotnet_wasm_host.pool.begun import BegunCall

if TYPE_CHECKING:
    from concurrent.futures import Future

    from typing_extensions import Buffer

    from dotnet_wasm_host.pool.deployments import Deployment, Deployments
    from dotnet_wasm_host.pool.instances import Instances
    from dotnet_wasm_host.pool.isolation_strategy import IsolationStrategy
    from dotnet_wasm_host.pool.slots import FairSlots
    from dotnet_wasm_host.runtime.cancellation import Cancellation
    from dotnet_wasm_host.runtime.lifetime import Lifetime
    from dotnet_wasm_host.runtime.registry import LoadedFunction

__all__ = ["CallInSeries", "Calls", "Series"]


class CallInSeries(Protocol):
    """Calls the function of a series once more, in the same instance."""

    def __call__(self, payload: bytes, timeout: float, *, last: bool = False) -> bytes:
        """``timeout`` is seconds; the ``last`` call is made also of a series that is cancelled."""


#: Makes several calls, in a thread of the pool.
Series = Callable[[CallInSeries], None]


@final
class Calls:
    """Carries out calls, each in the thread that asks for it.

    Args:
        lifetime: of the pool.
        slots: the places that calls take.
        deployments: what is called.
        strategy, instances: where.
        crash_limit: calls in a row that may kill their instances.
        max_pending: calls that may wait with their place given back.
        reentrant: whether a host function may call the pool again.

    Attributes:
        invocations, failed: calls that were made, and that raised.
        pending: calls that have begun and wait in a runtime.
    """

    def __init__(
        self,
        lifetime: Lifetime,
        slots: FairSlots,
        deployments: Deployments,
        strategy: IsolationStrategy,
        instances: Instances,
        *,
        crash_limit: int | None,
        max_pending: int,
        reentrant: bool,
    ) -> None:
        self._lifetime = lifetime
        self._slots = slots
        self._deployments = deployments
        self._strategy = strategy
        self._instances = instances
        self._crash_limit = crash_limit
        self._max_pending = max_pending
        self._reentrant = reentrant
        # Threads that run a call: a host function may call the pool again.
        self._busy: set[int] = set()
        self._lock = threading.Lock()
        self.pending: int = 0
        self.invocations: int = 0
        self.failed: int = 0

    def invoke(
        self,
        function_id: str,
        generation: LoadedFunction | None,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None = None,
    ) -> bytes:
        """Call a function, or just one ``generation`` of it, as soon as there is a place."""
        if get_ident() in self._busy:
            # A host function of a running call: its place is this call's too, or with all
            # places taken by such calls none would ever be free again.
            result = self.run(function_id, generation, payload, timeout, cancellation)
            if type(result) is not BegunCall:
                return result
            self.look_after(result)
            return result.wait(cancellation)
        ticket = self._slots.acquire(function_id)
        try:
            result = self.run(function_id, generation, payload, timeout, cancellation)
            if type(result) is not BegunCall:
                return result
            self.look_after(result)
        finally:
            self._slots.release(ticket)
        return result.wait(cancellation)

    def invoke_now(self, function_id: str, payload: Buffer, timeout: float | None) -> bytes | None:
        """Call a function if there is a place right now, else ``None``."""
        if not self._slots.acquire_now(function_id):
            return None
        try:
            result = self.run(function_id, None, payload, timeout, None)
            if isinstance(result, BegunCall):  # replaced by an asynchronous one a moment ago
                self.look_after(result)
                return result.wait(None)
            return result
        finally:
            self._slots.give_back(function_id)

    def invoke_quickly(
        self, deployment: Deployment, payload: Buffer, timeout: float | None
    ) -> bytes | None:
        """Call this generation if there is a place right now, else ``None``.

        The shortest way: for functions that are known to be quick, in pools without host functions.
        """
        function_id = deployment.function.function_id
        limit = self._crash_limit
        if not self._slots.acquire_now(function_id):
            return None
        self.invocations += 1
        try:
            if limit is not None and deployment.crashes >= limit:
                raise FunctionSuspended(function_id, deployment.crashes)
            result = self._strategy.begin(deployment, payload, timeout, None)
            if type(result) is BegunCall:  # no quick function, but it says so itself
                self.look_after(result)
                return result.wait(None)
            deployment.crashes = 0
        except RuntimeClosed:
            if self._lifetime.disowned or deployment.function.is_alive:
                self.failed += 1
                raise
            self.invocations -= 1
            return None  # replaced a moment ago: the way through a thread finds the next generation
        except BaseException as error:
            self.failed += 1
            deployment.count(error)
            raise
        else:
            return result
        finally:
            self._slots.give_back(function_id)

    def run(
        self,
        function_id: str,
        generation: LoadedFunction | None,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None,
    ) -> bytes | BegunCall:
        """Call a function now; the caller has a place."""
        self.invocations += 1
        marked = self._reentrant and self._mark()
        try:
            if cancellation is not None:
                cancellation.require()
            while True:
                # Whoever waited for a place gets what is loaded now, not what was then.
                deployment = self._deployments.get(function_id)
                if generation is not None and deployment.function is not generation:
                    raise FunctionNotLoaded(
                        function_id,
                        f"generation {generation.generation} is no longer loaded; use what "
                        "load_assembly returned last",
                    )
                try:
                    return self._begin(deployment, payload, timeout, cancellation)
                except RuntimeClosed:
                    # It was replaced between the look and the call, unless the pool is gone.
                    if self._lifetime.disowned or deployment.function.is_alive:
                        raise
        except BaseException:
            self.failed += 1
            raise
        finally:
            if marked:
                self._busy.discard(get_ident())

    def run_series(self, function_id: str, series: Series, cancellation: Cancellation) -> None:
        """Have a function called several times in one instance; the caller has a place."""
        cancellation.require()
        with ExitStack() as lent:
            while True:
                deployment = self._deployments.get(function_id)
                try:
                    runtime = lent.enter_context(self._strategy.lend(deployment))
                    break
                except RuntimeClosed:  # replaced between the look and the loan, as in run()
                    if self._lifetime.disowned or deployment.function.is_alive:
                        raise

            def call(payload: bytes, timeout: float, *, last: bool = False) -> bytes:
                limit = self._crash_limit
                self.invocations += 1
                try:
                    if limit is not None and deployment.crashes >= limit:
                        raise FunctionSuspended(function_id, deployment.crashes)
                    stop = None if last else cancellation
                    result = runtime._port.begin(function_id, payload, timeout, stop)
                except BaseException as error:
                    self.failed += 1
                    deployment.count(error)
                    raise
                if type(result) is PendingCall:
                    return self._wait_out(BegunCall(result, runtime, deployment), stop)
                deployment.count(None)
                return result

            series(call)

    def _wait_out(self, begun: BegunCall, cancellation: Cancellation | None) -> bytes:
        """Wait for a call; one that is cancelled, until it has ended or was given up.

        What is left of it would cost the next series of calls the instance that they share.
        """
        self.look_after(begun)
        try:
            return begun.wait(cancellation)
        finally:
            wait([begun.call.outcome])

    def suspended(self) -> int:
        """Functions that crashed so often in a row that they are not called."""
        limit = self._crash_limit
        return 0 if limit is None else sum(d.crashes >= limit for d in self._deployments.all())

    def _mark(self) -> bool:
        """Remember that this thread runs a call. False if it runs one already."""
        thread = get_ident()
        if thread in self._busy:
            return False
        self._busy.add(thread)
        return True

    def _begin(
        self,
        deployment: Deployment,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None,
    ) -> bytes | BegunCall:
        """Call a function unless it crashed too often."""
        if self._crash_limit is not None and deployment.crashes >= self._crash_limit:
            raise FunctionSuspended(deployment.function.function_id, deployment.crashes)
        try:
            result = self._strategy.begin(deployment, payload, timeout, cancellation)
        except BaseException as error:
            deployment.count(error)
            raise
        if type(result) is not BegunCall:
            deployment.count(None)
        return result

    def look_after(self, begun: BegunCall) -> None:
        """Have a call attended to that waits; hold on to the caller's place if there are many."""
        outcome, deployment = begun.call.outcome, begun.deployment
        with self._lock:
            self.pending += 1
            many = self.pending > self._max_pending
        outcome.add_done_callback(lambda ended: self._ended(deployment, ended))
        try:
            self._instances.attend(begun.runtime)
        except LimitExceeded as error:  # no thread: nobody else would ever let it go on
            begun.call.fail(error)
        if many:
            wait([outcome])

    def _ended(self, deployment: Deployment, outcome: Future[bytes]) -> None:
        error = outcome.exception()
        deployment.count(error)
        with self._lock:
            self.pending -= 1
            self.failed += error is not None

    def after_fork_in_child(self) -> None:
        """Replace the lock, which a thread of the parent may hold for ever."""
        self._lock = threading.Lock()
