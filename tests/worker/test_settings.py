"""Each setting of ``serve`` is said once, and reaches the worker."""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import dotnet_wasm_host.worker.serving as server
from dotnet_wasm_host import options as dwh_options
from dotnet_wasm_host.cli.main import app
from dotnet_wasm_host.worker import WorkerOptions
from dotnet_wasm_host.worker.settings import NETWORK, PAIRS, REPEATABLE, ServeSettings

#: Functions, which no command line has.
CODE = {"wasi.clock", "wasi.random"}


def leaves(options: type[Any] = WorkerOptions, above: str = "") -> set[str]:
    """Every field of WorkerOptions, and of the parts that it is made of."""
    found = set()
    for each in fields(options):
        named = [getattr(dwh_options, word, None) for word in re.findall(r"\w+", str(each.type))]
        parts = [part for part in named if is_dataclass(part)]
        for part in parts:
            assert isinstance(part, type)
            found |= leaves(part, f"{above}{each.name}.")
        if not parts:
            found.add(above + each.name)
    return found


def served(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> ServeSettings:
    """The settings that a command line gives the server."""
    seen: list[ServeSettings] = []
    monkeypatch.setattr(server, "serve", seen.append)
    done = CliRunner().invoke(app, ["serve", *arguments])
    assert done.exit_code == 0, done.output
    return seen[0]


def test_every_option_of_the_worker_is_a_setting() -> None:
    sets = {where for each in fields(ServeSettings) for where in each.metadata["sets"]}
    assert leaves() - sets == CODE
    assert sets <= leaves()


def test_defaults_are_those_of_the_worker() -> None:
    options, default = ServeSettings().options(), WorkerOptions()
    # The command has a server's defaults for these.
    streams = replace(default.wasi, stdout="logging", stderr="logging", clock=options.wasi.clock)
    assert options == replace(
        default, allowed_hosts=("127.0.0.1", "localhost", "[::1]"), wasi=streams
    )


def value_at(options: WorkerOptions, where: str) -> Any:
    value: Any = options
    for name in where.split("."):
        value = None if value is None else getattr(value, name)
    return value


def words(folder: Path) -> dict[str, str]:
    """What is given for settings that are no numbers, or take only some."""
    token, file, client = folder / "token", folder / "file", folder / "client"
    token.write_text("0123456789abcdef\nfedcba9876543210")
    file.write_text("content")
    tls = Path(__file__).parents[1] / "http/tls"
    client.write_text((tls / "certificate.pem").read_text() + (tls / "key.pem").read_text())
    return {
        "token_file": f"{token}", "allow_host": "a.example", "isolation": "per-invocation",
        "package_source": f"{folder}", "allow_package": "Acme.*", "allow_http": "a.example",
        "http_scheme": "https", "http_method": "PUT", "http_ca_file": f"{tls / 'certificate.pem'}",
        "http_client_file": f"{client}", "image": "minimal", "image_file": f"{file}",
        "jit": "auto", "argument": "a", "env": "A=b", "stdin_file": f"{file}",
        "stdout": "discard", "stderr": "inherit", "file": f"/a={file}", "mount": f"/a={folder}",
        "mount_writable": f"/a={folder}", "memory": "128", "stack_bytes": "524288",
        "timeout": "7.5", "crash_limit": "0", "http_timeout": "0",
    }  # fmt: skip


def changed(folder: Path) -> dict[str, Any]:
    """For each setting but the token a value that is not its default."""
    known = words(folder)
    values: dict[str, Any] = {}
    for each in fields(ServeSettings):
        default: Any = getattr(ServeSettings(), each.name)
        word = known.get(each.name)
        if isinstance(default, bool):
            values[each.name] = not default
        elif word is None:
            values[each.name] = "elsewhere" if isinstance(default, str) else (default or 1) + 1
        elif each.name in PAIRS:
            values[each.name] = dict([word.split("=", 1)])
        elif each.name in REPEATABLE:
            values[each.name] = (word,)
        elif isinstance(default, float):
            values[each.name] = float(word)
        else:
            values[each.name] = int(word) if word.isdigit() else word
    values["token"] = None
    return values


def test_each_setting_sets_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    values = changed(tmp_path)
    for each in fields(ServeSettings):
        if not each.metadata["sets"] or each.name == "token":
            continue
        needed: dict[str, Any] = {
            "allow_package": {"package_source": ("x",)},
            "token_for_calls": {"token_file": values["token_file"]},
        }.get(each.name, {})
        if each.metadata["group"] == NETWORK and each.name != "allow_http":
            needed = {"allow_http": ("example.org",)}
        before = ServeSettings(**needed).options()
        after = replace(ServeSettings(**needed), **{each.name: values[each.name]}).options()
        different = {
            where for where in leaves() - CODE if value_at(after, where) != value_at(before, where)
        }
        if each.name == "allow_http":  # there was no policy before
            different = {w for w in different if not w.startswith("http.")} | {"http.allowed_hosts"}
        # With a token every Host is answered.
        assert different - {"allowed_hosts"} == {*each.metadata["sets"]} - {"allowed_hosts"}
        assert each.name != "allow_host" or "allowed_hosts" in different


def test_each_setting_is_an_option_and_a_variable_and_travels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values = {**changed(tmp_path), "store": "x", "image": "full"}  # another would be built
    known = {
        **words(tmp_path),
        **{k: str(v) for k, v in values.items() if k not in words(tmp_path)},
    }
    arguments: list[str] = []
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            arguments.append(option if value else f"--no-{option[2:]}")
        elif name != "token":  # others could read it on a command line
            arguments += [option, "full" if name == "image" else known[name]]
    by_option = served(monkeypatch, *arguments)
    assert by_option == ServeSettings(**values)
    for name in values:
        if name != "token":
            variable = f"DOTNET_WASM_HOST_SERVE_{name.upper()}"
            monkeypatch.setenv(variable, "full" if name == "image" else known[name])
    assert served(monkeypatch) == by_option
    monkeypatch.setenv("DOTNET_WASM_HOST_TOKEN", "0123456789abcdef")
    assert served(monkeypatch).token == "0123456789abcdef"
    assert ServeSettings.from_json(json.loads(json.dumps(by_option.to_json()))) == by_option


def test_what_functions_get_is_what_was_named(tmp_path: Path) -> None:
    known = words(tmp_path)
    settings = ServeSettings(
        stdin_file=known["stdin_file"],
        file={"/a/b": known["stdin_file"]},
        mount={"/r": str(tmp_path)},
        mount_writable={"/w": str(tmp_path)},
        crash_limit=0,
    )
    options = settings.options()
    assert (options.wasi.stdin, options.wasi.files) == (b"content", {"/a/b": b"content"})
    assert options.wasi.directories == {"/r": str(tmp_path), "/w": (str(tmp_path), False)}
    assert options.limits.crash_limit is None


def test_every_setting_is_an_option_with_a_description(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = CliRunner().invoke(app, ["serve", "--help"]).output
    for each in fields(ServeSettings):
        assert f"\n{each.metadata.get('group', 'Options')}:\n" in text
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
        (["--allow-private-addresses"], "add --allow-http"),
        (["--http-timeout", "5"], "--http-timeout"),
        (["--file", "/a=/not/there"], "cannot be read"),
        (["--allow-http", "a.example", "--http-ca-file", "/not/there"], "PEM"),
        (["--jit", "on"], "auto"),
        (["--stdout", "nowhere"], "discard"),
        (["--host", "0.0.0.0"], "token"),
    ],
)
def test_what_cannot_be_is_a_usage_error(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["serve", *arguments])
    assert done.exit_code == 2
    assert said in done.output
