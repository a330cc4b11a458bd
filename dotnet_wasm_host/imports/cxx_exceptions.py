"""C++ exceptions, Emscripten's JavaScript style: the host throws and unwinds for the guest.

A throw raises :class:`CxxException` in Python, which unwinds the guest's frames up to the
``invoke_vi`` that called them. Layout of the header before a thrown object and order of the
calls: Emscripten's ``libcxxabi`` (``__cxa_exception``) and ``library_exceptions.js``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import GuestTrap
from dotnet_wasm_host.imports.base import ImportGroup
from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.base import Caller

__all__ = ["CxxException", "CxxExceptions"]

#: The header ends where the thrown object begins.
HEADER_SIZE = 24
TYPE = 4
CAUGHT = 12
ADJUSTED = 16
_TYPE_AND_DESTRUCTOR = struct.Struct("<II")
_CAUGHT_AND_RETHROWN = struct.Struct("<BB")


class CxxException(BaseException):
    """A C++ exception on its way to the guest's catch block. Never reaches a user."""

    def __init__(self, thrown: int) -> None:
        self.thrown = thrown
        super().__init__(thrown)


@final
class CxxExceptions(ImportGroup):
    """The seven imports of the protocol."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._last = 0
        self._caught: list[int] = []

    @override
    def functions(self) -> Mapping[str, HostFunction]:
        return {
            "__cxa_throw": self.throw,
            "__cxa_begin_catch": self.begin_catch,
            "__cxa_end_catch": self.end_catch,
            "__cxa_find_matching_catch_3": self.find_matching_catch,
            "__resumeException": self.resume,
            "invoke_vi": self.invoke,
            "llvm_eh_typeid_for": self.type_id,
        }

    def throw(self, thrown: int, type_info: int, destructor: int) -> None:
        """``throw``: fill the header, unwind."""
        memory, header = self._caller.memory, thrown - HEADER_SIZE
        memory.write_u32(header + ADJUSTED, 0)
        memory.write_struct(_TYPE_AND_DESTRUCTOR, header + TYPE, type_info, destructor)
        self._last = thrown
        raise CxxException(thrown)

    def invoke(self, function: int, argument: int) -> None:
        """Call ``function(argument)`` where a throw must not pass: report it instead."""
        call = self._caller.call
        stack = call("stackSave")
        try:
            call("__call_vi", function, argument)
        except CxxException:
            call("stackRestore", stack)
            call("setThrew", 1, 0)

    def find_matching_catch(self, caught_type: int) -> int:
        """Which catch clause takes the exception; its type goes to tempRet0."""
        thrown, call = self._last, self._caller.call
        if not thrown:
            call("setTempRet0", 0)
            return 0
        memory, header = self._caller.memory, thrown - HEADER_SIZE
        memory.write_u32(header + ADJUSTED, thrown)
        thrown_type = memory.read_u32(header + TYPE)
        if not thrown_type:
            call("setTempRet0", 0)
            return thrown
        matches = caught_type not in {0, thrown_type} and call(
            "__cxa_can_catch", caught_type, thrown_type, header + ADJUSTED
        )
        call("setTempRet0", caught_type if matches else thrown_type)
        return thrown

    def type_id(self, type_info: int) -> int:
        """A type is identified by the address of its type_info."""
        return type_info

    def begin_catch(self, thrown: int) -> int:
        """Enter a catch block: mark the exception caught, give its object."""
        memory, call, header = self._caller.memory, self._caller.call, thrown - HEADER_SIZE
        memory.write_struct(_CAUGHT_AND_RETHROWN, header + CAUGHT, 1, 0)
        self._caught.append(thrown)
        call("__cxa_increment_exception_refcount", thrown)
        if call("__cxa_is_pointer_type", memory.read_u32(header + TYPE)):
            return memory.read_u32(thrown)
        return memory.read_u32(header + ADJUSTED) or thrown

    def end_catch(self) -> None:
        """Leave a catch block."""
        if not self._caught:
            raise GuestTrap("the guest left a C++ catch block that it never entered")
        self._caller.call("setThrew", 0, 0)
        self._caller.call("__cxa_decrement_exception_refcount", self._caught.pop())
        self._last = 0

    def resume(self, thrown: int) -> None:
        """No catch clause matched here: go on unwinding."""
        self._last = self._last or thrown
        raise CxxException(thrown)
