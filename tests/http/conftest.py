from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import pytest

import dotnet_wasm_host as dwh
from tests.http.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import CompiledSources


@final
class Fetcher:
    """Makes requests in a guest. ``plan`` is what ``Fetcher.cs`` has as a record."""

    def __init__(self, runtime: dwh.Runtime) -> None:
        self.runtime = runtime

    def __call__(self, url: str, **plan: Any) -> dict[str, Any]:
        return self.together([{"url": url, **plan}])[0]

    def together(self, plans: list[dict[str, Any]]) -> list[dict[str, Any]]:
        question = json.dumps([{camel(k): v for k, v in p.items()} for p in plans])
        answers: list[dict[str, Any]] = json.loads(
            self.runtime.invoke("fetch", question.encode(), timeout=60)
        )
        return answers


def camel(name: str) -> str:
    first, *more = name.rstrip("_").split("_")
    return first + "".join(map(str.title, more))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def fetcher_assembly(compiled: CompiledSources) -> dwh.Assembly:
    source = Path(__file__).with_name("programs") / "Fetcher.cs"
    return compiled(source.read_text("utf-8"))


@pytest.fixture
def fetcher(
    image: dwh.RuntimeImage, fetcher_assembly: dwh.Assembly
) -> Iterator[Callable[..., Fetcher]]:
    """A runtime with a policy: this machine, any port, unless said otherwise."""
    runtimes = []

    def begin(*hosts: str, limits: dwh.Limits | None = None, **policy: Any) -> Fetcher:
        policy.setdefault("allow_private_addresses", True)
        http = dwh.HttpPolicy(allowed_hosts=hosts or ("127.0.0.1",), **policy)
        runtime = dwh.Runtime(image, limits=limits, http=http)
        runtimes.append(runtime)
        runtime.load_assembly("fetch", fetcher_assembly)
        return Fetcher(runtime)

    yield begin
    for runtime in runtimes:
        runtime.close()
