"""The Python functions that a runtime lends its guests, and where asynchronous ones run."""

from __future__ import annotations

import inspect
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.engines.threads import start
from dotnet_wasm_host.errors import LimitExceeded, MarshallingTypeError
from dotnet_wasm_host.memory import buffer_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor

    HostFunction = Callable[[bytes], Any]

__all__ = ["HostFunctions", "as_bytes"]

#: Threads for synchronous functions that the guest calls asynchronously.
_THREADS = 16
#: Calls that run or wait for a thread at a time, of all guests together, and their arguments'
#: bytes. An instance that was replaced cannot take back what runs for it.
_MOST_CALLS = 100_000
_MOST_HELD = 256 << 20
#: Names of functions in a message.
_MOST_LISTED = 20


@final
class HostFunctions:
    """Host functions by name. Thread-safe; shared by all instances of a runtime or pool.

    Args:
        functions: name to function; a function takes bytes and returns bytes (or any buffer, or
            ``None`` for nothing), or is a coroutine function that does.

    Raises:
        MarshallingTypeError: a name is no string, or a function cannot be called.
    """

    def __init__(self, functions: Mapping[str, HostFunction]) -> None:
        for name, function in functions.items():
            _check(name, function)
        self.names: tuple[str, ...] = tuple(sorted(functions))
        #: By the name's UTF-16, which is how the guest has it.
        self.by_utf16: dict[bytes, HostFunction] = {
            name.encode("utf-16-le", errors="surrogatepass"): function
            for name, function in functions.items()
        }
        self.longest_name: int = max(map(len, self.by_utf16), default=0)
        #: The names, for messages.
        self.listed: str = _listed(self.names)
        self._calls = self._held = 0
        # Ending a future runs its callbacks at once, also in a thread that is in here already.
        self._lock = threading.RLock()
        self._caller_loop: asyncio.AbstractEventLoop | None = None
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._threads: ThreadPoolExecutor | None = None

    def adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run coroutines on this loop, for as long as it runs."""
        self._caller_loop = loop

    def begin(self, function: HostFunction, argument: bytes) -> Future[Any]:
        """Start a call that may end on any thread."""
        size = len(argument)
        self._hold(size)
        try:
            if inspect.iscoroutinefunction(function):
                future = self._run_coroutine(function(argument))
            else:
                # A cancelled call stays in the executor's queue; its argument need not.
                box = [argument]
                future = self._executor().submit(copy_context().run, self._call, function, box)
                future.add_done_callback(lambda _: box.clear())
        except BaseException:
            self._let_go(size)
            raise
        future.add_done_callback(lambda _: self._let_go(size))
        return future

    def close(self) -> None:
        """Stop the threads; what runs in them is waited for, what waits is cancelled."""
        with self._lock:
            threads, self._threads = self._threads, None
            loop, self._own_loop = self._own_loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    def _hold(self, size: int) -> None:
        with self._lock:
            if self._calls >= _MOST_CALLS or self._held + size > _MOST_HELD:
                raise LimitExceeded(
                    f"{self._calls} calls of host functions run or wait, with {self._held} bytes "
                    f"of arguments; one with {size} more bytes has no room beside them: await "
                    "some before more are begun"
                )
            self._calls += 1
            self._held += size

    def _let_go(self, size: int) -> None:
        with self._lock:
            self._calls -= 1
            self._held -= size

    def _call(self, function: HostFunction, box: list[bytes]) -> object:
        result = function(box.pop())
        if inspect.isawaitable(result):  # a lambda or partial around a coroutine function
            return self._run_coroutine(_await(result)).result()
        return result

    def _run_coroutine(self, coroutine: Coroutine[Any, Any, object]) -> Future[Any]:
        import asyncio

        loop = self._caller_loop
        if loop is None or not loop.is_running():
            loop = self._loop()
        return asyncio.run_coroutine_threadsafe(coroutine, loop)

    def _loop(self) -> asyncio.AbstractEventLoop:
        import asyncio

        with self._lock:
            if self._own_loop is None:
                loop = asyncio.new_event_loop()
                start(
                    threading.Thread(
                        target=_run_loop, args=(loop,), name="dotnet_wasm_host loop", daemon=True
                    )
                )
                self._own_loop = loop
            return self._own_loop

    def _executor(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                from dotnet_wasm_host.engines.thread_pool import ThreadPool

                self._threads = ThreadPool(_THREADS, "dotnet_wasm_host function")
            return self._threads


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_MOST_LISTED])) or "none"
    more = len(names) - _MOST_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def _check(name: object, function: object) -> None:
    if not isinstance(name, str) or not callable(function):
        raise MarshallingTypeError(
            f"host_functions[{name!r}] is {type(function).__name__}; give names and functions "
            "that take bytes and return bytes"
        )


def as_bytes(result: object, name: str) -> bytes:
    """What a host function returned, as the guest gets it."""
    if type(result) is bytes:
        return result
    if result is None:
        return b""
    if isinstance(result, (bytes, bytearray, memoryview)) or hasattr(result, "__array_interface__"):
        return buffer_of(result).tobytes()  # type: ignore[arg-type]
    if inspect.iscoroutine(result):
        result.close()
    if inspect.isawaitable(result):
        raise MarshallingTypeError(
            f"host function {name!r} is asynchronous; call it with Host.CallAsync"
        )
    raise MarshallingTypeError(
        f"host function {name!r} returned {type(result).__name__}; return bytes"
    )


async def _await(awaitable: Awaitable[object]) -> object:
    return await awaitable


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    import asyncio

    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()
