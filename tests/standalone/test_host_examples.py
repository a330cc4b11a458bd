"""The programs in ``examples/hosts`` do what their README says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, final

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

import dotnet_wasm_host as dwh
from dotnet_wasm_host.overriding import override
from runtime_artifacts.pipeline.node import node_command
from tests.chromium import chromium, console
from tests.standalone.conftest import GREETER
from tests.standalone.hosts import HERE
from tests.standalone.npm_programs import bun, deno

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTS = HERE.parents[1] / "examples" / "hosts"


NODE = "../node/call.mjs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """greet.cs, and what ``build`` makes of it."""
    folder = tmp_path_factory.mktemp("greet")
    source = folder / "greet.cs"
    source.write_text(GREETER)
    dwh.build_wasm(source).save(folder / "greet.wasm")
    dwh.build_wasm(source, target="extism").save(folder / "plugin.wasm")
    return folder


@pytest.fixture
def program(request: pytest.FixtureRequest, folder: Path) -> list[str]:
    """How the README of a host begins the command."""
    name: str = request.param
    if name == "node":
        return [*node_command(), "--no-warnings", "call.mjs"]
    if name == "deno":
        return [str(deno(folder)), "run", "--no-remote", "--allow-read", NODE]
    if name == "bun":
        return [str(bun(folder)), NODE]
    return [sys.executable, "call.py"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("program", "file"),
    [
        ("wasmtime", "greet.wasm"),
        ("node", "greet.wasm"),
        ("deno", "greet.wasm"),
        ("bun", "greet.wasm"),
        ("extism", "plugin.wasm"),
    ],
    indirect=["program"],
)
def test_it_calls_the_function(
    program: list[str], file: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["program"]
    done = subprocess.run(
        [*program, str(folder / file), "greet", "Ada"],
        cwd=HOSTS / name,
        env={**os.environ, "DENO_DIR": str(folder / "deno_dir"), "DENO_NO_UPDATE_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Hello, Ada!\n"), done.stderr[-2000:]


def test_each_host_has_a_short_readme() -> None:
    texts = [path.read_text().strip().splitlines() for path in HOSTS.glob("*/README.md")]
    assert len(texts) == len([*HOSTS.iterdir()])
    assert {len(lines) for lines in texts} == {4}


@pytest.fixture
def page(folder: Path, tmp_path: Path) -> Iterator[str]:
    """Address of the page, served as its README says."""
    shutil.copy(HOSTS / "browser" / "index.html", tmp_path)
    shutil.copy(folder / "greet.wasm", tmp_path)
    handler = partial(QuietHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@final
class QuietHandler(SimpleHTTPRequestHandler):
    """What ``python -m http.server`` has, without a log."""

    @override
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@pytest.mark.long
def test_a_page_calls_the_function(page: str, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as browser:
        browser.get(page)
        field, button, output = (
            browser.find_element(By.TAG_NAME, name) for name in ("input", "button", "output")
        )
        WebDriverWait(browser, 60).until(lambda _: button.is_enabled())
        for name in ("Ada", "Gr\u00fcn"):
            field.clear()
            field.send_keys(name)
            button.click()
            assert output.text == f"Hello, {name}!"
        assert console(browser) == []
