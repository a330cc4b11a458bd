"""What a guest says in one call: how much, and what it said before it died."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import LimitExceeded
from dotnet_wasm_host.imports.host_work import RECORD

if TYPE_CHECKING:
    from dotnet_wasm_host.imports.files.console import WriteSink
    from dotnet_wasm_host.imports.host_work import HostWork

__all__ = ["CallOutput", "MeteredSink"]

_HEAD_BYTES = 4096
#: How Mono announces an exception that nothing caught; it is on that line or on the next.
_UNHANDLED = (b"UNHANDLED EXCEPTION: ", b"Unhandled Exception:")

#: What Mono says, and the code it exits with, when it ends the process itself.
_FATAL, _FATAL_CODE = b"[ERROR] FATAL UNHANDLED EXCEPTION: ", 1


@final
class CallOutput:
    """Output of the call that runs. :class:`~dotnet_wasm_host.guest.guest.Guest` begins each.

    Attributes:
        written: bytes written to standard output and error.
        head: beginning of what went to standard error.
        traced: what the runtime itself logged.
    """

    __slots__ = ("_work", "head", "limit", "traced", "written")

    def __init__(self, limit: int, work: HostWork) -> None:
        self.limit: int = limit
        self._work = work
        self.written: int = 0
        self.head: bytes = b""
        self.traced: tuple[str, ...] = ()

    def begin(self) -> None:
        """A new call."""
        self.written = 0
        self.head = b""
        self.traced = ()

    def count(self, size: int) -> None:
        """The call says ``size`` bytes more. LimitExceeded past the limit, which ends the call."""
        self._work.charge(size)
        self.written += size
        if self.written > self.limit:
            raise LimitExceeded(
                f"the call printed more than output_bytes={self.limit} and was stopped; print "
                "less, or raise that",
                limit="output_bytes",
            )

    def count_record(self) -> None:
        """The call is about to make a log record."""
        self._work.charge(RECORD)

    def is_fatal(self, exit_code: int) -> bool:
        """Whether Mono ended the guest with that code: an exception that nothing can catch."""
        return exit_code == _FATAL_CODE and _FATAL in self.head

    def cause_of_death(self) -> str:
        """Why the guest ended itself, in its own words; ``""`` if it said nothing."""
        for words in _UNHANDLED:
            _, found, said = self.head.partition(words)
            if found:
                return said.lstrip().partition(b"\n")[0].decode(errors="replace").strip()
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
