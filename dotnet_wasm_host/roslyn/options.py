"""How C# is compiled: what a user chooses beside the source."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dotnet_wasm_host.errors import MarshallingError, MarshallingTypeError
from dotnet_wasm_host.roslyn.protocol import CompileFlags

__all__ = ["CompilerOptions", "OutputKind", "diagnostic_id"]

#: ``"detect"``: a program if the source has an entry point, a library if not.
OutputKind = Literal["library", "program", "detect"]

_OUTPUT_FLAGS = {
    "library": CompileFlags.NONE,
    "program": CompileFlags.PROGRAM,
    "detect": CompileFlags.DETECT_PROGRAM,
}
#: C# 12 specification 6.4.3: a preprocessor symbol is an identifier.
_SYMBOL = re.compile(r"[^\W\d]\w*")
_DIAGNOSTIC = re.compile(r"(?:CS)?(\d{1,5})", re.IGNORECASE)
_ANALYZER = re.compile(r"[A-Za-z]{2,15}\d{1,8}")


@dataclass(frozen=True, slots=True)
class CompilerOptions:
    """Options of one compilation; the names of ``compile_csharp``.

    Args:
        optimize: release code; otherwise debug code, with the symbol ``DEBUG``.
        nullable: enable nullable reference types.
        implicit_usings: the usings of an SDK project for the console, and ``MinimalRuntime``.
        pdb: embed a portable PDB, from which stack traces get files and lines.
        define: preprocessor symbols.
        langversion: C# version as the compiler's ``/langversion`` has it: ``"12"``, ``"7.3"``,
            ``"preview"``; ``None`` for C# 12.
        unsafe: allow unsafe code.
        checked: integer arithmetic that overflows throws.
        warnings_as_errors: whether a warning stops the compilation.
        no_warn: diagnostics to leave out, ``"CS0168"`` or ``"0168"``.
        output: what to make.
        members: methods need no class around them; they get one, called ``Functions``.
        documentation: the answer has the documentation comments, too.
    """

    optimize: bool = True
    nullable: bool = True
    implicit_usings: bool = True
    pdb: bool = True
    define: tuple[str, ...] = ()
    langversion: str | None = None
    unsafe: bool = True
    checked: bool = False
    warnings_as_errors: bool = False
    no_warn: tuple[str, ...] = ()
    output: OutputKind = "library"
    members: bool = False
    documentation: bool = False

    def __post_init__(self) -> None:
        for name in ("define", "no_warn"):
            given: object = getattr(self, name)
            if not isinstance(given, tuple):
                raise MarshallingTypeError(
                    f"{name} is a tuple of texts, not {given!r}; give a tuple"
                )
        symbols: tuple[object, ...] = self.define
        for symbol in symbols:
            if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
                raise MarshallingError(
                    f"define: {symbol!r} cannot be a preprocessor symbol; give an identifier such "
                    "as 'DEBUG', without a value"
                )
        if self.langversion is not None and not isinstance(self.langversion, str):
            raise MarshallingTypeError(
                f"langversion is text such as '12', not {type(self.langversion).__name__}; give "
                "text, or None"
            )
        for identifier in self.no_warn:
            diagnostic_id(identifier)
        if self.output not in _OUTPUT_FLAGS:
            raise MarshallingError(
                f"output is {self.output!r}; choose one of {', '.join(_OUTPUT_FLAGS)}"
            )

    @property
    def flags(self) -> CompileFlags:
        """What of it is yes or no, for the compiler."""
        flags = _OUTPUT_FLAGS[self.output]
        for wanted, flag in (
            (self.optimize, CompileFlags.OPTIMIZE),
            (self.nullable, CompileFlags.NULLABLE),
            (self.implicit_usings, CompileFlags.IMPLICIT_USINGS),
            (self.pdb, CompileFlags.EMBEDDED_PDB),
            (self.unsafe, CompileFlags.UNSAFE),
            (self.checked, CompileFlags.CHECKED),
            (self.warnings_as_errors, CompileFlags.WARNINGS_AS_ERRORS),
            (self.members, CompileFlags.MEMBERS),
            (self.documentation, CompileFlags.DOCUMENTATION),
        ):
            if wanted:
                flags |= flag
        return flags


def diagnostic_id(text: str) -> str:
    """``"168"``, ``"0168"`` and ``"CS0168"`` as the compiler's id. MarshallingError for others."""
    if isinstance(text, str):
        if found := _DIAGNOSTIC.fullmatch(text):
            return f"CS{int(found[1]):04}"
        if _ANALYZER.fullmatch(text):
            return text
    raise MarshallingError(
        f"no_warn: {text!r} is not the id of a diagnostic such as 'CS0168'; give such an id"
    )
