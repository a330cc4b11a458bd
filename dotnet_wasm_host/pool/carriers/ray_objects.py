"""Ray: a part is an object of the store that the processes of a node share."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, final

import ray
from ray.exceptions import RayError

from dotnet_wasm_host.pool.carriers.base import PartMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.pool.carriers.base import Carrier

__all__ = ["RAY"]

#: Set to "0" by those who have no references in functions.
_NO_REFERENCES = "RAY_allow_out_of_band_object_ref_serialization"
#: Seconds that a part may take from another node.
PATIENCE = 120.0


@final
class _Ray:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: References by hash, and the connection that they belong to.
        self._sent: dict[str, Any] = {}
        self._connection = ""

    def is_ready(self, digests: Sequence[str]) -> bool:
        """In a driver, where references may be pickled.

        Objects of a worker would go when Ray ends the worker.
        """
        if not ray.is_initialized() or ray.util.client.ray.is_connected():
            return False
        if os.environ.get(_NO_REFERENCES) == "0":
            return False
        return bool(ray.get_runtime_context().worker.mode == ray.SCRIPT_MODE)

    def send(self, digest: str, part: bytes) -> Any:  # noqa: ANN401
        connection = ray.get_runtime_context().get_worker_id()
        with self._lock:
            if connection != self._connection:
                self._sent.clear()
                self._connection = connection
            if digest not in self._sent:
                self._sent[digest] = ray.put(part)
            return self._sent[digest]

    def receive(self, digest: str, token: Any) -> bytes:  # noqa: ANN401
        try:
            part: bytes = ray.get(token, timeout=PATIENCE)
        except RayError as error:
            raise PartMissing(
                f"expected the part {digest[:12]}... of it in Ray's object store, found that it is "
                f"lost ({type(error).__name__}); the driver that sent the function has ended, so "
                "send it again from one that runs, or send pickle.dumps() of it"
            ) from error
        return part


RAY: Carrier = _Ray()
