"""What the .NET SDK writes: a program or function among its dependencies."""

from __future__ import annotations

from pathlib import Path

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.programs.folders import main_assembly
from dotnet_wasm_host.programs.program import read_program


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """As ``dotnet publish`` leaves it: two programs would be two such marks."""
    library = dwh.compile_csharp("public static class L { public static int V => 6; }",
                                 assembly_name="Lib")  # fmt: skip
    library.save(tmp_path)
    tool = read_program('Console.Write("tool");').assembly
    (tmp_path / "tool.dll").write_bytes(tool.data)
    program = read_program("#:property AssemblyName=Main\nreturn L.V;", references=[library])
    (tmp_path / "Main.dll").write_bytes(program.assembly.data)
    (tmp_path / "Main.runtimeconfig.json").write_text("{}")
    (tmp_path / "native.dll").write_bytes(b"MZ no .NET")
    return tmp_path


def test_a_published_folder_runs_with_what_lies_in_it(published: Path) -> None:
    assert dwh.run_csharp(published).returncode == 6
    assert dwh.run_csharp(published / "Main.dll").returncode == 6


def test_a_dll_that_is_no_build_output_stands_alone(published: Path) -> None:
    (published / "Main.runtimeconfig.json").unlink()
    with pytest.raises(dwh.MarshallingError, match=r"Main\.dll, tool\.dll"):
        main_assembly(published)
    done = dwh.run_csharp(published / "Main.dll")
    assert "'Lib" in done.stderr
    assert done.returncode == 134
    assert dwh.run_csharp(published / "Main.dll", references=published).returncode == 6


def test_the_only_program_among_libraries_is_the_one(published: Path) -> None:
    (published / "Main.runtimeconfig.json").unlink()
    (published / "tool.dll").unlink()
    assert main_assembly(published).name == "Main.dll"


def test_a_folder_without_a_program_says_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(dwh.MarshallingError, match="found no DLL; give the DLL"):
        dwh.run_csharp(tmp_path)
