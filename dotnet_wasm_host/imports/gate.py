"""Calls of the guest that go to this host itself, through the import for JavaScript functions.

Managed code gives functions that it binds positive numbers; the negative ones are ours. The C#
half is ``runtime_artifacts/guest/MinimalRuntime/HostGate.cs``; the two change together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.mono import Mono

__all__ = ["Gate"]

_CALL_FINISHED = 0xFFFF_FFFE


@final
class Gate:
    """``mono_wasm_invoke_jsimport_ST``, shared out.

    Args:
        mono: told of calls that have finished.
        bound: takes the JavaScript functions.
    """

    def __init__(self, mono: Mono, bound: HostFunction) -> None:
        self._bound = bound
        self._ours: Mapping[int, Callable[[int], object]] = {
            _CALL_FINISHED: lambda _: mono.call_finished(),
        }

    def functions(self) -> Mapping[str, HostFunction]:
        """See :class:`dotnet_wasm_host.imports.base.ImportGroup`."""
        return {"mono_wasm_invoke_jsimport_ST": self.enter}

    def enter(self, number: int, argument: int) -> None:
        """Carry out a call of the guest."""
        ours = self._ours.get(number)
        if ours is not None:
            ours(argument)
        else:
            self._bound(number, argument)
