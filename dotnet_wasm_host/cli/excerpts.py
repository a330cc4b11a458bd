"""A line of source with a place in it marked, for terminals."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

__all__ = ["Excerpt"]

_TAB = 4
_ELLIPSIS = "..."


class Excerpt(NamedTuple):
    """What a terminal shows of a line.

    Attributes:
        text: the line, or part of a long one.
        indent: columns before the place.
        length: columns that the place takes, one at least.
    """

    text: str
    indent: int
    length: int

    @classmethod
    def of(cls, line: str, start: int, end: int, width: int) -> Excerpt:
        """The part of a line that fits.

        Args:
            line: source text.
            start: where the place begins, in UTF-16 units counted from 0, as the compiler counts.
            end: where it ends; before the start for the end of the line.
            width: columns there are.
        """
        cells, columns = _lay_out(line)
        first = columns[min(max(start, 0), len(columns) - 1)]
        last = columns[min(end, len(columns) - 1)] if end > start else columns[-1]
        if len(cells) <= width:
            return cls("".join(cells), first, max(last - first, 1))
        # The place in the middle, or the beginning of the line if it is there.
        room = max(width - 2 * len(_ELLIPSIS), 1)
        begin = min(max(first - room // 2, 0), max(len(cells) - room, 0))
        shown = "".join(cells[begin : begin + room])
        length = max(min(last, begin + room) - first, 1)
        return cls(f"{_ELLIPSIS}{shown}{_ELLIPSIS}", first - begin + len(_ELLIPSIS), length)


def _lay_out(line: str) -> tuple[list[str], list[int]]:
    """What stands in each column; the column of each UTF-16 unit and of the end.

    A wide character takes two columns, an empty one behind it; one that combines takes none.
    """
    cells: list[str] = []
    columns: list[int] = []
    for character in line:
        columns += [len(cells)] * (2 if ord(character) > 0xFFFF else 1)
        if character == "\t":
            cells += [" "] * (_TAB - len(cells) % _TAB)
        elif unicodedata.combining(character) and cells:
            cells[-1] += character
        elif not character.isprintable():
            cells.append("\N{REPLACEMENT CHARACTER}")
        else:
            is_wide = unicodedata.east_asian_width(character) in "WF"
            cells += [character, ""] if is_wide else [character]
    columns.append(len(cells))
    return cells, columns
