"""Log lines of the guest that are more than text: ``MinimalRuntime.Log``, ``Debug``, ``Trace``.

The C# half is ``LogLine.cs`` and ``DebugLines.cs`` of ``runtime_artifacts/guest/MinimalRuntime``.
"""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.abi import RecordReader
from dotnet_wasm_host.errors import MemoryAccessError, escape_controls
from dotnet_wasm_host.imports.host_work import ITEM, RECORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.imports.base import Caller
    from dotnet_wasm_host.imports.output import CallOutput

__all__ = ["GuestLog"]

#: Address and length.
_PIECE = struct.Struct("<Ii")
#: ``MinimalRuntime.LogLevel``; Python has no name below DEBUG.
_LEVELS = (5, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_TRACE_LEVELS = {
    "Critical": logging.CRITICAL,
    "Error": logging.ERROR,
    "Warning": logging.WARNING,
    "Information": logging.INFO,
    "Verbose": logging.DEBUG,
}
_MOST_VALUES = 256
#: Where the beginning of a line of ``Trace`` must have ended, in characters.
_LONGEST_EVENT = 512


@final
class GuestLog:
    """Makes log records of what one guest writes, on the logger ``dotnet_wasm_host.guest``.

    A record has ``function_id``; one of ``MinimalRuntime.Log`` also has ``template``, and
    ``fields``, the values by name. What is written counts as output of the call.

    Args:
        caller: the instance.
        output: where it is counted.
        speaker: which function runs.
    """

    def __init__(
        self, caller: Caller, output: CallOutput, speaker: Callable[[], str | None]
    ) -> None:
        self._caller = caller
        self._output = output
        self._speaker = speaker
        self._logger = logging.getLogger("dotnet_wasm_host.guest")

    def write(self, address: int) -> None:
        """One line of ``MinimalRuntime.Log``."""
        reader = RecordReader(self._take(address))
        level = _LEVELS[min(max(reader.int32(), 0), len(_LEVELS) - 1)]
        text, template, exception = reader.text(), reader.text(), reader.text()
        count = min(reader.int32(), _MOST_VALUES)
        self._caller.work.charge(max(count, 0) * ITEM)
        fields = {reader.text(): _value(reader) for _ in range(count)}
        self._log(level, text, exception, template=template, fields=fields)

    def write_debug(self, address: int) -> None:
        """One line of ``Debug`` or ``Trace``."""
        text = self._take(address).decode(errors="replace")
        level, start = _trace_event(text[:_LONGEST_EVENT])
        self._log(level, text[start:])

    def _take(self, address: int) -> bytes:
        start, length = self._caller.memory.read_struct(_PIECE, address)
        if length < 0:
            raise MemoryAccessError(start, length, self._caller.memory.size)
        self._caller.work.charge(RECORD)
        self._output.count(length)
        return self._caller.memory.read(start, length)

    def _log(self, level: int, text: str, exception: str = "", **extra: object) -> None:
        logger = self._logger
        if not logger.isEnabledFor(level):
            return
        extra["function_id"] = self._speaker()
        record = logger.makeRecord(
            logger.name, level, "(guest)", 0, "%s", (escape_controls(text),), None, None, extra
        )
        if exception:
            record.exc_text = escape_controls(exception)
        logger.handle(record)


def _trace_event(text: str) -> tuple[int, int]:
    """Level of a line of ``Trace``, and where what it says begins.

    ``Trace.TraceWarning`` and its like begin it with source, event type and number:
    ``"source Warning: 0 : "``.
    """
    source, _, rest = text.partition(" ")
    kind, _, rest = rest.partition(": ")
    number, found, _ = rest.partition(" : ")
    level = _TRACE_LEVELS.get(kind)
    if level is None or not found or not number.isdecimal() or any(map(str.isspace, source)):
        return logging.DEBUG, 0
    return level, len(f"{source} {kind}: {number} : ")


def _value(reader: RecordReader) -> object:
    kind = reader.byte()
    if kind == ord("i"):
        return reader.int64()
    if kind == ord("d"):
        return reader.double()
    if kind == ord("s"):
        return reader.text()
    return {ord("t"): True, ord("f"): False}.get(kind)
