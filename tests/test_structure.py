"""The structure of the package: no circles, few loose modules, no long files, stable names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = "dotnet_wasm_host"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE
MAX_LOOSE_MODULES = 8
MAX_LINES = 500
#: What a screen shows; a docstring is read on its own.
MAX_FUNCTION_LINES = 60


def module_files(root: Path) -> dict[str, Path]:
    """Dotted name to file of every module below a package's folder."""
    files = {}
    for file in sorted(root.rglob("*.py")):
        parts = (root.name, *file.relative_to(root).with_suffix("").parts)
        files[".".join(parts).removesuffix(".__init__")] = file
    return files


def imports_of(file: Path, modules: dict[str, Path]) -> set[str]:
    """Modules of the package that a file imports anywhere: in functions and under
    TYPE_CHECKING, too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.add(submodule if submodule in modules else str(node.module))
    return found & modules.keys()


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every set of modules that import each other, each sorted (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1 or node in graph[node]:
                found.append(sorted(component))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def graph_of(root: Path) -> dict[str, set[str]]:
    modules = module_files(root)
    # The package's own __init__ gathers the public names; it is the only exception.
    return {
        name: imports_of(file, modules) - {root.name}
        for name, file in modules.items()
        if name != root.name
    }


def test_no_module_imports_itself_in_a_circle() -> None:
    assert circles(graph_of(ROOT)) == []


def test_no_room_imports_itself_in_a_circle() -> None:
    """Rooms are the folders; an import between two files is one between their rooms."""
    rooms: dict[str, set[str]] = {}
    for name, imported in graph_of(ROOT).items():
        parts = name.split(".")
        for depth in range(1, len(parts)):
            here = ".".join(parts[:depth])
            for other in imported:
                if other.startswith(f"{here}.") and other.split(".")[depth] != parts[depth]:
                    room = ".".join(parts[: depth + 1])
                    rooms.setdefault(room, set()).add(".".join(other.split(".")[: depth + 1]))
    complete = {room: others & rooms.keys() for room, others in rooms.items()}
    assert circles(complete) == []


@pytest.mark.parametrize(
    "source",
    [
        "from sample import b",
        "from sample.b import name",
        "import sample.b",
        "def f():\n    from sample.b import name",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sample.b import name",
    ],
)
def test_a_circle_is_found(tmp_path: Path, source: str) -> None:
    root = tmp_path / "sample"
    root.mkdir()
    (root / "__init__.py").write_text("import sample.a")
    (root / "a.py").write_text(source)
    (root / "b.py").write_text("from sample.c import thing")
    (root / "c.py").write_text("import sample.a")
    (root / "d.py").write_text("import sample.c")
    assert circles(graph_of(root)) == [["sample.a", "sample.b", "sample.c"]]


def layers_of(container: str) -> list[list[str]] | None:
    """The layers of the exhaustive contract inside of a package; ``None`` without one."""
    settings = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in settings["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers" and container in contract["containers"]:
            assert contract["exhaustive"]
            return [layer.split(" | ") for layer in contract["layers"]]
    return None


def test_a_folder_of_many_modules_has_layers() -> None:
    crowded = [
        ".".join((PACKAGE, *folder.relative_to(ROOT).parts))
        for folder in (ROOT, *(file.parent for file in ROOT.rglob("__init__.py")))
        if len([file for file in folder.glob("*.py") if file.stem != "__init__"])
        > MAX_LOOSE_MODULES
    ]
    assert [name for name in crowded if layers_of(name) is None] == []


def test_the_architecture_draws_the_layers() -> None:
    page = (ROOT.parent / "docs/architecture.md").read_text(encoding="utf-8")
    drawing = page.partition("```text\n")[2].partition("\n```")[0]
    drawn = [set(line[:44].split()) for line in drawing.splitlines()]
    layers = layers_of(PACKAGE)
    assert layers is not None
    assert drawn == [set(layer) for layer in layers]


@pytest.mark.parametrize("room", ["runtime", "pool", "worker", "engines/wasmtime"])
def test_the_architecture_names_the_modules_of(room: str) -> None:
    page = (ROOT.parent / "docs/architecture.md").read_text(encoding="utf-8")
    section = re.split(rf"`{room}/?`", page, maxsplit=1)[1].partition("\n## ")[0]
    listing = section.partition("```text\n")[2].partition("\n```")[0]
    modules = {file.stem for file in (ROOT / room).glob("*.py")} - {"__init__"}
    named = set(re.findall(r"\w+", listing)) | {
        module for module in modules if any(m.match(module) for m in patterns(listing))
    }
    assert modules - named == set()


def patterns(listing: str) -> list[re.Pattern[str]]:
    """``*_routes`` stands for every module of that ending."""
    found = re.findall(r"(?:^|\s)(\*\w+)", listing)
    return [re.compile(pattern.replace("*", r"\w+") + "$") for pattern in found]


def test_few_modules_stand_loose() -> None:
    assert len([file for file in ROOT.glob("*.py") if file.stem != "__init__"]) <= MAX_LOOSE_MODULES


def test_no_file_is_long() -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for file in module_files(ROOT).values()
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef, *, signature: bool) -> int:
    """Lines of a function without its docstring, with its signature or without it."""
    body = function.body
    if ast.get_docstring(function) is not None and len(body) > 1:
        body = body[1:]
    lines = (function.end_lineno or 0) - body[0].lineno + 1
    return lines + function.body[0].lineno - function.lineno if signature else lines


def test_no_function_is_longer_than_a_screen() -> None:
    """The signature of a command is the list of its options, which its help shows."""
    folders = [ROOT, *(ROOT.parent / name for name in ("runtime_artifacts", "benchmarks"))]
    long = {
        f"{file.relative_to(ROOT.parent)}:{node.name}": lines
        for folder in folders
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := length_of(node, signature=file.parent.name != "cli")) > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_submodules_do_not_take_the_place_of_public_names() -> None:
    """``import package.name`` puts a submodule where a function of that name was."""
    program = f"""
import importlib, pkgutil
import {PACKAGE} as package
before = {{name: getattr(package, name) for name in package.__all__}}
for module in pkgutil.walk_packages(package.__path__, "{PACKAGE}."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        optional = ("{PACKAGE}.engines.wasmer", "{PACKAGE}.pool.carriers.")
        if not module.name.startswith(optional):
            raise
changed = [name for name in package.__all__ if getattr(package, name) is not before[name]]
print(changed)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
