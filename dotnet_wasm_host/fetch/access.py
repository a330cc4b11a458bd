"""The thread that carries out HTTP for one runtime, or for all runtimes of a pool."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar, final
from weakref import WeakSet

from dotnet_wasm_host.engines.process import descriptor_limit
from dotnet_wasm_host.engines.threads import start
from dotnet_wasm_host.errors import ExtraNotInstalled, HttpPolicyError, LimitExceeded

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Coroutine
    from concurrent.futures import Future

    import httpx

    from dotnet_wasm_host.fetch.proxies import Proxies
    from dotnet_wasm_host.fetch.rules import Rules
    from dotnet_wasm_host.options import HttpPolicy

__all__ = ["HttpAccess"]

T = TypeVar("T")
_log = logging.getLogger(__name__)


@final
class HttpAccess:
    """What keeps to a policy: an event loop in a thread of its own, and what all requests share.

    The thread starts with the first request. What runs on the loop is private to this
    package; other threads use :meth:`submit`.

    Args:
        policy: what is allowed.
        shared: whether its tenants are strangers to each other, as the runtimes of a pool are;
            then none of them can take all there is.
        resolve: instead of the operating system's resolver: name and port to addresses.
        proxies: which requests go through a proxy; without it none does.

    Raises:
        ExtraNotInstalled: httpx is not installed.
    """

    def __init__(
        self,
        policy: HttpPolicy,
        *,
        shared: bool = False,
        resolve: Callable[[str, int], Awaitable[list[str]]] | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        if find_spec("httpx") is None:
            raise ExtraNotInstalled("an HttpPolicy needs httpx", "http")
        self.policy = policy
        self.resolve = resolve
        self.proxies: Proxies | None = proxies
        # For all that tenants count, too. Re-entered where garbage is collected, which ends
        # exchanges; a second lock could be waited for there while this one is held.
        self.lock: threading.RLock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tls: ssl.SSLContext | None = None
        self._rules: Rules | None = None
        self._closed = False
        self._is_shared = shared
        self._held = self._connections = 0
        #: Of tenants that live. Changed on the loop.
        self.clients: WeakSet[httpx.AsyncClient] = WeakSet()
        #: They are never cancelled: httpx takes a client that is half closed for closed.
        self._closings: set[asyncio.Task[Any]] = set()
        # A forked process has neither the thread nor the right to its sockets.
        self._process = os.getpid()
        #: Exchanges that have begun and not ended. Changed on the loop.
        self.exchanges = 0

    @property
    def rules(self) -> Rules:
        """The policy, applied."""
        if self._rules is None:
            from dotnet_wasm_host.fetch.rules import Rules

            self._rules = Rules(self.policy)
        return self._rules

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop. Cancelling the future cancels it."""
        with self.lock:
            if self._closed or self._process != os.getpid():
                work.close()
                raise HttpPolicyError(
                    "the runtime is closed, and its HTTP with it; make a new Runtime"
                )
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=_serve, args=(loop,), name="dotnet_wasm_host http", daemon=True
                )
                try:
                    start(thread)
                except LimitExceeded:
                    work.close()
                    loop.close()
                    raise
                self._loop, self._thread = loop, thread
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def hold(self, count: int, held: int) -> None:
        """Count bytes of bodies that the host keeps.

        Args:
            count: how many more.
            held: how many the same tenant has already.

        Raises:
            HttpPolicyError: it would be more than ``HttpPolicy.max_held_bytes``.
        """
        assert count >= 0
        with self.lock:
            if held + count > self._share(self.policy.max_held_bytes, self._held - held):
                raise HttpPolicyError(
                    f"{count} bytes of a body are refused: with those of other requests the host "
                    f"would hold more than the {self.policy.max_held_bytes} bytes of "
                    "max_held_bytes, of which each runtime of a pool may have half of what the "
                    "others leave; stream the body, or raise max_held_bytes"
                )
            self._held += count

    def free(self, count: int) -> None:
        """They are kept no longer."""
        with self.lock:
            self._held -= count

    def _share(self, total: int, others: int) -> int:
        """What one tenant may have of a total, of which others have some.

        With half of what is left, nobody can take all: there is always as much free as the
        greediest tenant has (dynamic thresholds, Choudhury and Hahne 1998).
        """
        return (total - others) // 2 if self._is_shared else total

    def connect(self, connected: int) -> None:
        """Count a connection of a tenant that has ``connected`` already. On the loop only.

        Raises:
            HttpPolicyError: the process has too few descriptors for it.
        """
        total = max(self.policy.max_connections, descriptor_limit() // 4)
        if connected >= self._share(total, self._connections - connected):
            raise HttpPolicyError(
                f"a connection is refused: the functions of this process have {self._connections} "
                f"of the {total} that its limit of descriptors leaves them, and this one its "
                "share: use fewer at a time, or raise the limit (ulimit -n, LimitNOFILE)"
            )
        self._connections += 1

    def disconnect(self) -> None:
        """A connection is closed. On the loop only."""
        self._connections -= 1

    @property
    def tls(self) -> ssl.SSLContext:
        """Whom connections trust."""
        if self._tls is None:
            import httpx

            tls = self.policy.tls
            self._tls = tls if tls is not None else httpx.create_ssl_context(trust_env=False)
        return self._tls

    def close_client(self, client: httpx.AsyncClient) -> None:
        """Close the connections of a client soon. An access that is closed has closed them."""
        with suppress(HttpPolicyError):
            self.submit(self._close_client(client))

    async def _close_client(self, client: httpx.AsyncClient) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._closings.add(task)
        try:
            await _close(client)
        finally:
            self._closings.discard(task)

    def close(self) -> None:
        """End all exchanges, the connections and the thread. Idempotent."""
        with self.lock:
            self._closed = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or self._process != os.getpid():
            return
        asyncio.run_coroutine_threadsafe(self._shut_down(), loop)
        # From its own thread, as when garbage is collected there, it ends after this.
        if thread is not threading.current_thread():
            thread.join()

    async def _shut_down(self) -> None:
        loop = asyncio.get_running_loop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others - self._closings:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=5)
        for client in list(self.clients):
            await _close(client)
        loop.stop()


async def _close(client: httpx.AsyncClient) -> None:
    """Close the connections of a client. What goes wrong is logged."""
    try:
        await client.aclose()
    except Exception:  # noqa: BLE001 - logged; the connections go with the loop
        _log.debug("closing connections failed", exc_info=True)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        # A look-up of a name cannot be stopped; its thread is not waited for.
        loop.close()
