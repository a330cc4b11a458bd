"""Deploying: load and check, store, serve."""

from __future__ import annotations

import asyncio
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeVar, final

from dotnet_wasm_host.assembly import MalformedImage
from dotnet_wasm_host.errors import AssemblyLoadError, InvocationCancelled, RuntimeClosed
from dotnet_wasm_host.runtime.cancellation import Cancellation
from dotnet_wasm_host.runtime.registry import check_name
from dotnet_wasm_host.worker.bundles import canonical
from dotnet_wasm_host.worker.fair_turns import FairTurns
from dotnet_wasm_host.worker.priorities import yield_to_event_loop
from dotnet_wasm_host.worker.store import Condition, FunctionRecord, StoredFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.worker.metrics import WorkerMetrics
    from dotnet_wasm_host.worker.options import WorkerOptions
    from dotnet_wasm_host.worker.served_functions import ServedFunctions
    from dotnet_wasm_host.worker.store import FunctionStore
    from dotnet_wasm_host.worker.store_follower import StoreFollower

__all__ = ["Deployer"]

T = TypeVar("T")
#: Assemblies that are loaded and checked at the same time.
DEPLOY_THREADS = 2
#: What loading gets at first. A function of a megabyte takes a tenth of it.
QUICK_SECONDS = 1.0
_PAUSE = 0.01


@final
class Deployer:
    """Writes functions into the store and has them served, in threads of its own.

    A deploy is loaded and checked first, written to the store second, and served third. So a
    crash leaves the old version or the new one, and what was acknowledged is on disk.

    Its methods belong to the event loop.
    """

    def __init__(
        self,
        options: WorkerOptions,
        store: FunctionStore,
        served: ServedFunctions,
        follower: StoreFollower,
        metrics: WorkerMetrics,
    ) -> None:
        self._options = options
        self._store = store
        self._served = served
        self._follower = follower
        self._metrics = metrics
        # One whose constructors run on is begun again where others like it wait for each other.
        self._lanes = (_Lane(DEPLOY_THREADS, QUICK_SECONDS), _Lane(1, None))
        self._loading: set[Cancellation] = set()
        #: Removing a function runs none of its code, so it waits for nobody's.
        self._removing = ThreadPoolExecutor(1, "dotnet_wasm_host remove", yield_to_event_loop)
        self._closed = False

    def close(self) -> None:
        """Refuse new deploys, and let those end that are under way, but not for long."""
        self._closed = True
        end = time.monotonic() + QUICK_SECONDS
        while self._loading and time.monotonic() < end:
            time.sleep(_PAUSE)
        for cancellation in tuple(self._loading):
            cancellation.cancel()
        for lane in self._lanes:
            lane.threads.shutdown()
        self._removing.shutdown()

    async def deploy(
        self,
        function_id: str,
        content: bytes,
        *,
        client: str = "",
        assembly: str | None = None,
        handler: str | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        condition: Condition | None = None,
    ) -> tuple[FunctionRecord, bool]:
        """Load and check an assembly or a bundle, store it, then serve it.

        Returns the stored record, and whether the function is new.
        """
        self._check(function_id, timeout, concurrency)

        def work(cancellation: Cancellation) -> tuple[FunctionRecord, bool]:
            try:
                stored = canonical(content, self._options.assembly_bytes, assembly)
            except MalformedImage as error:
                raise AssemblyLoadError(
                    function_id,
                    "System.BadImageFormatException",
                    f"{error}; send an assembly of .NET",
                ) from error
            record = FunctionRecord(
                function_id, 0, hashlib.sha256(stored).hexdigest(), len(stored), handler, "",
                "", timeout, concurrency, datetime.now(timezone.utc),
            )  # fmt: skip
            function = StoredFunction(record, stored)
            return self._deploy(function, condition or Condition(), cancellation)

        outcome = "success"
        try:
            return await self._load(client, function_id, work)
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            self._metrics.deployed(outcome)

    async def remove(self, function_id: str, condition: Condition) -> bool:
        """Unload a function and forget it; False if there was none."""

        def work() -> bool:
            with self._served.switching:
                existed = self._store.delete(function_id, condition)
                self._served.unload(function_id)
                return existed

        self._require_open()
        task = asyncio.get_running_loop().run_in_executor(self._removing, work)
        return await asyncio.shield(task)

    def _check(self, function_id: str, timeout: float | None, concurrency: int | None) -> None:
        check_name(function_id)
        options = self._options
        if timeout is not None and not 0 < timeout <= options.timeout:
            raise ValueError(
                f"timeout is {timeout}; give seconds above 0, at most {options.timeout}"
            )
        if concurrency is not None and not 0 < concurrency <= options.concurrency:
            raise ValueError(f"concurrency is {concurrency}; give 1 to {options.concurrency}")

    def _deploy(
        self, function: StoredFunction, condition: Condition, cancellation: Cancellation
    ) -> tuple[FunctionRecord, bool]:
        with self._served.stage(function, cancellation=cancellation) as staged:
            record = replace(
                function.record,
                handler_type=staged.handler_type,
                assembly_name=staged.assembly_name,
            )
            with self._served.switching:
                new = record.function_id not in self._served
                stored = StoredFunction(record, function.assembly)
                record = self._store.put(stored, condition, self._options.functions)
                if not self._served.serve(record, staged):
                    # The image was reloaded meanwhile; the follower loads it into the new pool.
                    self._follower.wake()
        return record, new

    async def _load(self, client: str, function_id: str, work: Callable[[Cancellation], T]) -> T:
        """Do ``work`` in a thread when it is its turn."""
        quick, slow = self._lanes
        self._require_open()
        try:
            return await self._in(quick, client, function_id, work)
        except InvocationCancelled:
            self._require_open()
            return await self._in(slow, client, function_id, work)

    async def _in(
        self, lane: _Lane, client: str, function_id: str, work: Callable[[Cancellation], T]
    ) -> T:
        await lane.turns.take(client, function_id)
        loop, cancellation = asyncio.get_running_loop(), Cancellation()
        self._loading.add(cancellation)

        def load() -> T:
            try:
                return work(cancellation)
            finally:
                # Here: while close() waits, the event loop may stand still.
                self._loading.discard(cancellation)

        try:
            self._require_open()
            task = loop.run_in_executor(lane.threads, load)
        except BaseException:
            self._loading.discard(cancellation)
            lane.turns.give_back()
            raise
        if lane.seconds is not None:
            loop.call_later(lane.seconds, cancellation.cancel)

        def done(task: asyncio.Future[T]) -> None:
            lane.turns.give_back()
            if not task.cancelled():
                task.exception()  # whoever asked may be gone

        task.add_done_callback(done)
        # A caller who leaves does not leave a deploy half-done.
        return await asyncio.shield(task)

    def _require_open(self) -> None:
        if self._closed:
            raise RuntimeClosed("the worker is shutting down; try again with another")


class _Lane:
    """Threads, what loading may take in them, and whose turn it is."""

    def __init__(self, count: int, seconds: float | None) -> None:
        self.seconds: float | None = seconds
        self.turns: FairTurns = FairTurns(count, "deploys")
        self.threads: ThreadPoolExecutor = ThreadPoolExecutor(
            count, "dotnet_wasm_host deploy", yield_to_event_loop
        )
