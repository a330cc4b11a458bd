"""Directives of .NET 10's file-based apps: ``#!`` and ``#:`` lines before the first C# token.

Source: the .NET SDK's ``documentation/general/dotnet-run-file.md``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.diagnostic import Diagnostic
from dotnet_wasm_host.errors import CompilationError, MarshallingTypeError
from dotnet_wasm_host.packages.references import PackageReference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.roslyn import CompilerOptions

__all__ = ["FileDirectives", "SourceFiles", "error_at", "read_directives", "read_files"]

_DIRECTIVE = re.compile(r"\s*#:[ \t]*(\S*)[ \t]*(.*?)\s*$")
#: Lines that may stand between directives: nothing, comments, what the preprocessor reads.
_TRIVIA = re.compile(r"\s*(//|#(?!:)|$)")
_SWITCHES = {"true": True, "enable": True, "false": False, "disable": False}
#: ``$(Name)``: what the property had before, which is kept.
_FORMER = re.compile(r"\$\(\w+\)")


@dataclass(frozen=True, slots=True)
class FileDirectives:
    """What the directives of one file say.

    Attributes:
        text: the source, directives left blank so that every line keeps its number.
        properties: property name, as this library writes it, to value and line.
        packages: what ``#:package`` asks for.
    """

    text: str
    properties: dict[str, tuple[str, int]] = field(default_factory=dict)
    packages: list[PackageReference] = field(default_factory=list)
    file: str = ""

    @property
    def assembly_name(self) -> str | None:
        """``#:property AssemblyName=...``."""
        value, _ = self.properties.get("AssemblyName", (None, 0))
        return value

    def applied_to(self, options: CompilerOptions) -> CompilerOptions:
        """Compiler options, changed as the properties say. CompilationError for a wrong value."""
        for name, (value, line) in self.properties.items():
            change = _PROPERTIES[name]
            try:
                options = replace(options, **change(options, value))
            except ValueError as error:
                raise error_at(self.file, line, f"#:property {name}={value}: {error}") from error
        return options


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """The files of a compilation, and what their directives say together.

    Attributes:
        texts: file name to text, directives left blank.
        options: compiler options, changed as the directives say.
        assembly_name: ``#:property AssemblyName=...`` of the last file that has it.
        packages: what they ask for.
    """

    texts: Mapping[str, str]
    options: CompilerOptions
    assembly_name: str | None
    packages: tuple[PackageReference, ...]


def read_files(source: str | Mapping[str, str], options: CompilerOptions) -> SourceFiles:
    """Read source files and their directives.

    Raises:
        CompilationError: a directive that this library does not have.
        MarshallingTypeError: not text, nor file names with texts.
    """
    if not isinstance(source, str) and not hasattr(source, "items"):
        raise MarshallingTypeError(
            "a program is C# text, a Path, or file names with their texts, not "
            f"{type(source).__name__}; give one of these"
        )
    name = None
    texts: dict[str, str] = {}
    packages: list[PackageReference] = []
    for file, text in ({"app.cs": source} if isinstance(source, str) else source).items():
        if not isinstance(text, str):
            raise MarshallingTypeError(
                f"{file!r} is not text but {type(text).__name__}; decode it first"
            )
        read = read_directives(file, text)
        options = read.applied_to(options)
        name = read.assembly_name or name
        texts[file] = read.text
        packages += read.packages
    return SourceFiles(texts, options, name, tuple(packages))


def read_directives(file: str, text: str) -> FileDirectives:
    """Read the directives of a source file.

    Raises:
        CompilationError: a directive that this library does not have, at its line.
    """
    # A byte order mark stays in text that was read as UTF-8, not as UTF-8-sig.
    text = text.removeprefix("\ufeff")
    if not text.startswith("#!") and "#:" not in text:
        return FileDirectives(text, file=file)
    lines = text.split("\n")
    found_here = FileDirectives("", file=file)
    in_comment = False
    for index, line in enumerate(lines):
        if in_comment:
            in_comment = "*/" not in line
        elif index == 0 and line.startswith("#!"):
            lines[index] = ""
        elif found := _DIRECTIVE.match(line):
            _read_directive(found_here, index + 1, found[1], found[2])
            lines[index] = ""
        elif line.lstrip().startswith("/*"):
            _, _, rest = line.partition("/*")
            in_comment = "*/" not in rest
        elif not _TRIVIA.match(line):
            break
    return replace(found_here, text="\n".join(lines))


def _read_directive(into: FileDirectives, line: int, kind: str, value: str) -> None:
    file = into.file
    if kind == "package":
        into.packages.append(_read_package(file, line, value))
        return
    if kind != "property":
        raise error_at(
            file,
            line,
            f"#:{kind} is not a directive of this tool; it has #:package Name@Version, and "
            f"#:property with {', '.join(_PROPERTIES)}",
        )
    _read_property(into, line, value)


def _read_package(file: str, line: int, value: str) -> PackageReference:
    try:
        return PackageReference.parse(value, file, line)
    except ValueError as error:
        raise error_at(file, line, f"#:package {value}: {error}") from error


def _read_property(into: FileDirectives, line: int, value: str) -> None:
    file, properties = into.file, into.properties
    name, separator, content = value.partition("=")
    known = {item.lower(): item for item in _PROPERTIES}
    written = known.get(name.strip().lower())
    if written is None or not separator:
        raise error_at(
            file,
            line,
            f"#:property {value}: expected Name=Value with one of {', '.join(_PROPERTIES)}",
        )
    if written in properties:
        raise error_at(file, line, f"#:property {written} is there twice; leave one of them out")
    properties[written] = (content.strip(), line)


def error_at(file: str, line: int, message: str) -> CompilationError:
    """An error of a directive, as the compiler would report it."""
    return CompilationError([Diagnostic("DWH0001", "error", message, file, line, 1, line, 1)])


def _switch(name: str) -> Callable[[CompilerOptions, str], dict[str, Any]]:
    def change(_: CompilerOptions, value: str) -> dict[str, Any]:
        if value.lower() not in _SWITCHES:
            raise ValueError(f"{value!r} is neither of {', '.join(_SWITCHES)}")
        return {name: _SWITCHES[value.lower()]}

    return change


def _items(value: str, separators: str) -> tuple[str, ...]:
    parts = re.split(f"[{separators}]", _FORMER.sub("", value))
    return tuple(part.strip() for part in parts if part.strip())


def _define(options: CompilerOptions, value: str) -> dict[str, Any]:
    return {"define": options.define + _items(value, ";,")}


def _no_warn(options: CompilerOptions, value: str) -> dict[str, Any]:
    return {"no_warn": options.no_warn + _items(value, ";, ")}


def _langversion(_: CompilerOptions, value: str) -> dict[str, Any]:
    return {"langversion": value}


def _nothing(_: CompilerOptions, __: str) -> dict[str, Any]:
    # The assembly's name is read elsewhere; the root namespace names resources and no code.
    return {}


_PROPERTIES: dict[str, Callable[[CompilerOptions, str], dict[str, Any]]] = {
    "Nullable": _switch("nullable"),
    "ImplicitUsings": _switch("implicit_usings"),
    "LangVersion": _langversion,
    "AllowUnsafeBlocks": _switch("unsafe"),
    "DefineConstants": _define,
    "CheckForOverflowUnderflow": _switch("checked"),
    "NoWarn": _no_warn,
    "TreatWarningsAsErrors": _switch("warnings_as_errors"),
    "AssemblyName": _nothing,
    "RootNamespace": _nothing,
}
