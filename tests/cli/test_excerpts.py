"""A place in a line of source, as a terminal shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotnet_wasm_host.cli.excerpts import Excerpt


@pytest.mark.parametrize(
    ("line", "start", "end", "expected"),
    [
        ("return x;", 7, 8, ("return x;", 7, 1)),
        ("\treturn x;", 8, 9, ("    return x;", 11, 1)),
        ("a\tb", 2, 3, ("a   b", 4, 1)),
        ('var s = "日本" + y;', 15, 16, ('var s = "日本" + y;', 17, 1)),
        ('"😀" + y', 7, 8, ('"😀" + y', 7, 1)),
        ("e\N{COMBINING ACUTE ACCENT} + y", 5, 6, ("e\N{COMBINING ACUTE ACCENT} + y", 4, 1)),
        ("a\x1b[2Jb", 5, 6, ("a\N{REPLACEMENT CHARACTER}[2Jb", 5, 1)),
        ("class C {", 6, -1, ("class C {", 6, 3)),
        ("missing semicolon", 17, 17, ("missing semicolon", 17, 1)),
        ("short", 99, 100, ("short", 5, 1)),
    ],
)
def test_the_place_is_below_what_it_names(
    line: str, start: int, end: int, expected: tuple[str, int, int]
) -> None:
    assert Excerpt.of(line, start, end, 80) == expected


@given(st.text(max_size=300), st.integers(-2, 400), st.integers(-2, 400), st.integers(20, 100))
def test_it_fits_whatever_the_line_is(line: str, start: int, end: int, width: int) -> None:
    found = Excerpt.of(line, start, end, width)
    assert all(c.isprintable() or c == "" for c in found.text)
    assert found.indent >= 0
    assert found.length >= 1
    assert found.indent + found.length <= width + 1


def test_of_a_long_line_the_part_around_the_place_is_shown() -> None:
    line = "x" * 500 + "HERE" + "y" * 500
    text, indent, length = Excerpt.of(line, 500, 504, 60)
    assert text[indent : indent + length] == "HERE"
    assert len(text) <= 60
