"""The worker without HTTP: functions that are stored, served and replaced."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeVar, final

from dotnet_wasm_host.errors import (
    DotnetHostError,
    FunctionNotLoaded,
    InvocationTimeout,
    RuntimeClosed,
    TooManyCalls,
)
from dotnet_wasm_host.images.image import RuntimeImage
from dotnet_wasm_host.pool import RuntimePool
from dotnet_wasm_host.runtime.registry import check_name
from dotnet_wasm_host.worker.cancel_on_disconnect import cancel_on_disconnect
from dotnet_wasm_host.worker.inline import OVERRUN_SECONDS, Quickness
from dotnet_wasm_host.worker.metrics import OTHER
from dotnet_wasm_host.worker.priorities import yield_to_event_loop
from dotnet_wasm_host.worker.round_robin import RoundRobin
from dotnet_wasm_host.worker.store import Condition, FunctionRecord, StoredFunction, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from starlette.types import Receive

    from dotnet_wasm_host.pool import StagedFunction
    from dotnet_wasm_host.worker.metrics import WorkerMetrics
    from dotnet_wasm_host.worker.options import WorkerOptions
    from dotnet_wasm_host.worker.store import FunctionStore

__all__ = ["FunctionService", "ServedFunction"]

T = TypeVar("T")
_log = logging.getLogger(__name__)
#: Deploys at the same time, and those that wait for their turn.
DEPLOY_THREADS = 2
DEPLOYS_WAITING = 16
#: Calls of a function of which the page shows the latency.
RECENT_CALLS = 256


@dataclass(slots=True)
class ServedFunction:
    """A function that this process serves, and what happened to it here."""

    record: FunctionRecord
    timeout: float
    quickness: Quickness = field(default_factory=Quickness)
    calls: int = 0
    failures: int = 0
    #: Seconds of the last calls.
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_CALLS))


@final
class FunctionService:
    """Deploys into a store, serves from a pool, and keeps the pool at what the store says.

    A deploy is loaded and checked first, written to the store second, and served third. So a
    crash leaves the old version or the new one, and what was acknowledged is on disk.

    A thread follows the store for deploys of other processes. Thread-safe; ``invoke`` belongs to
    the event loop.
    """

    def __init__(
        self,
        options: WorkerOptions,
        store: FunctionStore,
        metrics: WorkerMetrics,
        host_functions: Mapping[str, Callable[[bytes], Any]] | None = None,
    ) -> None:
        self.options = options
        self._host_functions = host_functions
        # Guests that reach nothing of the host cannot wait for any of it, other than on a
        # processor: such calls are stopped when they overrun. A host function, a response or a
        # file can block for as long as it likes, which the event loop must not.
        self._may_inline = not (
            host_functions or options.http is not None or options.wasi.directories
        )
        self.store = store
        self.metrics = metrics
        self._image: RuntimeImage | None = None
        self._pool: RuntimePool | None = None
        self._served: dict[str, ServedFunction] = {}
        #: Held for the steps "store" and "serve", so that they come in the same order.
        self._switching = threading.Lock()
        self._following = threading.Lock()
        self._starting = threading.Lock()
        self._deploys = ThreadPoolExecutor(
            DEPLOY_THREADS, "dotnet_wasm_host deploy", yield_to_event_loop
        )
        self._deploys_pending = 0
        self._round_robin = RoundRobin(options.waiting_per_function)
        self._looking = asyncio.Lock()
        self._looks = 0
        self._follower: threading.Thread | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._version = -1
        self._reloads = 0
        self._reload_here = False
        #: Revisions that could not be loaded here; they are not tried again.
        self._refused: dict[str, int] = {}
        self._drains: list[threading.Thread] = []
        self._closed = False
        self.failure: str | None = None

    # ---------------------------------------------------------------- life

    @property
    def started(self) -> bool:
        """True from :meth:`start` to :meth:`close`."""
        return self._pool is not None and not self._closed

    @property
    def ready(self) -> bool:
        """Everything that is deployed is served."""
        return self.started and self._version >= 0 and self.failure is None

    def start(self) -> None:
        """Load what is deployed. Idempotent; takes a moment, and seconds for a new image."""
        with self._starting:
            if self._closed:
                raise RuntimeClosed("the worker was closed")
            if self._pool is not None:
                return
            self._reloads = self.store.reloads()
            self._pool = self._new_pool()
            self._follow()
            self._follower = threading.Thread(
                target=self._follow_always, name="dotnet_wasm_host store", daemon=True
            )
            self._follower.start()

    def close(self) -> None:
        """Let running calls and deploys end, then free everything. Idempotent."""
        with self._starting:
            if self._closed:
                return
            self._closed = True
        self._stop.set()
        self._wake.set()
        if self._follower is not None:
            self._follower.join()
        self._deploys.shutdown()
        for drain in self._drains:
            drain.join()
        if self._pool is not None:
            self._pool.close()
        self.store.close()

    # ---------------------------------------------------------------- calls

    async def invoke(
        self, function_id: str, payload: bytes, receive: Receive | None = None
    ) -> bytes:
        """Call a function; the errors are those of ``RuntimePool.invoke_async``.

        With ``receive``, what an ASGI server gives with a request, a call ends with
        ``Disconnected`` when the client leaves: its guest is stopped and its place free.
        """
        served = self._served.get(function_id)
        if served is None:
            served = await self._look_again(function_id)
        started = time.perf_counter()
        outcome = "success"
        try:
            if not self._round_robin.take(function_id):
                await self._round_robin.wait(function_id)
            result = self._invoke_inline(served, payload) if served.quickness.inline else None
            if result is None:
                with nullcontext() if receive is None else cancel_on_disconnect(receive):
                    result, itself = await self._invoke_in_thread(served, payload)
                if self._may_inline:
                    served.quickness.took_in_thread(itself)
        except BaseException as error:
            outcome = type(error).__name__
            served.failures += 1
            raise
        else:
            return result
        finally:
            seconds = time.perf_counter() - started
            served.calls += 1
            served.recent.append(seconds)
            # A label of one that was unloaded meanwhile would never be taken back.
            label = function_id if function_id in self._served else OTHER
            self.metrics.called(label, outcome, seconds)

    async def _invoke_in_thread(
        self, served: ServedFunction, payload: bytes
    ) -> tuple[bytes, float]:
        while True:
            pool = self._pool
            assert pool is not None
            try:
                return await pool.invoke_timed(
                    served.record.function_id, payload, timeout=served.timeout
                )
            except RuntimeClosed:
                if self._pool is pool:
                    raise
                # A reload took this pool away between the two lines above.

    def _invoke_inline(self, served: ServedFunction, payload: bytes) -> bytes | None:
        """Call a quick function right here. None if it is to be called in a thread instead."""
        assert self._pool is not None
        started = time.thread_time()
        try:
            return self._pool.invoke_now(
                served.record.function_id, payload, timeout=min(served.timeout, OVERRUN_SECONDS)
            )
        except InvocationTimeout:
            served.quickness.overran(time.thread_time() - started)
            if served.timeout <= OVERRUN_SECONDS:
                raise
            # Whatever it did is gone with its instance: this is as if it had not been called.
            return None
        except RuntimeClosed:
            return None  # a reload; the other way finds the new pool
        finally:
            served.quickness.took_inline(time.thread_time() - started)

    async def _look_again(self, function_id: str) -> ServedFunction:
        """Perhaps another process deployed it a moment ago."""
        begun = self._looks
        async with self._looking:
            # Many who ask for what is not there share a look that began after they came.
            if self._looks == begun and not self._closed:
                self._looks += 1
                await asyncio.to_thread(self._follow_if_changed)
        served = self._served.get(function_id)
        if served is None:
            self.metrics.refused(FunctionNotLoaded.__name__)
            if self._closed:
                raise RuntimeClosed("the worker is shutting down")
            if function_id in self._refused:
                raise FunctionNotLoaded(function_id, "is deployed but could not be loaded")
            raise FunctionNotLoaded(function_id, "is not deployed")
        return served

    def retry_after(self, function_id: str) -> int:
        """Seconds after which a refused call may find a place: when half of the queue is done."""
        served, pool = self._served.get(function_id), self._pool
        if served is None or pool is None or not served.recent:
            return 1
        _, waiting = pool.load_of(function_id)
        mean = sum(tuple(served.recent)) / max(1, len(served.recent))
        # The mean has the waiting in it already.
        return max(1, min(60, round(mean * max(1, waiting) / (2 * self.options.places))))

    def update_gauges(self) -> None:
        """Bring the metrics that are not counted up to date."""
        if self._pool is not None:
            self.metrics.set_gauges(self._pool.stats(), len(self._served), ready=self.ready)

    # ---------------------------------------------------------------- functions

    def functions(self) -> Mapping[str, ServedFunction]:
        """What is served, by id."""
        return dict(sorted(self._served.items()))

    def load_of(self, function_id: str) -> tuple[int, int]:
        """Calls that run and that wait."""
        return self._pool.load_of(function_id) if self._pool is not None else (0, 0)

    async def deploy(
        self,
        function_id: str,
        make_assembly: Callable[[], bytes],
        *,
        handler: str | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        condition: Condition | None = None,
    ) -> tuple[FunctionRecord, bool]:
        """Load, check, store and serve a function; True with it if it is a new one.

        Args:
            function_id: its id.
            make_assembly: gives the assembly; called in another thread, so it may compile.
            handler: full name of the handler type.
            timeout: seconds its calls may take, at most those of the worker's limits.
            concurrency: its calls at the same time, at most the worker's.
            condition: version that it replaces.

        Raises:
            AssemblyLoadError, CompilationError, MarshallingError: it cannot be loaded.
            PreconditionFailed: the condition does not hold.
            TooManyCalls: too many deploys wait.
            TooManyFunctions: as many are deployed as may be.
            StoreError: it could not be written down.
        """
        check_name(function_id)
        if timeout is not None and not 0 < timeout <= self.options.timeout:
            raise ValueError(
                f"timeout is {timeout}; it is above 0 and at most {self.options.timeout}"
            )
        if concurrency is not None and not 0 < concurrency <= self.options.concurrency:
            raise ValueError(f"concurrency is {concurrency}; it is 1 to {self.options.concurrency}")
        condition = condition or Condition()

        def work() -> tuple[FunctionRecord, bool]:
            assembly = make_assembly()
            record = FunctionRecord(
                function_id, 0, hashlib.sha256(assembly).hexdigest(), len(assembly), handler, "",
                "", timeout, concurrency, datetime.now(timezone.utc),
            )  # fmt: skip
            return self._deploy(StoredFunction(record, assembly), condition)

        outcome = "success"
        try:
            return await self._in_deploy_thread(work)
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            self.metrics.deployed(outcome)

    async def remove(self, function_id: str, condition: Condition | None = None) -> bool:
        """Unload a function and forget it; False if there was none."""

        def work() -> bool:
            with self._switching:
                existed = self.store.delete(function_id, condition or Condition())
                self._unload(function_id)
                return existed

        return await self._in_deploy_thread(work)

    async def read(self, function_id: str) -> StoredFunction:
        """A function with its assembly, from the store."""
        stored = await asyncio.to_thread(self.store.read, function_id)
        if stored is None:
            raise FunctionNotLoaded(function_id, "is not deployed")
        return stored

    async def request_reload(self) -> int:
        """Have every process that shares the store reload its image; the number of the request."""
        number = await asyncio.to_thread(self.store.request_reload)
        self._wake.set()
        return number

    def reload_soon(self) -> None:
        """Reload the image of this process. For signal handlers: returns at once."""
        self._reload_here = True
        self._wake.set()

    async def _in_deploy_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise RuntimeClosed("the worker is shutting down")
        if self._deploys_pending >= DEPLOY_THREADS + DEPLOYS_WAITING:
            raise TooManyCalls(f"{self._deploys_pending} deploys are under way")
        self._deploys_pending += 1
        task = asyncio.get_running_loop().run_in_executor(self._deploys, work)
        task.add_done_callback(self._deploy_done)
        # A caller who leaves does not leave a deploy half-done.
        return await asyncio.shield(task)

    def _deploy_done(self, task: asyncio.Future[T]) -> None:
        self._deploys_pending -= 1
        if not task.cancelled():
            task.exception()  # whoever asked may be gone

    def _deploy(
        self, function: StoredFunction, condition: Condition
    ) -> tuple[FunctionRecord, bool]:
        record = function.record
        with self._stage(function) as staged:
            record = FunctionRecord(
                record.function_id, 0, record.sha256, record.size, record.handler,
                staged.handler_type, staged.assembly_name, record.timeout, record.concurrency,
                record.deployed_at,
            )  # fmt: skip
            with self._switching:
                new = record.function_id not in self._served
                stored = StoredFunction(record, function.assembly)
                record = self.store.put(stored, condition, self.options.functions)
                self._serve(record, staged)
        return record, new

    # ---------------------------------------------------------------- the pool

    def _new_pool(self) -> RuntimePool:
        options = self.options
        return RuntimePool(
            self._open_image(),
            size=options.places,
            isolation=options.isolation,
            max_waiting=options.waiting,
            max_waiting_per_function=options.waiting_per_function,
            limits=options.limits,
            wasi=options.wasi,
            host_functions=self._host_functions,
            http=options.http,
            thread_start=yield_to_event_loop,
        )

    def _open_image(self) -> RuntimeImage:
        image = self.options.image
        if isinstance(image, RuntimeImage):
            return image
        return RuntimeImage.load(image) if isinstance(image, str) else RuntimeImage.open(image)

    def _stage(self, function: StoredFunction, pool: RuntimePool | None = None) -> StagedFunction:
        record = function.record
        pool = pool or self._pool
        assert pool is not None
        return pool.stage(
            record.function_id,
            function.assembly,
            handler_type=record.handler,
            concurrency=record.concurrency or self.options.concurrency,
        )

    def _serve(self, record: FunctionRecord, staged: StagedFunction) -> None:
        try:
            staged.commit()
        except RuntimeClosed:
            # The image was reloaded meanwhile; the follower loads it into the new pool.
            self._wake.set()
            return
        self._served[record.function_id] = ServedFunction(
            record, record.timeout or self.options.timeout
        )
        self._refused.pop(record.function_id, None)

    def _unload(self, function_id: str) -> None:
        assert self._pool is not None
        if self._served.pop(function_id, None) is not None:
            self.metrics.forget([function_id])
        with suppress(RuntimeClosed):
            self._pool.unload_assembly(function_id)

    # ---------------------------------------------------------------- following the store

    def _follow_always(self) -> None:
        while not self._stop.is_set():
            self._follow_if_changed()
            self.update_gauges()
            self._wake.wait(self.options.poll_seconds)
            self._wake.clear()

    def _follow_if_changed(self) -> None:
        try:
            if (
                self._reload_here
                or self.failure is not None
                or self.store.version() != self._version
            ):
                self._follow()
        except StoreError as error:
            if self.failure is None:
                _log.error("the store cannot be read: %s", error)
            self.failure = str(error)
        except DotnetHostError:
            _log.exception("deployed functions could not be loaded")
            self.failure = "deployed functions could not be loaded"

    def _follow(self) -> None:
        """Make what is served what is stored."""
        with self._following:
            version = self.store.version()
            reloads = self.store.reloads()
            if reloads != self._reloads or self._reload_here:
                self._reloads, self._reload_here = reloads, False
                try:
                    self._reload()
                except (DotnetHostError, OSError):
                    _log.exception("the image was not reloaded; the old one goes on")
            records = self.store.functions()
            for function_id in [i for i in self._served if i not in records]:
                with self._switching:
                    if function_id not in self.store.functions():
                        self._unload(function_id)
            for record in records.values():
                self._follow_function(record)
            self._version, self.failure = version, None

    def _follow_function(self, record: FunctionRecord) -> None:
        function_id = record.function_id
        served = self._served.get(function_id)
        if served is not None and served.record.revision >= record.revision:
            return
        if self._refused.get(function_id) == record.revision:
            return
        try:
            stored = self.store.read(function_id)
            if stored is None:
                return
            with self._stage(stored) as staged, self._switching:
                served = self._served.get(function_id)
                if served is None or served.record.revision < stored.record.revision:
                    self._serve(stored.record, staged)
        except DotnetHostError as error:
            # It could be loaded by who deployed it. The old version goes on here, if there is one.
            self._refused[function_id] = record.revision
            _log.error("function %r could not be loaded: %s", function_id, error)

    def _reload(self) -> None:
        """Take a new pool of the image as it is now; the old one drains."""
        pool = self._new_pool()
        served = {}
        with self._switching:  # deploys wait, calls do not
            try:
                for function_id, function in self._served.items():
                    stored = self.store.read(function_id)
                    if stored is not None:
                        with self._stage(stored, pool) as staged:
                            staged.commit()
                        served[function_id] = ServedFunction(stored.record, function.timeout)
            except BaseException:
                pool.close()
                raise
            old, self._pool = self._pool, pool
            self._served.update(served)
        assert old is not None
        drain = threading.Thread(target=self._drain, args=(old,), name="dotnet_wasm_host drain")
        drain.start()
        self._drains = [d for d in self._drains if d.is_alive()] + [drain]
        _log.info("the image was reloaded with %d functions", len(served))

    def _drain(self, pool: RuntimePool) -> None:
        end = time.monotonic() + self.options.drain_seconds
        while time.monotonic() < end:
            stats = pool.stats()
            if stats.running == stats.waiting == 0:
                break
            time.sleep(0.02)
        pool.close()
