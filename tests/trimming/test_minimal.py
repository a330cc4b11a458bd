"""The smallest set: its size, and that it runs functions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.trimming.trimmer import TrimmedSet, TrimOptions, trim
from tests.trimming.conftest import NO_EMIT, WARM_UP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import CompiledSources

FUNCTION = """
using System;
public sealed class Function : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        if (input.Length == 1) throw new ArgumentException("boo");
        if (input.Length == 2) { object? nothing = null; return new byte[nothing!.GetHashCode()]; }
        return input.ToArray();
    }
}
"""


def test_the_dispatcher_is_small(minimal: TrimmedSet) -> None:
    sizes = {name: a.bytes for name, a in minimal.report.assemblies.items() if name != WARM_UP}
    assert set(sizes) == {"MinimalRuntime", "System.Private.CoreLib", "System.Collections"}
    assert sum(sizes.values()) < 1_110_000


def test_the_same_input_gives_the_same_bytes(
    framework: Mapping[str, bytes], minimal: TrimmedSet
) -> None:
    # In another order, which the result must not depend on.
    assemblies = {n: framework[n] for n in sorted(framework, reverse=True)}
    again = trim(assemblies, TrimOptions(roots=("MinimalRuntime", WARM_UP), features=NO_EMIT))
    assert {n: hashlib.sha256(d).hexdigest() for n, d in again.assemblies.items()} == {
        n: hashlib.sha256(d).hexdigest() for n, d in minimal.assemblies.items()
    }


def test_it_runs_a_function_that_was_no_root(
    minimal_image: dwh.RuntimeImage, compiled: CompiledSources
) -> None:
    with dwh.Runtime(minimal_image) as runtime:
        runtime.load_assembly("f", compiled(FUNCTION))
        assert runtime.invoke("f", b"hello") == b"hello"
        with pytest.raises(dwh.InvocationError, match="boo") as failed:
            runtime.invoke("f", b"1")
        assert failed.value.dotnet_type == "System.ArgumentException"
        with pytest.raises(dwh.InvocationError, match="Object reference not set") as failed:
            runtime.invoke("f", b"22")
        assert failed.value.dotnet_type == "System.NullReferenceException"


def test_the_report_says_why_something_is_there(minimal: TrimmedSet) -> None:
    way = minimal.report.why("System.Text.UTF8Encoding")
    assert way[0] == "System.Text.UTF8Encoding"
    assert way[-1] in {"MinimalRuntime", WARM_UP, "a root"}
