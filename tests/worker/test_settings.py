"""Each setting of ``serve`` is said once, and reaches the worker."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dotnet_wasm_host.worker.serving as server
from dotnet_wasm_host.cli.main import app
from dotnet_wasm_host.worker import WorkerOptions
from dotnet_wasm_host.worker.settings import ServeSettings

#: Fields of WorkerOptions that a server sets under another name, or from several settings.
COMPOSED = {
    "limits", "http", "wasi", "allowed_hosts", "previous_token", "package_sources",
    "allow_packages",
}  # fmt: skip


def served(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> ServeSettings:
    """The settings that a command line gives the server."""
    seen: list[ServeSettings] = []
    monkeypatch.setattr(server, "serve", seen.append)
    done = CliRunner().invoke(app, ["serve", *arguments])
    assert done.exit_code == 0, done.output
    return seen[0]


def test_every_option_of_the_worker_is_a_setting() -> None:
    names = {each.name for each in fields(ServeSettings)}
    assert {each.name for each in fields(WorkerOptions)} - names == COMPOSED


def test_defaults_are_those_of_the_worker() -> None:
    options, default = ServeSettings().options(), WorkerOptions()
    for name in {each.name for each in fields(WorkerOptions)} - COMPOSED:
        assert getattr(options, name) == getattr(default, name), name
    assert options.limits == default.limits


def test_every_setting_is_an_option_with_a_description(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = CliRunner().invoke(app, ["serve", "--help"]).output
    for each in fields(ServeSettings):
        if each.name != "token":  # on a command line every process could read it
            assert f"--{each.name.replace('_', '-')} " in text, each.name
        assert each.metadata["help"]


def test_options_reach_the_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = served(
        monkeypatch, "--waiting", "7", "--memory", "128", "--payload-bytes", "1000",
        "--env", "A=b=c", "--mount", f"/data={tmp_path}", "--no-access-log",
        "--isolation", "per-invocation", "--allow-host", "a.example", "--allow-host", "b.example",
    )  # fmt: skip
    options = settings.options()
    assert (options.waiting, options.limits.payload_bytes) == (7, 1000)
    assert options.limits.memory_bytes == 128 << 20
    assert dict(options.wasi.env) == {"A": "b=c"}
    assert not options.access_log
    assert options.isolation.value == "per invocation"
    assert options.allowed_hosts == ("a.example", "b.example")


def test_the_environment_sets_what_no_option_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOTNET_WASM_HOST_SERVE_WAITING", "8")
    monkeypatch.setenv("DOTNET_WASM_HOST_SERVE_BODY_SECONDS", "2.5")
    monkeypatch.setenv("DOTNET_WASM_HOST_SERVE_STACK_TRACES", "true")
    monkeypatch.setenv("DOTNET_WASM_HOST_SERVE_ALLOW_HOST", "a.example b.example")
    options = served(monkeypatch, "--waiting", "9").options()
    assert (options.waiting, options.body_seconds, options.stack_traces) == (9, 2.5, True)
    assert options.allowed_hosts == ("a.example", "b.example")


def test_settings_travel_to_other_processes(tmp_path: Path) -> None:
    settings = ServeSettings(
        store="x", token="0123456789abcdef", allow_host=("a",), mount={"/d": str(tmp_path)}
    )
    assert ServeSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_a_file_has_the_token_and_the_one_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    options = served(monkeypatch, "--token-file", str(file)).options()
    assert options.tokens == ("0123456789abcdef",)
    file.write_text("fedcba9876543210\n\n0123456789abcdef")
    options = served(monkeypatch, "--token-file", str(file)).options()
    assert (options.token, options.previous_token) == ("fedcba9876543210", "0123456789abcdef")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"", "found 0 lines"),
        (b"0123456789abcdef\n" * 3, "found 3 lines"),
        (b"0123456789abcdef\nshort", "16 characters"),
        ("0123456789abcdef\u00e9".encode(), "cannot be read"),
    ],
)
def test_a_token_file_that_cannot_be_is_a_usage_error(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    done = CliRunner().invoke(app, ["serve", "--token-file", str(file)])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--env", "NAME"], "has no '='"),
        (["--waiting", "-1"], "0"),
        (["--allow-private-addresses"], "no host is"),
        (["--host", "0.0.0.0"], "token"),
    ],
)
def test_what_cannot_be_is_a_usage_error(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["serve", *arguments])
    assert done.exit_code == 2
    assert said in done.output
