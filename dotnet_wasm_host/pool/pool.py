"""The pool as users have it."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.errors import RuntimeClosed
from dotnet_wasm_host.fetch.access import HttpAccess
from dotnet_wasm_host.fetch.tenant import HttpTenants
from dotnet_wasm_host.options import (
    DEFAULT_LIMITS,
    HttpPolicy,
    Limits,
    WasiOptions,
    with_output,
)
from dotnet_wasm_host.pool.arguments import check_options, lendable, opened
from dotnet_wasm_host.pool.awaiting import AwaitedCalls
from dotnet_wasm_host.pool.calls import Calls
from dotnet_wasm_host.pool.cpus import usable_cpus
from dotnet_wasm_host.pool.deployments import Deployments
from dotnet_wasm_host.pool.instances import Instances
from dotnet_wasm_host.pool.isolation import Isolation
from dotnet_wasm_host.pool.isolation_strategy import isolation_strategy_for
from dotnet_wasm_host.pool.slots import FairSlots
from dotnet_wasm_host.pool.staging import Loading, StagedFunction
from dotnet_wasm_host.pool.stats import PoolStats
from dotnet_wasm_host.runtime import Runtime
from dotnet_wasm_host.runtime.forks import Forks
from dotnet_wasm_host.runtime.lifetime import Lifetime
from dotnet_wasm_host.runtime.observing import Figures, observer, observing
from dotnet_wasm_host.runtime.registry import FunctionRegistry, LoadedFunction, check_name
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from typing_extensions import Buffer, Self

    from dotnet_wasm_host.assembly import AssemblySource, DependencySource
    from dotnet_wasm_host.engines.base import Engine
    from dotnet_wasm_host.images.image import RuntimeImage
    from dotnet_wasm_host.pool.calls import Series
    from dotnet_wasm_host.pool.deployments import Stock
    from dotnet_wasm_host.runtime.cancellation import Cancellation

__all__ = ["RuntimePool"]

_forks: Forks[RuntimePool] = Forks()


@final
class RuntimePool(Uncopyable):
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
        thread_start: called in every thread of the pool that runs guests before its first call,
            to set its priority for example.
        jit: as for :class:`~dotnet_wasm_host.Runtime`.
        quick_calls: whether :meth:`invoke_async` may call functions on the event loop itself that
            take less than half a millisecond, which saves the way to a thread and back. After 64
            calls in threads of which the best was so quick; never an asynchronous function, nor
            in a pool with host functions, HTTP or directories. A call that takes more than 50 ms
            there is stopped and made again in a thread, in a fresh instance, and its function is
            never called there again.

    Functions that wait take turns: one that is called a thousand times at once does not hold up
    another one's single call. A call that crashes or overruns its deadline costs its own
    instance and nobody else's.
    """

    _instead_of_copying = (
        "make another RuntimePool of the same image, or give other processes a DotnetFunction, "
        "which can be pickled"
    )

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
        jit: str | None = None,
        thread_start: Callable[[], object] | None = None,
        quick_calls: bool = True,
    ) -> None:
        check_options(size, limits, wasi, http)
        limits = limits if limits is not None else DEFAULT_LIMITS
        self._image = opened(image, engine, limits, jit)
        self._jit, self._observer = jit, observer()
        self._isolation = isolation
        # The pool counts the crashes of a function, wherever they happen.
        self._limits = replace(limits, crash_limit=None)
        self._wasi = with_output(wasi, "logging")
        self._functions = lendable(host_functions)
        self._http = HttpAccess(http, shared=True) if http is not None else None
        self._tenants = HttpTenants(self._http) if self._http is not None else None
        self._size = size or usable_cpus()
        self._deploying = threading.Lock()
        self._lifetime = Lifetime("pool")
        self._slots = FairSlots(self._size, max_waiting, max_waiting_per_function)
        self._deployments = Deployments(self._lifetime, self._invoke_generation)
        self._instances = Instances(self._lifetime, self._make_runtime, self._size, thread_start)
        self._strategy = isolation_strategy_for(
            isolation, self._instances, self._deployments, self._lifetime, spares
        )
        self._calls = Calls(
            self._lifetime,
            self._slots,
            self._deployments,
            self._strategy,
            self._instances,
            crash_limit=limits.crash_limit,
            max_pending=self._strategy.max_pending if max_pending is None else max_pending,
            reentrant=self._functions is not None,
        )
        # What reaches nothing of the host waits for nothing but a processor, and can be stopped.
        self._may_be_quick = (
            quick_calls and host_functions is None and http is None and not self._wasi.directories
        )
        self._timeout = limits.timeout
        self._awaited = AwaitedCalls(
            self._size, self._slots, self._calls, self._functions, thread_start
        )
        if self._observer is not None:
            self._observer.watch(self, _figures)
        _forks.watch(self, RuntimePool._after_fork_in_child)

    # ---------------------------------------------------------------- functions

    def load_assembly(
        self,
        function_id: str,
        assembly: AssemblySource,
        *,
        dependencies: DependencySource = (),
        handler_type: str | None = None,
        concurrency: int | None = None,
        warm_up: Iterable[Buffer] = (),
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
            warm_up: payloads that the function is called with in a fresh instance before it
                serves. What a call raises is raised here, and nothing has changed. With
                ``PER_INVOCATION`` every call's instance is a copy of that one, statics included:
                what .NET prepares at a first call, it has prepared. ``PER_FUNCTION`` keeps it for
                calls; ``SHARED`` makes nothing of it but a trial.
        """
        with self.stage(
            function_id,
            assembly,
            dependencies=dependencies,
            handler_type=handler_type,
            concurrency=concurrency,
            warm_up=warm_up,
        ) as staged:
            return staged.commit()

    def stage(
        self,
        function_id: str,
        assembly: AssemblySource,
        *,
        dependencies: DependencySource = (),
        handler_type: str | None = None,
        concurrency: int | None = None,
        warm_up: Iterable[Buffer] = (),
        cancellation: Cancellation | None = None,
    ) -> StagedFunction:
        """Load and check a function without serving it: the first half of ``load_assembly``.

        What is loaded under the id goes on serving until ``commit()``. Use it as a context
        manager::

            with pool.stage("orders", assembly) as staged:
                write_down(staged.assembly_sha256)
                staged.commit()

        A ``cancellation`` stops what the function does while it is loaded: its constructors.
        """
        check_name(function_id)
        if concurrency is not None and concurrency < 1:
            raise ValueError(
                f"concurrency is {concurrency}; give 1 or more, the calls that may run at a time"
            )
        if not isinstance(dependencies, (str, bytes)) and not hasattr(dependencies, "__fspath__"):
            dependencies = list(dependencies)  # an iterator would be empty for the next worker

        def load(runtime: Runtime) -> LoadedFunction:
            return runtime.load_assembly(
                function_id, assembly, dependencies=dependencies, handler_type=handler_type
            )

        self._lifetime.require_open()
        runtime = self._instances.start()
        loading = nullcontext() if cancellation is None else cancellation.covering(Loading(runtime))
        try:
            with loading:
                loaded = load(runtime)
                for payload in warm_up:
                    runtime.invoke(function_id, payload)
            stock = self._strategy.keep(runtime, function_id)
        except BaseException:
            self._instances.give_up(runtime)
            raise
        places = self._strategy.concurrency if concurrency is None else concurrency

        def commit() -> LoadedFunction:
            return self._switch(loaded, load, stock, places)

        def discard() -> None:
            for kept in stock.runtimes:
                self._instances.give_up(kept)

        return StagedFunction(loaded, commit, discard)

    def unload_assembly(self, function_id: str) -> bool:
        """Unload a function; False when it was not loaded. Running calls of it finish."""
        with self._deploying:
            self._lifetime.require_open()
            try:
                deployment = self._deployments.remove(function_id)
            except TypeError:  # no id
                return False
            if deployment is None:
                return False
            self._slots.limit(function_id, None)
            self._instances.retire(deployment)
            return True

    @property
    def functions(self) -> FunctionRegistry:
        """The loaded functions, a live mapping by id."""
        return self._deployments.registry

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
        self._deployments.get(function_id)
        if self._observer is None:
            return self._calls.invoke(function_id, None, payload, timeout, cancellation)
        with observing(self._observer, function_id):
            return self._calls.invoke(function_id, None, payload, timeout, cancellation)

    def invoke_now(
        self, function_id: str, payload: Buffer = b"", *, timeout: float | None = None
    ) -> bytes | None:
        """Call a function in the calling thread if there is a place right now, else ``None``.

        For event loops, whose thread must not wait: give a ``timeout`` that it can spare. An
        asynchronous function is never called so.
        """
        if self._deployments.get(function_id).function.is_async:
            return None
        if self._observer is None:
            return self._calls.invoke_now(function_id, payload, timeout)
        with observing(self._observer, function_id) as count:
            result = self._calls.invoke_now(function_id, payload, timeout)
            count(int(result is not None))
            return result

    def call_quickly(
        self, function_id: str, payload: Buffer, timeout: float | None
    ) -> bytes | None:
        """As :meth:`invoke_now`, for those who observe calls themselves, without host functions."""
        deployment = self._deployments.get(function_id)
        if deployment.function.is_async:
            return None
        return self._calls.invoke_quickly(deployment, payload, timeout)

    async def invoke_async(
        self, function_id: str, payload: Buffer = b"", *, timeout: float | None = None
    ) -> bytes:
        """Call a function from asyncio; the event loop goes on meanwhile.

        Calls of asynchronous functions wait without a thread or a place, thousands of them.
        Cancelling the task of such a call cancels its ``CancellationToken``. A call in the queue
        is taken out of it; one that runs is stopped, and its instance replaced.
        """
        deployment = self._deployments.get(function_id)
        call = None if self._observer is None else self._observer.begin(function_id)
        quickness = deployment.quickness
        result: bytes | None = None
        try:
            if quickness.inline and self._may_be_quick:
                most = self._timeout if timeout is None else timeout
                result = quickness.call(self._calls.invoke_quickly, deployment, payload, most)
            if result is None:
                result, seconds = await self._awaited.invoke(function_id, payload, timeout)
                if self._may_be_quick:
                    quickness.took_in_thread(seconds)
        except BaseException as error:
            if call is not None:
                call.end(error)
            raise
        if call is not None:
            call.end(None)
        return result

    async def invoke_timed(
        self, function_id: str, payload: Buffer = b"", *, timeout: float | None = None
    ) -> tuple[bytes, float]:
        """As :meth:`invoke_async`, and the seconds that the call held its thread.

        They are ``inf`` for a call that went on without one. It is for those who observe calls
        themselves.
        """
        self._deployments.get(function_id)
        return await self._awaited.invoke(function_id, payload, timeout)

    async def run_series(self, function_id: str, series: Series) -> None:
        """Have a function called several times in one instance, which no other call uses meanwhile.

        ``series`` runs in a thread of the pool, which takes a place for that long. It gets a
        function that takes a payload and a timeout, and gives the result. Cancelling the task
        cancels the calls. For those who observe calls themselves.
        """
        self._deployments.get(function_id)
        await self._awaited.run_series(function_id, series)

    def stats(self) -> PoolStats:
        """Counters and sizes."""
        idle = list(self._strategy.idle())
        for deployment in self._deployments.all():
            idle += tuple(deployment.stock.runtimes)
        counts = self._instances.count()
        return PoolStats(
            size=self._size,
            running=self._slots.taken,
            waiting=self._slots.waiting,
            runtimes=counts.runtimes,
            invocations=self._calls.invocations,
            failed_invocations=self._calls.failed,
            recycles=counts.recycles,
            linear_memory_bytes=sum(map(_memory_size, idle)),
            suspended=self._calls.suspended(),
            host_work=counts.host_work,
            jit=counts.jit,
        )

    def load_of(self, function_id: str) -> tuple[int, int]:
        """How many calls of a function run, and how many wait."""
        return self._slots.load(function_id)

    def close(self) -> None:
        """Refuse calls that wait, let those that run finish, free everything. Idempotent.

        Asynchronous functions that wait for something get ``RuntimeClosed``.
        """
        with self._deploying:
            if self._lifetime.closed:
                return
            self._lifetime.closed = True
        if self._observer is not None:
            self._observer.forget(self)
        self._instances.end_waiting()
        self._slots.close()
        self._awaited.close()
        self._instances.close()
        self._strategy.close()
        for deployment in self._deployments.all():
            self._instances.retire(deployment)
        self._deployments.clear()
        if self._functions is not None:
            self._functions.close()
        if self._http is not None:
            self._http.close()

    def _after_fork_in_child(self) -> None:
        """Refuse calls from now on: threads and runtimes belong to the parent process."""
        self._lifetime.after_fork_in_child()
        self._deploying = threading.Lock()
        self._instances.after_fork_in_child()
        self._calls.after_fork_in_child()
        self._deployments.after_fork_in_child()

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._lifetime.closed

    def __enter__(self) -> Self:
        self._lifetime.require_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"<RuntimePool of {self._size} on {self._image.name!r}, {self._isolation.value}: "
            f"{'closed' if self.closed else f'{len(self.functions)} functions'}>"
        )

    def _switch(
        self,
        loaded: LoadedFunction,
        load: Callable[[Runtime], LoadedFunction],
        stock: Stock,
        places: int | None,
    ) -> LoadedFunction:
        """Serve what was loaded, in place of what is loaded under its id."""
        with self._deploying:
            self._lifetime.require_open()
            deployment = self._deployments.describe(loaded, load, stock)
            self._strategy.prepare(deployment)
            old = self._deployments.serve(deployment)
            self._slots.limit(loaded.function_id, places)
            if old is not None:
                self._instances.retire(old)
        return deployment.function

    def _invoke_generation(
        self, function: LoadedFunction, payload: Buffer, timeout: float | None
    ) -> bytes:
        with observing(self._observer, function.function_id):
            return self._calls.invoke(function.function_id, function, payload, timeout)

    def _make_runtime(self, image: RuntimeImage | None = None) -> Runtime:
        runtime = Runtime(
            self._image if image is None else image,
            limits=self._limits,
            wasi=self._wasi,
            host_functions=self._functions,
            # Instances of a function's own image are one tenant.
            http=None if self._tenants is None else self._tenants.of(image),
            jit=self._jit,
        )
        if self._observer is not None:
            self._observer.ignore(runtime._port)
        return runtime


def _figures(pool: RuntimePool) -> Figures:
    """For an observer."""
    stats = pool.stats()
    return Figures(
        stats.running, stats.waiting, stats.runtimes, stats.suspended, stats.linear_memory_bytes,
        stats.jit.methods, stats.jit.code_bytes, stats.recycles, stats.host_work,
    )  # fmt: skip


def _memory_size(runtime: Runtime) -> int:
    try:
        return runtime.memory.size
    except RuntimeClosed:  # given up meanwhile
        return 0
