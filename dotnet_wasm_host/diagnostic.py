"""What the C# compiler says, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Diagnostic"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message of the C# compiler.

    Attributes:
        id: ``CS1002`` and the like.
        severity: how bad it is.
        message: the compiler's words.
        file: name of the source file as it was given.
        line, column: position, counted from 1; 0 if the message has none.
        end_line, end_column: where the place ends, the column behind its last character.
        source_line: the line where it begins, if it is one of a file that was given.
    """

    id: str
    severity: Literal["error", "warning", "info"]
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0
    source_line: str = ""

    def __str__(self) -> str:
        where = f"{self.file}({self.line},{self.column}): " if self.line else ""
        return f"{where}{self.severity} {self.id}: {self.message}"
