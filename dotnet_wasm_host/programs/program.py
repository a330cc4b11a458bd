"""Programs: assemblies with an entry point, from source or from a file."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from dotnet_wasm_host.assembly import Assembly, MalformedImage, identify, read_dependencies
from dotnet_wasm_host.ecma335.metadata import has_entry_point
from dotnet_wasm_host.errors import AssemblyLoadError, MarshallingError, MarshallingTypeError
from dotnet_wasm_host.programs.directives import read_directives
from dotnet_wasm_host.roslyn import CompilerOptions, CSharpCompiler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.assembly import DependencySource
    from dotnet_wasm_host.roslyn.options import OutputKind

__all__ = ["Program", "ProgramSource", "compile_sources", "read_program"]

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
) -> Program:
    """A program from source text, a ``.cs`` file, a ``.dll`` file, or several files' texts.

    Args:
        source: text is C#; a path is a :class:`~pathlib.Path`.
        references: what the program uses.
        output: ``"detect"`` if it may be a library with a handler as well.
        timeout: seconds the compilation may take.
        progress: told what is being built when the compiler is used for the first time.

    Raises:
        CompilationError: the source has errors.
        AssemblyLoadError: the file is neither C# nor a .NET assembly.
        MarshallingError: the source or a reference is not what it should be.
    """
    try:
        dependencies = read_dependencies(references)
    except MalformedImage as error:
        raise MarshallingError(f"a reference is not a .NET assembly: {error}") from error
    except OSError as error:
        raise MarshallingError(f"a reference cannot be read: {error}") from error
    if isinstance(source, PathLike):
        path = Path(source)
        content = path.read_bytes()
        if path.suffix.lower() == ".dll" or content[:2] == b"MZ":
            return Program(_read_assembly(path, content), dependencies)
        if path.suffix.lower() != ".cs" and content[:2] != b"#!":
            raise MarshallingError(
                f"{path} is not C#: expected a .cs or .dll file, or one that begins with '#!'"
            )
        source = {path.name: _decode(path, content)}
    assembly = compile_sources(
        source, list(dependencies.values()), output=output, timeout=timeout, progress=progress
    )
    return Program(assembly, dependencies)


def compile_sources(
    source: str | Mapping[str, str],
    references: DependencySource = (),
    *,
    output: OutputKind = "program",
    timeout: float | None = None,
    progress: Callable[[str], object] | None = None,
) -> Assembly:
    """Compile the files of a program, with the options that its directives ask for."""
    if not isinstance(source, str) and not hasattr(source, "items"):
        raise MarshallingTypeError(
            "a program is C# text, a Path, or file names with their texts, not "
            f"{type(source).__name__}"
        )
    files = {"app.cs": source} if isinstance(source, str) else dict(source)
    options = CompilerOptions(output=output)
    name = None
    texts: dict[str, str] = {}
    for file, text in files.items():
        if not isinstance(text, str):
            raise MarshallingTypeError(f"{file!r} is not text but {type(text).__name__}")
        directives = read_directives(file, text)
        options = directives.applied_to(options)
        name = directives.assembly_name or name
        texts[file] = directives.text
    return CSharpCompiler.load(progress=progress).compile(
        texts, assembly_name=name, references=references, options=options, timeout=timeout
    )


def _read_assembly(path: Path, content: bytes) -> Assembly:
    try:
        return Assembly(identify(content).name, content)
    except MalformedImage as error:
        raise AssemblyLoadError(
            path.name, "System.BadImageFormatException", f"{path} is not a .NET assembly: {error}"
        ) from error


def _decode(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MarshallingError(
            f"{path} is neither C# in UTF-8 nor a .NET assembly: {error.reason} at byte "
            f"{error.start}"
        ) from error
    if "\0" in text:
        raise MarshallingError(f"{path} is neither C# nor a .NET assembly: it holds NUL")
    return text
