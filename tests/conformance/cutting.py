"""Members of C# that do not compile, cut out of its text."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import accumulate
from typing import NamedTuple

__all__ = ["cut"]

#: What has braces and semicolons that mean nothing, and lines of the preprocessor.
_OPAQUE = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | ^[ \t]*\#[^\n]*
    | (?:\$@|@\$|@)"(?:[^"]|"")*" | \$?"(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)+'""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_TYPE = re.compile(r"\b(?:class|struct|interface|namespace|record)\b")
_ATTRIBUTE = re.compile(r"\[[^\[\]]*\]")
#: A closing brace before one of these ends an expression, not a member.
_GOES_ON = frozenset(";,).=?")
_LONGEST_NAME = 160


class _Block(NamedTuple):
    has_members: bool
    start: int


def cut(text: str, lines: Collection[int]) -> tuple[str, list[str]]:
    """The text without the innermost members or types that the lines are in, and what these were.

    Other lines keep their numbers. A line that is in none of them stays, unless it is a using.
    """
    visible = _OPAQUE.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)
    spans = _spans(visible)
    starts = [0, *accumulate(len(line) for line in text.splitlines(keepends=True))]
    gone = set()
    for line in lines:
        begin, end = starts[line - 1], starts[line]
        source = text[begin:end]
        place = min(begin + len(source) - len(source.lstrip()), end - 1)
        inside = [span for span in spans if span[0] <= place < span[1]]
        if inside:
            gone.add(max(inside, key=lambda span: (span[0], -span[1])))
        elif source.lstrip().startswith("using "):
            gone.add((begin, end))
    names = []
    for start, end in sorted(gone, reverse=True):
        names.append(" ".join(visible[start:end].split())[:_LONGEST_NAME])
        text = text[:start] + _emptied(text[start:end]) + text[end:]
    return text, names[::-1]


def _emptied(body: str) -> str:
    """Nothing but line ends, and what the preprocessor needs."""
    kept = (
        line if line.lstrip().startswith("#") else "\n" * line.count("\n")
        for line in body.splitlines(keepends=True)
    )
    return "".join(kept)


def _spans(visible: str) -> list[tuple[int, int]]:
    """Where members and types begin and end, attributes included."""
    spans: list[tuple[int, int]] = []
    blocks: list[_Block] = []
    start = 0
    for found in re.finditer("[{};]", visible):
        place, what = found.start(), found.group()
        among_members = not blocks or blocks[-1].has_members
        if what == "{":
            blocks.append(_Block(among_members and _declares(visible[start:place]), start))
            if blocks[-1].has_members:
                start = place + 1
        elif what == ";":
            if among_members:
                spans.append((_begin(visible, start), place + 1))
                start = place + 1
        elif blocks:
            block = blocks.pop()
            if (not blocks or blocks[-1].has_members) and not (
                not block.has_members and visible[place + 1 :].lstrip()[:1] in _GOES_ON
            ):
                spans.append((_begin(visible, block.start), place + 1))
                start = place + 1
    spans.sort()
    return spans


def _begin(visible: str, start: int) -> int:
    return start + len(visible[start:]) - len(visible[start:].lstrip())


def _declares(head: str) -> bool:
    """Whether what stands before a brace declares something that has members."""
    plain = head
    while (shorter := _ATTRIBUTE.sub("", plain)) != plain:
        plain = shorter
    plain = plain.partition(" where ")[0]
    return bool(_TYPE.search(plain)) and not {"(", "="} & set(plain)
