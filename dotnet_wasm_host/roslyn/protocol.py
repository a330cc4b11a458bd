"""What crosses to the hosted compiler. The C# half is ``runtime_artifacts/guest/Compiler``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Literal, final

from dotnet_wasm_host.abi import RecordReader, pack_fields
from dotnet_wasm_host.assembly import Diagnostic
from dotnet_wasm_host.roslyn.hints import hint_on

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CompileAnswer", "CompileFlags", "CompileRequest", "reference_request"]

#: C# specification 6.3.2: what ends a line.
_ENDS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_LINE_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*line\b", re.MULTILINE)
#: ``Microsoft.CodeAnalysis.DiagnosticSeverity``.
_SEVERITIES: dict[int, Literal["error", "warning", "info"]] = {1: "info", 2: "warning", 3: "error"}


class CompileFlags(IntFlag):
    """``CompileRequest.Flags`` of the C# half."""

    NONE = 0
    OPTIMIZE = 1
    NULLABLE = 2
    WARNINGS_AS_ERRORS = 4
    #: Emit a reference assembly: public API without bodies.
    METADATA_ONLY = 8
    #: Leave the running framework out of the references.
    NO_FRAMEWORK = 16
    UNSAFE = 32
    #: Arithmetic overflows throw.
    CHECKED = 64
    EMBEDDED_PDB = 128
    IMPLICIT_USINGS = 256
    #: An entry point is wanted: top-level statements or a ``Main``.
    PROGRAM = 512
    #: A program if there is an entry point, a library if not.
    DETECT_PROGRAM = 1024
    #: Methods without a class around them get one, called ``Functions``.
    MEMBERS = 2048
    #: The answer has the documentation comments.
    DOCUMENTATION = 4096


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """One compilation.

    Attributes:
        assembly_name: simple name of the result.
        sources: file name to text.
        references: display name to image, beside the framework and the contract.
        public_key: public-sign with this key (ECMA-335 II.22.2); ``b""`` for none.
        language: C# version as ``/langversion`` has it; ``""`` for C# 12.
        symbols: preprocessor symbols beside TRACE, and DEBUG for code that is not optimised.
        suppressed: ids of diagnostics that are left out.
        framework: assemblies of the framework that the references were built against.
    """

    assembly_name: str
    sources: Mapping[str, str]
    references: Sequence[tuple[str, bytes]] = ()
    flags: CompileFlags = CompileFlags.OPTIMIZE | CompileFlags.NULLABLE
    public_key: bytes = b""
    language: str = ""
    symbols: Sequence[str] = ()
    suppressed: Sequence[str] = ()
    framework: Sequence[str] = ()

    def encode(self) -> bytes:
        """The payload for the compiler."""
        fields: list[bytes | int] = [
            int(self.flags),
            self.assembly_name.encode(),
            self.public_key,
            self.language.encode(),
            *_list(self.symbols),
            *_list(self.suppressed),
            *_list(self.framework),
            len(self.sources),
        ]
        for file, text in self.sources.items():
            fields += [file.encode(), text.encode()]
        fields.append(len(self.references))
        for name, image in self.references:
            fields += [name.encode(), image]
        return b"C" + pack_fields(*fields)


def _list(texts: Sequence[str]) -> list[bytes | int]:
    return [len(texts), *(text.encode() for text in texts)]


def reference_request(names: Sequence[str]) -> bytes:
    """Payload that makes framework assemblies the compiler's references."""
    return b"R" + pack_fields(*_list(names))


@dataclass(frozen=True, slots=True)
class CompileAnswer:
    """What the compiler says; ``documentation`` is XML (C# 12 specification, annex D)."""

    success: bool
    diagnostics: tuple[Diagnostic, ...]
    image: bytes
    documentation: bytes = b""

    @classmethod
    def decode(cls, data: bytes, sources: Mapping[str, str]) -> CompileAnswer:
        """Read an answer to a request with ``sources``.

        Raises:
            MalformedRecord: it is not one.
        """
        reader = RecordReader(data)
        success = reader.byte() == 1
        lines = _SourceLines(sources)
        diagnostics = tuple(_diagnostic(reader, lines) for _ in range(reader.int32()))
        image = reader.bytes()
        # A compiler that is asked to compile the next one may not have it yet.
        documentation = b"" if reader.at_end else reader.bytes()
        return cls(success, diagnostics, image, documentation)


@final
class _SourceLines:
    """Lines of sources, for those who ask."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._lines: dict[str, list[str]] = {}

    def find(self, file: str, line: int) -> str:
        """A line of a file, counted from 1; ``""`` if it is not there."""
        lines = self._lines.get(file)
        if lines is None:
            text = self._sources.get(file, "")
            # The compiler tells what #line makes of a place.
            lines = self._lines[file] = [] if _LINE_DIRECTIVE.search(text) else _ENDS.split(text)
        return lines[line - 1] if 0 < line <= len(lines) else ""


def _diagnostic(reader: RecordReader, lines: _SourceLines) -> Diagnostic:
    severity = _SEVERITIES.get(reader.byte(), "info")
    identifier, message, file = reader.text(), reader.text(), reader.text()
    line, column, end_line, end_column = (reader.int32() for _ in range(4))
    source_line = lines.find(file, line)
    hint = hint_on(identifier, message, source_line)
    return Diagnostic(
        identifier,
        severity,
        f"{message} ({hint})" if hint else message,
        file,
        line,
        column,
        end_line,
        end_column,
        source_line,
    )
