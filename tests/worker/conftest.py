from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from selenium.webdriver import Chrome

import dotnet_wasm_host as dwh
from dotnet_wasm_host.worker import WorkerOptions, create_app
from tests.chromium import chromium, console

TOKEN = "correct horse battery staple"
ECHO = """
using System; using System.Text; using System.Threading;
public sealed class Echo : MinimalRuntime.IFunctionHandler {
    static int calls;
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var text = Encoding.UTF8.GetString(input);
        while (text == "loop") { }
        if (text == "exit") Environment.Exit(3);
        if (text == "throw") throw new InvalidOperationException("thrown", new FormatException());
        if (text == "count") return Encoding.UTF8.GetBytes($"{++calls}");
        if (text == "version") return Encoding.UTF8.GetBytes("VERSION");
        if (text.StartsWith("spin ")) {
            var watch = System.Diagnostics.Stopwatch.StartNew();
            while (watch.ElapsedMilliseconds < int.Parse(text.Substring(5))) { }
        }
        if (text.StartsWith("sleep ")) Thread.Sleep(int.Parse(text.Substring(6)));
        return input.ToArray();
    }
}
"""

MakeClient = Callable[..., TestClient]


@pytest.fixture(scope="session")
def echo() -> dwh.Assembly:
    return dwh.compile_csharp(ECHO)


@pytest.fixture(scope="session")
def second_echo() -> dwh.Assembly:
    return dwh.compile_csharp(ECHO.replace("VERSION", "SECOND"))


@pytest.fixture(scope="session")
def no_handler() -> dwh.Assembly:
    return dwh.compile_csharp("class Nothing { }")


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    with ExitStack() as stack:

        def make(options: WorkerOptions | None = None, store: Path | None = None) -> TestClient:
            app = create_app(options, store=store)
            client = TestClient(app, raise_server_exceptions=False)
            stack.enter_context(client)
            return client

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client()


@pytest.fixture(scope="module")  # one that stays would be there in tests of what is left
def page_server() -> Iterator[str]:
    from tests.worker.browsing import serving

    with serving(create_app()) as url:
        yield url


@pytest.fixture
def url(page_server: str) -> Iterator[str]:
    """The address of a worker, on which nothing is left."""
    from tests.worker.browsing import forget

    yield page_server
    forget(page_server)


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    folder = tmp_path_factory.mktemp("chromium")
    # A name that an attacker lets point to this machine.
    with chromium(folder, "--host-resolver-rules=MAP rebound.example 127.0.0.1") as browser:
        yield browser


@pytest.fixture
def browser(chrome: Chrome) -> Iterator[Chrome]:
    """A browser with the screen of a desktop, that remembers nothing of the page afterwards."""
    from tests.worker.browsing import show_on

    show_on(chrome, "desktop")
    console(chrome)  # of other tests
    yield chrome
    if chrome.current_url.startswith("http"):
        chrome.execute_script("localStorage.clear(); sessionStorage.clear()")
    chrome.get("about:blank")
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def put(client: TestClient, function_id: str, assembly: dwh.Assembly, **parameters: object) -> None:
    answer = client.put(
        f"/functions/{function_id}", content=assembly.data, params=parameters  # type: ignore[arg-type]
    )  # fmt: skip
    assert answer.status_code in (200, 201), answer.text
