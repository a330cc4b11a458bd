"""MD5 and AES of the capability ``cryptography``, by published vectors and against themselves."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = """
using MinimalRuntime.Cryptography;
public sealed class Crypto : IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var parts = new List<byte[]>();
        for (var rest = input[1..]; !rest.IsEmpty; rest = rest[(2 + parts[^1].Length)..])
            parts.Add(rest[2..(2 + rest[0] + 256 * rest[1])].ToArray());
        var p = parts;
        return (char)input[0] switch {
            'm' => ManagedMD5.HashData(p[0]),
            'c' => ManagedAes.EncryptCbc(p[0], p[1], p[2]),
            'C' => ManagedAes.DecryptCbc(p[0], p[1], p[2]),
            'g' => ManagedAes.EncryptGcm(p[0], p[1], p[2], p[3]),
            _ => ManagedAes.DecryptGcm(p[0], p[1], p[2], p[3]),
        };
    }
}
"""
#: RFC 1321, A.5.
HASHES = {
    "": "d41d8cd98f00b204e9800998ecf8427e",
    "a": "0cc175b9c0f1b6a831c399e269772661",
    "abc": "900150983cd24fb0d6963f7d28e17f72",
    "message digest": "f96b697d7cb7938d525a2f31aaf161d0",
    "1234567890" * 8: "57edf4a22be3c955ac49da2e2107b67a",
}
#: FIPS 197, C.1 to C.3: the first 16, 24 and 32 bytes of one key.
BLOCKS = {
    16: "69c4e0d86a7b0430d8cdb78070b4c55a",
    24: "dda97ca4864cdfe06eaf70a0ec0d7191",
    32: "8ea2b7ca516745bfeafc49904b496089",
}
GCM_TEXT = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
GCM_DATA = "feedfacedeadbeeffeedfacedeadbeefabaddad2"
GCM_KEY = "feffe9928665731c6d6a8f9467308308"
GCM_NONCE = "cafebabefacedbaddecaf888"
#: McGrew and Viega, The Galois/Counter Mode of Operation, test cases 1, 2, 4 and 16.
GCM = (
    ("00" * 16, "00" * 12, "", "", "58e2fccefa7e3061367f1d57a4e7455a"),
    ("00" * 16, "00" * 12, "00" * 16, "",
     "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"),
    (GCM_KEY, GCM_NONCE, GCM_TEXT, GCM_DATA,
     ("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84"
      "aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47")),
    (GCM_KEY * 2, GCM_NONCE, GCM_TEXT, GCM_DATA,
     ("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105682"
      "8838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b")),
)  # fmt: skip
KEYS = st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))


class Crypto:
    def __init__(self, function: dwh.LoadedFunction) -> None:
        self._function = function

    def __call__(self, command: str, *parts: bytes) -> bytes:
        packed = (len(part).to_bytes(2, "little") + part for part in parts)
        return self._function(command.encode() + b"".join(packed))


@pytest.fixture(scope="module")
def crypto() -> Iterator[Crypto]:
    capability = dwh.capability_assembly("cryptography")
    with dwh.Runtime(limits=dwh.Limits(timeout=60)) as runtime:
        runtime.load_capability("cryptography")
        assembly = dwh.compile_csharp(SOURCE, references=[capability])
        yield Crypto(runtime.load_assembly("crypto", assembly))


@pytest.mark.parametrize("text", HASHES)
def test_md5_of_the_rfc(crypto: Crypto, text: str) -> None:
    assert crypto("m", text.encode()).hex() == HASHES[text]


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_md5_agrees_with_hashlib(crypto: Crypto, data: bytes) -> None:
    assert crypto("m", data) == hashlib.md5(data, usedforsecurity=False).digest()


@pytest.mark.parametrize("size", BLOCKS)
def test_blocks_of_fips_197(crypto: Crypto, size: int) -> None:
    text = bytes.fromhex("00112233445566778899aabbccddeeff")
    encrypted = crypto("c", bytes(range(size)), bytes(16), text)
    assert encrypted[:16].hex() == BLOCKS[size]
    assert crypto("C", bytes(range(size)), bytes(16), encrypted) == text


def test_chained_blocks_of_sp_800_38a(crypto: Crypto) -> None:
    text = (
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    expected = (
        "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
        "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"
    )
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    assert crypto("c", key, bytes(range(16)), bytes.fromhex(text))[:64].hex() == expected


@pytest.mark.parametrize("case", range(len(GCM)))
def test_gcm_of_its_authors(crypto: Crypto, case: int) -> None:
    *given, expected = (bytes.fromhex(part) for part in GCM[case])
    key, nonce, text, data = given
    assert crypto("g", *given) == expected
    assert crypto("G", key, nonce, expected, data) == text


@settings(max_examples=40)
@given(KEYS, st.binary(min_size=16, max_size=16), st.binary(max_size=100), st.binary(max_size=40))
def test_what_was_encrypted_comes_back(
    crypto: Crypto, key: bytes, iv: bytes, text: bytes, data: bytes
) -> None:
    assert crypto("C", key, iv, crypto("c", key, iv, text)) == text
    assert crypto("G", key, iv[:12], crypto("g", key, iv[:12], text, data), data) == text


def test_what_was_changed_is_refused(crypto: Crypto) -> None:
    key, nonce = bytes(16), bytes(12)
    sealed = crypto("g", key, nonce, b"text", b"data")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(dwh.InvocationError, match="The tag does not fit"):
            crypto("G", key, nonce, bytes(changed), b"data")
    for wrong in (
        (bytes(16), nonce, sealed, b"other"),
        (bytes(15) + b"\1", nonce, sealed, b"data"),
    ):
        with pytest.raises(dwh.InvocationError, match="The tag does not fit"):
            crypto("G", *wrong)
    with pytest.raises(dwh.InvocationError, match="no tag"):
        crypto("G", key, nonce, b"short", b"")
    with pytest.raises(dwh.InvocationError, match="16, 24 or 32 bytes, not 5"):
        crypto("c", bytes(5), bytes(16), b"")
    with pytest.raises(dwh.InvocationError, match="iv has 16 bytes, not 3"):
        crypto("c", key, bytes(3), b"")
    with pytest.raises(dwh.InvocationError, match="whole blocks"):
        crypto("C", key, bytes(16), b"abc")
    with pytest.raises(dwh.InvocationError, match="Padding is invalid"):
        crypto("C", key, bytes(16), bytes(16))
