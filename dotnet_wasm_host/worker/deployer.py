"""Deploying: load and check, store, serve."""

from __future__ import annotations

import asyncio
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, TypeVar, final

from dotnet_wasm_host.assembly import MalformedImage
from dotnet_wasm_host.errors import (
    AssemblyLoadError,
    HandlerNotFound,
    InvocationCancelled,
    MarshallingError,
    RuntimeClosed,
)
from dotnet_wasm_host.runtime.cancellation import Cancellation
from dotnet_wasm_host.runtime.registry import check_name
from dotnet_wasm_host.worker.bundles import bundle_of, canonical, documentation_of
from dotnet_wasm_host.worker.fair_turns import FairTurns
from dotnet_wasm_host.worker.priorities import yield_to_event_loop
from dotnet_wasm_host.worker.store import Condition, FunctionRecord, StoredFunction
from dotnet_wasm_host.worker.typed_functions import DISPATCHER, DOCUMENTATION, read_methods

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.typed.methods import MethodTable
    from dotnet_wasm_host.worker.compilations import Compilations
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
        compilations: Compilations,
    ) -> None:
        self._compilations = compilations
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
        parts: Mapping[str, bytes] | None = None,
        client: str = "",
        assembly: str | None = None,
        handler: str | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        condition: Condition | None = None,
    ) -> tuple[FunctionRecord, bool]:
        """Load and check an assembly or a bundle, store it, then serve it.

        Returns the stored record, and whether the function is new.

        Args:
            function_id: its id.
            content: an assembly, or a zip archive of one with its dependencies.
            parts: what is stored with it.
            client: who asks; clients take turns.
            assembly: file name of the DLL of an archive that has the handler.
            handler: full name of the handler type.
            timeout: seconds its calls may take, at most those of the worker's limits.
            concurrency: its calls at the same time, at most the worker's.
            condition: version that it replaces.

        Raises:
            AssemblyLoadError, MarshallingError: it cannot be loaded.
            PreconditionFailed: the condition does not hold.
            TooManyCalls: too many deploys wait.
            TooManyFunctions: as many are deployed as may be.
            StoreError: it could not be written down.
        """
        self._check(function_id, timeout, concurrency)
        record = FunctionRecord(
            function_id, 0, "", 0, handler, "?", "", timeout, concurrency,
            datetime.now(timezone.utc),
        )  # fmt: skip
        given = dict(parts or {})

        def read(_: Cancellation) -> StoredFunction:
            return self._read(record, content, given, assembly)

        def work(cancellation: Cancellation) -> tuple[FunctionRecord, bool]:
            return self._deploy(read(cancellation), condition or Condition(), cancellation)

        outcome = "success"
        try:
            try:
                return await self._load(client, function_id, work)
            except HandlerNotFound as missing:
                if handler is not None:
                    raise
                found = await self._load(client, function_id, read)
                methods = await self._load(client, function_id, partial(_methods, found, missing))
            given[DISPATCHER] = await self._compilations.dispatcher(methods, client, function_id)
            record = replace(record, handler_type="")
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

    def _read(
        self,
        record: FunctionRecord,
        content: bytes,
        parts: Mapping[str, bytes],
        assembly: str | None,
    ) -> StoredFunction:
        most = self._options.assembly_bytes
        try:
            stored = canonical(content, most, assembly)
            if DOCUMENTATION not in parts:
                parts = {**parts, DOCUMENTATION: documentation_of(content, most, assembly)}
        except MalformedImage as error:
            raise AssemblyLoadError(
                record.function_id,
                "System.BadImageFormatException",
                f"{error}; send an assembly of .NET",
            ) from error
        digest = hashlib.sha256(stored).hexdigest()
        kept = {name: part for name, part in parts.items() if part}
        return StoredFunction(replace(record, sha256=digest, size=len(stored)), stored, kept)

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
                stored = StoredFunction(record, function.assembly, function.parts)
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


def _methods(function: StoredFunction, missing: HandlerNotFound, _: Cancellation) -> MethodTable:
    """The methods of an assembly without a handler."""
    record = function.record
    try:
        return read_methods(record.function_id, bundle_of(function.assembly), function.parts)
    except MarshallingError as error:
        raise HandlerNotFound(record.function_id, missing.dotnet_type, str(error)) from missing


class _Lane:
    """Threads, what loading may take in them, and whose turn it is."""

    def __init__(self, count: int, seconds: float | None) -> None:
        self.seconds: float | None = seconds
        self.turns: FairTurns = FairTurns(count, "deploys")
        self.threads: ThreadPoolExecutor = ThreadPoolExecutor(
            count, "dotnet_wasm_host deploy", yield_to_event_loop
        )
