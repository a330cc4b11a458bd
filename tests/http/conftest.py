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


@pytest.fixture(scope="session")
def fetching(
    image: dwh.RuntimeImage, fetcher_assembly: dwh.Assembly, server: Server
) -> dwh.RuntimeImage:
    """``Fetcher.cs`` after its first request, which takes a while: tests start from there."""
    http = dwh.HttpPolicy(allowed_hosts=(server.host,), allow_private_addresses=True)
    with dwh.Runtime(image, http=http) as runtime:
        runtime.load_assembly("fetch", fetcher_assembly)
        Fetcher(runtime)(server.url + "/bytes?size=9")
        return runtime.snapshot()


@pytest.fixture(scope="module")
def fetch(fetching: dwh.RuntimeImage) -> Iterator[Fetcher]:
    """A runtime that may reach this machine, for all tests of a module."""
    http = dwh.HttpPolicy(allowed_hosts=("127.0.0.1",), allow_private_addresses=True)
    with dwh.Runtime(fetching, http=http) as runtime:
        yield Fetcher(runtime)


@pytest.fixture
def fetcher(fetching: dwh.RuntimeImage) -> Iterator[Callable[..., Fetcher]]:
    """A runtime with a policy of its own: this machine, any port, unless said otherwise."""
    runtimes = []

    def begin(*hosts: str, **policy: Any) -> Fetcher:
        policy.setdefault("allow_private_addresses", True)
        http = dwh.HttpPolicy(allowed_hosts=hosts or ("127.0.0.1",), **policy)
        runtime = dwh.Runtime(fetching, http=http)
        runtimes.append(runtime)
        return Fetcher(runtime)

    yield begin
    for runtime in runtimes:
        runtime.close()
