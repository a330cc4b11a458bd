"""Programs of the system that tests need."""

from __future__ import annotations

import os
import shutil

import pytest

__all__ = ["require"]


def require(name: str, package: str, *, with_: str | None = None, path: str | None = None) -> str:
    """The path of a program; the test is skipped where there is none.

    Where ``DOTNET_WASM_HOST_REQUIRE_<NAME>`` is set, as .ci/run does, its absence is a failure.

    Args:
        name: of the program.
        package: of Debian, that has it.
        with_: the program whose variable counts for this one, too.
        path: where to look if it is not on ``PATH``.
    """
    found = shutil.which(name) or shutil.which(name, path=path)
    if found is not None:
        return found
    message = f"NOT tested, for want of {name}: install the Debian package {package}"
    variable = (with_ or name).upper().replace("-", "_")
    if os.environ.get(f"DOTNET_WASM_HOST_REQUIRE_{variable}"):
        pytest.fail(message)
    pytest.skip(message)
