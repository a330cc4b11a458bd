"""What people hand in at first: C# in place of an assembly, a class without the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.guest.loading import SMALLEST_HANDLER

SOURCE = "using System;\nclass A { static void F() { } }"


@pytest.mark.parametrize("given", [SOURCE, SOURCE.encode()])
def test_source_in_place_of_an_assembly_is_called_source(given: str | bytes) -> None:
    with dwh.Runtime() as runtime, pytest.raises(dwh.AssemblyLoadError, match="compile_csharp"):
        runtime.load_assembly("f", given)


def test_a_source_file_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "f.cs").write_text("// nothing")
    with dwh.Runtime() as runtime:
        with pytest.raises(dwh.AssemblyLoadError, match="looks like C#"):
            runtime.load_assembly("f", tmp_path / "f.cs")
        with pytest.raises(dwh.AssemblyLoadError) as caught:
            runtime.load_assembly("f", b"junk")
    assert "C#" not in str(caught.value)


def test_an_assembly_without_a_handler_is_shown_the_smallest() -> None:
    with dwh.Runtime() as runtime:
        with pytest.raises(dwh.HandlerNotFound) as caught:
            runtime.load_assembly("f", dwh.compile_csharp("class A { }"))
        assert SMALLEST_HANDLER in str(caught.value)
        smallest = dwh.compile_csharp(SMALLEST_HANDLER, implicit_usings=False)
        assert runtime.load_assembly("f", smallest)(b"in") == b"in"
