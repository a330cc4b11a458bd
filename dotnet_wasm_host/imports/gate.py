"""Calls of the guest that go to this host itself, through the import for JavaScript functions.

Managed code gives functions that it binds positive numbers; the negative ones are ours. The C#
half is ``runtime_artifacts/guest/MinimalRuntime/HostGate.cs``; the two change together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.abi import MalformedRecord
from dotnet_wasm_host.errors import GuestTrap
from dotnet_wasm_host.imports.base import ImportGroup
from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.guest_log import GuestLog
    from dotnet_wasm_host.imports.host_calls import HostCalls
    from dotnet_wasm_host.imports.mono import Mono
    from dotnet_wasm_host.imports.waits import Waits

__all__ = ["Gate"]

_CALL = 0xFFFF_FFFF
_CALL_FINISHED = 0xFFFF_FFFE
_TAKE_RESULT = 0xFFFF_FFFD
_BEGIN_CALL = 0xFFFF_FFFC
_CANCEL_CALL = 0xFFFF_FFFB
_WRITE_LOG = 0xFFFF_FFFA
_WRITE_DEBUG = 0xFFFF_FFF9
_WAIT = 0xFFFF_FFF8


@final
class Gate(ImportGroup):
    """``mono_wasm_invoke_jsimport_ST``, shared out.

    Args:
        mono: told of calls that have finished.
        calls: carries out calls of host functions.
        log: makes log records.
        waits: lets the guest wait.
        bound: takes the JavaScript functions.
    """

    def __init__(
        self, mono: Mono, calls: HostCalls, log: GuestLog, waits: Waits, bound: HostFunction
    ) -> None:
        self._bound = bound
        self._ours: Mapping[int, Callable[[int], object]] = {
            _CALL: calls.call,
            _CALL_FINISHED: lambda _: mono.call_finished(),
            _TAKE_RESULT: calls.take,
            _BEGIN_CALL: calls.begin,
            _CANCEL_CALL: calls.cancel,
            _WRITE_LOG: log.write,
            _WRITE_DEBUG: log.write_debug,
            _WAIT: waits.wait,
        }

    @override
    def functions(self) -> Mapping[str, HostFunction]:
        return {"mono_wasm_invoke_jsimport_ST": self.enter}

    def enter(self, number: int, argument: int) -> None:
        """Carry out a call of the guest."""
        ours = self._ours.get(number)
        if ours is not None:
            try:
                ours(argument)
            except MalformedRecord as error:
                raise GuestTrap(f"a record for the host is malformed: {error}") from None
        else:
            self._bound(number, argument)
