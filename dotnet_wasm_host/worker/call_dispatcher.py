"""Calls of the worker: on the event loop or in a thread, in turns, measured."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import FunctionNotLoaded, RuntimeClosed
from dotnet_wasm_host.worker.bodies import Disconnected
from dotnet_wasm_host.worker.cancel_on_disconnect import cancel_on_disconnect
from dotnet_wasm_host.worker.metrics import OTHER
from dotnet_wasm_host.worker.round_robin import RoundRobin

if TYPE_CHECKING:
    from starlette.types import Receive

    from dotnet_wasm_host.pool.calls import Series
    from dotnet_wasm_host.worker.metrics import WorkerMetrics
    from dotnet_wasm_host.worker.options import WorkerOptions
    from dotnet_wasm_host.worker.served_functions import ServedFunction, ServedFunctions
    from dotnet_wasm_host.worker.store_follower import StoreFollower

__all__ = ["CallDispatcher"]


@final
class CallDispatcher:
    """Calls what is served. Its methods belong to the event loop.

    Args:
        may_inline: whether quick functions may be called on the event loop. Guests that reach
            nothing of the host cannot wait for any of it, other than on a processor: such calls
            are stopped when they overrun. A host function, a response or a file can block for as
            long as it likes, which the event loop must not.
    """

    def __init__(
        self,
        options: WorkerOptions,
        served: ServedFunctions,
        follower: StoreFollower,
        metrics: WorkerMetrics,
        *,
        may_inline: bool,
    ) -> None:
        self._options = options
        self._served = served
        self._follower = follower
        self._metrics = metrics
        self._may_inline = may_inline
        self._round_robin = RoundRobin(options.waiting_per_function)
        self._looking = asyncio.Lock()
        self._looks = 0
        self._closed = False

    def close(self) -> None:
        """Say of unknown functions that the worker is shutting down."""
        self._closed = True

    async def invoke(
        self, function_id: str, payload: bytes, receive: Receive | None = None
    ) -> bytes:
        """Call a function on the event loop or in a thread, and count how the call ended."""
        served = self._served.get(function_id)
        if served is None:
            served = await self.look_again(function_id)
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
            raise
        else:
            return result
        finally:
            self._ended(served, outcome, time.perf_counter() - started)

    async def run_series(self, function_id: str, series: Series) -> None:
        """Have a function called several times in one instance, and count it as one call."""
        served, pool = self._served.get(function_id), self._served.pool
        if served is None or pool is None:
            raise FunctionNotLoaded(function_id, "is not deployed any more; deploy it again")
        started = time.perf_counter()
        outcome = "success"
        try:
            await pool.run_series(function_id, series)
        except asyncio.CancelledError:
            outcome = Disconnected.__name__
            raise
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            self._ended(served, outcome, time.perf_counter() - started)

    def _ended(self, served: ServedFunction, outcome: str, seconds: float) -> None:
        served.calls += 1
        served.failures += outcome != "success"
        served.recent.append(seconds)
        function_id = served.record.function_id
        # A label of one that was unloaded meanwhile would never be taken back.
        label = function_id if self._served.get(function_id) is not None else OTHER
        self._metrics.called(label, outcome, seconds)

    def retry_after(self, function_id: str) -> int:
        """Seconds after which a refused call may find a place: when half of the queue is done."""
        served, pool = self._served.get(function_id), self._served.pool
        if served is None or pool is None or not served.recent:
            return 1
        _, waiting = pool.load_of(function_id)
        mean = sum(tuple(served.recent)) / max(1, len(served.recent))
        # The mean has the waiting in it already.
        return max(1, min(60, round(mean * max(1, waiting) / (2 * self._options.places))))

    async def _invoke_in_thread(
        self, served: ServedFunction, payload: bytes
    ) -> tuple[bytes, float]:
        while True:
            pool = self._served.pool
            assert pool is not None
            try:
                return await pool.invoke_timed(
                    served.record.function_id, payload, timeout=served.timeout
                )
            except RuntimeClosed:
                if self._served.pool is pool:
                    raise
                # A reload took this pool away between the two lines above.

    def _invoke_inline(self, served: ServedFunction, payload: bytes) -> bytes | None:
        """Call a quick function right here. None if it is to be called in a thread instead."""
        pool = self._served.pool
        assert pool is not None
        try:
            return served.quickness.call(
                pool.call_quickly, served.record.function_id, payload, served.timeout
            )
        except RuntimeClosed:
            return None  # a reload; the other way finds the new pool

    async def look_again(self, function_id: str) -> ServedFunction:
        """What another process deployed a moment ago; FunctionNotLoaded if none did."""
        begun = self._looks
        async with self._looking:
            # Many who ask for what is not there share a look that began after they came.
            if self._looks == begun and not self._closed:
                self._looks += 1
                await asyncio.to_thread(self._follower.follow_if_changed)
        served = self._served.get(function_id)
        if served is not None:
            return served
        self._metrics.refused(FunctionNotLoaded.__name__)
        if self._closed:
            raise RuntimeClosed("the worker is shutting down; try again with another")
        if function_id in self._served.refused:
            raise FunctionNotLoaded(
                function_id, "is deployed but could not be loaded; deploy it again"
            )
        raise FunctionNotLoaded(function_id, "is not deployed; deploy it first")
