"""The magics, in a kernel of Jupyter."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import start_new_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The smallest PNG.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[str], dict[str, Any]]]:
    manager, client = start_new_kernel()

    def execute(code: str) -> dict[str, Any]:
        """What a cell printed, and what it gave by MIME type."""
        said: dict[str, Any] = {"stdout": "", "stderr": "", "data": {}}

        def hook(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                said[content["name"]] += content["text"]
            elif message["msg_type"] in {"execute_result", "display_data"}:
                said["data"] = content["data"]

        reply = client.execute_interactive(code, output_hook=hook, timeout=300)
        assert reply["content"]["status"] == "ok", reply["content"]
        return said

    try:
        execute("%load_ext dotnet_wasm_host")
        yield execute
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_cells_share_state_with_each_other_and_with_python(
    run: Callable[[str], dict[str, Any]],
) -> None:
    run("numbers = [3, 1, 2]; factor = 10")
    said = run(
        "%%csharp --share numbers,factor\n"
        "var total = numbers.Sum() * factor; Console.WriteLine(total);"
    )
    assert said["stdout"] == "60\n"
    assert run("%%csharp --out result\ntotal + 1")["data"]["text/plain"] == "61"
    assert run("print(result + 1)")["stdout"] == "62\n"
    assert run("%csharp total * 2")["data"]["text/plain"] == "120"


def test_rows_are_tables(run: Callable[[str], dict[str, Any]]) -> None:
    said = run(
        '%%csharp\nrecord P(string Name, int Age);\nnew[] { new P("<b>", 36), new P("Bob", 41) }'
    )
    assert "<th>Name</th><th>Age</th>" in said["data"]["text/html"]
    assert "<td>&lt;b&gt;</td><td>36</td>" in said["data"]["text/html"]
    assert "'Bob'" in said["data"]["text/plain"]


def test_images_are_shown(run: Callable[[str], dict[str, Any]]) -> None:
    text = base64.b64encode(PNG).decode()
    said = run(f'%%csharp\nConvert.FromBase64String("{text}")')
    assert base64.b64decode(said["data"]["image/png"]) == PNG


def test_errors_are_shown(run: Callable[[str], dict[str, Any]]) -> None:
    assert "error CS0103: The name 'missing'" in run("%%csharp\nmissing")["stderr"]
    said = run(
        '%%csharp\nConsole.WriteLine("before"); throw new InvalidOperationException("boom");'
    )
    assert said["stdout"] == "before\n"
    assert said["stderr"].startswith("System.InvalidOperationException: boom\n   at ")
    assert "there is no variable 'nope'" in run("%%csharp --share nope\n1")["stderr"]
    assert "UsageError" in run("%%csharp --nope\n1")["stderr"]
    assert "no source of packages" in run("%%csharp\n#:package X@1.0.0\n1")["stderr"]


def test_a_session_can_start_afresh(run: Callable[[str], dict[str, Any]]) -> None:
    run("%%csharp\nvar gone = 1;")
    assert "'gone'" in run("%%csharp --reset\ngone")["stderr"]
