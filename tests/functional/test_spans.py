"""Memory as C# sees it: spans, the stack, pointers, vectors, layouts."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.functional.conftest import Conversation


@settings(max_examples=60)
@given(payload=st.binary(max_size=2000))
@example(payload=b"")
@example(payload=bytes(range(256)) * 5)
def test_spans_sort_reverse_and_sum(ask: Conversation, payload: bytes) -> None:
    answer = ask.raw("spans", "Spans", payload)

    total = sum(payload).to_bytes(8, "big")
    assert answer == bytes(sorted(payload)) + payload[::-1] + total


@settings(max_examples=60)
@given(numbers=st.lists(st.integers(0, 2**32 - 1), max_size=40))
def test_pointers_vectors_and_reinterpretation_agree(ask: Conversation, numbers: list[int]) -> None:
    answer = ask("spans", "Words", numbers)

    total = sum(numbers) % 2**32
    assert answer == dict.fromkeys(
        ["Safe", "Pointed", "Called", "Reinterpreted", "Vectored"], total
    )


def test_layouts_pools_and_native_memory(ask: Conversation) -> None:
    answer = ask("spans", "Layouts", 5)

    assert answer == {
        "Total": sum(5 * i for i in range(8)),
        "Bits": struct.unpack("<i", struct.pack("<f", 5.0))[0],
        "Size": 8 * 4,
        "RentedEnough": True,
        "FromNative": 5,
        "Counted": 5,
        "Created": "5555",
        "Pinned": 8,
        "OutOfRange": "refused",
        "PointerSize": 4,
        "LittleEndian": True,
        "Accelerated": True,
    }
