"""A guest that waits in the middle of a call, entered to be given what it may wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host import abi
from dotnet_wasm_host.errors import GuestOutOfMemory

if TYPE_CHECKING:
    from dotnet_wasm_host.guest.layout import GuestLayout
    from dotnet_wasm_host.imports.arrivals import Action
    from dotnet_wasm_host.imports.host import Host

__all__ = ["InnerGuest"]


@final
class InnerGuest:
    """Enters it beside the call: that one's frame stays as it was, and so does the buffer.

    Args:
        host: of the instance, weakly.
        layout: where the frame is.
    """

    def __init__(self, host: Host, layout: GuestLayout) -> None:
        self._host = host
        self._layout = layout

    def carry_out(self, action: Action) -> None:
        """Do what has arrived."""
        memory, frame = self._host.memory, self._layout.frame
        before = memory.read(frame, abi.FRAME_SIZE)
        action(self)
        memory.write(frame, before)

    def end_host_call(self, number: int, error: int, output: bytes, *, cancelled: bool) -> None:
        """Tell the guest that a host function it began has ended."""
        host, layout = self._host, self._layout
        request = abi.pack_fields(error, int(cancelled), output)
        block = host.call("malloc", len(request))
        if not block:
            raise GuestOutOfMemory(
                f"linear memory has no room for an answer of {len(request)} bytes; return less, or "
                "raise Limits(memory_bytes=...)"
            )
        host.memory.write(block, request)
        frame = bytearray(abi.FRAME_SIZE)
        abi.FRAME_IN.pack_into(frame, 0, number, block, len(request))
        abi.CONTEXT.pack_into(frame, abi.FRAME.size, 0, abi.NO_FUNCTION, 0)
        host.memory.write(layout.frame, frame)
        host.call("mono_wasm_invoke_jsexport", layout.methods["EndHostCall"], layout.frame)
        host.call("free", block)
