"""Spark: a part is a broadcast variable, which an executor fetches once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, final

from pyspark import SparkContext

from dotnet_wasm_host.pool.carriers.base import PartMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.pool.carriers.base import Carrier

__all__ = ["SPARK"]


@final
class _Spark:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Broadcasts by hash, and the context that they belong to.
        self._sent: dict[str, Any] = {}
        self._context: object = None

    def is_ready(self, digests: Sequence[str]) -> bool:
        return SparkContext._active_spark_context is not None

    def send(self, digest: str, part: bytes) -> Any:  # noqa: ANN401
        context: Any = SparkContext._active_spark_context
        with self._lock:
            if context is not self._context:
                self._sent.clear()
                self._context = context
            if digest not in self._sent:
                self._sent[digest] = context.broadcast(part)
            return self._sent[digest]

    def receive(self, digest: str, token: Any) -> bytes:  # noqa: ANN401
        try:
            part: bytes = token.value
        except Exception as error:  # whatever Spark's files raise
            raise PartMissing(
                f"expected the part {digest[:12]}... of it as a broadcast variable of Spark, found "
                f"{type(error).__name__}: {error}; define the function again in the application "
                "that runs"
            ) from error
        return part


SPARK: Carrier = _Spark()
