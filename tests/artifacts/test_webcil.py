from __future__ import annotations

import contextlib
import struct
import uuid
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotnet_wasm_host.ecma335 import metadata, webcil
from dotnet_wasm_host.ecma335.binary import BinaryView, MalformedImage
from dotnet_wasm_host.errors import ArtifactError

if TYPE_CHECKING:
    from dotnet_wasm_host.artifacts.store import ArtifactStore
    from runtime_artifacts.pipeline.upstream import RuntimeFiles

#: The assembly that is damaged in tests: the smallest shipped one.
SMALLEST = "framework/System.AppContext.webcil"
CODEVIEW = 2


@pytest.fixture(scope="module")
def payload(store: ArtifactStore) -> bytes:
    return store.read(SMALLEST)


def read_everything(image: bytes) -> None:
    metadata.identify(image)
    if image[:2] == b"MZ":
        webcil.from_pe(image)
    else:
        webcil.to_pe(image)


def test_every_shipped_assembly_round_trips(runtime_files: RuntimeFiles) -> None:
    assert len(runtime_files.assemblies) == 172
    for name, wrapped in runtime_files.assemblies.items():
        payload = webcil.unwrap(wrapped)
        pe = webcil.to_pe(payload)
        assert webcil.from_pe(pe) == payload, name
        identity = metadata.identify(payload)
        assert identity.name == name
        assert metadata.identify(pe) == identity


def test_raw_webcil_is_left_as_it_is(payload: bytes) -> None:
    assert webcil.unwrap(payload) is payload


def test_identity_of_a_pe_file(store: ArtifactStore) -> None:
    identity = metadata.identify(store.read("roslyn/Microsoft.CodeAnalysis.dll"))
    assert str(identity) == "Microsoft.CodeAnalysis 4.8.0.0"
    assert uuid.UUID(identity.mvid).int


def test_debug_entries_point_into_the_rebuilt_file(store: ArtifactStore) -> None:
    for name in ("System.Linq", "System.Private.Xml", "System.Text.Json"):
        pe = webcil.to_pe(store.read(f"framework/{name}.webcil"))
        image = webcil.parse_pe(pe)
        entries = list(struct.iter_unpack("<IIHHIIII", image.at(*image.debug)))
        codeview = [entry for entry in entries if entry[4] == CODEVIEW]
        assert codeview
        for *_, size, rva, pointer in codeview:
            assert pointer == image.file_offset(rva)
            assert pe[pointer : pointer + 4] == b"RSDS"
            assert pe[pointer : pointer + size] == image.at(rva, size)


def test_every_truncation_is_refused_or_read(payload: bytes) -> None:
    for length in range(0, len(payload), 7):
        with contextlib.suppress(MalformedImage):
            read_everything(payload[:length])
    for length in (0, 3, 20, 70, 75, 1000):
        with pytest.raises(MalformedImage):
            read_everything(payload[:length])


def test_every_truncation_of_a_pe_file_is_refused_or_read(payload: bytes) -> None:
    pe = webcil.to_pe(payload)
    for length in range(2, len(pe), 7):
        with contextlib.suppress(MalformedImage):
            read_everything(pe[:length])


@given(data=st.data())
def test_mutations_raise_nothing_else(data: st.DataObject, payload: bytes) -> None:
    image = bytearray(data.draw(st.sampled_from([payload, webcil.to_pe(payload)])))
    # Headers and metadata are where a reader can be misled; method bodies are not read.
    positions = st.one_of(st.integers(0, 0x200), st.integers(0, len(image) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        image[data.draw(positions)] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedImage):
        read_everything(bytes(image))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    for prefix in (b"", b"MZ", b"WbIL\0\0\0\0\1\0"):
        with pytest.raises(MalformedImage):
            metadata.identify(prefix + data)
        with pytest.raises(MalformedImage):
            read_everything(webcil.unwrap(prefix + data))


def test_a_damaged_wrapper_is_refused(runtime_files: RuntimeFiles) -> None:
    wrapped = runtime_files.assemblies["mscorlib"]
    with pytest.raises(MalformedImage, match="not webcil"):
        webcil.unwrap(wrapped[: len(wrapped) // 2])
    with pytest.raises(MalformedImage, match="payload starts with"):
        webcil.unwrap(wrapped.replace(b"WbIL", b"WbIM"))
    with pytest.raises(MalformedImage, match="this has 0"):
        webcil.unwrap(b"\0asm\x01\0\0\0")


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (4, b"\1\0", "version 1.0"),
        (8, b"\0\0", "0 sections"),
        (8, b"\xff\xff", "65535 sections"),
        (12, b"\xff\xff\xff\xff", "no section holds"),
    ],
)
def test_headers_are_checked(payload: bytes, offset: int, value: bytes, message: str) -> None:
    damaged = payload[:offset] + value + payload[offset + len(value) :]
    with pytest.raises(MalformedImage, match=message):
        read_everything(damaged)


def test_a_native_dll_is_told_apart(payload: bytes) -> None:
    pe = bytearray(webcil.to_pe(payload))
    directory = 0x80 + webcil.COFF_HEADER_SIZE + webcil.DATA_DIRECTORIES[0x10B] + 14 * 8
    pe[directory : directory + 8] = bytes(8)
    with pytest.raises(MalformedImage, match="native PE"):
        metadata.identify(bytes(pe))


def test_malformed_image_is_an_artifact_error() -> None:
    assert issubclass(MalformedImage, ArtifactError)
    assert issubclass(MalformedImage, ValueError)
    with pytest.raises(MalformedImage):
        BinaryView(b"abc").zero_terminated(0)
    with pytest.raises(MalformedImage):
        BinaryView(b"\xff\0").zero_terminated(0)
    with pytest.raises(MalformedImage):
        BinaryView(b"abc").take(-1, 2)
