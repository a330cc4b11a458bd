"""Units as assemblies: what does not compile is cut out, and the rest is kept in a cache."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import dotnet_wasm_host as dwh
from tests.conformance.corpus import FOLDER, Unit
from tests.conformance.cutting import cut

__all__ = ["CACHE", "Built", "build", "key_of", "xunit"]

CACHE = FOLDER / "built"
_XUNIT = Path(__file__).parent / "xunit"
_HANDLER = "public sealed class TestsOfThis__ : Conformance.Tests { }"
#: What is cut out may be used elsewhere, and so on.
_MOST_ROUNDS = 15


@dataclass(slots=True)
class Built:
    """A unit that was compiled.

    Attributes:
        key: of the sources.
        shim: of the stand-in for xunit that they were compiled against.
        removed: members, types and files that do not compile, each with its first error.
        error: why there is no assembly.
    """

    key: str
    shim: str
    removed: list[str] = field(default_factory=list)
    error: str = ""

    def assembly(self, cache: Path) -> Path:
        """Where the compiled unit is."""
        return cache / f"{self.key}.dll"


def xunit(cache: Path = CACHE) -> Path:
    """The stand-in for xunit and dotnet/arcade, compiled."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in sorted(_XUNIT.glob("*.cs"))}
    path = cache / f"{_hash(sources.items())}.xunit.dll"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        assembly = dwh.compile_csharp(sources, assembly_name="Conformance.Xunit", nullable=False)
        _write(path, assembly.data)
    return path


def build(unit: Unit, cache: Path = CACHE) -> Built:
    """Compile a unit, unless the cache has it."""
    shim = xunit(cache)
    built = Built(key_of(unit), shim.stem)
    description = cache / f"{built.key}.json"
    if description.exists():
        known = Built(**json.loads(description.read_text(encoding="utf-8")))
        # What compiled as it is needs no other stand-in. Of the others more may compile with it.
        if known.shim == built.shim or not (known.removed or known.error):
            return known
    _compile(unit, shim, built, cache)
    _write(description, json.dumps(asdict(built), indent=1).encode())
    return built


def key_of(unit: Unit) -> str:
    """A hash of what a unit is compiled of."""
    return _hash(unit.sources.items())


def _compile(unit: Unit, shim: Path, built: Built, cache: Path) -> None:
    sources = dict(unit.sources)
    name = re.sub(r"\W", "_", unit.name) + "_tests"
    for _ in range(_MOST_ROUNDS):
        try:
            assembly = dwh.compile_csharp(
                {**sources, "TestsOfThis.cs": _HANDLER},
                assembly_name=name,
                references=[shim],
                nullable=False,
                implicit_usings=False,
            )
        except dwh.CompilationError as error:
            if not (removed := _without_errors(sources, error.diagnostics)):
                built.error = str(error)
                return
            built.removed += removed
        else:
            _write(built.assembly(cache), assembly.data)
            return
    built.error = f"still wrong after {_MOST_ROUNDS} rounds"


def _without_errors(sources: dict[str, str], diagnostics: Iterable[dwh.Diagnostic]) -> list[str]:
    """Take out of the sources what has errors; what that was."""
    wrong: dict[str, dict[int, str]] = {}
    for found in diagnostics:
        if found.severity == "error" and found.file in sources:
            lines = wrong.setdefault(found.file, {})
            lines.setdefault(found.line, f"{found.id} {found.message}")
    removed = []
    for file, lines in wrong.items():
        reason = next(iter(lines.values()))
        text, names = cut(sources[file], lines)
        if names:
            sources[file] = text
            removed += [f"{file}: {name} <= {reason}" for name in names]
        else:
            del sources[file]
            removed.append(f"{file} <= {reason}")
    return removed


def _hash(items: Iterable[tuple[str, str]]) -> str:
    digest = hashlib.sha256(repr((sorted(items), _HANDLER)).encode())
    digest.update((Path(__file__).parent / "cutting.py").read_bytes())
    return digest.hexdigest()[:24]


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: several processes write."""
    temporary = path.with_suffix(f".{hashlib.sha256(content).hexdigest()[:8]}.part")
    temporary.write_bytes(content)
    temporary.replace(path)
