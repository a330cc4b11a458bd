"""Portions of payloads that cross to the guest together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import LimitExceeded
from dotnet_wasm_host.memory import buffer_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

__all__ = ["batches"]

#: What ``invoke_many`` sends to the guest at once, at most.
BATCH_CALLS = 1024
BATCH_BYTES = 1024 * 1024


def batches(payloads: Iterable[Buffer], payload_limit: int) -> Iterator[list[bytes]]:
    """Payloads in portions that are worth a call and still small.

    LimitExceeded for a payload above ``payload_limit`` bytes.
    """
    batch: list[bytes] = []
    size = 0
    for payload in payloads:
        content = payload if type(payload) is bytes else bytes(buffer_of(payload, "payload"))
        if len(content) > payload_limit:
            raise LimitExceeded(
                f"a payload has {len(content)} bytes; give at most payload_bytes={payload_limit}, "
                "or raise that",
                limit="payload_bytes",
            )
        if batch and (size + len(content) > BATCH_BYTES or len(batch) >= BATCH_CALLS):
            yield batch
            batch, size = [], 0
        batch.append(content)
        size += len(content)
    if batch:
        yield batch
