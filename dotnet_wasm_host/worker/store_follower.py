"""Following the store: what is served becomes what is stored."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.worker.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.worker.served_functions import ServedFunctions
    from dotnet_wasm_host.worker.store import FunctionRecord, FunctionStore

__all__ = ["StoreFollower"]

_log = logging.getLogger(__name__)


@final
class StoreFollower:
    """A thread that looks for deploys of other processes, and for requests to reload.

    Args:
        served: what this process serves.
        store: what is deployed.
        poll_seconds: time between two looks.
        after_look: called by the thread after each look.

    Attributes:
        failure: why what is deployed is not served; None if it is.
    """

    def __init__(
        self,
        served: ServedFunctions,
        store: FunctionStore,
        poll_seconds: float,
        after_look: Callable[[], object],
    ) -> None:
        self._served = served
        self._store = store
        self._poll_seconds = poll_seconds
        self._after_look = after_look
        self._following = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._version = -1
        self._reloads = 0
        self._reload_here = False
        self.failure: str | None = None

    @property
    def started(self) -> bool:
        """What was deployed is served, and changes are looked for; until :meth:`stop`."""
        return self._thread is not None

    @property
    def up_to_date(self) -> bool:
        """Everything that is deployed is served, as far as the last look tells."""
        return self._version >= 0 and self.failure is None

    def start(self) -> None:
        """Take in what is deployed, then go on looking.

        Raises:
            StoreError: the store cannot be read.
        """
        if self._served.pool is None:  # there is one if it was started before, and failed
            self._reloads = self._store.reloads()
            self._served.open()
        self._follow()
        thread = threading.Thread(target=self._run, name="dotnet_wasm_host store", daemon=True)
        thread.start()
        self._thread = thread

    def stop(self) -> None:
        """End the thread; waits for a look that is under way."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def wake(self) -> None:
        """Look now. Returns at once."""
        self._wake.set()

    def reload_soon(self) -> None:
        """Reload the image of this process. For signal handlers: returns at once."""
        self._reload_here = True
        self._wake.set()

    def follow_if_changed(self) -> None:
        """One look. What goes wrong is logged and is :attr:`failure` until a look succeeds."""
        try:
            if (
                self._reload_here
                or self.failure is not None
                or self._store.version() != self._version
            ):
                self._follow()
        except StoreError as error:
            if self.failure is None:
                _log.error("the store cannot be read: %s", error)
            self.failure = str(error)
        except DotnetHostError:
            _log.exception("deployed functions could not be loaded")
            self.failure = "deployed functions could not be loaded"

    def _run(self) -> None:
        while not self._stop.is_set():
            self.follow_if_changed()
            self._after_look()
            self._wake.wait(self._poll_seconds)
            self._wake.clear()

    def _follow(self) -> None:
        """Make what is served what is stored."""
        with self._following:
            version = self._store.version()
            self._reload_if_asked()
            records = self._store.functions()
            for function_id in [i for i in self._served.by_id() if i not in records]:
                with self._served.switching:
                    if function_id not in self._store.functions():
                        self._served.unload(function_id)
            for record in records.values():
                self._follow_function(record)
            self._version, self.failure = version, None

    def _reload_if_asked(self) -> None:
        reloads = self._store.reloads()
        if reloads == self._reloads and not self._reload_here:
            return
        self._reloads, self._reload_here = reloads, False
        try:
            self._served.replace_pool(self._store.read)
        except (DotnetHostError, OSError):
            _log.exception("the image was not reloaded; the old one goes on")

    def _follow_function(self, record: FunctionRecord) -> None:
        function_id = record.function_id
        served = self._served.get(function_id)
        if served is not None and served.record.revision >= record.revision:
            return
        if self._served.refused.get(function_id) == record.revision:
            return
        try:
            stored = self._store.read(function_id)
            if stored is None:
                return
            with self._served.stage(stored) as staged, self._served.switching:
                served = self._served.get(function_id)
                if served is not None and served.record.revision >= stored.record.revision:
                    return
                if not self._served.serve(stored.record, staged):
                    self.wake()
        except DotnetHostError as error:
            # It could be loaded by who deployed it. The old version goes on here, if there is one.
            self._served.refused[function_id] = record.revision
            _log.error("function %r could not be loaded: %s", function_id, error)
