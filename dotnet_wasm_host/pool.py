"""Many runtimes behind one object: threads, asyncio, three degrees of isolation."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from os import cpu_count
from threading import get_ident
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.attendants import Attendants
from dotnet_wasm_host.cancellation import Cancellation
from dotnet_wasm_host.errors import (
    FunctionNotLoaded,
    FunctionSuspended,
    InvocationCancelled,
    InvocationError,
    RuntimeClosed,
    is_crash,
)
from dotnet_wasm_host.fetch.access import HttpAccess
from dotnet_wasm_host.forks import Forks
from dotnet_wasm_host.guest.pending import PendingCall
from dotnet_wasm_host.image import RuntimeImage
from dotnet_wasm_host.imports.host_functions import HostFunctions
from dotnet_wasm_host.options import Limits
from dotnet_wasm_host.registry import (
    FunctionLife,
    FunctionRegistry,
    FunctionState,
    FunctionTable,
    LoadedFunction,
    check_name,
)
from dotnet_wasm_host.runtime import Runtime
from dotnet_wasm_host.slots import FairSlots, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from typing_extensions import Buffer, Self

    from dotnet_wasm_host.assembly import Assembly, AssemblyPath
    from dotnet_wasm_host.engines.base import Engine, Interruption
    from dotnet_wasm_host.options import HttpPolicy, WasiOptions

__all__ = ["Isolation", "PoolStats", "RuntimePool", "StagedFunction"]


_log = logging.getLogger(__name__)
_forks = Forks()


class Isolation(Enum):
    """What calls share."""

    #: All functions share an instance for each worker. Statics live as long as the instance, and
    #: each worker has its own.
    SHARED = "shared"
    #: Every function has an instance of its own; calls of one function come one after the other,
    #: unless it was loaded with a ``concurrency``: then it has as many instances.
    PER_FUNCTION = "per function"
    #: Every call has a pristine instance, frozen right after the function was loaded.
    PER_INVOCATION = "per invocation"


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A moment of a pool.

    Attributes:
        size: calls that can run at the same time.
        running, waiting: calls that run, and that wait for a place.
        runtimes: instances that exist, spares included.
        invocations, failed_invocations: calls since the pool was made.
        recycles: times an instance was replaced, after a crash or because unloaded functions
            left too much behind.
        linear_memory_bytes: linear memory of the idle instances.
    """

    size: int
    running: int
    waiting: int
    runtimes: int
    invocations: int
    failed_invocations: int
    recycles: int
    linear_memory_bytes: int


@dataclass(slots=True)
class _Deployment:
    """One generation of a function in the pool."""

    function: LoadedFunction
    life: FunctionLife
    load: Callable[[Runtime], LoadedFunction]
    concurrency: int | None
    #: PER_INVOCATION: what calls start from.
    image: RuntimeImage | None = None
    #: Instances with the function loaded that are free: its own ones, or fresh ones of its image.
    spares: deque[Runtime] = field(default_factory=deque)
    #: Calls in a row, of all its instances, that killed theirs.
    crashes: int = 0

    def count(self, error: BaseException | None) -> None:
        """A call has ended."""
        if is_crash(error):
            self.crashes += 1
        elif error is None or isinstance(error, InvocationError):
            self.crashes = 0


@final
class StagedFunction:
    """A function that is loaded and checked, but not served yet.

    Made by :meth:`RuntimePool.stage`; a context manager that throws away what was not committed.
    """

    def __init__(
        self, loaded: LoadedFunction, runtime: Runtime | None, commit: Callable[[], LoadedFunction],
        discard: Callable[[Runtime], None],
    ) -> None:  # fmt: skip
        self._loaded = loaded
        self._runtime = runtime
        self._commit = commit
        self._discard = discard
        self._done = False

    @property
    def function_id(self) -> str:
        """The id it will have."""
        return self._loaded.function_id

    @property
    def handler_type(self) -> str:
        """Full name of the .NET type that will handle calls."""
        return self._loaded.handler_type

    @property
    def assembly_name(self) -> str:
        """Simple name of its assembly."""
        return self._loaded.assembly_name

    @property
    def assembly_sha256(self) -> str:
        """SHA-256 of the assembly file, in hex."""
        return self._loaded.assembly_sha256

    def commit(self) -> LoadedFunction:
        """Serve it from now on, in place of what is loaded under the id. Once."""
        if self._done:
            raise ValueError(f"{self.function_id!r} was committed or thrown away before")
        function = self._commit()
        self._done = True
        return function

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._done:
            self._done = True
            if self._runtime is not None:
                self._discard(self._runtime)


@final
class RuntimePool:
    """Runs functions on several runtimes at once. Thread-safe; usable from asyncio.

    Args:
        image: what every instance starts from.
        size: calls that run at the same time; the number of CPUs if not given.
        isolation: what calls share.
        max_waiting: calls that may wait for a place; one more raises ``TooManyCalls``.
        max_waiting_per_function: the same for the calls of one function.
        max_pending: calls of asynchronous functions that have begun and wait, with their place
            given back. One more keeps its place while it waits; for PER_INVOCATION each has an
            instance.
        spares: PER_INVOCATION: instances kept ready for each function.
        engine, limits, wasi, host_functions, http: as for :class:`~dotnet_wasm_host.Runtime`. All
            instances share the connections. Coroutine functions run on the event loop that awaits
            :meth:`invoke_async`, while one does.

    Functions that wait take turns: one that is called a thousand times at once does not hold up
    another one's single call. A call that crashes or overruns its deadline costs its own
    instance and nobody else's.
    """

    def __init__(
        self,
        image: str | RuntimeImage = "full",
        *,
        size: int | None = None,
        isolation: Isolation = Isolation.SHARED,
        max_waiting: int = 10_000,
        max_waiting_per_function: int | None = None,
        max_pending: int | None = None,
        spares: int = 2,
        engine: str | Engine | None = None,
        limits: Limits | None = None,
        wasi: WasiOptions | None = None,
        host_functions: Mapping[str, Callable[[bytes], Any]] | None = None,
        http: HttpPolicy | None = None,
    ) -> None:
        if size is not None and size < 1:
            raise ValueError(f"size is {size}; a pool runs at least one call at a time")
        limits = limits if limits is not None else Limits()
        if isinstance(image, str):
            image = RuntimeImage.load(image, engine=engine, stack_bytes=limits.stack_bytes)
        self._image = image
        self._isolation = isolation
        # The pool counts the crashes of a function, wherever they happen.
        self._crash_limit = limits.crash_limit
        self._limits = replace(limits, crash_limit=None)
        self._wasi = wasi
        self._functions = None if host_functions is None else HostFunctions(host_functions)
        # Threads that run a call: a host function may call the pool again.
        self._busy: set[int] = set()
        self._http = HttpAccess(http) if http is not None else None
        self._size = size or cpu_count() or 1
        self._spares = spares
        self._slots = FairSlots(self._size, max_waiting, max_waiting_per_function)
        self._threads = ThreadPoolExecutor(self._size, "dotnet_wasm_host pool")
        self._keeper = ThreadPoolExecutor(1, "dotnet_wasm_host spares")
        self._attendants = Attendants(self._size, self._is_idle)
        if max_pending is None:
            max_pending = 256 if isolation is Isolation.PER_INVOCATION else 100_000
        self._max_pending = max_pending
        self._pending = 0
        # Runtimes that go as soon as no call waits in them.
        self._leaving: set[Runtime] = set()
        self._lock = threading.Lock()
        self._deploying = threading.Lock()
        self._table = FunctionTable()
        self._registry = FunctionRegistry(self._table)
        self._deployments: dict[str, _Deployment] = {}
        self._workers: deque[_Worker] = deque()
        self._runtimes: set[Runtime] = set()
        self._recycles = 0  # of runtimes that are gone
        self._invocations = self._failed = 0
        self._closed = False
        self._disowned = False
        _forks.watch(self)

    # ---------------------------------------------------------------- functions

    def load_assembly(
        self,
        function_id: str,
        assembly: Buffer | AssemblyPath | Assembly,
        *,
        dependencies: Iterable[Buffer | AssemblyPath | Assembly] | AssemblyPath = (),
        handler_type: str | None = None,
        concurrency: int | None = None,
    ) -> LoadedFunction:
        """Load a function; see :meth:`Runtime.load_assembly`.

        One that is loaded under the id goes on serving until the new one is ready, and stays if
        the new one cannot be loaded.

        Args:
            function_id: 1..1,024 bytes of UTF-8 without NUL.
            assembly: a ``.dll`` as bytes, path or compiler output.
            dependencies: assemblies that only this function sees.
            handler_type: full name of the handler, if there are several.
            concurrency: calls of this function that may run at the same time, so that it leaves
                places to others; as many as the pool has if not given (PER_FUNCTION: 1).
        """
        with self.stage(
            function_id,
            assembly,
            dependencies=dependencies,
            handler_type=handler_type,
            concurrency=concurrency,
        ) as staged:
            return staged.commit()

    def stage(
        self,
        function_id: str,
        assembly: Buffer | AssemblyPath | Assembly,
        *,
        dependencies: Iterable[Buffer | AssemblyPath | Assembly] | AssemblyPath = (),
        handler_type: str | None = None,
        concurrency: int | None = None,
    ) -> StagedFunction:
        """Load and check a function without serving it: the first half of ``load_assembly``.

        What is loaded under the id goes on serving until ``commit()``. Use it as a context
        manager::

            with pool.stage("orders", assembly) as staged:
                write_down(staged.assembly_sha256)
                staged.commit()
        """
        check_name(function_id)
        if concurrency is not None and concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; a function runs one call at least")
        if not isinstance(dependencies, (str, bytes)) and not hasattr(dependencies, "__fspath__"):
            dependencies = list(dependencies)  # an iterator would be empty for the next worker

        def load(runtime: Runtime) -> LoadedFunction:
            return runtime.load_assembly(
                function_id, assembly, dependencies=dependencies, handler_type=handler_type
            )

        self._require_open()
        runtime: Runtime | None = self._new_runtime(self._image)
        assert runtime is not None
        image = None
        try:
            loaded = load(runtime)
            if self._isolation is Isolation.PER_INVOCATION:
                image = runtime.snapshot(function_id)
        except BaseException:
            self._discard(runtime)
            raise
        if self._isolation is not Isolation.PER_FUNCTION:
            self._discard(runtime)
            runtime = None
        elif concurrency is None:
            concurrency = 1

        def commit() -> LoadedFunction:
            return self._switch(loaded, load, concurrency, image, runtime)

        return StagedFunction(loaded, runtime, commit, self._discard)

    def unload_assembly(self, function_id: str) -> bool:
        """Unload a function; False when it was not loaded. Running calls of it finish."""
        with self._deploying:
            self._require_open()
            with self._lock:
                try:
                    deployment = self._deployments.pop(function_id, None)
                except TypeError:
                    return False
                if deployment is None:
                    return False
                deployment.life.state = FunctionState.UNLOADING
                self._table.remove(function_id)
            self._slots.limit(function_id, None)
            self._retire(deployment)
            return True

    @property
    def functions(self) -> FunctionRegistry:
        """The loaded functions, a live mapping by id."""
        return self._registry

    # ---------------------------------------------------------------- calls

    def invoke(
        self,
        function_id: str,
        payload: Buffer = b"",
        *,
        timeout: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> bytes:
        """Call a function in the calling thread, as soon as there is a place.

        See :meth:`Runtime.invoke`; ``timeout`` starts when the call does. A ``cancellation`` is
        noticed when the place is there.
        """
        self._deployment(function_id)
        return self._invoke_when_free(function_id, None, payload, timeout, cancellation)

    def invoke_now(
        self, function_id: str, payload: Buffer = b"", *, timeout: float | None = None
    ) -> bytes | None:
        """Call a function in the calling thread if there is a place right now, else ``None``.

        For event loops, whose thread must not wait: give a ``timeout`` that it can spare. An
        asynchronous function is never called so.
        """
        if self._deployment(function_id).function.is_async:
            return None
        ticket = self._slots.acquire_now(function_id)
        if ticket is None:
            return None
        try:
            result = self._run(function_id, None, payload, timeout, None)
            if isinstance(result, _Begun):  # replaced by an asynchronous one a moment ago
                self._look_after(result)
                return result.wait(None)
            return result
        finally:
            self._slots.release(ticket)

    async def invoke_async(
        self, function_id: str, payload: Buffer = b"", *, timeout: float | None = None
    ) -> bytes:
        """Call a function from asyncio; the event loop goes on meanwhile.

        Calls of asynchronous functions wait without a thread or a place, thousands of them.
        Cancelling the task of such a call cancels its ``CancellationToken``. A call in the queue
        is taken out of it; one that runs is stopped, and its instance replaced.
        """
        return await self._invoke_async(_AsyncCall(function_id, payload, timeout, self._start))

    async def invoke_timed(
        self, function_id: str, payload: Buffer = b"", *, timeout: float | None = None
    ) -> tuple[bytes, float]:
        """As :meth:`invoke_async`, and the seconds that the call held its thread.

        They are ``inf`` for a call that went on without one.
        """
        call = _AsyncCall(function_id, payload, timeout, self._start)
        return await self._invoke_async(call), call.seconds

    async def _invoke_async(self, call: _AsyncCall) -> bytes:
        self._deployment(call.key)
        if self._functions is not None:
            self._functions.adopt(asyncio.get_running_loop())
        self._slots.request(call)
        try:
            return await call.result
        except BaseException:
            # Cancelled, or nobody waits any more. If the call is over, this does nothing.
            if not self._slots.withdraw(call):
                call.cancellation.cancel()
                call.withdraw()
            raise

    def stats(self) -> PoolStats:
        """Counters and sizes."""
        with self._lock:
            idle = [worker.runtime for worker in tuple(self._workers)]
            for deployment in self._deployments.values():
                idle += tuple(deployment.spares)
            return PoolStats(
                size=self._size,
                running=self._slots.taken,
                waiting=self._slots.waiting,
                runtimes=len(self._runtimes),
                invocations=self._invocations,
                failed_invocations=self._failed,
                recycles=self._recycles + sum(r.recycles for r in self._runtimes),
                linear_memory_bytes=sum(r.memory.size for r in idle if not r.closed),
            )

    def load_of(self, function_id: str) -> tuple[int, int]:
        """How many calls of a function run, and how many wait."""
        return self._slots.load(function_id)

    def close(self) -> None:
        """Refuse calls that wait, let those that run finish, free everything. Idempotent.

        Asynchronous functions that wait for something get ``RuntimeClosed``.
        """
        with self._deploying:
            if self._closed:
                return
            self._closed = True
        for runtime in tuple(self._runtimes):
            if runtime.calls_waiting:
                runtime.close()
        self._slots.close()
        self._threads.shutdown()
        self._attendants.close()
        self._keeper.shutdown()
        for runtime in tuple(self._leaving):
            self._discard(runtime)
        for deployment in self._deployments.values():
            self._retire(deployment)
        self._deployments.clear()
        for function_id in self._registry:
            self._table.remove(function_id)
        for worker in self._workers:
            worker.runtime.close()
        self._workers.clear()
        if self._functions is not None:
            self._functions.close()
        if self._http is not None:
            self._http.close()

    def disown(self) -> None:
        """See :class:`~dotnet_wasm_host.forks.Forks`: its threads and runtimes are gone."""
        self._closed = self._disowned = True
        self._deploying, self._lock = threading.Lock(), threading.Lock()
        for deployment in self._deployments.values():
            deployment.life.state = FunctionState.UNLOADED
        self._deployments.clear()
        for function_id in self._registry:
            self._table.remove(function_id)

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._closed

    def __enter__(self) -> Self:
        self._require_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"<RuntimePool of {self._size} on {self._image.name!r}, {self._isolation.value}: "
            f"{'closed' if self._closed else f'{len(self._registry)} functions'}>"
        )

    # ---------------------------------------------------------------- deploying

    def _switch(
        self,
        loaded: LoadedFunction,
        load: Callable[[Runtime], LoadedFunction],
        concurrency: int | None,
        image: RuntimeImage | None,
        runtime: Runtime | None,
    ) -> LoadedFunction:
        """Serve what was loaded, in place of what is loaded under its id."""
        function_id = loaded.function_id
        with self._deploying:
            self._require_open()
            deployment = self._describe(loaded, load, concurrency)
            deployment.image = image
            if runtime is not None:
                deployment.spares.append(runtime)
            self._refill(deployment)
            with self._lock:
                old = self._deployments.get(function_id)
                self._deployments[function_id] = deployment
                self._table.add(deployment.function)
            self._slots.limit(function_id, concurrency)
            if old is not None:
                self._retire(old)
        return deployment.function

    def _describe(
        self,
        loaded: LoadedFunction,
        load: Callable[[Runtime], LoadedFunction],
        concurrency: int | None,
    ) -> _Deployment:
        life = FunctionLife()
        function = LoadedFunction(
            function_id=loaded.function_id,
            generation=self._table.next_generation(loaded.function_id),
            loaded_at=loaded.loaded_at,
            handler_type=loaded.handler_type,
            assembly_name=loaded.assembly_name,
            assembly_sha256=loaded.assembly_sha256,
            size=loaded.size,
            is_async=loaded.is_async,
            life=life,
            invoke=self._invoke_generation,
        )
        return _Deployment(function, life, load, concurrency)

    def _retire(self, deployment: _Deployment) -> None:
        deployment.life.state = FunctionState.UNLOADED
        while deployment.spares:
            try:
                runtime = deployment.spares.pop()
            except IndexError:  # a call was faster
                break
            self._discard(runtime)

    # ---------------------------------------------------------------- running

    def _invoke_generation(
        self, function: LoadedFunction, payload: Buffer, timeout: float | None
    ) -> bytes:
        return self._invoke_when_free(function.function_id, function, payload, timeout)

    def _invoke_when_free(
        self,
        function_id: str,
        generation: LoadedFunction | None,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None = None,
    ) -> bytes:
        if get_ident() in self._busy:
            # A host function of a running call: its place is this call's too, or with all
            # places taken by such calls none would ever be free again.
            result = self._run(function_id, generation, payload, timeout, cancellation)
            if type(result) is not _Begun:
                return result
            self._look_after(result)
            return result.wait(cancellation)
        ticket = self._slots.acquire(function_id)
        try:
            result = self._run(function_id, generation, payload, timeout, cancellation)
            if type(result) is not _Begun:
                return result
            self._look_after(result)
        finally:
            self._slots.release(ticket)
        return result.wait(cancellation)

    def _start(self, call: _AsyncCall) -> None:
        self._threads.submit(self._serve, call)

    def _serve(self, call: _AsyncCall) -> None:
        """Run a call, then those that were waiting for its place, in a thread of the pool."""
        while True:
            value: bytes | None = None
            failure: BaseException | None = None
            begun: _Begun | None = None
            started = time.perf_counter()
            try:
                result = self._run(call.key, None, call.payload, call.timeout, call.cancellation)
                if type(result) is _Begun:
                    begun = result
                    self._look_after(begun)
                else:
                    value = result
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                failure = error
            call.seconds = time.perf_counter() - started if begun is None else math.inf
            following = self._slots.hand_over(call)
            if begun is None:
                call.settle(value, failure)
            else:
                call.wait_for(begun)
            del failure  # its traceback holds this frame
            if not isinstance(following, _AsyncCall):
                break
            # It runs right here: waking another thread costs more than a short call.
            call = following
        if following is not None:
            following.grant()

    def _run(
        self,
        function_id: str,
        generation: LoadedFunction | None,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None,
    ) -> bytes | _Begun:
        self._invocations += 1
        try:
            if cancellation is not None:
                cancellation.require()
            while True:
                # Whoever waited for a place gets what is loaded now, not what was then.
                deployment = self._deployment(function_id)
                if generation is not None and deployment.function is not generation:
                    raise FunctionNotLoaded(
                        function_id, f"generation {generation.generation} is no longer loaded"
                    )
                try:
                    if self._functions is None:
                        return self._run_counting(deployment, payload, timeout, cancellation)
                    return self._run_and_mark(deployment, payload, timeout, cancellation)
                except RuntimeClosed:
                    if self._disowned or deployment.function.is_alive:
                        raise
        except BaseException:
            self._failed += 1
            raise

    def _run_and_mark(
        self,
        deployment: _Deployment,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None,
    ) -> bytes | _Begun:
        """Remember which thread runs the call: its host functions may call the pool again."""
        thread = get_ident()
        if thread in self._busy:
            return self._run_counting(deployment, payload, timeout, cancellation)
        self._busy.add(thread)
        try:
            return self._run_counting(deployment, payload, timeout, cancellation)
        finally:
            self._busy.discard(thread)

    def _run_counting(
        self,
        deployment: _Deployment,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None,
    ) -> bytes | _Begun:
        """Call a function unless it crashed too often."""
        if self._crash_limit is not None and deployment.crashes >= self._crash_limit:
            raise FunctionSuspended(deployment.function.function_id, deployment.crashes)
        try:
            result = self._run_on(deployment, payload, timeout, cancellation)
        except BaseException as error:
            deployment.count(error)
            raise
        if type(result) is not _Begun:
            deployment.count(None)
        return result

    def _run_on(
        self,
        deployment: _Deployment,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None,
    ) -> bytes | _Begun:
        """Call a function in a runtime that nobody else uses until it returns or waits."""
        function_id = deployment.function.function_id
        if self._isolation is Isolation.SHARED:
            worker = self._take_worker()
            try:
                worker.prepare(deployment, self._deployments)
                result = worker.runtime.begin(function_id, payload, timeout, cancellation)
                if type(result) is PendingCall:
                    return _Begun(result, worker.runtime, deployment)
                return result
            finally:
                self._workers.append(worker)
        runtime = self._take_spare(deployment)
        begun = None
        try:
            result = runtime.begin(function_id, payload, timeout, cancellation)
            if type(result) is not PendingCall:
                return result
            begun = _Begun(result, runtime, deployment)
            return begun
        finally:
            if deployment.image is None:
                deployment.spares.append(runtime)
                if not deployment.function.is_alive:
                    self._retire(deployment)
            else:
                if begun is None:
                    self._discard(runtime)
                self._keeper.submit(self._refill_later, deployment)

    def _look_after(self, begun: _Begun) -> None:
        """Have a call attended to that waits; hold on to the caller's place if there are many."""
        runtime, outcome = begun.runtime, begun.call.outcome
        if self._isolation is Isolation.PER_INVOCATION:
            with self._lock:
                self._leaving.add(runtime)
        with self._lock:
            self._pending += 1
            many = self._pending > self._max_pending
        outcome.add_done_callback(lambda ended: self._ended(begun.deployment, ended))
        self._attendants.watch(runtime)
        self._attendants.visit(runtime)
        if many:
            wait([outcome])

    def _ended(self, deployment: _Deployment, outcome: Future[bytes]) -> None:
        error = outcome.exception()
        deployment.count(error)
        with self._lock:
            self._pending -= 1
            self._failed += error is not None

    def _is_idle(self, runtime: Runtime) -> None:
        if runtime in self._leaving:
            self._discard(runtime)

    def _take_worker(self) -> _Worker:
        try:
            return self._workers.pop()
        except IndexError:
            return _Worker(self._new_runtime(self._image))

    def _take_spare(self, deployment: _Deployment) -> Runtime:
        try:
            return deployment.spares.popleft()
        except IndexError:
            if not deployment.function.is_alive:
                raise RuntimeClosed("the function was replaced or unloaded") from None
        if deployment.image is not None:
            return self._new_runtime(deployment.image)
        runtime = self._new_runtime(self._image)
        try:
            deployment.load(runtime)
        except BaseException:
            self._discard(runtime)
            raise
        return runtime

    def _refill_later(self, deployment: _Deployment) -> None:
        try:
            self._refill(deployment)
        except Exception:  # noqa: BLE001 - logged
            # Nobody waits for this thread; the next call starts its own instance, or raises.
            _log.exception("no spare instance of %r", deployment.function.function_id)

    def _refill(self, deployment: _Deployment) -> None:
        if deployment.image is None:
            return
        while len(deployment.spares) < self._spares and deployment.function.is_alive:
            if self._closed:
                return
            deployment.spares.append(self._new_runtime(deployment.image))
        if not deployment.function.is_alive:
            self._retire(deployment)

    def _new_runtime(self, image: RuntimeImage) -> Runtime:
        runtime = Runtime(
            image,
            limits=self._limits,
            wasi=self._wasi,
            host_functions=self._functions,
            http=self._http,
        )
        with self._lock:
            self._runtimes.add(runtime)
        return runtime

    def _discard(self, runtime: Runtime) -> None:
        """Close a runtime, as soon as the calls that wait in it have ended."""
        if runtime.calls_waiting and not self._closed:
            with self._lock:
                self._leaving.add(runtime)
            self._attendants.visit(runtime)  # they may have ended just now
            return
        self._attendants.forget(runtime)
        runtime.close()
        with self._lock:
            if runtime in self._runtimes:
                self._runtimes.discard(runtime)
                self._recycles += runtime.recycles
            self._leaving.discard(runtime)

    def _deployment(self, function_id: str) -> _Deployment:
        try:
            return self._deployments[function_id]
        except (KeyError, TypeError):
            self._require_open()
            raise FunctionNotLoaded(function_id) from None

    def _require_open(self) -> None:
        if self._closed:
            raise RuntimeClosed(
                "the pool belongs to the process that this one was forked from; make a new one"
                if self._disowned
                else "the pool is closed; make a new one"
            )


@final
class _Worker:
    """A shared runtime, and which generations are loaded in it."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._loaded: dict[str, _Deployment] = {}

    def prepare(self, deployment: _Deployment, current: dict[str, _Deployment]) -> None:
        """Have this generation loaded, and nothing that the pool has no more."""
        function_id = deployment.function.function_id
        if self._loaded.get(function_id) is deployment:
            return
        # Seldom enough to look at everything: a function's first call in this worker.
        for stale in [i for i, d in self._loaded.items() if current.get(i) is not d]:
            del self._loaded[stale]
            self.runtime.unload_assembly(stale)
        deployment.load(self.runtime)
        self._loaded[function_id] = deployment


@final
@dataclass(frozen=True, slots=True)
class _Begun:
    """A call that waits in a runtime."""

    call: PendingCall
    runtime: Runtime
    deployment: _Deployment

    def wait(self, cancellation: Cancellation | None) -> bytes:
        """Its outcome. An interruption of the waiting thread cancels the call."""
        try:
            if cancellation is None:
                return self.call.outcome.result()
            with cancellation.covering(self):
                return self.call.outcome.result()
        except BaseException:
            if not self.call.outcome.done():
                self.withdraw()
            raise

    def withdraw(self) -> None:
        """Cancel its token; stop it for good if it runs and nobody else would notice."""
        call, runtime = self.call, self.runtime
        runtime.interrupt(
            lambda: (
                InvocationCancelled("the call was cancelled") if runtime.runs_alone(call) else None
            ),
            call,
        )

    def interrupt(self, interruption: Interruption) -> None:
        """See :class:`~dotnet_wasm_host.cancellation.Covered`."""
        self.runtime.interrupt(interruption, self.call)

    def runs(self) -> bool:
        """See :class:`~dotnet_wasm_host.cancellation.Covered`."""
        return self.runtime.runs_alone(self.call)


@final
class _AsyncCall(Ticket):
    """A call from asyncio."""

    __slots__ = ("_begun", "_loop", "_start", "cancellation", "payload", "result", "seconds",
                 "timeout")  # fmt: skip

    def __init__(
        self,
        function_id: str,
        payload: Buffer,
        timeout: float | None,
        start: Callable[[_AsyncCall], None],
    ) -> None:
        super().__init__(function_id)
        self.payload = payload
        self.timeout = timeout
        self.seconds = 0.0
        self.cancellation = Cancellation()
        self._start = start
        self._begun: _Begun | None = None
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[bytes] = self._loop.create_future()

    def grant(self) -> None:
        self._start(self)

    def refuse(self, error: BaseException) -> None:
        self.settle(None, error)

    def wait_for(self, begun: _Begun) -> None:
        """The call waits in a runtime, and will be settled when it ends."""
        self._begun = begun
        if self.cancellation.cancelled:
            begun.withdraw()
        begun.call.outcome.add_done_callback(self._end)

    def withdraw(self) -> None:
        """Nobody waits for the result any more."""
        if self._begun is not None:
            self._begun.withdraw()

    def _end(self, outcome: Future[bytes]) -> None:
        error = outcome.exception()
        self.settle(None if error is not None else outcome.result(), error)

    def settle(self, value: bytes | None, error: BaseException | None) -> None:
        """Tell the event loop, from any thread, how the call ended."""
        # A loop that was closed meanwhile has nobody who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, value, error)

    def _settle(self, value: bytes | None, error: BaseException | None) -> None:
        if self.result.done():  # cancelled meanwhile
            return
        if error is not None:
            self.result.set_exception(error)
        else:
            self.result.set_result(value or b"")
