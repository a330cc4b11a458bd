from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

ECHO = """
public sealed class Echo : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(System.ReadOnlySpan<byte> input) => input.ToArray();
}
"""


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    yield
    dwh.DotnetFunction.release()


@pytest.fixture(scope="session")
def echo() -> dwh.DotnetFunction:
    return dwh.DotnetFunction(dwh.compile_csharp(ECHO))


@pytest.fixture
def scores() -> Iterator[dwh.CSharpModule]:
    with dwh.csharp("public static double Score(double a, double b) => a * 2 + b;") as module:
        yield module
