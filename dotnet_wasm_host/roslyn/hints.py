"""What to say of compiler errors that have a reason of their own here."""

from __future__ import annotations

import re

__all__ = ["hint_on"]

_NO_GENERATORS = (
    "source generators do not run here: write what would be generated, or compile with the .NET "
    "SDK and load the DLL"
)
#: CS8795: a partial method without a body, as [GeneratedRegex] and [LibraryImport] have them.
#: CS0534, CS7036 of a JsonSerializerContext: its members are generated.
_PARTIAL_METHODS = frozenset({"CS8795", "CS9248"})
_CONTEXT = "JsonSerializerContext"
_CONTEXT_MEMBERS = frozenset({"CS0534", "CS7036"})
#: CS0103: a name that is not there.
_FIELD = re.compile(r"'field'")
_IN_PROPERTY = re.compile(r"\b(get|set|init)\b")
#: CS1617: a language version that this compiler does not know, but a newer one does.
_NEWER = re.compile(r"'(?:1[3-9]|[2-9]\d)(?:\.0)?'")
#: Extension members, as a compiler without them reads them: a method called ``extension``.
_EXTENSION = re.compile(r"\bextension\s*(<[^>]*>)?\s*\(")
_EXTENSION_ERRORS = frozenset({"CS1520", "CS1513", "CS1022", "CS0106", "CS1514"})
_NEWER_COMPILER = "give a newer compiler: compile_csharp(roslyn=...)"


def hint_on(identifier: str, message: str, source_line: str) -> str:
    """A sentence for behind a compiler's message, or ``""``."""
    if identifier in _PARTIAL_METHODS:
        return _NO_GENERATORS
    if identifier in _CONTEXT_MEMBERS and _CONTEXT in message:
        return _NO_GENERATORS
    if identifier == "CS0103" and _FIELD.search(message) and _IN_PROPERTY.search(source_line):
        return (
            "the keyword 'field' came with C# 14, and as a preview with C# 13; declare a field, or "
            + _NEWER_COMPILER
        )
    if identifier == "CS1617" and _NEWER.search(message):
        return f"to have that version, {_NEWER_COMPILER}"
    if identifier in _EXTENSION_ERRORS and _EXTENSION.search(source_line):
        return f"extension members came with C# 14; write extension methods, or {_NEWER_COMPILER}"
    return ""
