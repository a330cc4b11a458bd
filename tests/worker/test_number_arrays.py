"""Large JSON bodies are read in pieces, and mean what they would at once."""

from __future__ import annotations

import json
import random
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotnet_wasm_host.errors import MarshallingError
from dotnet_wasm_host.worker.number_arrays import LARGE, read_request, write_answer

MOST = 1 << 24
BYTES = random.Random(1).randbytes(100_000)


def body(
    function_id: str = "f", payload: bytes = BYTES, *, late: bool = False, **how: int
) -> bytes:
    fields = {"functionId": function_id, "payload": list(payload)}
    if late:
        fields = dict(reversed(fields.items()))
    return json.dumps(fields, **how).encode()  # type: ignore[arg-type]


@settings(max_examples=20, deadline=None)
@given(
    st.text(max_size=50), st.integers(LARGE // 2, 3 * LARGE), st.booleans(), st.sampled_from((0, 1))
)
def test_pieces_make_the_same_whole(function_id: str, count: int, late: bool, indent: int) -> None:
    payload = random.Random(count).randbytes(count)
    content = body(function_id, payload, late=late, indent=indent)
    assert read_request(content, "payload", MOST) == (function_id, payload)
    assert json.loads(write_answer(payload)) == {"success": True, "result": list(payload)}


def test_ids_that_look_like_the_array() -> None:
    for function_id in ("a[b]", '"payload":[1]', "payload", "\\", '{"payload": [', "]"):
        for late in (False, True):
            content = body(function_id, late=late)
            assert read_request(content, "payload", MOST) == (function_id, BYTES)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"[", b"[,"),
        (b"]", b",]"),
        (b", ", b",, "),
        (b"]", b", 256]"),
        (b"]", b", 1.5]"),
        (b"]", b", true]"),
        (b"]", b", -1]"),
        (b"]", b", null]"),
        (b"]", b", 01]"),
        (b"]", b", 1 2]"),
        (b"]", b", [1]]"),
        (b"]", b', "]"]'),
        (b"]", b""),
        (b"}", b""),
        (b'"payload"', b'"other"'),
        (b'"functionId"', b'"id"'),
        (b'"payload": ', b'"other": {"payload": '),
        (b"}", b', "payload": [1]}'),
        (b"}", b', "more": "' + b"x" * LARGE + b'"}'),
    ],
)
def test_what_is_no_such_json_is_refused(old: bytes, new: bytes) -> None:
    content = body()
    assert content.count(old) >= 1
    with pytest.raises(MarshallingError):
        read_request(content.replace(old, new, 1), "payload", MOST)


def test_much_around_nothing() -> None:
    content = b'{"functionId": "f", "payload": [' + b" " * 3 * LARGE + b"]}"
    assert read_request(content, "payload", MOST) == ("f", b"")


def test_too_many_are_refused() -> None:
    with pytest.raises(MarshallingError, match="at most 99999"):
        read_request(body(), "payload", len(BYTES) - 1)


def test_others_run_meanwhile() -> None:
    content = body(payload=bytes(4_000_000))
    thread = threading.Thread(target=read_request, args=(content, "payload", MOST))
    turns = 0
    thread.start()
    while thread.is_alive():
        time.sleep(0.0001)
        turns += 1
    assert turns > 50  # read at once, it would be one or two
