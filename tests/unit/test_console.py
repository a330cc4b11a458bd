from __future__ import annotations

import io
import logging
import sys
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import Self

from dotnet_wasm_host.imports.files.console import (
    LINE_BYTES,
    InheritedSink,
    InputSource,
    LineLogger,
    StreamSink,
    open_sink,
)

NAME = "dotnet_wasm_host.guest"


class Records(logging.Handler):
    """Collects what is logged, as long as it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def __enter__(self) -> Self:
        logger = logging.getLogger(NAME)
        self._level = logger.level
        logger.setLevel(logging.DEBUG)
        logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger(NAME)
        logger.setLevel(self._level)
        logger.removeHandler(self)

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]


def logged(*writes: bytes) -> list[str]:
    with Records() as records:
        logger = LineLogger(logging.INFO)
        for data in writes:
            logger.write(data)
        logger.flush()
    return records.lines


def test_a_line_is_a_record_with_the_level_that_was_asked_for() -> None:
    with Records() as records:
        LineLogger(logging.WARNING).write(b"watch out\n")
    (record,) = records.records
    assert (record.name, record.levelno, record.getMessage()) == (
        NAME,
        logging.WARNING,
        "watch out",
    )


def test_a_line_is_not_logged_before_it_ends() -> None:
    with Records() as records:
        logger = LineLogger(logging.INFO)
        logger.write(b"no end")
        assert records.lines == []
        logger.write(b" yet\nnext")
        assert records.lines == ["no end yet"]
        logger.flush()
        assert records.lines == ["no end yet", "next"]
        logger.flush()
        assert records.lines == ["no end yet", "next"]


@pytest.mark.parametrize(
    ("writes", "lines"),
    [
        ([b"a\r\nb\r\n"], ["a", "b"]),
        ([b"a\r", b"\nb\n"], ["a", "b"]),
        ([b"\n\r\n\n"], ["", "", ""]),
        ([b"a\rb\n"], ["a\\x0db"]),
        ([b"a\r\r\n"], ["a\\x0d"]),
        ([b""], []),
        ([b"100%s %d %\n"], ["100%s %d %"]),
        ([b"bad \xff\xfe utf-8\n"], ["bad \ufffd\ufffd utf-8"]),
        ([b"gr", b"\xc3", b"\xbc\xc3", b"\x9f\n"], ["gr\u00fc\u00df"]),
        ([b"cut \xe2\x82"], ["cut \ufffd"]),
    ],
)
def test_lines(writes: list[bytes], lines: list[str]) -> None:
    assert logged(*writes) == lines


@given(
    st.text(alphabet=st.sampled_from("ab\u00fc\u20ac\U0001f600 "), max_size=40),
    st.lists(st.integers(0, 160), max_size=8),
)
def test_it_does_not_matter_how_the_bytes_are_split(text: str, cuts: list[int]) -> None:
    data = (text.replace(" ", "\n") + "\n").encode()
    edges = sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert logged(*pieces) == text.replace(" ", "\n").split("\n")


def test_a_long_line_is_logged_in_pieces_and_not_held() -> None:
    with Records() as records:
        logger = LineLogger(logging.INFO)
        for _ in range(40):
            logger.write(b"x" * 10_000)
        assert [len(line) for line in records.lines] == [LINE_BYTES] * 6
        logger.write(b"\nshort\n")
    assert "".join(records.lines[:-1]) == "x" * 400_000
    assert records.lines[-1] == "short"


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_the_end_of_a_line_of_full_length_is_no_further_line(ending: bytes) -> None:
    assert logged(b"x" * LINE_BYTES + ending + b"next\n") == ["x" * LINE_BYTES, "next"]
    assert logged(b"x" * LINE_BYTES, ending, b"next\n") == ["x" * LINE_BYTES, "next"]


@pytest.mark.parametrize("character", ["\u00fc", "\u20ac", "\U0001f600"])
@pytest.mark.parametrize("shift", range(4))
def test_a_long_line_is_cut_between_characters(character: str, shift: int) -> None:
    text = "x" * shift + character * LINE_BYTES
    pieces = logged(text.encode())
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= LINE_BYTES for piece in pieces)


def test_a_long_line_of_continuation_bytes_is_cut_all_the_same() -> None:
    assert logged(b"\x80" * (LINE_BYTES + 5)) == ["\ufffd" * LINE_BYTES, "\ufffd" * 5]


class RawStream(io.RawIOBase):
    """Takes at most three bytes a write."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        assert isinstance(data, bytes)
        self.data += data[:3]
        return min(len(data), 3)


def test_a_stream_gets_everything_and_stays_open() -> None:
    stream = io.BytesIO()
    sink = StreamSink(stream)
    sink.write(b"one ")
    sink.write(b"two")
    sink.flush()
    del sink
    assert not stream.closed
    assert stream.getvalue() == b"one two"


def test_a_raw_stream_gets_everything() -> None:
    stream = RawStream()
    StreamSink(stream).write(b"eight by")  # type: ignore[arg-type]
    assert stream.data == b"eight by"


def test_a_home_made_stream_needs_only_write() -> None:
    class Stream:
        def __init__(self) -> None:
            self.writes: list[bytes] = []

        def write(self, data: bytes) -> None:
            self.writes.append(data)

    stream = Stream()
    sink = StreamSink(stream)  # type: ignore[arg-type]
    sink.write(b"abc")
    sink.flush()
    assert stream.writes == [b"abc"]


def test_what_a_stream_raises_is_not_touched() -> None:
    class Broken(io.BytesIO):
        def write(self, _: object) -> int:
            raise error

    error = ZeroDivisionError("the user's own")
    with pytest.raises(ZeroDivisionError) as caught:
        StreamSink(Broken()).write(b"x")
    assert caught.value is error


def test_the_sink_of_an_option() -> None:
    assert isinstance(open_sink("logging", "stdout"), LineLogger)
    assert isinstance(open_sink("inherit", "stdout"), InheritedSink)
    stream = io.BytesIO()
    open_sink(stream, "stdout").write(b"x")
    assert stream.getvalue() == b"x"


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_what_is_inherited_is_printed_wherever_python_prints(
    monkeypatch: pytest.MonkeyPatch, name: Literal["stdout", "stderr"]
) -> None:
    sink = InheritedSink(name)
    for _ in range(2):
        stream = io.StringIO()
        monkeypatch.setattr(sys, name, stream)
        for piece in (b"Gr\xc3", b"\xbc\xc3\x9fe", b"\x1b[2J\xff\n", b"\xe2\x82"):
            sink.write(piece)
        # A log, which is where standard error may be led, is looked at on a terminal later.
        escape = "\x1b" if name == "stdout" else r"\x1b"
        assert stream.getvalue() == f"Grüße{escape}[2J\ufffd\n"
        sink.flush()
        assert stream.getvalue().endswith("\n\ufffd")
    monkeypatch.setattr(sys, name, None)
    sink.write(b"nobody hears it")


def test_a_terminal_does_not_obey_what_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        flushed = 0

        def isatty(self) -> bool:
            return True

        def flush(self) -> None:
            self.flushed += 1

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    InheritedSink("stdout").write(b"\x1b[2J\tname: \r\n")
    assert terminal.getvalue() == "\\x1b[2J\tname: \n"
    assert terminal.flushed == 1


def test_what_a_stream_cannot_encode_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    InheritedSink("stdout").write("né\n".encode())
    stream.flush()
    assert content.getvalue() == b"n\\xe9\n"


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_inherited_trace_is_cut(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    sink = InheritedSink("stderr")
    frames = b"".join(b"at H.R (int) %d\n" % number for number in range(1000))
    sink.write(b"before\n")
    sink.write(b"[ERROR] FATAL UNHANDLED EXCEPTION: ")
    said = b"Overflow\n" + frames + b"\nafter\n"
    for start in range(0, len(said), size):
        sink.write(said[start : start + size])
    sink.flush()
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["before", "[ERROR] FATAL UNHANDLED EXCEPTION: Overflow"]
    assert lines[2:] == [
        *(f"at H.R (int) {number}" for number in range(10)), "... and 990 more frames", "", "after"
    ]  # fmt: skip


def test_input_from_bytes() -> None:
    source = InputSource(b"hello")
    assert [source.read(3), source.read(3), source.read(3)] == [b"hel", b"lo", b""]


def test_input_comes_as_soon_as_there_is_some() -> None:
    class Slow(io.RawIOBase):
        pieces: tuple[bytes, ...] = (b"one", b"two")

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            if not self.pieces:
                raise AssertionError("it had something to give already")
            piece, *rest = self.pieces
            self.pieces = tuple(rest)
            buffer[: len(piece)] = piece
            return len(piece)

    source = InputSource(io.BufferedReader(Slow()))  # type: ignore[type-var]
    assert source.read(100) == b"one"
    assert source.read(100) == b"two"


@pytest.mark.parametrize(("given_data", "error"), [("text", TypeError), (b"too much", ValueError)])
def test_a_bad_input_stream_is_named(given_data: object, error: type[Exception]) -> None:
    class Stream:
        def read(self, _: int) -> object:
            return given_data

    with pytest.raises(error, match="stdin"):
        InputSource(Stream()).read(4)  # type: ignore[arg-type]


def test_input_that_is_not_there_yet() -> None:
    class Stream:
        def read(self, _: int) -> None:
            return None

    assert InputSource(Stream()).read(4) is None  # type: ignore[arg-type]
