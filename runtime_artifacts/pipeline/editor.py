"""The C# editor of the worker's page: CodeMirror, bundled into one file by esbuild.

Both come from npm packages that the lock file pins. esbuild is the build of it in WebAssembly,
which is the same on every machine and needs no installation. Of each package of CodeMirror one
file is used. It is written under a name that is chosen here, so nothing of a tarball decides
where anything is written; no program of these packages but esbuild's runs.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import ArtifactError
from runtime_artifacts.pipeline import fetch
from runtime_artifacts.pipeline.kept_results import keep, kept, key_of
from runtime_artifacts.pipeline.node import node_command
from runtime_artifacts.pipeline.progress import note, step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime_artifacts.pipeline.build import Sources

__all__ = ["BUNDLER", "EDITOR", "LICENCES", "MODULES", "collect", "dependencies"]

#: Names in dist.
EDITOR = "page/editor.js"
LICENCES = "licenses/codemirror.txt"
BUNDLER = "esbuild-wasm"
_BUNDLER_FILES = ("bin/esbuild", "esbuild.wasm", "wasm_exec.js", "wasm_exec_node.js")
#: Package to the one file of it that is used, and what it is imported as.
MODULES: Mapping[str, tuple[str, str]] = {
    "@codemirror/autocomplete": ("dist/index.js", "index.js"),
    "@codemirror/commands": ("dist/index.js", "index.js"),
    "@codemirror/language": ("dist/index.js", "index.js"),
    "@codemirror/legacy-modes": ("mode/clike.js", "mode/clike.js"),
    "@codemirror/lint": ("dist/index.js", "index.js"),
    "@codemirror/search": ("dist/index.js", "index.js"),
    "@codemirror/state": ("dist/index.js", "index.js"),
    "@codemirror/streamparser": ("dist/index.js", "index.js"),
    "@codemirror/view": ("dist/index.js", "index.js"),
    "@lezer/common": ("dist/index.js", "index.js"),
    "@lezer/highlight": ("dist/index.js", "index.js"),
    "@lezer/lr": ("dist/index.js", "index.js"),
    "@marijn/find-cluster-break": ("src/index.js", "index.js"),
    "crelt": ("index.js", "index.js"),
    "style-mod": ("src/style-mod.js", "index.js"),
    "w3c-keyname": ("index.js", "index.js"),
}
_FLAGS = (
    "--bundle",
    "--format=esm",
    "--minify",
    "--charset=utf8",
    "--target=es2022",
    "--legal-comments=none",
    "--banner:js=/* CodeMirror 6 (MIT); see licenses/codemirror.txt of the package */",
    "--log-level=warning",
)
#: Seconds; a busy machine needs some fifteen.
_TIMEOUT = 600


def collect(sources: Sources) -> dict[str, bytes]:
    """The bundle and the licences of what is in it, by name in dist.

    Nothing where the packages cannot be fetched or there is no Node.js: the page has a plain text
    field then, and says so.
    """
    entry = sources.editor.read_bytes()
    try:
        tarballs = {name: sources.fetch(name) for name in (*MODULES, BUNDLER)}
        hashes = [fetch.integrity(path).encode() for path in tarballs.values()]
        path = sources.cache / f"editor-{key_of((' '.join(_FLAGS).encode(), *hashes, entry))}.bin"
        bundle = kept(path)
        if bundle is None:
            with step("bundling the editor of the worker's page"):
                bundle = _bundle(entry, tarballs)
            keep(path, bundle)
    except ArtifactError as error:
        note(f"the worker's page will have a plain text field, no editor: {error}")
        return {}
    return {EDITOR: bundle, LICENCES: _licences(tarballs)}


def dependencies(tarball: Path) -> set[str]:
    """Names of the packages that one needs."""
    [content] = fetch.read_members(tarball, "package.json".__eq__).values()
    return set(json.loads(content).get("dependencies", {}))


def _bundle(entry: bytes, tarballs: Mapping[str, Path]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="editor-") as name:
        folder = Path(name)
        for package, (member, target) in MODULES.items():
            _write(folder / "node_modules" / package / target, _member(tarballs[package], member))
        for member in _BUNDLER_FILES:
            _write(folder / "bundler" / member, _member(tarballs[BUNDLER], member))
        _write(folder / "editor.js", entry)
        program = str(folder / "bundler" / _BUNDLER_FILES[0])
        command = [*node_command(), program, "editor.js", *_FLAGS, "--outfile=out.js"]
        try:
            done = subprocess.run(  # noqa: S603 - a pinned program on files of our own
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ArtifactError(f"{BUNDLER} could not run: {error}") from error
        result = folder / "out.js"
        if done.returncode or not result.is_file():
            said = done.stdout.decode(errors="replace").strip()[-2000:]
            raise ArtifactError(f"{BUNDLER} failed (exit code {done.returncode}): {said}")
        return result.read_bytes()


def _member(tarball: Path, member: str) -> bytes:
    content = fetch.read_members(tarball, member.__eq__).get(member)
    if content is None:
        raise ArtifactError(f"{tarball.name} has no file {member}; see editor.py")
    return content


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _licences(tarballs: Mapping[str, Path]) -> bytes:
    """Each text once, under the packages that have it."""
    packages: dict[bytes, list[str]] = {}
    for package in MODULES:
        packages.setdefault(_member(tarballs[package], "LICENSE").strip(), []).append(package)
    head = b"CodeMirror 6, the editor of the worker's page, is made of these packages.\n"
    parts = [f"\n{', '.join(names)}\n\n".encode() + text for text, names in packages.items()]
    return head + b"\n\n".join(parts) + b"\n"
