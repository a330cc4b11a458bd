"""The Python functions that a runtime lends its guests, and where asynchronous ones run."""

from __future__ import annotations

import inspect
import threading
from collections import deque
from concurrent.futures import Future
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.engines.threads import start
from dotnet_wasm_host.errors import LimitExceeded, MarshallingTypeError
from dotnet_wasm_host.memory import buffer_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import Context

    HostFunction = Callable[[bytes], Any]

__all__ = ["HostFunctions", "LentFunctions", "as_bytes"]

#: Threads for synchronous functions that the guest calls asynchronously.
_THREADS = 16
#: Calls that run or wait for a thread at a time, of all runtimes together, and their arguments'
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
        shared: whether those that it is lent to are strangers to each other, as the runtimes of a
            pool are; then none of them can take all threads and memory there are.

    Raises:
        MarshallingTypeError: a name is no string, or a function cannot be called.
    """

    def __init__(self, functions: Mapping[str, HostFunction], *, shared: bool = False) -> None:
        if not hasattr(functions, "items"):
            raise MarshallingTypeError(
                f"host_functions: expected names and functions, found {type(functions).__name__}; "
                "give {name: function}"
            )
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
        self._is_shared = shared
        self._calls = self._held = self._running = 0
        # Whose calls wait for a thread, in the order of their turns.
        self._turns: deque[LentFunctions] = deque()
        # Ending a future runs its callbacks at once, also in a thread that is in here already.
        self._lock = threading.RLock()
        self._caller_loop: asyncio.AbstractEventLoop | None = None
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._threads: ThreadPoolExecutor | None = None

    def adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run coroutines on this loop, for as long as it runs."""
        self._caller_loop = loop

    def lend(self, most_held: int) -> LentFunctions:
        """What one runtime may use.

        Args:
            most_held: bytes that arguments of its calls may take together.
        """
        return LentFunctions(self, min(most_held, _MOST_HELD))

    def begin(self, share: LentFunctions, function: HostFunction, argument: bytes) -> Future[Any]:
        """Start a call that may end on any thread."""
        size = len(argument)
        self._hold(share, size)
        try:
            if inspect.iscoroutinefunction(function):
                future = self.run_coroutine(function(argument))
            else:
                future = self._queue(share, function, argument)
        except BaseException:
            self._let_go(share, size)
            raise
        future.add_done_callback(lambda _: self._let_go(share, size))
        return future

    def close(self) -> None:
        """Stop the threads; what runs in them is waited for, what waits is cancelled."""
        with self._lock:
            threads, self._threads = self._threads, None
            loop, self._own_loop = self._own_loop, None
            jobs = [job for share in self._turns for job in share.waiting]
            self._turns.clear()
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
        for job in jobs:
            job.future.cancel()

    def _hold(self, share: LentFunctions, size: int) -> None:
        with self._lock:
            most = self._part(_MOST_CALLS, self._calls - share.calls)
            held = self._part(_MOST_HELD, self._held - share.held)
            if share.calls >= most or share.held + size > min(held, share.most_held):
                raise LimitExceeded(
                    f"{share.calls} calls of host functions run or wait, with {share.held} bytes "
                    f"of arguments; one with {size} more bytes has no room beside them: await "
                    "some before more are begun"
                )
            self._count(1, size)
            share.count(1, size)

    def _let_go(self, share: LentFunctions, size: int) -> None:
        with self._lock:
            self._count(-1, -size)
            share.count(-1, -size)

    def _part(self, total: int, others: int) -> int:
        """What one may have of a total, of which others have some: there is always some left."""
        return max(1, (total - others) // 2) if self._is_shared else total - others

    def _queue(self, share: LentFunctions, function: HostFunction, argument: bytes) -> Future[Any]:
        job = _Job(function, argument)
        with self._lock:
            if not share.waiting:
                self._turns.append(share)
            share.waiting.append(job)
            try:
                self._start_jobs()
            except LimitExceeded:  # there is no thread at all
                job.future.cancel()
                raise
        return job.future

    def _start_jobs(self) -> None:
        """Give threads that are free to those whose turn it is."""
        passed = 0
        while passed < len(self._turns) and self._running < _THREADS:
            share = self._turns.popleft()
            if share.running < self._part(_THREADS, self._running - share.running):
                job = share.waiting.popleft()
                self._executor().submit(self._run_job, share, [job])
                share.running += 1
                self._running += 1
                passed = 0
            else:
                passed += 1
            if share.waiting:
                self._turns.append(share)

    def _count(self, calls: int, held: int) -> None:
        self._calls += calls
        self._held += held

    def _run_job(self, share: LentFunctions, box: list[_Job]) -> None:
        # What it raises refers to this frame and the executor's, which must not refer to it.
        try:
            box.pop().run(self._call)
        finally:
            with self._lock:
                share.running -= 1
                self._running -= 1
                if self._threads is not None:
                    self._start_jobs()

    def _call(self, function: HostFunction, argument: bytes) -> object:
        result = function(argument)
        if inspect.isawaitable(result):  # a lambda or partial around a coroutine function
            return self.run_coroutine(_await(result)).result()
        return result

    def run_coroutine(self, coroutine: Coroutine[Any, Any, object]) -> Future[Any]:
        """Run a coroutine on the loop that was adopted, or on one of its own."""
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


@final
class LentFunctions:
    """Host functions as one runtime has them, and what it uses of them. Instances come and go.

    Attributes:
        by_utf16, longest_name, listed: as of the functions.
        most_held: bytes that arguments of its calls may take together.
        calls, held: its calls that run or wait, and their arguments' bytes.
        running: how many of them have a thread.
        waiting: those that wait for one.
    """

    __slots__ = ("_functions", "by_utf16", "calls", "held", "listed", "longest_name", "most_held",
                 "running", "waiting")  # fmt: skip

    def __init__(self, functions: HostFunctions, most_held: int) -> None:
        self._functions = functions
        self.by_utf16: Mapping[bytes, HostFunction] = functions.by_utf16
        self.longest_name: int = functions.longest_name
        self.listed: str = functions.listed
        self.most_held: int = most_held
        self.calls: int = 0
        self.held: int = 0
        self.running: int = 0
        self.waiting: deque[_Job] = deque()

    def begin(self, function: HostFunction, argument: bytes) -> Future[Any]:
        """Start a call that may end on any thread."""
        return self._functions.begin(self, function, argument)

    def count(self, calls: int, held: int) -> None:
        """Add to what it uses."""
        self.calls += calls
        self.held += held


@final
class _Job:
    """A call that waits for a thread."""

    __slots__ = ("_box", "_context", "_function", "future")

    def __init__(self, function: HostFunction, argument: bytes) -> None:
        self.future: Future[Any] = Future()
        self._context: Context = copy_context()
        self._function = function
        # A cancelled call stays in the queue; its argument need not.
        self._box = box = [argument]
        self.future.add_done_callback(lambda _: box.clear())

    def run(self, call: Callable[[HostFunction, bytes], object]) -> None:
        """Call the function, unless nobody waits for it any more."""
        future = self.future
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = self._context.run(call, self._function, self._box.pop())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)
            # Its traceback has this frame, which must not have it.
            del self, future
        else:
            future.set_result(result)


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
