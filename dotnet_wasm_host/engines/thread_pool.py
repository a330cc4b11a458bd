"""Threads of this package where the process may have no more of them."""

from __future__ import annotations

import queue
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar, final

from dotnet_wasm_host.engines.threads import no_thread
from dotnet_wasm_host.errors import LimitExceeded
from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

__all__ = ["ThreadPool"]

T = TypeVar("T")


@final
class ThreadPool(ThreadPoolExecutor):
    """A pool that goes on with fewer threads where it can have no more.

    ``submit`` raises LimitExceeded if it has none at all; what was submitted is not done then.
    (That of the base class raises RuntimeError, does it all the same if there is a thread, and
    keeps it for the next one if not.)
    """

    @override
    def submit(self, fn: Callable[..., T], /, *args: object, **kwargs: object) -> Future[T]:
        try:
            return super().submit(fn, *args, **kwargs)
        except LimitExceeded:
            while True:
                try:
                    self._work_queue.get_nowait()
                except queue.Empty:
                    break
            raise

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except RuntimeError as error:
            if not self._threads:
                raise no_thread(f"{self._thread_name_prefix}", error) from error
