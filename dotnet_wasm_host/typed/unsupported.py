"""What no typed call can pass."""

from __future__ import annotations

import re

__all__ = ["Unsupported", "is_identifier"]

_IDENTIFIER = re.compile(r"[^\W\d]\w*")


class Unsupported(Exception):
    """A type that no typed call can pass. The message says which and why."""


def is_identifier(name: str) -> bool:
    """Whether C# can write a name."""
    return _IDENTIFIER.fullmatch(name) is not None
