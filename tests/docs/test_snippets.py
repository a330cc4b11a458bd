"""Every fenced block of README.md and docs/ does what it says; none is left out."""

from __future__ import annotations

import ast
import asyncio
import configparser
import contextlib
import importlib.util
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from functools import cache
from io import IOBase
from typing import TYPE_CHECKING, Any

import click
import pytest
import typer.main
from packaging.requirements import Requirement

import dotnet_wasm_host as dwh
from tests.docs.contexts import CSHARP, Names, fill_folder, free_names
from tests.docs.snippets import (
    CLUSTERS,
    DIRECTIVES,
    LANGUAGES,
    ROOT,
    Snippet,
    documents,
    snippets_of,
)
from tests.worker.servers import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import CompiledSources

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SNIPPETS = [snippet for document in documents() for snippet in snippets_of(document)]
COMMAND = "from dotnet_wasm_host.cli.main import main; main()"
#: Programs of others in shell snippets, whose arguments we do not know better than they do.
FOREIGN = frozenset(("cd", "cp", "curl", "diff", "git", "npm", "pytest-cov", "source", "tar"))


def of(*languages: str) -> Callable[..., Any]:
    """Parametrize a test with the snippets of these languages."""
    chosen = [
        snippet
        for snippet in SNIPPETS
        # Python that is a file of a guide is run by tests/guides, that for Ray and Spark by
        # tests/clusters.
        if snippet.language in languages
        and not (
            snippet.language == "python"
            and ("file" in snippet.options or snippet.context in CLUSTERS)
        )
    ]
    return pytest.mark.parametrize("snippet", chosen, ids=str)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_its_language_is_one_that_is_checked(snippet: Snippet) -> None:
    assert snippet.language in LANGUAGES | DIRECTIVES, f"{snippet}: say one of {sorted(LANGUAGES)}"


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_no_block_is_overlooked(document: Path) -> None:
    fences = re.findall(r"^ *```", document.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(list(snippets_of(document)))


# -------------------------------------------------------------------- Python


@pytest.fixture
def folder(tmp_path: Path, compiled: CompiledSources, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory of a snippet."""
    fill_folder(tmp_path, compiled)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@of("python")
def test_python_runs(
    snippet: Snippet,
    folder: Path,  # noqa: ARG001 - the current directory
    compiled: CompiledSources,
    stack: ExitStack,
    request: pytest.FixtureRequest,
) -> None:
    if snippet.context == "published":
        request.getfixturevalue("published")
    if snippet.context == "cluster":
        stack.enter_context(_no_warnings())
    names = Names(compiled, stack)
    if snippet.context == "cluster":
        names._made["address"] = stack.enter_context(_cluster())
    expected = snippet.options.get("raises")
    with ExitStack() as expectation:
        if expected and not _wasmer_is_here():
            expectation.enter_context(pytest.raises(getattr(dwh, expected)))
        _run_python(snippet, names, stack)


def _wasmer_is_here() -> bool:
    return sys.version_info < (3, 11) and importlib.util.find_spec("wasmer") is not None


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Dask warns about what its own processes do when they end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _cluster() -> Iterator[str]:
    from dask.distributed import LocalCluster

    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def _run_python(snippet: Snippet, names: Names, stack: ExitStack) -> None:
    # The line numbers of the document, so that a traceback leads there.
    source = "\n" * snippet.line + snippet.text
    tree = ast.parse(source)
    namespace: dict[str, Any] = {"__name__": "snippet"}
    for name in free_names(tree):
        with contextlib.suppress(KeyError):
            namespace[name] = names(name)
    given = dict(namespace)
    code = compile(
        tree, str(snippet.document), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    try:
        result = eval(code, namespace)
        if inspect.isawaitable(result):
            asyncio.run(_wait(result))
    finally:
        made = [value for name, value in namespace.items() if given.get(name) is not value]
        # The stack closes what comes last first: runtimes before the files that they write.
        for kind in (IOBase, (dwh.Runtime, dwh.RuntimePool)):
            for value in made:
                if isinstance(value, kind):
                    stack.callback(value.close)


async def _wait(awaitable: Any) -> None:
    await awaitable


@pytest.fixture(scope="session")
def published_order(tmp_path_factory: pytest.TempPathFactory, compiled: CompiledSources) -> Path:
    """What ``dotnet-wasm-host publish order.dll -o order`` writes."""
    folder = tmp_path_factory.mktemp("published")
    fill_folder(folder, compiled)
    _command("publish", "orders.dll", "--function-id", "order", "-o", "order", cwd=folder)
    return folder / "order"


@pytest.fixture
def published(folder: Path, published_order: Path) -> None:
    (folder / "order").symlink_to(published_order)


def _command(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -------------------------------------------------------------------- C#


@of("csharp")
def test_csharp_compiles_and_runs(
    snippet: Snippet, compiled: CompiledSources, stack: ExitStack
) -> None:
    surroundings = CSHARP[snippet.context or "statements"].replace("%s", snippet.text)
    assembly = compiled(surroundings)
    runtime = stack.enter_context(
        dwh.Runtime(
            host_functions={
                "lookup": lambda key: key,
                "fetch_row": _fetch_row,
                "price": dwh.json_function(lambda order: {"total": 1.2 * order["count"]}),
            }
        )
    )
    runtime.load_assembly("snippet", assembly)
    runtime.invoke("snippet", b"payload", timeout=20)


async def _fetch_row(key: bytes) -> bytes:
    return key


# -------------------------------------------------------------------- shell


def commands_of(text: str) -> Iterator[list[str]]:
    """The commands of a shell snippet: without comments, ``&&`` separates like a line."""
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        words = shlex.split(line, comments=True)
        command: list[str] = []
        for word in [*words, "&&"]:
            if word in {"&&", "|"}:
                if command:
                    yield command
                command = []
            else:
                command.append(word)


@of("sh")
def test_commands_exist_and_take_these_arguments(
    snippet: Snippet,
    folder: Path,  # noqa: ARG001 - the current directory
) -> None:
    for command in commands_of(snippet.text):
        check_command(command, snippet)


def check_command(command: list[str], snippet: Snippet) -> None:
    """Fail unless a command of a snippet exists and takes its arguments."""
    while "=" in command[0]:  # NAME=value before a command.
        command = command[1:]
    if ">" in command:
        command = command[: command.index(">")]
    program, *arguments = command
    if program == "dotnet-wasm-host":
        parse_arguments(arguments)
    elif program.startswith(("python", ".venv/bin/python")) and arguments[0] == "-m":
        _check_module(arguments[1], arguments[2:])
    elif program.startswith("python"):
        assert (ROOT / arguments[0]).exists(), f"{snippet}: {arguments[0]}"
    elif program == "pip":
        _check_installation(arguments)
    elif (ROOT / program).exists():
        assert os.access(ROOT / program, os.X_OK), program
    else:
        assert program in FOREIGN, f"{snippet}: nobody checks {program!r}"


def parse_arguments(arguments: list[str]) -> None:
    """Have the command's own parser read the arguments; nothing is run."""
    command: Any = typer.main.get_command(_app())
    name = "dotnet-wasm-host"
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        name, *arguments = arguments
        assert name in command.commands, f"there is no command {name!r}"
        command = command.commands[name]
    command.make_context(name, list(arguments))


def _app() -> typer.Typer:
    from dotnet_wasm_host.cli.main import app

    return app


@cache
def _help(module: str, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *command, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def _check_module(module: str, arguments: list[str]) -> None:
    if module == "pip":
        _check_installation(arguments)
        return
    if module == "venv":
        return
    if module == "pytest":
        for argument in arguments:
            if "/" in argument:
                assert (ROOT / argument.split("::")[0]).exists(), argument
        return
    help_text = _help(module)
    if arguments and arguments[0].isalpha() and f" {arguments[0]} " in help_text:
        help_text += _help(module, arguments[0])
    for argument in arguments:
        option = argument.split("=")[0]
        if option.startswith("-") and option != "-c":
            assert option.lstrip("-") in help_text, f"{module} does not know {option}"


def _check_installation(arguments: list[str]) -> None:
    """What is installed is this project, with extras that it has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert arguments[0] == "install"
    for argument in arguments[1:]:
        if argument.startswith("-") or (ROOT / argument).is_dir():
            continue
        text = project["name"] + argument[1:] if argument.startswith(".") else argument
        requirement = Requirement(text)
        if requirement.name == project["name"]:
            assert requirement.extras <= set(project["optional-dependencies"]), text
        else:
            assert requirement.name == "wasmtime", f"{text} is not this project"


@of("sh")
def test_commands_run(snippet: Snippet, folder: Path, tmp_path: Path) -> None:
    if "run" not in snippet.options:
        pytest.skip("its arguments are checked, see above")
    with ExitStack() as stack:
        text = snippet.text
        if "localhost:8080" in text:
            server = stack.enter_context(Server(tmp_path / "functions.sqlite3"))
            text = text.replace("localhost:8080", server.url.removeprefix("http://"))
        for command in commands_of(text):
            # Packages are installed by .ci/run; the server is running already.
            if command[0] == "pip" or command[:2] == ["dotnet-wasm-host", "serve"]:
                continue
            if command[0] == "dotnet-wasm-host":
                _command(*command[1:], cwd=folder)
            else:
                subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)


# -------------------------------------------------------------------- formats


@of("xml")
def test_xml_is_what_the_trimmer_reads(snippet: Snippet) -> None:
    assert ET.fromstring(snippet.text).tag == "linker"


@of("ini")
def test_units_start_commands_that_exist(snippet: Snippet, folder: Path) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(snippet.text)
    if "Socket" in unit:  # systemd looks through it: tests/guides
        return
    assert {"Unit", "Service", "Install"} <= set(unit)
    for key in ("ExecStartPre", "ExecStart"):
        program, *arguments = unit["Service"][key].split()
        assert program.endswith("/dotnet-wasm-host")
        arguments = [re.sub(r"^\$.*/token$", str(folder / "token"), word) for word in arguments]
        parse_arguments(arguments)


@of("dockerfile")
def test_containers_start_commands_that_exist(snippet: Snippet, folder: Path) -> None:
    known = {"FROM", "RUN", "USER", "ENV", "VOLUME", "EXPOSE", "CMD"}
    for line in snippet.text.replace("\\\n", " ").splitlines():
        instruction, rest = line.split(" ", 1)
        assert instruction in known
        if instruction == "CMD":
            rest = rest.replace("/run/secrets", str(folder))
            parse_arguments(json.loads(rest)[1:])
        if instruction == "RUN":
            for command in commands_of(rest):
                if command[0] in {"pip", "dotnet-wasm-host"}:
                    check_command(command, snippet)


@of("nginx")
def test_nginx_blocks_are_closed(snippet: Snippet) -> None:
    depth = 0
    for line in snippet.text.splitlines():
        statement = line.split("#")[0].strip()
        assert not statement or statement[-1] in "{};", line
        depth += statement.count("{") - statement.count("}")
        assert depth >= 0
    assert depth == 0


@of("toml")
def test_toml_is_read(snippet: Snippet) -> None:
    assert tomllib.loads(snippet.text)


@of("json")
def test_json_is_read(snippet: Snippet) -> None:
    assert json.loads(snippet.text) is not None
