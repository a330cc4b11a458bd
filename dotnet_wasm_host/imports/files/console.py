"""Where the guest's standard streams end on the host."""

from __future__ import annotations

import codecs
import logging
import sys
from io import BytesIO
from typing import IO, TYPE_CHECKING, Literal, Protocol, final

from dotnet_wasm_host.errors import escape_controls

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.options import OutputSink

__all__ = [
    "LINE_BYTES",
    "InheritedSink",
    "InputSource",
    "LineLogger",
    "StreamSink",
    "WriteSink",
    "open_sink",
]

#: Longest piece of a line that becomes one log record.
LINE_BYTES = 64 * 1024

# UTF-8 (RFC 3629): bytes 0b10xxxxxx continue a character, and at most three follow a first byte.
_CONTINUATION_MASK, _CONTINUATION = 0b1100_0000, 0b1000_0000
_MOST_CONTINUATIONS = 3


# How Mono announces an exception that nothing caught, and a frame of its trace.
_LAST_WORDS, _FRAME = b"[ERROR] FATAL UNHANDLED EXCEPTION: ", b"at "
_MOST_FRAMES = 10
_LEVELS = {"stdout": logging.INFO, "stderr": logging.WARNING}


class WriteSink(Protocol):
    """Takes what the guest writes."""

    def write(self, data: bytes) -> object:
        """Take all of ``data``."""

    def flush(self) -> object:
        """Hand on what is held back."""


@final
class LongTraces:
    """Cuts what the runtime prints of a stack when it ends itself after 10 frames."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        # Frames of the last trace so far; None outside of one.
        self._frames: int | None = None

    @property
    def is_inside(self) -> bool:
        """Whether the next line may be part of a trace."""
        return self._frames is not None

    def shorten(self, line: bytes) -> list[bytes]:
        """What to print for a line: itself, nothing, or first how many frames were left out."""
        if self._frames is None:
            if line.startswith(_LAST_WORDS):
                self._frames = 0
            return [line]
        if line.startswith(_FRAME):
            self._frames += 1
            return [line] if self._frames <= _MOST_FRAMES else []
        more, self._frames = self._frames - _MOST_FRAMES, None
        return [b"... and %d more frames" % more, line] if more > 0 else [line]


@final
class LineLogger:
    """Makes one log record of every line, on the logger ``dotnet_wasm_host.guest``.

    Lines end with LF or CRLF. Text is UTF-8; what is not becomes U+FFFD. A line longer than
    :data:`LINE_BYTES` becomes several records, cut between characters. The text is the record's
    only argument, so percent signs mean nothing. Control characters, which a terminal would obey,
    are escaped as Python would escape them. The trace of an exception that nothing caught, which
    the runtime prints when it ends itself, is cut after 10 frames. A record has ``function_id``,
    the function that ran when the line ended, or ``None``.

    Args:
        level: ``logging.INFO`` for stdout, ``logging.WARNING`` for stderr.
    """

    __slots__ = ("_is_cut", "_level", "_logger", "_pending", "_traces", "charge", "speaker")

    def __init__(self, level: int) -> None:
        self._logger = logging.getLogger("dotnet_wasm_host.guest")
        self._level = level
        self._pending = bytearray()
        # Whether a piece of the pending line has been logged.
        self._is_cut = False
        self._traces = LongTraces()
        #: Which function runs.
        self.speaker: Callable[[], str | None] = _nobody
        #: Told before each record.
        self.charge: Callable[[], object] = _nobody

    def write(self, data: bytes) -> None:
        """Log the lines that ``data`` completes and keep the rest."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self.charge()
            self._extend(data[start:end])
            self._end_line()
            start = end + 1
        self._extend(data[start:])

    def flush(self) -> None:
        """Log an unfinished line as if it had ended."""
        if self._pending:
            self._end_line()

    def _extend(self, data: bytes) -> None:
        pending = self._pending
        pending += data
        while len(pending) > LINE_BYTES:
            end = _character_end(pending, LINE_BYTES)
            self.charge()
            self._log(bytes(pending[:end]))
            del pending[:end]
            self._is_cut = True

    def _end_line(self) -> None:
        line = bytes(self._pending).removesuffix(b"\r")
        # The end of a line that was cut just before it is no line of its own.
        if line or not self._is_cut:
            for text in self._traces.shorten(line):
                self._log(text)
        self._pending.clear()
        self._is_cut = False

    def _log(self, line: bytes) -> None:
        if self._logger.isEnabledFor(self._level):
            text, speaker = escape_controls(line.decode(errors="replace")), self.speaker()
            self._logger.log(self._level, "%s", text, extra={"function_id": speaker})


def _nobody() -> None:
    return None


def _character_end(data: bytearray, limit: int) -> int:
    """The last place up to ``limit`` where no UTF-8 character is cut in two."""
    for end in range(limit, limit - _MOST_CONTINUATIONS - 1, -1):
        if data[end] & _CONTINUATION_MASK != _CONTINUATION:
            return end
    return limit


@final
class StreamSink:
    """Writes to a binary stream of the user's, and never closes it.

    What the stream raises goes through the guest to whoever called it.
    """

    __slots__ = ("_stream",)

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        """Write all of ``data``, in several writes if the stream is a raw one."""
        written: object = self._stream.write(data)
        # Home-made streams may return nothing; then they took everything.
        while isinstance(written, int) and 0 < written < len(data):
            data = data[written:]
            written = self._stream.write(data)

    def flush(self) -> None:
        """Flush the stream, if it can be flushed."""
        flush = getattr(self._stream, "flush", None)
        if flush is not None:
            flush()


@final
class InheritedSink:
    """Prints as ``print()`` does: to what ``sys.stdout`` or ``sys.stderr`` is at that moment.

    Text is UTF-8; what is not becomes U+FFFD. What the stream cannot encode is escaped. Control
    characters are escaped on a terminal, which would obey them, and on standard error in any case:
    what it is led to, a log, is looked at on a terminal later. A long trace of the runtime is cut
    as in the log. What the stream raises goes through the guest to whoever called it.
    """

    __slots__ = ("_decoder", "_line", "_name", "_traces")

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._traces = LongTraces()
        # A line that is held back because it may be too much of a trace.
        self._line = bytearray()

    def write(self, data: bytes) -> None:
        """Print it, but for characters that have not wholly come."""
        if self._line or self._traces.is_inside or data.startswith(_LAST_WORDS):
            data = self._without_long_traces(data)
        self._print(self._decoder.decode(data))

    def flush(self) -> None:
        """Print what is held back."""
        self._print(self._decoder.decode(bytes(self._line), final=True))
        self._line.clear()

    def _without_long_traces(self, data: bytes) -> bytes:
        self._line += data
        lines = self._line.split(b"\n")
        self._line = lines.pop()
        shown = [text + b"\n" for line in lines for text in self._traces.shorten(bytes(line))]
        if not self._traces.is_inside and not self._line.startswith(_LAST_WORDS):
            shown.append(bytes(self._line))
            self._line.clear()
        return b"".join(shown)

    def _print(self, text: str) -> None:
        stream: IO[str] | None = getattr(sys, self._name)
        if stream is None or not text:  # a process without a console
            return
        is_terminal = getattr(stream, "isatty", bool)()
        if is_terminal or self._name == "stderr":
            text = escape_controls(text)
        try:
            stream.write(text)
        except UnicodeEncodeError as error:
            encoded = text.encode(error.encoding, errors="backslashreplace")
            stream.write(encoded.decode(error.encoding))
        if is_terminal:
            stream.flush()


@final
class DiscardingSink:
    """Prints nothing."""

    __slots__ = ()

    def write(self, data: bytes) -> None:
        """Leave it out."""

    def flush(self) -> None:
        """There is nothing."""


@final
class InputSource:
    """What the guest reads as its standard input."""

    __slots__ = ("_stream",)

    def __init__(self, source: bytes | IO[bytes]) -> None:
        self._stream: IO[bytes] = BytesIO(source) if isinstance(source, bytes) else source

    def read(self, size: int) -> bytes | None:
        """1..``size`` bytes as soon as there are any, none at the end, ``None`` for "not now".

        Raises:
            TypeError: the stream is not a binary one.
            ValueError: the stream gave more than it was asked for.
        """
        # A buffered stream's read() would wait until all of it has come.
        read = getattr(self._stream, "read1", self._stream.read)
        data: object = read(size)
        if data is None:
            return None
        if not isinstance(data, bytes | bytearray):
            raise TypeError(
                f"stdin must be a binary stream; it gave {type(data).__name__}: give its buffer"
            )
        if len(data) > size:
            raise ValueError(
                f"stdin gave {len(data)} bytes when {size} were asked for; give at most those"
            )
        return bytes(data)


def open_sink(sink: OutputSink | None, name: Literal["stdout", "stderr"]) -> WriteSink:
    """The sink that ``WasiOptions.stdout`` or ``stderr`` asks for; logging without an answer."""
    if sink is None or sink == "logging":
        return LineLogger(_LEVELS[name])
    if sink == "inherit":
        return InheritedSink(name)
    return DiscardingSink() if sink == "discard" else StreamSink(sink)
