"""Documentation comments of C# as docstrings (C# 12 specification, annex D)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from dotnet_wasm_host.errors import MarshallingError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Comment", "Documentation", "read_documentation"]

#: ``M:Type.Method(Parameter,Parameter)``; generic arguments and tuples have commas in brackets.
_MEMBER = re.compile(r"([MTPFE]):([^(]+)(?:\((.*)\))?")
_SPACE = re.compile(r"\s+")
_TAG = re.compile(r"<(?=!)")


@dataclass(frozen=True, slots=True)
class Comment:
    """What a documentation comment says, without markup."""

    summary: str
    parameters: dict[str, str]
    returns: str
    raises: tuple[tuple[str, str], ...]
    count: int


@dataclass(frozen=True, slots=True)
class Documentation:
    """Comments by member."""

    members: dict[str, list[Comment]] = field(default_factory=dict)

    def of_type(self, path: tuple[str, ...]) -> str:
        """The docstring of a type; ``""`` if it has none."""
        found = self.members.get("T:" + ".".join(path))
        return found[0].summary if found else ""

    def of_member(self, path: tuple[str, ...], name: str) -> str:
        """The docstring of a property or field; ``""`` if it has none."""
        for kind in "PF":
            for comment in self.members.get(f"{kind}:" + ".".join((*path, name)), []):
                return comment.summary
        return ""

    def of_method(self, path: tuple[str, ...], name: str, parameters: list[str]) -> str:
        """The docstring of a method with these parameters, as C# calls them."""
        comment = self.comment(path, name, parameters)
        return "" if comment is None else "\n".join(_docstring(comment))

    def comment(self, path: tuple[str, ...], name: str, parameters: list[str]) -> Comment | None:
        """The comment of a method with these parameters; ``None`` if it has none."""
        comments = self.members.get("M:" + ".".join((*path, name)), [])
        fitting = [c for c in comments if c.count == len(parameters)]
        named = [c for c in fitting if set(c.parameters) <= set(parameters)]
        return next(iter(named or fitting), None)


def read_documentation(text: bytes) -> Documentation:
    """Read what the compiler wrote. MarshallingError if that is no such XML."""
    members: dict[str, list[Comment]] = {}
    if not text:
        return Documentation(members)
    try:
        # As text, so that no other encoding hides from the search what the parser would find.
        decoded = text.decode("utf-8-sig")
        # Entities of its own could stand for any amount of text; the compiler writes none.
        if _TAG.search(decoded):
            return Documentation(members)
        root = ET.fromstring(decoded)  # noqa: S314 - without entities, see above
    except (ET.ParseError, UnicodeDecodeError) as error:
        raise MarshallingError(
            f"the documentation is not XML: {error}; compile the assembly again or remove the file"
        ) from error
    for member in root.iter("member"):
        found = _MEMBER.fullmatch(member.get("name", ""))
        if found is not None:
            count = _count(found[3])
            members.setdefault(f"{found[1]}:{found[2]}", []).append(_comment(member, count))
    return Documentation(members)


def _count(parameters: str | None) -> int:
    if not parameters:
        return 0
    depth, count = 0, 1
    for character in parameters:
        depth += character in "{[("
        depth -= character in "}])"
        count += character == "," and depth == 0
    return count


def _comment(member: ET.Element, count: int) -> Comment:
    return Comment(
        _text(member.find("summary")),
        {p.get("name", ""): _text(p) for p in member.findall("param")},
        _text(member.find("returns")),
        tuple(
            (e.get("cref", "").rpartition(".")[2], _text(e)) for e in member.findall("exception")
        ),
        count,
    )


def _text(element: ET.Element | None) -> str:
    if element is None:
        return ""
    return _SPACE.sub(" ", "".join(_pieces(element))).strip()


def _pieces(element: ET.Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        reference = child.get("cref") or child.get("langword") or child.get("name")
        if reference and not child.text:
            yield reference.partition("(")[0].rpartition(".")[2].rpartition(":")[2]
        else:
            yield from _pieces(child)
        yield child.tail or ""


def _docstring(comment: Comment) -> Iterator[str]:
    yield comment.summary
    if comment.parameters:
        yield "\nArgs:"
        for name, text in comment.parameters.items():
            yield f"    {name}: {text}"
    if comment.returns:
        yield f"\nReturns:\n    {comment.returns}"
    if comment.raises:
        yield "\nRaises:"
        for name, text in comment.raises:
            yield f"    {name}: {text}"
