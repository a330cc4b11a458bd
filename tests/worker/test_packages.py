"""C# with ``#:package`` lines, from the sources that the operator names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.worker import WorkerOptions
from tests.nuget.made import put

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2
    from fastapi.testclient import TestClient

LIBRARY = 'namespace {0}; public static class Say {{ public static string It() => "{0} {1}"; }}'
SOURCE = """#:package Words@{0}
public static string Twice() => Words.Say.It() + Words.Say.It();
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    for name, version in (("Words", "1.0.0"), ("Words", "1.2.0"), ("Other", "1.0.0")):
        made = dwh.compile_csharp(LIBRARY.format(name, version), assembly_name=name)
        put(folder, name, version, {f"lib/net8.0/{name}.dll": made.data})
    return folder


def deploy(client: TestClient, source: str) -> httpx2.Response:
    return client.put("/functions/f", content=source, headers={"content-type": "text/x-csharp"})


def test_packages_are_found_and_kept(
    make_client: Callable[..., TestClient], packages: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.sqlite3"
    client = make_client(WorkerOptions(package_sources=(packages,)), store=store)
    answer = deploy(client, SOURCE.format("1.*"))
    assert answer.status_code == 201, answer.text
    assert client.post("/functions/f/invoke").json() == "Words 1.2.0Words 1.2.0"
    assert client.get("/functions/f").headers["content-type"] == "application/zip"
    # What was found is part of the function: others need no source for it.
    other = make_client(store=store)
    assert other.post("/functions/f/invoke").json() == "Words 1.2.0Words 1.2.0"
    assert other.put("/functions/g", content=client.get("/functions/f").content).status_code == 201


def test_no_source_is_asked_unless_the_operator_names_it(client: TestClient) -> None:
    answer = deploy(client, SOURCE.format("1.0.0"))
    problem = answer.json()
    assert (answer.status_code, problem["diagnostics"][0]["line"]) == (422, 1)
    assert "Words is wanted, and this worker takes no packages" in problem["detail"]


def test_what_is_not_allowed_or_not_there_is_named(
    make_client: Callable[..., TestClient], packages: Path
) -> None:
    options = WorkerOptions(package_sources=(packages,), allow_packages=("Words",))
    client = make_client(options)
    assert deploy(client, SOURCE.format("1.0.0")).status_code == 201
    for source, said in (
        ("#:package Other@1.0.0\npublic static int F() => 1;", "Other"),
        (SOURCE.format("7.0.0"), "Words"),
        ("#:package Missing@1.0.0\npublic static int F() => 1;", "Missing"),
    ):
        answer = deploy(client, source)
        assert answer.status_code == 422, answer.text
        assert said in answer.json()["detail"]
        assert answer.json()["type"].endswith("package-not-usable")


def test_packages_count_for_the_size(
    make_client: Callable[..., TestClient], packages: Path
) -> None:
    client = make_client(WorkerOptions(package_sources=(packages,), assembly_bytes=4000))
    answer = deploy(client, SOURCE.format("1.0.0"))
    assert answer.status_code == 422
    assert "is the most" in answer.json()["detail"]
