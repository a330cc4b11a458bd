"""Functions that C calls and whose exceptions must not get lost."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["enter_quietly"]

F = TypeVar("F", bound="Callable[..., object]")

#: Argument of RESUME "after a yield from" (:mod:`dis`): signals are not looked at.
_AFTER_YIELD_FROM = 2


def enter_quietly(function: F) -> F:
    """Have Python handle no signal at the very entry of ``function``, only in its body.

    Since Python 3.11 a signal that came while C code ran is handled by the first instruction of
    the next Python function, ``RESUME``. In a callback of C that is before any ``try``: what the
    handler raises, KeyboardInterrupt for example, would be printed and dropped by ctypes.
    """
    if sys.version_info >= (3, 11) and isinstance(function, FunctionType):
        from opcode import opmap  # noqa: PLC0415 - older versions need none of this

        code = bytearray(function.__code__.co_code)
        entry = next(i for i in range(0, len(code), 2) if code[i] == opmap["RESUME"])
        code[entry + 1] = _AFTER_YIELD_FROM
        function.__code__ = function.__code__.replace(co_code=bytes(code))
    return function
