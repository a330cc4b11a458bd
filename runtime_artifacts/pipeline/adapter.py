"""Compile the adapter's C: what makes of .NET's module one that any WASI host runs.

The compiler is clang out of PyPI's ``ziglang`` (the extra ``adapter``, 100 MB), the same version
for everybody, so the same sources give the same bytes. The result is checked in beside them and a
test compares it: neither users nor the build of the artifacts need a C compiler.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.linking.adapter_layout import ADAPTER_MEMORY
from dotnet_wasm_host.wasm.module import Module

__all__ = ["BINARY", "COMPILER_VERSION", "SOURCES", "compile_adapter"]

ROOT = Path(__file__).resolve().parents[1] / "adapter"
SOURCES = ROOT / "src"
BINARY = ROOT / "adapter.wasm"
#: Of ``ziglang``; another one may give other bytes.
COMPILER_VERSION = "0.17.1"
#: Those of the native module's memory: 32 MiB at first, 2 GiB at most.
_MEMORY = ("-Wl,--initial-memory=33554432", "-Wl,--max-memory=2147483648")
_FLAGS = (
    *("-target", "wasm32-freestanding", "-mcpu=generic+bulk_memory", "-std=c11", "-Os"),
    *("-nostdlib", "-ffreestanding", "-fno-builtin"),
    *("-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"),
    # The linker wants room for a stack, which nothing uses.
    *(
        "-Wl,--no-entry",
        "-Wl,-z,stack-size=64",
        f"-Wl,--global-base={ADAPTER_MEMORY.start}",
        *_MEMORY,
    ),
    *("-Wl,--strip-all", "-Wl,--export=layout", "-Wl,--export=__data_end"),
)
_TIMEOUT = 600


def compile_adapter(sources: Path = SOURCES) -> bytes:
    """The adapter's module, from the C files in ``sources``.

    Raises:
        ArtifactError: the compiler is not installed, of another version, or refuses the sources.
    """
    _require_compiler()
    with tempfile.TemporaryDirectory(prefix="adapter-") as folder:
        target = Path(folder) / "adapter.wasm"
        files = sorted(path.name for path in sources.glob("*.c"))
        command = [sys.executable, "-m", "ziglang", "cc", *_FLAGS, "-o", str(target), *files]
        environment = {
            **os.environ,
            "ZIG_GLOBAL_CACHE_DIR": folder,
            "ZIG_LOCAL_CACHE_DIR": folder,
        }
        done = subprocess.run(  # noqa: S603 - a pinned compiler on files of our own
            command,
            cwd=sources,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT,
            check=False,
        )
        if done.returncode:
            said = done.stdout.decode(errors="replace").strip()[-4000:]
            raise ArtifactError(f"the adapter does not compile: {said}")
        module = target.read_bytes()
    _require_room(module)
    return module


def _require_room(content: bytes) -> None:
    """ArtifactError if the adapter's data is not where Emscripten's modules have nothing."""
    module = Module.parse(content)
    exports = {export.name: export.index for export in module.exports()}
    end = module.globals()[exports["__data_end"]].value
    if end > ADAPTER_MEMORY.stop:
        raise ArtifactError(
            f"expected the adapter's data at addresses {ADAPTER_MEMORY.start} to "
            f"{ADAPTER_MEMORY.stop - 1}, found its end at {end}; allocate what is large"
        )


def _require_compiler() -> None:
    try:
        found = importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != COMPILER_VERSION:
        raise ArtifactError(
            f"compiling the adapter takes ziglang {COMPILER_VERSION}, found {found}: "
            "pip install -e '.[adapter]'"
        )
