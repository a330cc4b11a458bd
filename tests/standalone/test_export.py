"""``RuntimeImage.export_wasm``: a snapshot in hosts that know nothing of this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from tests.standalone.conftest import GREETER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CompiledSources
    from tests.standalone.hosts import PlainHosts


COUNTER = """
using System;
public sealed class Counter : MinimalRuntime.IFunctionHandler {
    private static byte calls;
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        input.Length == 0 ? new[] { ++calls } : throw new InvalidOperationException("wrong");
}
"""


@pytest.fixture(scope="module")
def snapshot(compiled: CompiledSources) -> dwh.RuntimeImage:
    """Two functions, one of which was called twice."""
    with dwh.Runtime("minimal") as runtime:
        runtime.load_assembly("count", compiled(COUNTER))
        runtime.load_assembly("greet", compiled(GREETER))
        for _ in range(2):
            runtime.invoke("count")
        return runtime.snapshot("warm")


def test_a_snapshot_goes_on_where_it_was(
    hosts: PlainHosts, snapshot: dwh.RuntimeImage, tmp_path: Path
) -> None:
    module = snapshot.export_wasm(tmp_path / "warm.wasm")
    assert (tmp_path / "warm.wasm").read_bytes() == module.data
    assert module.description is not None
    assert module.description.image == "minimal"
    assert {f.function_id for f in module.description.functions} == {"count", "greet"}
    host = hosts.started(module.data)
    assert host.invoke("count") == (0, b"\3")
    assert host.invoke("greet", b"Ada") == (0, b"Hello, Ada!")
    assert host.invoke("count", b"throw") == (1, b"")
    assert host.last_error() == ("System.InvalidOperationException", "wrong")
    assert host.unload("greet") == 0
    # The image itself is as it was.
    with dwh.Runtime(snapshot) as runtime:
        assert runtime.invoke("count") == b"\3"


def test_a_built_in_image_is_a_base_layer(
    hosts: PlainHosts, compiled: CompiledSources, tmp_path: Path
) -> None:
    image = dwh.RuntimeImage.load("minimal")
    module = image.export_wasm(tmp_path / "base.wasm", wasi="full", js_log=False)
    host = hosts.started(module.data)
    assert host.load("f", compiled(GREETER).data) == 0
    assert host.invoke("f", b"Ada") == (0, b"Hello, Ada!")


def test_what_cannot_be_exported_is_not_written(snapshot: dwh.RuntimeImage, tmp_path: Path) -> None:
    path = tmp_path / "no.wasm"
    with pytest.raises(dwh.StandaloneBuildError, match="one function for a command, found 2"):
        snapshot.export_wasm(path, target="command")
    with pytest.raises(dwh.LimitExceeded, match="a module of at most"):
        snapshot.export_wasm(path, max_bytes=1 << 20)
    with pytest.raises(ValueError, match="expected layout"):
        snapshot.export_wasm(path, layout="thin")  # type: ignore[arg-type]
    assert not path.exists()


def test_methods_with_entries_are_refused(tmp_path: Path) -> None:
    image = dwh.RuntimeImage.load("minimal", jit="auto")
    with pytest.raises(dwh.StandaloneBuildError, match="jit='off'"):
        image.export_wasm(tmp_path / "no.wasm")
