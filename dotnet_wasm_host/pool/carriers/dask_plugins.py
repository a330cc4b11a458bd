"""Dask: a part is a plugin, which the scheduler gives to each worker, new ones included."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, final
from weakref import WeakKeyDictionary, WeakSet

from distributed import Client
from distributed.diagnostics.plugin import WorkerPlugin

from dotnet_wasm_host.pool.carriers.base import PartMissing
from dotnet_wasm_host.pool.carriers.frames import PICKLERS, callers, is_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.pool.carriers.base import Carrier

__all__ = ["DASK"]

_log = logging.getLogger(__name__)

#: Seconds that a part may come later than the task that needs it.
PATIENCE = 30.0
_arrival = threading.Condition()


@final
class PartPlugin(WorkerPlugin):
    """A part on a worker, for as long as the worker has the plugin.

    Args:
        digest: of the part.
        part: itself.
    """

    #: A scheduler that has it needs no second one.
    idempotent = True

    def __init__(self, digest: str, part: bytes) -> None:
        self.name = f"dotnet-wasm-host {digest}"
        self.digest, self.part = digest, part

    def setup(self, worker: object) -> None:
        """The worker has it."""
        with _arrival:
            _there.add(self)
            _arrival.notify_all()


#: Those of the workers in this process.
_there: WeakSet[PartPlugin] = WeakSet()


@final
class _Dask:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By hash, whether all workers have it.
        self._sent: WeakKeyDictionary[Client, dict[str, bool]] = WeakKeyDictionary()

    def is_ready(self, digests: Sequence[str]) -> bool:
        """For tasks, whose worker can wait for a part; otherwise if the workers have it.

        What is run in a worker's event loop (``Client.run``) cannot wait.
        """
        clients = _clients()
        if not clients:
            return False
        with self._lock:
            sent = [self._sent.get(client, {}).get(d, False) for client in clients for d in digests]
        return all(sent) or _pickles_a_graph()

    def send(self, digest: str, part: bytes) -> None:
        """Through every client: the one that pickles is not known."""
        for client in _clients():
            with self._lock:
                sent = self._sent.setdefault(client, {})
                if digest in sent:
                    continue
                sent[digest] = False
            # The caller may have a lock that the client's loop needs, so nobody waits here.
            client.loop.add_callback(self._register, client, PartPlugin(digest, part))

    async def _register(self, client: Any, plugin: PartPlugin) -> None:  # noqa: ANN401
        try:
            await client.register_plugin(plugin)
        except Exception as error:  # noqa: BLE001 - tasks that need it say what is missing
            with self._lock:
                self._sent.get(client, {}).pop(plugin.digest, None)
            if client.status == "running":
                _log.warning("a part of a function did not come to the workers: %s", error)
        else:
            with self._lock:
                self._sent.setdefault(client, {})[plugin.digest] = True

    def receive(self, digest: str, token: object) -> bytes:
        def find() -> bytes | None:
            return next((plugin.part for plugin in _there if plugin.digest == digest), None)

        with _arrival:
            part = _arrival.wait_for(find, PATIENCE)
        if part is None:
            raise PartMissing(
                f"expected the part {digest[:12]}... of it as a plugin of this worker of Dask, "
                f"found none after {PATIENCE:.0f} s; send the function again from a client that is "
                "connected to this scheduler, and keep the client open until the tasks are done"
            )
        return part


def _pickles_a_graph() -> bool:
    for module, function in callers():
        if not is_within(module, (*PICKLERS, "distributed.protocol")):
            return function == "_graph_to_futures"
    return False


def _clients() -> list[Any]:
    return [client for client in list(Client._instances) if client.status == "running"]


DASK: Carrier = _Dask()
