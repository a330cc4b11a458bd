"""The way from asyncio to the threads of a pool, and back."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.engines.thread_pool import ThreadPool
from dotnet_wasm_host.errors import LimitExceeded
from dotnet_wasm_host.pool.begun import BegunCall
from dotnet_wasm_host.pool.slots import FairSlots, Ticket
from dotnet_wasm_host.runtime.cancellation import Cancellation

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from contextvars import Context

    from typing_extensions import Buffer

    from dotnet_wasm_host.imports.host_functions import HostFunctions
    from dotnet_wasm_host.pool.calls import Calls, Series

__all__ = ["AwaitedCalls"]


@final
class AwaitedCalls:
    """Calls from event loops: they queue without a thread, and run in one of the pool's.

    Args:
        size: threads.
        slots: the places that calls take.
        calls: carries them out.
        functions: host functions, some of which may want to run on the loop of the caller.
        thread_start: called in each thread first.
    """

    def __init__(
        self,
        size: int,
        slots: FairSlots,
        calls: Calls,
        functions: HostFunctions | None,
        thread_start: Callable[[], object] | None,
    ) -> None:
        self._slots = slots
        self._calls = calls
        self._functions = functions
        self._threads = ThreadPool(size, "dotnet_wasm_host pool", thread_start)

    async def invoke(
        self,
        function_id: str,
        payload: Buffer,
        timeout: float | None,
    ) -> tuple[bytes, float]:
        """The result, and the seconds that the call held a thread: ``inf`` if it went on without.

        Cancelling the task that awaits it cancels the call.
        """
        loop = asyncio.get_running_loop()
        call = _AwaitedCall(function_id, payload, timeout, loop, self._start)
        if self._functions is not None:
            self._functions.adopt(loop)
        return await self._wait_for(call), call.seconds

    async def run_series(self, function_id: str, series: Series) -> None:
        """Have a function called several times in one instance, in a thread that has a place.

        Cancelling the task that awaits it cancels the series.
        """
        call = _AwaitedCall(function_id, b"", None, asyncio.get_running_loop(), self._start, series)
        await self._wait_for(call)

    async def _wait_for(self, call: _AwaitedCall) -> bytes:
        self._slots.request(call)
        result = call.result
        assert result is not None
        try:
            return await result
        except BaseException:
            # Cancelled, or nobody waits any more. If the call is over, this does nothing.
            if not self._slots.withdraw(call):
                call.cancellation.cancel()
                call.withdraw()
            raise
        finally:
            # An error's frames hold the call, and the future holds the error: a circle that would
            # keep a dead instance until the garbage collector runs.
            call.forget()
            del result

    def close(self) -> None:
        """Wait for the threads; no call may be in the queue any more."""
        self._threads.shutdown()

    def _start(self, call: _AwaitedCall) -> None:
        try:
            self._threads.submit(self._serve, call)
        except LimitExceeded as error:
            call.settle(None, error)
            # Not here: whoever has the place next would fail here, too, and the one after that.
            call.later(self._slots.release)

    def _serve(self, call: _AwaitedCall) -> None:
        """Run a call, then those that were waiting for its place, in a thread of the pool."""
        calls = self._calls
        while True:
            value: bytes | None = None
            failure: BaseException | None = None
            begun: BegunCall | None = None
            started = time.perf_counter()
            try:
                result: bytes | BegunCall = b""
                if call.series is not None:
                    call.context.run(calls.run_series, call.key, call.series, call.cancellation)
                else:
                    result = call.context.run(
                        calls.run, call.key, None, call.payload, call.timeout, call.cancellation
                    )
                if type(result) is BegunCall:
                    begun = result
                    calls.look_after(begun)
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
            if not isinstance(following, _AwaitedCall):
                break
            # It runs right here: waking another thread costs more than a short call.
            call = following
        if following is not None:
            following.grant()


@final
class _AwaitedCall(Ticket):
    """A call from asyncio, which waits for its place in the queue."""

    __slots__ = ("_begun", "_loop", "_start", "cancellation", "context", "payload", "result",
                 "seconds", "series", "timeout")  # fmt: skip

    def __init__(
        self,
        function_id: str,
        payload: Buffer,
        timeout: float | None,
        loop: asyncio.AbstractEventLoop,
        start: Callable[[_AwaitedCall], None],
        series: Series | None = None,
    ) -> None:
        super().__init__(function_id)
        self.series = series
        self.payload = payload
        self.context: Context = copy_context()
        self.timeout = timeout
        self.seconds = 0.0
        self.cancellation = Cancellation()
        self._start = start
        self._begun: BegunCall | None = None
        self._loop = loop
        self.result: asyncio.Future[bytes] | None = loop.create_future()

    def grant(self) -> None:
        self._start(self)

    def later(self, action: Callable[[_AwaitedCall], object]) -> None:
        """Do something with this call on the event loop."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(action, self)

    def refuse(self, error: BaseException) -> None:
        self.settle(None, error)

    def wait_for(self, begun: BegunCall) -> None:
        """The call waits in a runtime, and will be settled when it ends."""
        self._begun = begun
        if self.cancellation.cancelled:
            begun.withdraw()
        begun.call.outcome.add_done_callback(self._end)

    def withdraw(self) -> None:
        """Nobody waits for the result any more."""
        if self._begun is not None:
            self._begun.withdraw()

    def forget(self) -> None:
        """The result was taken or is not needed any more. On the event loop's thread."""
        self.result = self._begun = None

    def _end(self, outcome: Future[bytes]) -> None:
        error = outcome.exception()
        self.settle(None if error is not None else outcome.result(), error)

    def settle(self, value: bytes | None, error: BaseException | None) -> None:
        """Tell the event loop, from any thread, how the call ended."""
        # A loop that was closed meanwhile has nobody who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, value, error)

    def _settle(self, value: bytes | None, error: BaseException | None) -> None:
        if self.result is None or self.result.done():  # cancelled meanwhile
            return
        if error is not None:
            self.result.set_exception(error)
        else:
            self.result.set_result(value or b"")
