"""Names of types as reflection writes them: ``N.Outer+Inner`1[[T, Assembly]], Assembly``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.world import World

__all__ = ["TypeName", "parse_type_name"]


@final
@dataclass(frozen=True, slots=True)
class TypeName:
    """A type's name and its type arguments; arrays and pointers are what they are made of."""

    name: str
    assembly: str
    arguments: tuple[TypeName, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}, {self.assembly}" if self.assembly else self.name

    def all(self) -> Iterator[TypeName]:
        """This name and those of all arguments."""
        yield self
        for argument in self.arguments:
            yield from argument.all()

    def resolve(self, world: World, module: Module) -> int | None:
        """The type, looked up like the runtime does: in its assembly, else here and in the core."""
        places = [world.load(self.assembly)] if self.assembly else [module, world.core]
        for place in places:
            found = world.type_named(place, self.name) if place is not None else None
            if found is not None:
                return found
        return None


def parse_type_name(text: str) -> TypeName:
    """Read a name; one that makes no sense is a name that resolves to nothing."""
    name, position = _parse(text, 0, nested=False)
    return name if position == len(text) else TypeName(text, "")


def _parse(text: str, position: int, *, nested: bool) -> tuple[TypeName, int]:
    start = position
    while position < len(text) and text[position] not in "[],*&":
        position += 2 if text[position] == "\\" else 1
    name = text[start:position].replace("+", "/").replace("\\/", "+").strip()
    arguments: list[TypeName] = []
    while position < len(text) and text[position] in "[*&":
        if text[position] in "*&" or text[position + 1 : position + 2] in {"]", ",", "*"}:
            position = text.find("]", position) + 1 if text[position] == "[" else position + 1
            if position == 0:
                return TypeName(text, ""), len(text)
            continue
        position += 1
        while position < len(text) and text[position] != "]":
            quoted = text[position] == "["
            argument, position = _parse(text, position + quoted, nested=quoted)
            arguments.append(argument)
            position += quoted
            if text[position : position + 1] == ",":
                position += 1
            while text[position : position + 1] == " ":
                position += 1
        position += 1
    assembly = ""
    # A comma ends an argument that is not in brackets of its own.
    if text[position : position + 1] == "," and (nested or start == 0):
        end = text.find("]", position) if nested else len(text)
        end = len(text) if end < 0 else end
        assembly = text[position + 1 : end].partition(",")[0].strip()
        position = end
    return TypeName(name, assembly, tuple(arguments)), position
