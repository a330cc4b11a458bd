"""The thread that carries out HTTP for one runtime, or for all runtimes of a pool."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar, final

from dotnet_wasm_host.errors import ExtraNotInstalled, HttpPolicyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from concurrent.futures import Future

    import httpx

    from dotnet_wasm_host.fetch.rules import Rules
    from dotnet_wasm_host.options import HttpPolicy

__all__ = ["MAX_EXCHANGES", "HttpAccess"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

#: Requests that may be under way, or have a response that is not read to its end, at a time.
#: More connections than ``HttpPolicy.max_connections`` are never open; the rest wait for one.
MAX_EXCHANGES = 1000


@final
class HttpAccess:
    """An httpx client that keeps to a policy, on an event loop in a thread of its own.

    Thread and client start with the first request. What runs on the loop is private to this
    package; other threads use :meth:`submit`.

    Args:
        policy: what is allowed.
        resolve: instead of the operating system's resolver: name and port to addresses.

    Raises:
        ExtraNotInstalled: httpx is not installed.
    """

    def __init__(
        self,
        policy: HttpPolicy,
        *,
        resolve: Callable[[str, int], Awaitable[list[str]]] | None = None,
    ) -> None:
        if find_spec("httpx") is None:
            raise ExtraNotInstalled("an HttpPolicy needs httpx", "http")
        self.policy = policy
        self._resolve = resolve
        # Re-entered where garbage is collected, which ends exchanges.
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: httpx.AsyncClient | None = None
        self._rules: Rules | None = None
        self._closed = False
        self._held = 0
        # A forked process has neither the thread nor the right to its sockets.
        self._process = os.getpid()
        #: Exchanges that have begun and not ended. Changed on the loop.
        self.exchanges = 0

    @property
    def rules(self) -> Rules:
        """The policy, applied."""
        if self._rules is None:
            from dotnet_wasm_host.fetch.rules import Rules  # noqa: PLC0415 - with the client

            self._rules = Rules(self.policy)
        return self._rules

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop. Cancelling the future cancels it."""
        with self._lock:
            if self._closed or self._process != os.getpid():
                work.close()
                raise HttpPolicyError("the runtime is closed, and its HTTP with it")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="dotnet_wasm_host http", daemon=True
                )
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def hold(self, count: int) -> None:
        """Count bytes of bodies that the host keeps. HttpPolicyError over the policy's limit."""
        with self._lock:
            if self._held + count > self.policy.max_held_bytes:
                raise HttpPolicyError(
                    f"{count} bytes of a body are refused: with those of other requests the host "
                    f"would hold more than the {self.policy.max_held_bytes} bytes of max_held_bytes"
                )
            self._held += count

    def free(self, count: int) -> None:
        """They are kept no longer."""
        with self._lock:
            self._held -= count

    def client(self) -> httpx.AsyncClient:
        """The client. On the loop only."""
        if self._client is None:
            self._client = self._make_client()
        return self._client

    def _make_client(self) -> httpx.AsyncClient:
        # Nobody pays for httpx who makes no request.
        from http.cookiejar import CookieJar, DefaultCookiePolicy  # noqa: PLC0415

        import httpx  # noqa: PLC0415

        from dotnet_wasm_host.fetch.transport import (  # noqa: PLC0415
            CheckedTransport,
            system_resolver,
        )

        policy = self.policy
        transport = CheckedTransport(
            self.rules,
            policy.tls if policy.tls is not None else httpx.create_ssl_context(trust_env=False),
            max_connections=policy.max_connections,
            resolve=self._resolve or system_resolver,
        )
        return httpx.AsyncClient(
            transport=transport,
            # A jar would carry cookies from one function's requests to another's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": "dotnet-wasm-host", "Accept-Encoding": "gzip, deflate"},
            max_redirects=policy.max_redirects,
            # The whole exchange has a deadline (exchange.py); a part of it needs none.
            timeout=None,  # noqa: S113
            trust_env=False,
        )

    def close(self) -> None:
        """End all exchanges, the connections and the thread. Idempotent."""
        with self._lock:
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
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=5)
        if self._client is not None:
            try:
                await self._client.aclose()
            except Exception:  # noqa: BLE001 - logged; the connections go with the loop
                _log.debug("closing connections failed", exc_info=True)
        loop.stop()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        # A look-up of a name cannot be stopped; its thread is not waited for.
        loop.close()
