"""Readers of metadata end with their own error, soon and in little memory, whatever they read."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.ecma335 import il, signatures
from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.metadata import Metadata, identify, referenced_assemblies
from dotnet_wasm_host.ecma335.tables import (
    IMPLEMENTATION,
    MEMBER_REF_PARENT,
    RESOLUTION_SCOPE,
    SCHEMA,
    TYPE_DEF_OR_REF,
    Heap,
    Table,
)
from dotnet_wasm_host.trimming.api_surface import ApiSurface
from dotnet_wasm_host.trimming.module import MAX_NESTING, Module
from dotnet_wasm_host.trimming.trimmer import TrimOptions, trim
from tests.ecma335.hostile import NOTHING, Hostile, type_def
from tests.fuzz.mutation import AssemblyMutator, mutate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What reading an assembly of a megabyte may take: seconds of this thread, and bytes.
SECONDS, MEMORY = 4.0, 300_000_000


@contextmanager
def bounded() -> Iterator[None]:
    tracemalloc.start()
    started = time.thread_time()
    try:
        yield
        taken, (_, peak) = time.thread_time() - started, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < SECONDS
    assert peak < MEMORY


@pytest.fixture(scope="module")
def framework() -> Mapping[str, bytes]:
    store = ArtifactStore.locate()
    return {Path(name).stem: store.read(name) for name in store.names("framework/")}


@pytest.fixture(scope="module")
def surface(framework: Mapping[str, bytes]) -> ApiSurface:
    surface = ApiSurface("full", lambda: framework, set(framework))
    assert surface.missing({"Hostile": Hostile().bytes()}) == []
    return surface


def refused(surface: ApiSurface, *assemblies: bytes, match: str) -> None:
    given_ = {identify(content).name: content for content in assemblies}
    with bounded(), pytest.raises(MalformedImage, match=match):
        surface.missing(given_)
    with pytest.raises(dwh.AssemblyLoadError, match=match) as error:
        surface.require("f", given_)
    assert error.value.dotnet_type == "System.BadImageFormatException"


# ------------------------------------------------------------------------------------ heaps


def test_names_that_share_their_bytes_do_not_fill_the_memory() -> None:
    hostile = Hostile()
    for length in range(1000):
        hostile.assembly_ref("n" * (60_000 + length))
    image = hostile.bytes()
    assert len(image) < 100_000
    with bounded(), pytest.raises(MalformedImage, match="asks for more text"):
        referenced_assemblies(image)


def test_names_that_are_the_same_cost_once() -> None:
    hostile = Hostile()
    for _ in range(5000):
        hostile.assembly_ref("n" * 200_000)
    with bounded():
        assert len(referenced_assemblies(hostile.bytes())) == 5000


def test_blobs_that_share_their_bytes_do_not_fill_the_memory() -> None:
    hostile = Hostile()
    # Each fourth byte begins a blob of 256 KiB.
    heap = b"\xc0\x04\x00\x00" * 150_000
    hostile.add(Table.STAND_ALONE_SIG, heap)
    for number in range(10_000):
        hostile.add(Table.STAND_ALONE_SIG, 5 + 4 * number)
    metadata = Metadata(hostile.bytes())
    with bounded(), pytest.raises(MalformedImage, match="asks for more blobs"):
        for (index,) in metadata.rows(Table.STAND_ALONE_SIG):
            metadata.blob(index)


def test_names_of_nested_types_do_not_fill_the_memory() -> None:
    hostile = Hostile()
    outer = hostile.type("o" * 100_000)
    for _ in range(5000):
        inner = hostile.type("i")
        hostile.add(Table.NESTED_CLASS, inner, outer)
    with bounded(), pytest.raises(MalformedImage, match="asks for more names of types"):
        Module(0, "Hostile", hostile.bytes(), is_root=False)


def test_what_real_assemblies_share_is_far_from_the_limit() -> None:
    store = ArtifactStore.locate()
    for name in ("framework/System.Private.CoreLib.webcil", "roslyn/Microsoft.CodeAnalysis.dll"):
        metadata = Metadata(store.read(name))
        names, blobs = set(), set()
        for table, columns in SCHEMA.items():
            for row in metadata.rows(table):
                for column, value in zip(columns, row, strict=True):
                    if column is Heap.STRINGS:
                        names.add(value)
                    elif column is Heap.BLOB:
                        blobs.add(value)
        # Both are counted when they are read for the first time.
        assert sum(len(metadata.string(index)) for index in names) > 100_000
        assert sum(len(metadata.blob(index)) for index in blobs) > 100_000


# ------------------------------------------------------------------------- rows that refer to rows


def test_a_type_reference_inside_of_itself(surface: ApiSurface) -> None:
    hostile = Hostile()
    hostile.add(Table.TYPE_REF, RESOLUTION_SCOPE.join(Table.TYPE_REF, 1), "Me", "")
    refused(surface, hostile.bytes(), match="nested in more than")


def test_a_long_chain_of_nested_type_references(surface: ApiSurface) -> None:
    hostile = Hostile()
    core = hostile.assembly_ref("System.Private.CoreLib")
    hostile.type_ref("Object", core)
    for row in range(1, 2000):
        hostile.add(Table.TYPE_REF, RESOLUTION_SCOPE.join(Table.TYPE_REF, row), "n", "")
    refused(surface, hostile.bytes(), match=f"more than {MAX_NESTING} others")


def test_assemblies_that_forward_to_each_other(surface: ApiSurface) -> None:
    images = []
    for name, other in (("A", "B"), ("B", "A")):
        hostile = Hostile(name)
        scope = IMPLEMENTATION.join(Table.ASSEMBLY_REF, hostile.assembly_ref(other))
        hostile.add(Table.EXPORTED_TYPE, 0x200000, 0, "T", "N", scope)
        hostile.type_ref("T", 1, "N")
        parent = MEMBER_REF_PARENT.join(Table.TYPE_REF, 1)
        hostile.add(Table.MEMBER_REF, parent, "M", NOTHING)
        images.append(hostile.bytes())
    refused(surface, *images, match="forwards N.T from assembly to assembly")


@pytest.mark.parametrize("length", [1, 2, 5000])
def test_base_classes_without_an_end(surface: ApiSurface, length: int) -> None:
    hostile = Hostile()
    first = 2
    for number in range(length):
        following = first + (number + 1) % length
        hostile.type(f"C{number}", extends=type_def(following))
    parent = MEMBER_REF_PARENT.join(Table.TYPE_DEF, first)
    hostile.add(Table.MEMBER_REF, parent, "M", NOTHING)
    refused(surface, hostile.bytes(), match="base classes of C0 have no end")


@pytest.mark.parametrize("outer", [2, 3, 0, 77])
def test_types_that_cannot_be_nested(surface: ApiSurface, outer: int) -> None:
    hostile = Hostile()
    hostile.type("A")
    hostile.type("B")
    hostile.add(Table.NESTED_CLASS, 2, outer)
    hostile.add(Table.NESTED_CLASS, 3, 2)
    refused(surface, hostile.bytes(), match="cannot be nested")


def test_types_that_claim_each_others_members(surface: ApiSurface) -> None:
    hostile = Hostile()
    for _ in range(20_000):
        hostile.type("A", methods=1)
        hostile.type("B", methods=60_000)
    refused(surface, hostile.bytes(), match="not in the order of their owners")


def test_a_signature_of_many_levels(surface: ApiSurface) -> None:
    hostile = Hostile()
    # An array of arrays of ...
    hostile.add(Table.TYPE_SPEC, b"\x1d" * 60_000 + b"\x08")
    parent = MEMBER_REF_PARENT.join(Table.TYPE_SPEC, 1)
    hostile.add(Table.MEMBER_REF, parent, "M", NOTHING)
    refused(surface, hostile.bytes(), match="more than 100 levels")


def test_a_constructed_type_that_contains_itself(surface: ApiSurface) -> None:
    hostile = Hostile()
    itself = TYPE_DEF_OR_REF.join(Table.TYPE_SPEC, 1)
    hostile.add(Table.TYPE_SPEC, bytes([0x12, itself]))
    parent = MEMBER_REF_PARENT.join(Table.TYPE_SPEC, 1)
    hostile.add(Table.MEMBER_REF, parent, "M", NOTHING)
    refused(surface, hostile.bytes(), match="a TypeSpec inside of a signature")


@pytest.mark.parametrize("kind", ["methods", "fields"])
def test_members_that_are_compared_with_all_others(surface: ApiSurface, kind: str) -> None:
    hostile = Hostile()
    owner = hostile.type("Owner")
    for number in range(3000):
        # Different from what is asked for at their very end.
        types = b"\x08" * 200 + bytes([number & 7 | 2])
        if kind == "methods":
            hostile.method("M", b"\x20\x80\xc9\x01" + types)
        else:
            hostile.add(Table.FIELD, 6, "M", b"\x06" + b"\x1d" * 90 + b"\x02")
    parent = MEMBER_REF_PARENT.join(Table.TYPE_DEF, owner)
    for number in range(3000):
        wanted = b"\x08" * 200 + bytes([0x0C + (number & 1)])
        blob = b"\x20\x80\xc9\x01" + wanted if kind == "methods" else b"\x06" + b"\x1d" * 90
        hostile.add(Table.MEMBER_REF, parent, "M", blob if kind == "methods" else blob + b"\x08")
    refused(surface, hostile.bytes(), match="asks for more look-ups")


def test_messages_do_not_grow_beyond_what_an_assembly_can_need(surface: ApiSurface) -> None:
    hostile = Hostile()
    core = hostile.assembly_ref("System.Private.CoreLib")
    row = hostile.type_ref("Object", core)
    parent = MEMBER_REF_PARENT.join(Table.TYPE_REF, row)
    signature = b"\x20" + signatures.compressed(15_000) + b"\x01" + b"\x08" * 15_000
    for number in range(4000):
        hostile.add(Table.MEMBER_REF, parent, f"Missing{number}", signature)
    refused(surface, hostile.bytes(), match="asks for more look-ups")


# -------------------------------------------------------------------------------- method bodies


FAT = struct.pack("<HHII", 0x300B, 8, 1, 0) + b"\x2a\0\0\0"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "bytes wanted"),
        (b"\x0a\x2a", "bytes wanted"),
        (FAT[:8], "bytes wanted"),
        (struct.pack("<HHII", 0x3003, 8, 2**32 - 1, 0), "bytes wanted"),
        (FAT, "bytes wanted"),
        # A section behind the code that is followed by itself.
        (FAT + b"\x81\x00\x00\x00", "a section of 0 bytes"),
        (FAT + b"\xc1\x03\x00\x00", "a section of 3 bytes"),
        (FAT + b"\x01\x10\x00\x00", "bytes wanted"),
    ],
)
def test_bodies_that_make_no_sense(body: bytes, message: str) -> None:
    with pytest.raises(MalformedImage, match=message):
        il.parse_body(body, 0)


@pytest.mark.parametrize(
    "code",
    [b"\xfe", b"\x24", b"\x28\x01\x00", b"\x45\xff\xff\xff\x7f", b"\x45\x01\x00", b"\xfe\x99"],
)
def test_code_that_makes_no_sense(code: bytes) -> None:
    with pytest.raises(MalformedImage):
        il.decode(code)
    with pytest.raises(MalformedImage):
        il.tokens(code)


def test_a_branch_into_an_instruction() -> None:
    with pytest.raises(MalformedImage, match="middle of an instruction"):
        il.decode(b"\x2b\x01\x20\x00\x00\x00\x00\x2a")


# ------------------------------------------------------------------------------------- properties


@settings(max_examples=400)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_signature(data: bytes) -> None:
    for read in ("method", "field", "list", "type"):
        try:
            getattr(signatures.SignatureReader(data, lambda coded: ("T", coded)), read)()
        except MalformedImage:
            continue
    for rename in (signatures.rename, signatures.rename_type):
        try:
            # Renamed to what they are called already, signatures stay as they are.
            assert data.startswith(rename(data, lambda coded: coded)[:1])
        except MalformedImage:
            continue


@settings(max_examples=400)
@given(st.binary(max_size=120))
def test_any_bytes_as_a_body_and_as_code(data: bytes) -> None:
    for read in (lambda: il.parse_body(data, 0), lambda: il.tokens(data)):
        try:
            read()
        except MalformedImage:
            continue
    try:
        instructions = il.decode(data)
    except MalformedImage:
        return
    again = il.decode(il.encode(instructions))
    assert [i.op for i in again] == [i.op for i in instructions]


@pytest.fixture(scope="module")
def function() -> bytes:
    return ArtifactStore.locate().read("guest/MinimalRuntime.Http.dll")


@pytest.mark.parametrize("seed", range(4))
def test_mutants_of_a_function_are_read_or_refused(
    surface: ApiSurface, function: bytes, seed: int
) -> None:
    generator = random.Random(seed)
    structured = AssemblyMutator(function).variants(generator)
    outcomes = set()
    for number in range(150):
        mutant = next(structured)[1] if number % 2 else mutate(function, generator)
        started = time.thread_time()
        try:
            surface.missing({"MinimalRuntime.Http": mutant})
            outcomes.add("read")
        except MalformedImage:
            outcomes.add("refused")
        assert time.thread_time() - started < SECONDS
    assert outcomes == {"read", "refused"}


@pytest.fixture(scope="module")
def small_framework(framework: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """A base library that is trimmed in half a second, for the sake of many mutants."""
    store = ArtifactStore.locate()
    names = ("MinimalRuntime", "MinimalRuntime.WarmUp", "MinimalRuntime.Programs")
    guest = {name: store.read(f"guest/{name}.dll") for name in names}
    return trim({**framework, **guest}, TrimOptions(roots=names, open_to_guests=True)).assemblies


@pytest.mark.slow
def test_mutants_are_trimmed_or_refused(small_framework: Mapping[str, bytes]) -> None:
    generator = random.Random(1)
    function = small_framework["MinimalRuntime.Programs"]
    library = small_framework["System.Collections"]
    outcomes = set()
    for number in range(6):
        assemblies = dict(small_framework)
        if number % 2:
            assemblies["MinimalRuntime.Programs"] = mutate(function, generator)
        else:
            assemblies["System.Collections"] = mutate(library, generator)
        started = time.thread_time()
        try:
            trim(assemblies, TrimOptions(roots=("MinimalRuntime", "MinimalRuntime.Programs")))
            outcomes.add("trimmed")
        except MalformedImage:
            outcomes.add("refused")
        assert time.thread_time() - started < 20
    assert outcomes == {"trimmed", "refused"}
