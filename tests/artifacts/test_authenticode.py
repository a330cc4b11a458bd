"""Signatures of the DLLs that Microsoft signs: right ones, and ones that were tampered with."""

from __future__ import annotations

import struct
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.ecma335 import webcil
from dotnet_wasm_host.errors import ArtifactError
from runtime_artifacts.pipeline import authenticode

if TYPE_CHECKING:
    from cryptography import x509

    from dotnet_wasm_host.artifacts.store import ArtifactStore
    from runtime_artifacts.pipeline.build import Sources

ROSLYN = "roslyn/Microsoft.CodeAnalysis.dll"
ROOT = "Microsoft Root Certificate Authority 2011"


@pytest.fixture(scope="module")
def roots(sources: Sources) -> tuple[x509.Certificate, ...]:
    return authenticode.read_roots(sources.trust)


@pytest.fixture(scope="module")
def roslyn(store: ArtifactStore) -> bytes:
    return store.read(ROSLYN)


def test_both_dlls_of_roslyn_are_signed(
    store: ArtifactStore, roots: tuple[x509.Certificate, ...]
) -> None:
    found = authenticode.verify_store(store, roots)
    assert sorted(found) == [
        "roslyn/Microsoft.CodeAnalysis.CSharp.dll",
        "roslyn/Microsoft.CodeAnalysis.dll",
    ]
    for signature in found.values():
        assert (signature.signer, signature.root) == (".NET", ROOT)
        assert signature.time.date() == datetime(2023, 11, 8, tzinfo=timezone.utc).date()


def _security(content: bytes) -> int:
    optional = int.from_bytes(content[0x3C:0x40], "little") + 24
    [magic] = struct.unpack_from("<H", content, optional)
    return optional + {0x10B: 96, 0x20B: 112}[magic] + 32


@pytest.mark.parametrize("place", [0.001, 0.25, 0.5, 0.75, 0.99])
def test_a_changed_file_is_refused(
    roslyn: bytes, roots: tuple[x509.Certificate, ...], place: float
) -> None:
    start, _ = struct.unpack_from("<II", roslyn, _security(roslyn))
    changed = bytearray(roslyn)
    changed[int(start * place) | 0x100] ^= 1
    with pytest.raises(ArtifactError, match="changed after it was signed"):
        authenticode.verify(bytes(changed), roots, ROSLYN)


def test_a_changed_signature_is_refused(roslyn: bytes, roots: tuple[x509.Certificate, ...]) -> None:
    start, size = struct.unpack_from("<II", roslyn, _security(roslyn))
    # All but padding and what the unsigned attributes have beside the time stamp.
    accepted = []
    for place in range(start + 8, start + size, 389):
        changed = bytearray(roslyn)
        changed[place] ^= 0x10
        try:
            authenticode.verify(bytes(changed), roots, ROSLYN)
        except ArtifactError:
            continue
        accepted.append(place - start)
    assert len(accepted) <= size // 389 // 10, accepted


def test_a_file_without_a_signature_is_refused(
    store: ArtifactStore, roslyn: bytes, roots: tuple[x509.Certificate, ...]
) -> None:
    place = _security(roslyn)
    unsigned = roslyn[:place] + bytes(8) + roslyn[place + 8 :]
    for content in (unsigned, webcil.to_pe(store.read("framework/mscorlib.webcil"))):
        with pytest.raises(ArtifactError, match="the file has no signature"):
            authenticode.verify(content, roots, "x.dll")
    with pytest.raises(ArtifactError, match="something follows"):
        authenticode.verify(roslyn + b"x", roots, "x.dll")
    for content in (b"", b"MZ", roslyn[:200]):
        with pytest.raises(ArtifactError, match=r"x\.dll should be signed"):
            authenticode.verify(content, roots, "x.dll")


def test_a_chain_has_to_end_in_a_known_root(
    roslyn: bytes, roots: tuple[x509.Certificate, ...]
) -> None:
    # The first root is that of the time stamp, the second that of the signature.
    for others in ((), roots[:1], roots[1:]):
        with pytest.raises(ArtifactError, match="does not end in a root"):
            authenticode.verify(roslyn, others, ROSLYN)
