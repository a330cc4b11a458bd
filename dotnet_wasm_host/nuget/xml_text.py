"""XML of strangers: elements and attributes, and nothing that XML can do beside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Element", "MalformedXml", "parse_xml"]

#: A nuspec with its release notes has some kilobytes.
MAX_BYTES = 4 << 20
MAX_DEPTH = 64
MAX_ELEMENTS = 50_000


class MalformedXml(ValueError):
    """It is no XML, or more than a nuspec or a NuGet.Config needs."""


@dataclass(slots=True)
class Element:
    """An element. Namespaces are left out: NuGet's schema has had six, and no clashes."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What stands in it, without white space around."""
        return "".join(self.parts).strip()

    def all(self, name: str) -> Iterator[Element]:
        """Elements of this name right below."""
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> Element | None:
        """The first element of this name right below."""
        return next(self.all(name), None)

    def text_of(self, name: str) -> str:
        """Text of the first element of this name right below, or ``""``."""
        found = self.first(name)
        return found.text if found is not None else ""


def parse_xml(content: bytes) -> Element:
    """The root element. MalformedXml, also for a DOCTYPE: entities are made there."""
    if len(content) > MAX_BYTES:
        raise MalformedXml(f"it has {len(content)} bytes; {MAX_BYTES} is the most")
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.buffer_text = True
    try:
        parser.Parse(content, True)  # noqa: FBT003 - expat's own parameter: this is the end
    except (expat.ExpatError, LookupError, UnicodeError) as error:
        raise MalformedXml(f"it is not XML: {error}") from error
    assert reader.root is not None
    return reader.root


@final
class _Reader:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise MalformedXml(
                f"it has more than {MAX_ELEMENTS} elements, or more than {MAX_DEPTH} in each other"
            )
        element = Element(_local(name), {_local(key): text for key, text in attributes.items()})
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].parts.append(data)

    def doctype(self, *_: object) -> None:
        raise MalformedXml("it has a DOCTYPE, which no such file needs")


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
