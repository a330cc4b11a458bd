"""Whether the client still waits for its answer."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.worker.bodies import Disconnected

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import Receive

__all__ = ["cancel_on_disconnect"]

#: Calls that take less are not worth stopping. After this somebody listens for the client.
UNWATCHED_SECONDS = 0.1


@final
class cancel_on_disconnect:  # noqa: N801 - used as a function, like contextlib.suppress
    """Cancels what is awaited in its ``with`` block once the client of a request has left.

    For after the body was read. Raises :class:`Disconnected` then::

        with cancel_on_disconnect(receive):
            await work()
    """

    __slots__ = ("_left", "_listener", "_receive", "_task", "_timer")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False
        self._listener: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(UNWATCHED_SECONDS, self._start)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()
        if self._left and isinstance(error, asyncio.CancelledError):
            # The server may have cancelled it as well; then it stays cancelled.
            if sys.version_info >= (3, 11) and self._task.uncancel() > 0:
                return
            raise Disconnected("the client left before the call ended") from None

    def _start(self) -> None:
        self._listener = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._task.cancel()
