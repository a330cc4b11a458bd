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


def hint_on(identifier: str, message: str, source_line: str) -> str:
    """A sentence for behind a compiler's message, or ``""``."""
    if identifier in _PARTIAL_METHODS:
        return _NO_GENERATORS
    if identifier in _CONTEXT_MEMBERS and _CONTEXT in message:
        return _NO_GENERATORS
    if identifier == "CS0103" and _FIELD.search(message) and _IN_PROPERTY.search(source_line):
        return (
            "the keyword 'field' came with C# 14, and as a preview with C# 13; declare a field, or "
            "give a newer compiler: compile_csharp(roslyn=...)"
        )
    return ""
