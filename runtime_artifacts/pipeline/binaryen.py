"""Optimise modules with binaryen's ``wasm-opt``.

It comes from the npm package ``binaryen``, a build of it for Node.js in one file. This is the
one program of an upstream package that runs during a build; the lock file pins it by hash like
everything else. Optimising the runtime takes half a minute, so results are kept in the cache.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.wasm.binary import PREAMBLE
from runtime_artifacts.pipeline import fetch
from runtime_artifacts.pipeline.node import node_command
from runtime_artifacts.pipeline.progress import step

__all__ = ["FLAGS", "PACKAGE", "optimise"]

PACKAGE = "binaryen"
_PROGRAM = "bin/wasm-opt"
#: What the native module uses. ``--all-features`` would write a module that engines refuse.
FLAGS = (
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-mutable-globals",
    # For speed: -Oz is 20 kB smaller, equal after compression, and fib takes 7 % longer.
    "-O3",
)
#: Seconds; a busy machine needs some forty.
_TIMEOUT = 1800


def optimise(module: bytes, tarball: Path, cache: Path) -> bytes:
    """``module``, optimised with :data:`FLAGS`, from ``cache`` if it was before.

    ``tarball`` is the package's, verified.
    """
    key = hashlib.sha256()
    for part in (fetch.integrity(tarball).encode(), " ".join(FLAGS).encode(), module):
        key.update(hashlib.sha256(part).digest())
    path = cache / f"wasm-opt-{key.hexdigest()[:32]}.bin"
    found = _read_cached(path)
    if found is None:
        with step("optimising the native module"):
            found = _run(module, tarball)
        _write_cached(path, found)
    return found


def _run(module: bytes, tarball: Path) -> bytes:
    program = fetch.read_members(tarball, _PROGRAM.__eq__).get(_PROGRAM)
    if program is None:
        raise ArtifactError(f"{PACKAGE} has no file {_PROGRAM}")
    with tempfile.TemporaryDirectory(prefix="wasm-opt-") as folder:
        # The package says "CommonJS" in a package.json beside it; the suffix says it as well.
        script, source, target = (Path(folder) / n for n in ("wasm-opt.cjs", "in.wasm", "out.wasm"))
        script.write_bytes(program)
        source.write_bytes(module)
        command = [*node_command(), str(script), *FLAGS, str(source), "-o", str(target)]
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
            raise ArtifactError(f"wasm-opt could not run: {error}") from error
        result = target.read_bytes() if target.is_file() else b""
    if done.returncode or not result.startswith(PREAMBLE):
        said = done.stdout.decode(errors="replace").strip()[-2000:]
        raise ArtifactError(f"wasm-opt failed (exit code {done.returncode}): {said}")
    return result


def _read_cached(path: Path) -> bytes | None:
    """Content of a cache file, which begins with its hash; None if it is missing or damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    size = hashlib.sha256().digest_size
    return data[size:] if hashlib.sha256(data[size:]).digest() == data[:size] else None


def _write_cached(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(hashlib.sha256(content).digest() + content)
    Path(file.name).replace(path)
