"""Programs: assemblies with an entry point, from source or from a file."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from dotnet_wasm_host.assembly import (
    Assembly,
    Library,
    MalformedImage,
    identify,
    read_dependencies,
)
from dotnet_wasm_host.ecma335.metadata import has_entry_point
from dotnet_wasm_host.errors import AssemblyLoadError, MarshallingError
from dotnet_wasm_host.packages.errors import PackageError
from dotnet_wasm_host.packages.references import PackageLibraries
from dotnet_wasm_host.programs.directives import error_at, read_files
from dotnet_wasm_host.programs.folders import is_build_output, main_assembly
from dotnet_wasm_host.roslyn import CompilerOptions, CSharpCompiler
from dotnet_wasm_host.roslyn.compiler import PROGRAM_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dotnet_wasm_host.assembly import DependencySource
    from dotnet_wasm_host.packages.references import PackageReference, PackageResolver
    from dotnet_wasm_host.roslyn.options import OutputKind

__all__ = ["Program", "ProgramSource", "find_packages", "read_program", "read_references"]

_NAME = re.compile(r"\w[\w.-]*")
_TAKEN = ("Microsoft.", "MinimalRuntime", "System", "mscorlib", "netstandard")
#: Text, a ``.cs`` or ``.dll`` file, or file names with their texts.
ProgramSource = "str | PathLike[str] | Mapping[str, str]"


@dataclass(frozen=True, slots=True)
class Program:
    """An assembly and what it refers to, by simple name."""

    assembly: Assembly
    dependencies: Mapping[str, bytes]

    @property
    def has_entry_point(self) -> bool:
        """Whether it is a program; otherwise it may have a handler."""
        return has_entry_point(self.assembly.data)


def read_program(
    source: str | PathLike[str] | Mapping[str, str],
    references: DependencySource = (),
    *,
    output: OutputKind = "program",
    timeout: float | None = None,
    progress: Callable[[str], object] | None = None,
    packages: Sequence[PackageReference] = (),
    resolver: PackageResolver | None = None,
) -> Program:
    """A program from source text, a ``.cs`` file, a ``.dll`` file, or several files' texts.

    Args:
        source: text is C#; a path is a :class:`~pathlib.Path`, also of a folder that ``dotnet
            publish`` wrote. What the SDK put beside a DLL belongs to the program.
        references: what the program uses.
        output: ``"detect"`` if it may be a library with a handler as well.
        timeout: seconds that finding packages and compiling may take together.
        progress: told what is being built when the compiler is used for the first time.
        packages: what the program uses, beside what it asks for with ``#:package``.
        resolver: finds packages; without one a program that asks for some is refused.

    Raises:
        CompilationError: the source has errors.
        AssemblyLoadError: the file is neither C# nor a .NET assembly.
        PackageError: a package cannot be had or used.
        MarshallingError: the source or a reference is not what it should be.
    """
    started = time.monotonic()
    dependencies = read_references(references)
    name = PROGRAM_NAME
    if isinstance(source, PathLike):
        path = Path(source)
        if path.is_dir():
            path = main_assembly(path)
        content = path.read_bytes()
        if path.suffix.lower() == ".dll" or content[:2] == b"MZ":
            own = _read_assembly(path, content)
            brought = find_packages(packages, resolver).libraries
            known = {**brought, **_read_beside(path), **dependencies}
            known.pop(own.name, None)
            return Program(own, known)
        if path.suffix.lower() != ".cs" and content[:2] != b"#!":
            raise MarshallingError(
                f"{path} is not C#: expected a .cs or .dll file, or one that begins with '#!'; "
                "rename it, or add that line"
            )
        source = {path.name: _decode(path, content)}
        name = _program_name(path)
    files = read_files(source, CompilerOptions(output=output))
    found = find_packages([*packages, *files.packages], resolver)
    assembly = CSharpCompiler.load(progress=progress).compile(
        files.texts,
        assembly_name=files.assembly_name or name,
        references=[*{**found.references, **dependencies}.values()],
        options=files.options,
        timeout=None if timeout is None else max(timeout - (time.monotonic() - started), 1e-3),
    )
    return Program(assembly, {**found.libraries, **dependencies})


def read_references(references: DependencySource) -> dict[str, bytes]:
    """References by simple name. MarshallingError for what is none."""
    try:
        return read_dependencies(references)
    except MalformedImage as error:
        raise MarshallingError(
            f"a reference is not a .NET assembly: {error}; give a .dll of .NET"
        ) from error
    except OSError as error:
        raise MarshallingError(
            f"a reference cannot be read: {error}; give the path of a .dll"
        ) from error


def _read_beside(path: Path) -> dict[str, bytes]:
    """What the SDK put beside the assembly of a project."""
    return read_references(path.parent) if is_build_output(path) else {}


def find_packages(
    wanted: Sequence[PackageReference], resolver: PackageResolver | None
) -> PackageLibraries:
    """Packages with what they need. CompilationError or PackageError if nobody can find them."""
    if not wanted:
        return PackageLibraries({}, {})
    if resolver is None:
        first = wanted[0]
        message = (
            f"package {first.name} is wanted and no source of packages was given; give "
            "package_sources (--package-source), for example a folder of .nupkg files"
        )
        if first.file:
            raise error_at(first.file, first.line, message)
        raise PackageError(message)
    return resolver(wanted)


def _read_assembly(path: Path, content: bytes) -> Assembly:
    try:
        pdb = Library(content, str(path)).symbols()
        return Assembly(identify(content).name, content, pdb=pdb)
    except MalformedImage as error:
        raise AssemblyLoadError(
            path.name,
            "System.BadImageFormatException",
            f"{path} is not a .NET assembly: {error}; give a .dll of .NET",
        ) from error


def _program_name(path: Path) -> str:
    """The name of the file, unless no assembly can have it or the base library might."""
    is_free = _NAME.fullmatch(path.stem) and not path.stem.startswith(_TAKEN)
    return path.stem if is_free else PROGRAM_NAME


def _decode(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MarshallingError(
            f"{path} is neither C# in UTF-8 nor a .NET assembly: {error.reason} at byte "
            f"{error.start}; give a .cs or .dll file"
        ) from error
    if "\0" in text:
        raise MarshallingError(
            f"{path} is neither C# nor a .NET assembly: it holds NUL; give a .cs or .dll file"
        )
    return text
