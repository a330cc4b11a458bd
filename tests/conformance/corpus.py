""".NET's own library tests: where they are, and the units that they are compiled in.

They are those of dotnet/corefx, the ancestor of ``src/libraries`` in dotnet/runtime, as of July
2020. They are fetched when they are wanted, and never committed.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

__all__ = ["FOLDER", "SOURCE", "Unit", "fetch", "units"]

#: Where they are fetched to, which Git ignores.
FOLDER = Path(__file__).parent / ".corpus"
SOURCE = "https://github.com/dotnet/corefx"
_TAG = "master"
_COMMIT = "b8b81a66738bb10ef0790023598396861d92b2c4"
_UNITS = Path(__file__).parent / "units.json"
#: What is read of the repository: sources and texts that are test data.
_SUFFIXES = frozenset({".cs", ".txt", ".xml", ".json", ".resx", ".csproj"})


class Unit(NamedTuple):
    """Test files that are compiled into one assembly.

    Attributes:
        name: short, ``Area.What``.
        sources: path in the repository's ``src`` to text.
    """

    name: str
    sources: Mapping[str, str]


def fetch(source: str = SOURCE, folder: Path = FOLDER) -> int:
    """Write the test files of a repository into ``folder``; how many.

    Args:
        source: address of a Git repository, or the folder of one on this machine.
        folder: where they get, under ``src``.

    Raises:
        CalledProcessError: Git said no.
    """
    repository = Path(source)
    if not repository.is_dir():
        repository = folder / ".git"
        shallow = ("clone", "--quiet", "--bare", "--depth", "1", "--branch", _TAG)
        if not repository.is_dir():
            subprocess.run(["git", *shallow, source, str(repository)], check=True)
    projects = sorted({path.split("/tests/")[0] for path in _patterns()})
    folders = [f"src/{project}/tests" for project in projects]
    listed = _git(repository, "ls-tree", "-r", _COMMIT, "--", *folders).decode()
    blobs = {}
    for line in listed.splitlines():
        description, _, path = line.partition("\t")
        if PurePosixPath(path).suffix in _SUFFIXES:
            blobs[path] = description.split()[2]
    return sum(_write(folder / path, content) for path, content in _read(repository, blobs))


def _patterns() -> Iterator[str]:
    described = json.loads(_UNITS.read_text(encoding="utf-8"))
    for unit in described["units"].values():
        yield from _paths(unit, described["support"])


def _git(repository: Path, *command: str, stdin: bytes = b"") -> bytes:
    git = ["git", "-c", "safe.directory=*", f"--git-dir={repository}", *command]
    return subprocess.run(git, input=stdin, stdout=subprocess.PIPE, check=True).stdout


def _read(repository: Path, blobs: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """What a copy of the repository lacks is left out."""
    answer = _git(
        repository, "cat-file", "--batch", stdin="".join(f"{b}\n" for b in blobs.values()).encode()
    )
    position = 0
    for path in blobs:
        end = answer.index(b"\n", position)
        words = answer[position:end].split()
        position = end + 1
        if len(words) == 3:
            size = int(words[2])
            yield path, answer[position : position + size]
            position += size + 1


def _write(path: Path, content: bytes) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return 1


def units(folder: Path = FOLDER, wanted: Sequence[str] = ()) -> list[Unit]:
    """The units, or those whose names have one of the texts in ``wanted``.

    Raises:
        FileNotFoundError: the tests are not there.
    """
    root = folder / "src"
    if not root.is_dir():
        raise FileNotFoundError(
            f"expected .NET's library tests in {folder}, which has none; "
            "fetch them with 'python -m tests.conformance fetch'"
        )
    described = json.loads(_UNITS.read_text(encoding="utf-8"))
    found = []
    for name, unit in described["units"].items():
        if wanted and not any(text in name for text in wanted):
            continue
        left_out = _matching(root, [*described["without"], *unit.get("without", ())])
        paths = _matching(root, _paths(unit, described["support"]))
        sources = {p.relative_to(root).as_posix(): _text(p) for p in paths if p not in left_out}
        found.append(Unit(name, sources))
    return found


def _paths(unit: Mapping[str, Sequence[str]], support: Mapping[str, Sequence[str]]) -> list[str]:
    paths = list(unit["files"])
    for path in unit.get("support", ()):
        paths += support.get(path, [path])
    return paths


def _matching(root: Path, patterns: Sequence[str]) -> dict[Path, None]:
    return dict.fromkeys(path for pattern in patterns for path in sorted(root.glob(pattern)))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig", errors="replace").replace("\r\n", "\n")
