from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.store import ArtifactStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ECHO = """
public sealed class Echo : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(System.ReadOnlySpan<byte> input) => input.ToArray();
}
"""
#: Set where no engine may be missing.
REQUIRED = "DOTNET_WASM_HOST_REQUIRE_CLUSTERS"


def need(package: str, command: str = "") -> None:
    """Skip a module whose engine cannot be installed here."""
    missing = [package] if importlib.util.find_spec(package) is None else []
    if command and shutil.which(command) is None:
        missing.append(command)
    # Ray has no wheels for the newest Python.
    possible = package != "ray" or sys.version_info < (3, 14)
    if missing and possible and os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, and there is no {' and no '.join(missing)}", pytrace=False)
    if missing:
        pytest.skip(
            f"NOT TESTED: no {' and no '.join(missing)} here; install the extra clusters, and "
            "openjdk-17-jre-headless or another Java for Spark",
            allow_module_level=True,
        )


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    yield
    dwh.DotnetFunction.release()


@pytest.fixture(scope="session")
def echo() -> dwh.DotnetFunction:
    return dwh.DotnetFunction(dwh.compile_csharp(ECHO))


@pytest.fixture(scope="session")
def large() -> dwh.DotnetFunction:
    """The same with a dependency of some megabytes."""
    library = ArtifactStore.locate().read("roslyn/Microsoft.CodeAnalysis.dll")
    return dwh.DotnetFunction(dwh.compile_csharp(ECHO), dependencies=[library])


@pytest.fixture
def scores() -> Iterator[dwh.CSharpModule]:
    with dwh.csharp("public static double Score(double a, double b) => a * 2 + b;") as module:
        yield module


@pytest.fixture
def dying(tmp_path: Path) -> Callable[[Any], Callable[..., Any]]:
    """What makes of a function one that kills its process when it is called first of all."""
    flag = str(tmp_path / "died")

    def make(function: Any) -> Callable[..., Any]:
        # Nothing of this module: workers cannot import it.
        def call(argument: Any) -> Any:
            import os
            import signal

            try:
                os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return function(argument)
            function(argument)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        return call

    return make
