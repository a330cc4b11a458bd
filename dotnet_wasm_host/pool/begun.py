"""Calls of asynchronous functions that wait in a runtime of a pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import InvocationCancelled
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.runtime.cancellation import Covered

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.base import Interruption
    from dotnet_wasm_host.guest.pending import PendingCall
    from dotnet_wasm_host.pool.deployments import Deployment
    from dotnet_wasm_host.runtime import Runtime
    from dotnet_wasm_host.runtime.cancellation import Cancellation

__all__ = ["BegunCall"]


@final
@dataclass(frozen=True, slots=True)
class BegunCall(Covered):
    """A call that has begun, and where it waits."""

    call: PendingCall
    runtime: Runtime
    deployment: Deployment

    def wait(self, cancellation: Cancellation | None) -> bytes:
        """Its outcome. An interruption of the waiting thread cancels the call."""
        try:
            if cancellation is None:
                return self.call.take()
            with cancellation.covering(self):
                return self.call.take()
        except BaseException:
            if not self.call.outcome.done():
                self.withdraw()
            raise

    def withdraw(self) -> None:
        """Cancel its token; stop its instance if it runs there alone."""
        call, runtime = self.call, self.runtime
        runtime._port.interrupt(
            lambda: (
                InvocationCancelled("the call was cancelled")
                if runtime._port.runs_alone(call)
                else None
            ),
            call,
        )

    @override
    def interrupt(self, interruption: Interruption) -> None:
        self.runtime._port.interrupt(interruption, self.call)

    @override
    def runs(self) -> bool:
        return self.runtime._port.runs_alone(self.call)
