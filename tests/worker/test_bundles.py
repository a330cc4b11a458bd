"""Bundles: what a zip of a folder becomes, and what strangers may send instead."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.assembly import MalformedImage
from dotnet_wasm_host.worker import WorkerOptions
from dotnet_wasm_host.worker.bundles import bundle_of, read_bundle, write_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fastapi.testclient import TestClient

LIBRARY = "namespace Words { public static class Say { public static string It() => "
HANDLER = """
public sealed class Caller : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(System.ReadOnlySpan<byte> input) =>
        System.Text.Encoding.UTF8.GetBytes(Words.Say.It());
}
"""
MOST = 1 << 20


@pytest.fixture(scope="module")
def library() -> dwh.Assembly:
    return dwh.compile_csharp(LIBRARY + '"said"; } }', assembly_name="Words")


@pytest.fixture(scope="module")
def handler(library: dwh.Assembly) -> dwh.Assembly:
    return dwh.compile_csharp(HANDLER, references=[library], assembly_name="Caller")


def zipped(entries: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return written.getvalue()


def deploy(client: TestClient, content: bytes, **parameters: str) -> tuple[int, dict[str, str]]:
    answer = client.put(
        "/functions/caller",
        content=content,
        params=parameters,
        headers={"content-type": "application/zip"},
    )
    return answer.status_code, answer.json()


@pytest.mark.parametrize("folder", ["", "publish/", "a/b/"])
def test_a_bundle_is_deployed_and_called(
    client: TestClient, handler: dwh.Assembly, library: dwh.Assembly, folder: str
) -> None:
    bundle = zipped({f"{folder}Words.dll": library.data, f"{folder}Caller.dll": handler.data})
    status, described = deploy(client, bundle)
    assert status == 201, described
    assert described["assembly_name"] == "Caller"
    assert client.post("/functions/caller/invoke").content == b"said"


def test_archives_without_a_media_type_are_bundles(
    client: TestClient, handler: dwh.Assembly, library: dwh.Assembly
) -> None:
    bundle = zipped({"Words.dll": library.data, "Caller.dll": handler.data})
    assert client.put("/functions/caller", content=bundle).status_code == 201
    assert client.post("/functions/caller/invoke").content == b"said"


def test_what_is_missing_is_named_when_it_is_deployed(
    client: TestClient, handler: dwh.Assembly
) -> None:
    for content in (handler.data, zipped({"Caller.dll": handler.data})):
        answer = client.put("/functions/caller", content=content)
        assert answer.status_code == 422
        assert "Words" in answer.json()["detail"]
    assert client.get("/functions").json() == {"functions": []}


def test_bundles_are_served_by_other_processes_and_after_a_reload(
    make_client: Callable[..., TestClient],
    handler: dwh.Assembly,
    library: dwh.Assembly,
    tmp_path: Path,
) -> None:
    bundle = zipped({"Words.dll": library.data, "Caller.dll": handler.data})
    store = tmp_path / "store.sqlite3"
    assert deploy(make_client(store=store), bundle)[0] == 201
    client = make_client(store=store)
    assert client.post("/functions/caller/invoke").content == b"said"
    assert client.post("/admin/reload").status_code == 202
    assert client.post("/functions/caller/invoke").content == b"said"


def test_a_download_is_the_version_and_deploys_again(
    client: TestClient, handler: dwh.Assembly, library: dwh.Assembly
) -> None:
    deploy(client, zipped({"x/Words.dll": library.data, "x/Caller.dll": handler.data}))
    answer = client.get("/functions/caller")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    status, described = deploy(client, answer.content)
    assert status == 200
    assert described["sha256"] == hashlib.sha256(answer.content).hexdigest()


def test_the_version_does_not_depend_on_the_packing(
    handler: dwh.Assembly, library: dwh.Assembly
) -> None:
    one = zipped({"Words.dll": library.data, "Caller.dll": handler.data, "native.dll": b"MZ"})
    other = zipped(
        {"p/Caller.dll": handler.data, "p/Words.dll": library.data, "p/readme.txt": b"x"},
        zipfile.ZIP_STORED,
    )
    written = {write_bundle(read_bundle(each, MOST)) for each in (one, other)}
    assert len(written) == 1
    assert bundle_of(*written) == (handler.data, {"Words.dll": library.data})


def test_the_assembly_can_be_named(client: TestClient, handler: dwh.Assembly) -> None:
    other = dwh.compile_csharp(HANDLER.replace("Words.Say.It()", '"other"'), assembly_name="Other")
    content = {"Caller.dll": handler.data, "Other.dll": other.data}
    status, problem = deploy(client, zipped(content))
    assert status == 422
    assert "?assembly=" in problem["detail"]
    assert deploy(client, zipped(content), assembly="Other.dll")[0] == 201
    assert client.post("/functions/caller/invoke").content == b"other"
    assert deploy(client, client.get("/functions/caller").content)[0] == 200
    marked = zipped({**content, "Other.deps.json": b"{}"})
    assert deploy(client, marked)[0] == 200
    assert deploy(client, marked, assembly="Nothing")[0] == 422


def test_what_publish_writes_is_a_bundle(
    client: TestClient, handler: dwh.Assembly, library: dwh.Assembly
) -> None:
    content = {
        "greeter/manifest.json": b"{}",
        "greeter/guest/MinimalRuntime.dll": b"MZ",
        "greeter/guest/System.Private.CoreLib.dll": b"MZ",
        "greeter/function/Caller.dll": handler.data,
        "greeter/function/Words.dll": library.data,
    }
    assert deploy(client, zipped(content))[0] == 201
    assert client.post("/functions/caller/invoke").content == b"said"


@pytest.mark.parametrize(
    "entries",
    [
        {},
        {"readme.txt": b"no DLL"},
        {"native.dll": b"MZ" + bytes(100)},
        {"../Caller.dll": b"MZ"},
        {"a.dll": b"MZ", "A.dll": b"MZ"},
        {"bomb.dll": bytes(MOST + 1)},
    ],
    ids=["empty", "no-dll", "native", "slip", "case", "bomb"],
)
def test_hostile_archives_are_refused(entries: Mapping[str, bytes]) -> None:
    with pytest.raises(MalformedImage, match="bundle"):
        read_bundle(zipped(entries), MOST)


def test_a_bomb_is_refused_by_the_worker(make_client: Callable[..., TestClient]) -> None:
    client = make_client(WorkerOptions(assembly_bytes=MOST))
    status, problem = deploy(client, zipped({"bomb.dll": bytes(8 * MOST)}))
    assert status == 422
    assert "is the most" in problem["detail"]


def test_an_archive_given_as_an_array_of_numbers_is_no_crash(client: TestClient) -> None:
    content = zipped({"bomb.dll": bytes(MOST)})
    answer = client.post("/load", json={"functionId": "x", "assembly": list(content)})
    assert answer.status_code == 500
    assert answer.json()["success"] is False
