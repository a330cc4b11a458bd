from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotnet_wasm_host.artifacts import store as store_module
from dotnet_wasm_host.artifacts.manifest import ArtifactFile, Manifest, NativeContract
from dotnet_wasm_host.artifacts.store import (
    BUILD_COMMAND,
    MANIFEST_NAME,
    REINSTALL_COMMAND,
    ArtifactStore,
)
from dotnet_wasm_host.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"\0asm not really"
NAME = "framework/System.Tiny.webcil"


def describe(name: str, content: bytes) -> ArtifactFile:
    return ArtifactFile(name, hashlib.sha256(content).hexdigest(), len(content))


def make_manifest(files: dict[str, bytes]) -> Manifest:
    digest = "0" * 64
    return Manifest(
        dotnet_version="10.0.10",
        roslyn_version="4.8.0.0",
        native=NativeContract(("env.abort() -> ()",), digest, digest),
        files={name: describe(name, content) for name, content in files.items()},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {NAME: CONTENT, "dotnet.code.wasm": b"code"}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / MANIFEST_NAME).write_bytes(make_manifest(files).to_bytes())
    return tmp_path


def edit(root: Path, change: Any) -> None:
    path = root / MANIFEST_NAME
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def test_the_checkout_has_everything(store: ArtifactStore) -> None:
    assert store.manifest.dotnet_version == "10.0.10"
    assert store.manifest.roslyn_version == "4.8.0.0"
    assert len(store.manifest.native.imports) == 85
    assert len(store.names("framework/")) == 172
    assert {"dotnet.code.wasm", "dotnet.data.wasm"} <= set(store.names())
    assert store.names("roslyn/") == (
        "roslyn/Microsoft.CodeAnalysis.CSharp.dll",
        "roslyn/Microsoft.CodeAnalysis.dll",
    )
    core = store.manifest.files["framework/System.Private.CoreLib.webcil"]
    assert (core.assembly, core.version) == ("System.Private.CoreLib", "10.0.0.0")


def test_locate_finds_the_checkout_and_prefers_wheel_data(
    store: ArtifactStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_WHEEL_DATA", root / "absent")
    found = ArtifactStore.locate()
    assert (found.root, found.remedy) == (store.root, BUILD_COMMAND)
    monkeypatch.setattr(store_module, "_WHEEL_DATA", root)
    found = ArtifactStore.locate()
    assert (found.root, found.remedy) == (root, REINSTALL_COMMAND)


def test_an_installation_without_data_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_WHEEL_DATA", tmp_path / "_artifacts")
    monkeypatch.setattr(store_module, "_CHECKOUT", tmp_path / "runtime_artifacts")
    with pytest.raises(ArtifactError, match=f"is missing: .*_artifacts.*{REINSTALL_COMMAND}"):
        ArtifactStore.locate()


def test_a_checkout_that_was_not_built_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_WHEEL_DATA", tmp_path / "_artifacts")
    monkeypatch.setattr(store_module, "_CHECKOUT", tmp_path)
    with pytest.raises(ArtifactError, match=f"is missing: .*dist.*{BUILD_COMMAND}"):
        ArtifactStore.locate()


def test_reading(root: Path) -> None:
    store = ArtifactStore.open(root)
    assert store.read(NAME) == CONTENT
    assert store.path(NAME) == root / NAME
    assert store.names() == ("dotnet.code.wasm", NAME)
    assert store.names("framework/") == (NAME,)
    assert [file.name for file in store.verify()] == list(store.names())


def test_a_missing_file(root: Path) -> None:
    (root / NAME).unlink()
    with pytest.raises(ArtifactError, match="expected 15 bytes, found No such file") as caught:
        ArtifactStore.open(root).read(NAME)
    assert NAME in str(caught.value)
    assert BUILD_COMMAND in str(caught.value)


def test_a_truncated_file(root: Path) -> None:
    (root / NAME).write_bytes(CONTENT[:-1])
    store = ArtifactStore.open(root)
    for access in (store.read, store.path):
        with pytest.raises(ArtifactError, match="expected 15 bytes, found 14; run"):
            access(NAME)


def test_a_flipped_byte(root: Path) -> None:
    flipped = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    (root / NAME).write_bytes(flipped)
    expected, found = (hashlib.sha256(content).hexdigest() for content in (CONTENT, flipped))
    with pytest.raises(ArtifactError, match=f"expected SHA-256 {expected}, found {found}"):
        ArtifactStore.open(root).read(NAME)


def test_an_unknown_name(root: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no artifact '\.\./secret'"):
        ArtifactStore.open(root).read("../secret")


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "framework/../../secret",
        "/etc/passwd",
        "C:/secret",
        "C:secret",
        "framework\\secret",
        "framework//secret",
        "framework/",
        "./secret",
        ".hidden",
        "",
        "a\0b",
        "a\nb",
        "a" * 300,
    ],
)
def test_names_that_could_leave_the_folder_are_refused(root: Path, name: str) -> None:
    edit(root, lambda document: document["files"].update({name: document["files"][NAME]}))
    with pytest.raises(ArtifactError, match="has a file named"):
        ArtifactStore.open(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format=2), "format is 2, this version reads 1"),
        (lambda d: d.update(format=True), "format is True"),
        (lambda d: d.pop("format"), "format is None"),
        (lambda d: d.update(files=[]), "'files' is not an object"),
        (lambda d: d["files"].update({NAME: 3}), "is not an object"),
        (lambda d: d["files"][NAME].update(size="15"), "has the size '15'"),
        (lambda d: d["files"][NAME].update(size=-1), "has the size -1"),
        (lambda d: d["files"][NAME].update(size=True), "has the size True"),
        (lambda d: d["files"][NAME].update(sha256="ab"), "'sha256' is 'ab'"),
        (lambda d: d["files"][NAME].update(sha256=None), "'sha256' is None"),
        (lambda d: d["files"][NAME].update(assembly=7), "'assembly' is 7"),
        (lambda d: d.update(dotnet_version=10), "'dotnet_version' is 10"),
        (lambda d: d.update(dotnet_version="10.0.10; rm"), "'dotnet_version' is"),
        (lambda d: d.update(native=None), "'native' is not an object"),
        (lambda d: d["native"].update(imports="all"), "not a list of texts"),
        (lambda d: d["native"].update(imports=[1]), "not a list of texts"),
    ],
)
def test_a_hostile_manifest_is_refused(root: Path, change: Any, message: str) -> None:
    edit(root, change)
    with pytest.raises(ArtifactError, match=message) as caught:
        ArtifactStore.open(root)
    assert str(root / MANIFEST_NAME) in str(caught.value)
    assert BUILD_COMMAND in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000, b"[]", b"null"]
)
def test_what_is_no_manifest_is_refused(root: Path, content: bytes) -> None:
    (root / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(ArtifactError, match="is damaged"):
        ArtifactStore.open(root)


def test_an_endless_manifest_is_refused(root: Path) -> None:
    with (root / MANIFEST_NAME).open("wb") as file:
        file.truncate(store_module.MAX_MANIFEST_SIZE + 1)
    with pytest.raises(ArtifactError, match="too large"):
        ArtifactStore.open(root)


TEXT = st.text("a0./-", max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
KEYS = ["format", "dotnet_version", "roslyn_version", "native", "files"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON), st.booleans())
def test_any_json_is_a_manifest_or_refused(document: dict[str, Any], right_format: bool) -> None:
    if right_format:
        document["format"] = 1
    with pytest.raises(ArtifactError):
        Manifest.parse(json.dumps(document).encode(), "manifest.json")


def test_a_manifest_round_trips(store: ArtifactStore) -> None:
    data = store.manifest.to_bytes()
    assert Manifest.parse(data, "manifest.json") == store.manifest
    assert (store.root / MANIFEST_NAME).read_bytes() == data
    assert store.fingerprint == hashlib.sha256(data).hexdigest()


def test_a_manifest_follows_the_content() -> None:
    one, other = make_manifest({NAME: CONTENT}), make_manifest({NAME: CONTENT + b"!"})
    assert one.to_bytes() != other.to_bytes()
    assert one.to_bytes() == make_manifest({NAME: CONTENT}).to_bytes()
