"""Which runtime a call gets: what each degree of isolation means."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, final

from dotnet_wasm_host.engines.thread_pool import ThreadPool
from dotnet_wasm_host.errors import LimitExceeded, RuntimeClosed
from dotnet_wasm_host.guest.pending import PendingCall
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.pool.begun import BegunCall
from dotnet_wasm_host.pool.deployments import Deployment, Stock
from dotnet_wasm_host.pool.isolation import Isolation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from typing_extensions import Buffer

    from dotnet_wasm_host.pool.deployments import Deployments
    from dotnet_wasm_host.pool.instances import Instances
    from dotnet_wasm_host.runtime import Runtime
    from dotnet_wasm_host.runtime.cancellation import Cancellation
    from dotnet_wasm_host.runtime.lifetime import Lifetime

__all__ = ["IsolationStrategy", "isolation_strategy_for"]

_log = logging.getLogger(__name__)


class IsolationStrategy(Protocol):
    """Lends runtimes to calls, each to one call until that returns or waits."""

    @property
    def concurrency(self) -> int | None:
        """Calls of a function that run at the same time unless it was loaded with another number.

        ``None`` for as many as the pool has places.
        """

    @property
    def max_pending(self) -> int:
        """Calls that may wait without a place, unless the pool was told otherwise."""

    def keep(self, runtime: Runtime, function_id: str) -> Stock:
        """Take over the runtime into which a function was loaded to check it."""

    def begin(
        self,
        deployment: Deployment,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None,
    ) -> bytes | BegunCall:
        """Call a function in a runtime that no other call uses until it returns or waits."""

    def lend(self, deployment: Deployment) -> AbstractContextManager[Runtime]:
        """A runtime that no other call uses in the ``with`` block, with the function loaded."""

    def prepare(self, deployment: Deployment) -> None:
        """A function will be served."""

    def idle(self) -> Iterable[Runtime]:
        """Free runtimes that belong to no function."""

    def close(self) -> None:
        """No call runs any more, and none will."""


def isolation_strategy_for(
    isolation: Isolation,
    instances: Instances,
    deployments: Deployments,
    lifetime: Lifetime,
    spares: int,
) -> IsolationStrategy:
    """The strategy of a degree of isolation; ``spares`` as in :class:`RuntimePool`."""
    if isolation is Isolation.SHARED:
        return SharedWorkers(instances, deployments)
    if isolation is Isolation.PER_FUNCTION:
        return FunctionInstances(instances)
    return PristineInstances(instances, lifetime, spares)


@final
class SharedWorkers(IsolationStrategy):
    """SHARED: every worker has all functions, loaded at the first call of each."""

    concurrency: int | None = None
    max_pending: int = 100_000

    def __init__(self, instances: Instances, deployments: Deployments) -> None:
        self._instances = instances
        self._deployments = deployments
        self._workers: deque[_Worker] = deque()

    @override
    def keep(self, runtime: Runtime, function_id: str) -> Stock:
        self._instances.give_up(runtime)
        return Stock()

    @override
    def begin(
        self,
        deployment: Deployment,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None,
    ) -> bytes | BegunCall:
        try:
            worker = self._workers.pop()
        except IndexError:
            worker = _Worker(self._instances.start())
        try:
            if worker.loaded.get(deployment.function.function_id) is not deployment:
                worker.prepare(deployment, self._deployments.current)
            runtime = worker.runtime
            result = runtime._port.begin(
                deployment.function.function_id, payload, timeout, cancellation
            )
            if type(result) is PendingCall:
                return BegunCall(result, runtime, deployment)
            return result
        finally:
            self._workers.append(worker)

    @override
    @contextmanager
    def lend(self, deployment: Deployment) -> Iterator[Runtime]:
        try:
            worker = self._workers.pop()
        except IndexError:
            worker = _Worker(self._instances.start())
        try:
            if worker.loaded.get(deployment.function.function_id) is not deployment:
                worker.prepare(deployment, self._deployments.current)
            yield worker.runtime
        finally:
            self._workers.append(worker)

    @override
    def prepare(self, deployment: Deployment) -> None:
        pass

    @override
    def idle(self) -> Iterable[Runtime]:
        return [worker.runtime for worker in tuple(self._workers)]

    @override
    def close(self) -> None:
        for worker in self._workers:
            worker.runtime.close()
        self._workers.clear()


@final
class _Worker:
    """A shared runtime, and which generations are loaded in it."""

    __slots__ = ("loaded", "runtime")

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.loaded: dict[str, Deployment] = {}

    def prepare(self, deployment: Deployment, current: dict[str, Deployment]) -> None:
        """Load this generation, and have nothing that the pool has no more."""
        # Seldom enough to look at everything: a function's first call in this worker.
        for stale in [i for i, d in self.loaded.items() if current.get(i) is not d]:
            del self.loaded[stale]
            self.runtime.unload_assembly(stale)
        deployment.load(self.runtime)
        self.loaded[deployment.function.function_id] = deployment


@final
class FunctionInstances(IsolationStrategy):
    """PER_FUNCTION: as many instances of a function as calls of it have run at the same time."""

    concurrency: int | None = 1
    max_pending: int = 100_000

    def __init__(self, instances: Instances) -> None:
        self._instances = instances

    @override
    def keep(self, runtime: Runtime, function_id: str) -> Stock:
        return Stock(deque([runtime]))

    @override
    def begin(
        self,
        deployment: Deployment,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None,
    ) -> bytes | BegunCall:
        runtime = _take_free(deployment) or self._load(deployment)
        try:
            result = runtime._port.begin(
                deployment.function.function_id, payload, timeout, cancellation
            )
            if type(result) is PendingCall:
                return BegunCall(result, runtime, deployment)
            return result
        finally:
            deployment.stock.runtimes.append(runtime)
            if not deployment.function.is_alive:
                self._instances.retire(deployment)

    @override
    @contextmanager
    def lend(self, deployment: Deployment) -> Iterator[Runtime]:
        runtime = _take_free(deployment) or self._load(deployment)
        try:
            yield runtime
        finally:
            deployment.stock.runtimes.append(runtime)
            if not deployment.function.is_alive:
                self._instances.retire(deployment)

    def _load(self, deployment: Deployment) -> Runtime:
        runtime = self._instances.start()
        try:
            deployment.load(runtime)
        except BaseException:
            self._instances.give_up(runtime)
            raise
        return runtime

    @override
    def prepare(self, deployment: Deployment) -> None:
        pass

    @override
    def idle(self) -> Iterable[Runtime]:
        return ()

    @override
    def close(self) -> None:
        pass


@final
class PristineInstances(IsolationStrategy):
    """PER_INVOCATION: an instance for one call, frozen right after the function was loaded."""

    concurrency: int | None = None
    #: Each call that waits has an instance.
    max_pending: int = 256

    def __init__(self, instances: Instances, lifetime: Lifetime, spares: int) -> None:
        self._instances = instances
        self._lifetime = lifetime
        self._spares = spares
        self._keeper = ThreadPool(1, "dotnet_wasm_host spares")

    @override
    def keep(self, runtime: Runtime, function_id: str) -> Stock:
        image = runtime.snapshot(function_id)
        self._instances.give_up(runtime)
        return Stock(image=image)

    @override
    def begin(
        self,
        deployment: Deployment,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None,
    ) -> bytes | BegunCall:
        runtime = _take_free(deployment) or self._instances.start(deployment.stock.image)
        begun = None
        try:
            result = runtime._port.begin(
                deployment.function.function_id, payload, timeout, cancellation
            )
            if type(result) is not PendingCall:
                return result
            begun = BegunCall(result, runtime, deployment)
            return begun
        finally:
            if begun is None:
                self._instances.give_up(runtime)
            else:
                self._instances.leave_when_idle(runtime)
            self._refill_soon(deployment)

    @override
    @contextmanager
    def lend(self, deployment: Deployment) -> Iterator[Runtime]:
        runtime = _take_free(deployment) or self._instances.start(deployment.stock.image)
        try:
            yield runtime
        finally:
            self._instances.give_up(runtime)
            self._refill_soon(deployment)

    @override
    def prepare(self, deployment: Deployment) -> None:
        stock, function = deployment.stock, deployment.function
        while len(stock.runtimes) < self._spares and function.is_alive:
            if self._lifetime.closed:
                return
            stock.runtimes.append(self._instances.start(stock.image))
        if not function.is_alive:
            self._instances.retire(deployment)

    def _refill_soon(self, deployment: Deployment) -> None:
        with suppress(LimitExceeded):  # without a thread the next call starts its own
            self._keeper.submit(self._refill_later, deployment)

    def _refill_later(self, deployment: Deployment) -> None:
        try:
            self.prepare(deployment)
        except Exception:  # noqa: BLE001 - logged
            # Nobody waits for this thread; the next call starts its own instance, or raises.
            _log.exception("no spare instance of %r", deployment.function.function_id)

    @override
    def idle(self) -> Iterable[Runtime]:
        return ()

    @override
    def close(self) -> None:
        self._keeper.shutdown()


def _take_free(deployment: Deployment) -> Runtime | None:
    """A free instance of the function. RuntimeClosed if none is to be had any more."""
    try:
        return deployment.stock.runtimes.popleft()
    except IndexError:
        if not deployment.function.is_alive:
            raise RuntimeClosed(
                "the function was replaced or unloaded; call what is loaded now"
            ) from None
        return None
