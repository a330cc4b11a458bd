"""The ``override`` decorator (PEP 698), at no cost to a new process.

Type checkers read it from ``typing_extensions``. Importing that package takes some 10 ms, a tenth
of what a new process needs, and the decorator does nothing that this project uses at run time. So
it is a function that returns its argument here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method):  # noqa: ANN001, ANN201 - type checkers see the other one
        """Mark a method that overrides one of a base class or protocol."""
        return method


__all__ = ["override"]
