"""Optimise and merge modules with binaryen's ``wasm-opt`` and ``wasm-merge``.

They come from the npm package ``binaryen``, a build of it for Node.js in one file each. These are
the programs of an upstream package that run during a build; the lock file pins them by hash like
everything else. Optimising the runtime takes half a minute, so results are kept in the cache.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.wasm.binary import PREAMBLE
from runtime_artifacts.pipeline import fetch
from runtime_artifacts.pipeline.kept_results import keep, kept, key_of
from runtime_artifacts.pipeline.node import node_command
from runtime_artifacts.pipeline.progress import step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FLAGS", "PACKAGE", "PRUNE_FLAGS", "merge", "optimise"]

PACKAGE = "binaryen"
#: What the native module uses. ``--all-features`` would write a module that engines refuse.
_FEATURES = (
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-mutable-globals",
)
FLAGS = (
    *_FEATURES,
    # For speed: -Oz is 20 kB smaller, equal after compression, and fib takes 7 % longer.
    "-O3",
)
#: Nothing but what no export reaches is taken out.
PRUNE_FLAGS = (*_FEATURES, "--remove-unused-module-elements")
#: One memory is left in the end.
_MERGE_FLAGS = (*_FEATURES, "--enable-multimemory")
#: Seconds; a busy machine needs some forty.
_TIMEOUT = 1800


def optimise(module: bytes, tarball: Path, cache: Path, flags: Sequence[str] = FLAGS) -> bytes:
    """``module``, optimised with ``flags``, from ``cache`` if it was before.

    ``tarball`` is the package's, verified.
    """
    program = _Program("wasm-opt", tarball, cache)
    return program.run({"in.wasm": module}, flags, ["in.wasm"], "optimising a module")


def merge(modules: Mapping[str, bytes], tarball: Path, cache: Path) -> bytes:
    """One module of several; each imports what others export under their name in ``modules``."""
    files = {f"{name}.wasm": module for name, module in modules.items()}
    named = [part for name in modules for part in (f"{name}.wasm", name)]
    program = _Program("wasm-merge", tarball, cache)
    return program.run(files, [*_MERGE_FLAGS, *named], [], "linking the standalone module")


@dataclass(frozen=True)
class _Program:
    """A program of the package, whose results are kept."""

    name: str
    tarball: Path
    cache: Path

    def run(
        self,
        files: Mapping[str, bytes],
        arguments: Sequence[str],
        inputs: Sequence[str],
        what: str,
    ) -> bytes:
        """What it makes of ``files`` with ``arguments``, and ``inputs`` behind them."""
        parts = (fetch.integrity(self.tarball).encode(), " ".join(arguments).encode())
        path = self.cache / f"{self.name}-{key_of((*parts, *files.values()))}.bin"
        found = kept(path)
        if found is None:
            with step(what):
                found = self._run(files, [*arguments, *inputs])
            keep(path, found)
        return found

    def _run(self, files: Mapping[str, bytes], arguments: Sequence[str]) -> bytes:
        member = f"bin/{self.name}"
        program = fetch.read_members(self.tarball, member.__eq__).get(member)
        if program is None:
            raise ArtifactError(f"{PACKAGE} has no file {member}")
        with tempfile.TemporaryDirectory(prefix=f"{self.name}-") as folder:
            # The package says "CommonJS" in a package.json beside it; the suffix says it as well.
            script, target = (Path(folder) / n for n in (f"{self.name}.cjs", "out.wasm"))
            script.write_bytes(program)
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            command = [*node_command(), str(script), *arguments, "-o", str(target)]
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
                raise ArtifactError(f"{self.name} could not run: {error}") from error
            result = target.read_bytes() if target.is_file() else b""
        if done.returncode or not result.startswith(PREAMBLE):
            said = done.stdout.decode(errors="replace").strip()[-2000:]
            raise ArtifactError(f"{self.name} failed (exit code {done.returncode}): {said}")
        return result
