"""Folders that the .NET SDK writes: which assembly is the main one, and what lies beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.assembly import MalformedImage
from dotnet_wasm_host.ecma335.metadata import has_entry_point
from dotnet_wasm_host.errors import MarshallingError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BUILD_MARKS", "is_build_output", "main_assembly"]

#: What the SDK writes beside the assembly of a project: its dependencies, its framework.
BUILD_MARKS = (".deps.json", ".runtimeconfig.json")
_SHOWN = 8


def is_build_output(assembly: Path) -> bool:
    """Whether a DLL lies in the output of its own project, beside what it depends on."""
    return any(assembly.with_name(assembly.stem + mark).is_file() for mark in BUILD_MARKS)


def main_assembly(folder: Path) -> Path:
    """The assembly of the project that was built or published into a folder.

    Raises:
        MarshallingError: there is none, or one cannot tell which it is.
    """
    libraries = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".dll")
    found = [file for file in libraries if is_build_output(file)]
    if not found:
        found = libraries if len(libraries) == 1 else [f for f in libraries if _is_program(f)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(file.name for file in (found or libraries)[:_SHOWN]) or "no DLL"
    raise MarshallingError(
        f"{folder}: expected a folder that 'dotnet publish' or 'dotnet-wasm-host publish' wrote, "
        f"with one program or handler, found {names}; give the DLL itself, and the folder with "
        "--dependency"
    )


def _is_program(file: Path) -> bool:
    try:
        return has_entry_point(file.read_bytes())
    except MalformedImage:
        return False
