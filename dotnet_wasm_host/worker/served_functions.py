"""The pool of the moment, and the functions that this process serves from it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.assembly import MalformedImage
from dotnet_wasm_host.errors import AssemblyLoadError, RuntimeClosed
from dotnet_wasm_host.images.image import RuntimeImage
from dotnet_wasm_host.pool.pool import RuntimePool
from dotnet_wasm_host.pool.quickness import Quickness
from dotnet_wasm_host.worker.bundles import bundle_of
from dotnet_wasm_host.worker.priorities import yield_to_event_loop
from dotnet_wasm_host.worker.typed_functions import SOURCE, dispatcher_of, read_methods

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from typing_extensions import Self

    from dotnet_wasm_host.assembly import Assembly
    from dotnet_wasm_host.pool.staging import StagedFunction
    from dotnet_wasm_host.runtime.cancellation import Cancellation
    from dotnet_wasm_host.typed.methods import MethodTable
    from dotnet_wasm_host.worker.metrics import WorkerMetrics
    from dotnet_wasm_host.worker.options import WorkerOptions
    from dotnet_wasm_host.worker.store import FunctionRecord, StoredFunction

__all__ = ["ServedFunction", "ServedFunctions"]

_log = logging.getLogger(__name__)
#: Calls of a function of which the page shows the latency.
RECENT_CALLS = 256


@dataclass(slots=True)
class ServedFunction:
    """A function that this process serves, and what happened to it here.

    Attributes:
        record: what the store says of it.
        timeout: seconds a call may take.
        quickness: whether it is called on the event loop.
        methods: what can be called, if it has no handler.
        has_source: whether the source that it was compiled from is stored.
        calls, failures: since it was served.
        recent: seconds of the last calls.
    """

    record: FunctionRecord
    timeout: float
    methods: MethodTable | None = None
    has_source: bool = False
    quickness: Quickness = field(default_factory=Quickness)
    calls: int = 0
    failures: int = 0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_CALLS))


@final
class StagedVersion:
    """A function that is loaded and checked; a context manager, as what it wraps.

    Attributes:
        function: as the pool has it.
        methods: what can be called, if it has no handler.
        has_source: whether its source is stored.
    """

    def __init__(
        self, function: StagedFunction, methods: MethodTable | None, *, has_source: bool
    ) -> None:
        self.function: StagedFunction = function
        self.methods: MethodTable | None = methods
        self.has_source: bool = has_source

    @property
    def handler_type(self) -> str:
        """Full name of the handler; empty if there is none."""
        return "" if self.methods is not None else self.function.handler_type

    @property
    def assembly_name(self) -> str:
        """Simple name of the assembly that was deployed."""
        if self.methods is not None:
            return self.methods.assembly_name
        return self.function.assembly_name

    def __enter__(self) -> Self:
        self.function.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self.function.__exit__(*details)


@final
class ServedFunctions:
    """Functions by id, and the pool that they are loaded in. Thread-safe.

    Attributes:
        switching: held for the steps "store" and "serve", so that memory and disk see deploys in
            the same order.
        refused: revision of functions that could not be loaded here, by id; they are not tried
            again.
    """

    def __init__(
        self,
        options: WorkerOptions,
        metrics: WorkerMetrics,
        host_functions: Mapping[str, Callable[[bytes], Any]] | None,
    ) -> None:
        self._options = options
        self._metrics = metrics
        self._host_functions = host_functions
        self._pool: RuntimePool | None = None
        self._functions: dict[str, ServedFunction] = {}
        self._drains: list[threading.Thread] = []
        self.switching: threading.Lock = threading.Lock()
        self.refused: dict[str, int] = {}
        #: The served function of an id, or None. The hot path has no look-up that could be done
        #: once: ``dict.get`` of a dictionary that is never replaced.
        self.get: Callable[[str], ServedFunction | None] = self._functions.get

    @property
    def pool(self) -> RuntimePool | None:
        """The pool of the moment; None before :meth:`open`."""
        return self._pool

    def open(self) -> None:
        """Make the first pool. Takes seconds for an image that is not cached yet."""
        self._pool = self._new_pool()

    def close(self) -> None:
        """Wait until older pools are drained, then close the present one."""
        for drain in self._drains:
            drain.join()
        if self._pool is not None:
            self._pool.close()

    def by_id(self) -> Mapping[str, ServedFunction]:
        """What is served, in the order of the ids."""
        return dict(sorted(self._functions.items()))

    def __contains__(self, function_id: str) -> bool:
        return function_id in self._functions

    def __len__(self) -> int:
        return len(self._functions)

    def load_of(self, function_id: str) -> tuple[int, int]:
        """Calls of a function that run and that wait."""
        return self._pool.load_of(function_id) if self._pool is not None else (0, 0)

    def stage(
        self,
        function: StoredFunction,
        pool: RuntimePool | None = None,
        cancellation: Cancellation | None = None,
    ) -> StagedVersion:
        """Load a function and check it; :meth:`serve` makes it the one that is called.

        Raises:
            AssemblyLoadError: it cannot be loaded.
            InvocationCancelled: loading it was stopped.
        """
        record = function.record
        pool = pool or self._pool
        assert pool is not None
        try:
            bundle = bundle_of(function.assembly)
        except MalformedImage as error:
            raise AssemblyLoadError(
                record.function_id, "System.BadImageFormatException", f"{error}; deploy it again"
            ) from error
        methods, assembly = None, bundle.assembly
        dependencies: list[Assembly | bytes] = list(bundle.dependencies.values())
        if record.is_typed:
            methods = read_methods(record.function_id, bundle, function.parts)
            seconds = self._options.compile_seconds
            assembly = dispatcher_of(methods, function.parts, seconds).data
            dependencies = methods.dependencies()
        staged = pool.stage(
            record.function_id,
            assembly,
            dependencies=dependencies,
            handler_type=record.handler,
            concurrency=record.concurrency or self._options.concurrency,
            cancellation=cancellation,
        )
        return StagedVersion(staged, methods, has_source=SOURCE in function.parts)

    def serve(self, record: FunctionRecord, staged: StagedVersion) -> bool:
        """Serve what was staged; False if the pool it was staged in was replaced meanwhile."""
        try:
            staged.function.commit()
        except RuntimeClosed:
            return False
        self._functions[record.function_id] = self._serving(record, staged)
        self.refused.pop(record.function_id, None)
        return True

    def _serving(self, record: FunctionRecord, staged: StagedVersion) -> ServedFunction:
        timeout = record.timeout or self._options.timeout
        return ServedFunction(record, timeout, staged.methods, staged.has_source)

    def unload(self, function_id: str) -> None:
        """Serve a function no longer."""
        assert self._pool is not None
        if self._functions.pop(function_id, None) is not None:
            self._metrics.forget([function_id])
        with suppress(RuntimeClosed):
            self._pool.unload_assembly(function_id)

    def replace_pool(self, read: Callable[[str], StoredFunction | None]) -> None:
        """Take a new pool of the image as it is now; the old one drains.

        Args:
            read: gives a function from the store.
        """
        pool = self._new_pool()
        served = {}
        with self.switching:  # deploys wait, calls do not
            try:
                for function_id in self._functions:
                    stored = read(function_id)
                    if stored is not None:
                        with self.stage(stored, pool) as staged:
                            staged.function.commit()
                        served[function_id] = self._serving(stored.record, staged)
            except BaseException:
                pool.close()
                raise
            old, self._pool = self._pool, pool
            self._functions.update(served)
        assert old is not None
        drain = threading.Thread(target=self._drain, args=(old,), name="dotnet_wasm_host drain")
        drain.start()
        self._drains = [d for d in self._drains if d.is_alive()] + [drain]
        _log.info("the image was reloaded with %d functions", len(served))

    def _new_pool(self) -> RuntimePool:
        options = self._options
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
            jit=options.jit,
            thread_start=yield_to_event_loop,
        )

    def _open_image(self) -> RuntimeImage:
        image = self._options.image
        if isinstance(image, RuntimeImage):
            return image
        return (
            RuntimeImage.load(image, jit=self._options.jit)
            if isinstance(image, str)
            else RuntimeImage.open(image)
        )

    def _drain(self, pool: RuntimePool) -> None:
        end = time.monotonic() + self._options.drain_seconds
        while time.monotonic() < end:
            stats = pool.stats()
            if stats.running == stats.waiting == 0:
                break
            time.sleep(0.02)
        pool.close()
