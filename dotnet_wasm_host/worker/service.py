"""The worker without HTTP: functions that are stored, served and replaced."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import FunctionNotLoaded, RuntimeClosed
from dotnet_wasm_host.runtime.registry import check_name
from dotnet_wasm_host.worker.call_dispatcher import CallDispatcher
from dotnet_wasm_host.worker.cancel_on_disconnect import cancel_on_disconnect
from dotnet_wasm_host.worker.compilations import Compilations
from dotnet_wasm_host.worker.deployer import Deployer
from dotnet_wasm_host.worker.served_functions import ServedFunctions
from dotnet_wasm_host.worker.store import Condition
from dotnet_wasm_host.worker.store_follower import StoreFollower

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from starlette.types import Receive

    from dotnet_wasm_host.pool.calls import Series
    from dotnet_wasm_host.worker.compilations import Compiled
    from dotnet_wasm_host.worker.metrics import WorkerMetrics
    from dotnet_wasm_host.worker.options import WorkerOptions
    from dotnet_wasm_host.worker.served_functions import ServedFunction
    from dotnet_wasm_host.worker.store import FunctionStore, StoredFunction

__all__ = ["FunctionService"]


@final
class FunctionService:
    """Deploys into a store, serves from a pool, and keeps the pool at what the store says.

    It puts the parts together: :class:`ServedFunctions` has the pool, :class:`StoreFollower`
    brings deploys of other processes, :class:`Compilations` compiles sources, :class:`Deployer`
    makes deploys, :class:`CallDispatcher` calls. Thread-safe; ``invoke``, ``compile``, ``remove``
    and the deployer belong to the event loop.

    Attributes:
        options, store, metrics: what it was made of.
        deployer: loads, checks, stores and serves functions.
    """

    def __init__(
        self,
        options: WorkerOptions,
        store: FunctionStore,
        metrics: WorkerMetrics,
        host_functions: Mapping[str, Callable[[bytes], Any]] | None = None,
    ) -> None:
        self.options = options
        self.store = store
        self.metrics = metrics
        self._served = ServedFunctions(options, metrics, host_functions)
        self._follower = StoreFollower(
            self._served, store, options.poll_seconds, self.update_gauges
        )
        self._compilations = Compilations(options)
        self.deployer: Deployer = Deployer(
            options, store, self._served, self._follower, metrics, self._compilations
        )
        reaches_host = host_functions or options.http is not None or options.wasi.directories
        self._calls = CallDispatcher(
            options, self._served, self._follower, metrics, may_inline=not reaches_host
        )
        self._starting = threading.Lock()
        self._closed = False

    # ---------------------------------------------------------------- life

    @property
    def started(self) -> bool:
        """True from :meth:`start` to :meth:`close`."""
        return self._follower.started and not self._closed

    @property
    def ready(self) -> bool:
        """Everything that is deployed is served."""
        return self.started and self._follower.up_to_date

    @property
    def failure(self) -> str | None:
        """Why what is deployed is not served; None if it is."""
        return self._follower.failure

    def start(self) -> None:
        """Load what is deployed. Takes a moment, and seconds for a new image.

        Idempotent; after a failure it begins again.
        """
        with self._starting:
            if self._closed:
                raise RuntimeClosed("the worker was closed; make a new one")
            if not self._follower.started:
                self._follower.start()

    def close(self) -> None:
        """Let running calls and deploys end, then free everything. Idempotent."""
        with self._starting:
            if self._closed:
                return
            self._closed = True
        self._calls.close()
        self._follower.stop()
        self._compilations.close()
        self.deployer.close()
        self._served.close()
        self.store.close()

    # ---------------------------------------------------------------- calls

    async def invoke(
        self, function_id: str, payload: bytes, receive: Receive | None = None
    ) -> bytes:
        """Call a function; the errors are those of ``RuntimePool.invoke_async``.

        With ``receive``, what an ASGI server gives with a request, a call ends with
        ``Disconnected`` when the client leaves: its guest is stopped and its place free.
        """
        return await self._calls.invoke(function_id, payload, receive)

    async def run_series(self, function_id: str, series: Series) -> None:
        """Have a function called several times in one instance; see ``RuntimePool.run_series``."""
        await self._calls.run_series(function_id, series)

    def retry_after(self, function_id: str) -> int:
        """Seconds after which a refused call may find a place, 1 to 60."""
        return self._calls.retry_after(function_id)

    def update_gauges(self) -> None:
        """Bring the metrics that are not counted up to date."""
        pool = self._served.pool
        if pool is not None:
            self.metrics.set_gauges(pool.stats(), len(self._served), ready=self.ready)

    # ---------------------------------------------------------------- functions

    def find(self, function_id: str) -> ServedFunction | None:
        """What is served under an id."""
        return self._served.get(function_id)

    async def look_again(self, function_id: str) -> ServedFunction:
        """The same, if another process deployed it a moment ago; FunctionNotLoaded if none did."""
        return await self._calls.look_again(function_id)

    def functions(self) -> Mapping[str, ServedFunction]:
        """What is served, by id."""
        return self._served.by_id()

    def load_of(self, function_id: str) -> tuple[int, int]:
        """Calls that run and that wait."""
        return self._served.load_of(function_id)

    async def compile(
        self, source: bytes, receive: Receive, *, client: str, function_id: str
    ) -> Compiled:
        """The assembly of a C# source, as long as its client waits for it.

        Args:
            source: UTF-8.
            receive: what an ASGI server gives with the request.
            client: who asks; clients take turns.
            function_id: what it is for.

        Raises:
            CompilationError, CompilationTooLong, MarshallingError: it cannot be compiled.
            Disconnected: the client left, and its compilation has ended.
            TooManyCalls: too many sources wait.
        """
        check_name(function_id)
        try:
            with cancel_on_disconnect(receive):
                return await self._compilations.compile(source, client, function_id)
        except BaseException as error:
            self.metrics.deployed(type(error).__name__)
            raise

    async def remove(self, function_id: str, condition: Condition | None = None) -> bool:
        """Unload a function and forget it; False if there was none."""
        return await self.deployer.remove(function_id, condition or Condition())

    async def read(self, function_id: str) -> StoredFunction:
        """A function with its assembly, from the store."""
        stored = await asyncio.to_thread(self.store.read, function_id)
        if stored is None:
            raise FunctionNotLoaded(function_id, "is not deployed; deploy it first")
        return stored

    async def request_reload(self) -> int:
        """Have every process that shares the store reload its image; the number of the request."""
        number = await asyncio.to_thread(self.store.request_reload)
        self._follower.wake()
        return number

    def reload_soon(self) -> None:
        """Reload the image of this process. For signal handlers: returns at once."""
        self._follower.reload_soon()
