"""Hashes and random numbers, compared with hashlib and with an injected source."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from tests.functional.conftest import Conversation, Programs


@settings(max_examples=40)
@given(data=st.binary(max_size=300), key=st.binary(max_size=200))
@example(data=b"", key=b"")
@example(data=bytes(10_000), key=b"k" * 64)
def test_hashes_agree_with_hashlib(ask: Conversation, data: bytes, key: bytes) -> None:
    question = {"data": base64.b64encode(data).decode(), "key": base64.b64encode(key).decode()}
    answer = ask("crypto", "Hashes", question)

    expected = {name: hashlib.new(name, data) for name in ("sha1", "sha256", "sha384", "sha512")}
    for name, digest in expected.items():
        assert answer[name].lower() == digest.hexdigest()
    for name in ("sha256", "sha512"):
        assert answer[f"hmac-{name}"].lower() == hmac.new(key, data, name).hexdigest()
    assert answer["incremental"] == answer["stream"] == answer["sha256"]
    derived = hashlib.pbkdf2_hmac("sha256", key, data, 10, 40)
    assert answer["pbkdf2"].lower() == derived.hex()
    assert answer["fixed-time"] == "True"


@pytest.mark.parametrize("algorithm", ["md5", "rsa", "ecdsa"])
def test_what_the_browser_build_leaves_out_is_a_dotnet_exception(
    ask: Conversation, algorithm: str
) -> None:
    with pytest.raises(dwh.InvocationError) as caught:
        ask.raw("crypto", "Unsupported", algorithm.encode())

    assert caught.value.dotnet_type in {
        "System.PlatformNotSupportedException",
        "System.Security.Cryptography.CryptographicException",
    }


def test_random_numbers_are_random_where_they_have_no_seed(ask: Conversation) -> None:
    first, second = (ask("crypto", "Randomness", 42) for _ in range(2))

    assert first["Seeded"] == first["Again"] == second["Seeded"]
    guids = [uuid.UUID(g) for g in first["Guids"] + second["Guids"]]
    assert len(set(guids)) == len(guids)
    assert {(g.version, g.variant) for g in guids} == {(4, uuid.RFC_4122)}
    assert uuid.UUID(first["Timed"]).bytes[6] >> 4 == 7
    assert first["Bytes"] != second["Bytes"]
    assert set(first["Dice"]) == {1, 2, 3, 4, 5, 6}
    assert first["Shared"] != second["Shared"]
    assert all(0 <= x < 1 for x in first["Shared"])


def test_two_runtimes_of_one_image_draw_different_numbers(
    programs: Programs, image: dwh.RuntimeImage
) -> None:
    answers = []
    for _ in range(2):
        with dwh.Runtime(image) as runtime:
            runtime.load_assembly("f", programs["crypto"], handler_type="Programs.Randomness")
            answers.append(json.loads(runtime.invoke("f", b"1")))

    first, second = answers
    assert first["Seeded"] == second["Seeded"]
    for name in ("Guids", "Bytes", "Shared", "Hash", "StringHash"):
        assert first[name] != second[name], name


def test_entropy_comes_from_the_options(programs: Programs, image: dwh.RuntimeImage) -> None:
    asked: list[int] = []

    def elevens(count: int) -> bytes:
        asked.append(count)
        return b"\x11" * count

    with dwh.Runtime(image, wasi=dwh.WasiOptions(random=elevens)) as runtime:
        runtime.load_assembly("f", programs["crypto"], handler_type="Programs.Randomness")
        answer = json.loads(runtime.invoke("f", b"1"))

    assert answer["Bytes"] == "11" * 32
    assert set(answer["Guids"]) == {"11111111-1111-4111-9111-111111111111"}
    assert asked
    assert min(asked) > 0


def test_guids_have_every_form_of_text(ask: Conversation) -> None:
    guid = uuid.uuid4()
    answer = ask("crypto", "Guids", str(guid))

    assert answer["Formats"] == [guid.hex, str(guid), f"{{{guid}}}", f"({guid})"]
    assert bytes.fromhex(answer["Bytes"]) == guid.bytes_le
    assert bytes.fromhex(answer["BigEndian"]) == guid.bytes
    assert answer["Version"] == 4
