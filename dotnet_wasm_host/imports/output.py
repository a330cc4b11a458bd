"""What a guest says in one call: how much, and what it said before it died."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import LimitExceeded

if TYPE_CHECKING:
    from dotnet_wasm_host.imports.files.console import WriteSink

__all__ = ["CallOutput", "MeteredSink"]

_HEAD_BYTES = 4096
#: How Mono announces an exception that nothing caught; the stack follows.
_UNHANDLED = re.compile(rb"UNHANDLED EXCEPTION: (.*)|Unhandled Exception:\s*(.*)")


@final
class CallOutput:
    """Output of the call that runs. :class:`~dotnet_wasm_host.guest.guest.Guest` begins each.

    Attributes:
        written: bytes written to standard output and error.
        head: beginning of what went to standard error.
        traced: what the runtime itself logged.
    """

    __slots__ = ("head", "limit", "traced", "written")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.written = 0
        self.head = b""
        self.traced: tuple[str, ...] = ()

    def begin(self) -> None:
        """A new call."""
        self.written = 0
        self.head = b""
        self.traced = ()

    def count(self, size: int) -> None:
        """The call says ``size`` bytes more. LimitExceeded past the limit, which ends the call."""
        self.written += size
        if self.written > self.limit:
            raise LimitExceeded(
                f"the call printed more than output_bytes={self.limit} and was stopped"
            )

    def cause_of_death(self) -> str:
        """Why the guest ended itself, in its own words; ``""`` if it said nothing."""
        found = _UNHANDLED.search(self.head)
        if found:
            return (found[1] or found[2]).decode(errors="replace").strip()
        return " ".join(text.strip() for text in self.traced if text.strip())


@final
class MeteredSink:
    """Counts what goes to a sink and stops a guest that never stops printing."""

    __slots__ = ("_is_error", "_output", "_sink")

    def __init__(self, sink: WriteSink, output: CallOutput, *, is_error: bool) -> None:
        self._sink = sink
        self._output = output
        self._is_error = is_error

    def write(self, data: bytes) -> object:
        """Pass it on. LimitExceeded past the limit, which ends the call."""
        output = self._output
        output.count(len(data))
        if self._is_error and len(output.head) < _HEAD_BYTES:
            output.head += data[: _HEAD_BYTES - len(output.head)]
        return self._sink.write(data)

    def flush(self) -> object:
        """Pass it on."""
        return self._sink.flush()
