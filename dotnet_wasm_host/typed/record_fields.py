"""The fields that a record or struct has in Python."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.ecma335.signatures import INSTANCE
from dotnet_wasm_host.typed.nullability import bare
from dotnet_wasm_host.typed.shapes import Field
from dotnet_wasm_host.typed.unsupported import Unsupported, is_identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dotnet_wasm_host.typed.definitions import Property, TypeDefinition
    from dotnet_wasm_host.typed.shapes import Shape

__all__ = ["record_fields"]

#: Classes that derive from each other; the deepest that people write has few.
_MAX_DEPTH = 40


def record_fields(of: TypeDefinition, build: Callable[[Any], Shape]) -> Iterator[Field]:
    """What a record is made of: what its constructor takes, then what can be set."""
    members: dict[str, Property] = {}
    level: TypeDefinition | None = of
    for _ in range(_MAX_DEPTH):
        if level is None:
            break
        for member in (*level.reader.properties(level), *level.reader.fields(level)):
            members.setdefault(member.name, member)
        level = _base(level)
    by_lower = {name.lower(): member for name, member in members.items()}
    taken = set()
    for parameter in _constructor(of, by_lower):
        member = by_lower[parameter.lower()]
        taken.add(member.name)
        yield Field(member.name, build(member.type), in_constructor=True)
    for member in members.values():
        if member.is_settable and member.name not in taken:
            if not is_identifier(member.name):
                raise Unsupported(f"{member.name!r} is a name that C# cannot write")
            yield Field(member.name, build(member.type), in_constructor=False)


def _base(of: TypeDefinition) -> TypeDefinition | None:
    """The class that a type derives from, constructed or not, if the same assembly defines it."""
    base = of.reader.base(of)
    if not isinstance(base, tuple):
        return None
    arguments = base[2:] if base[0] == INSTANCE else ()
    found = base[1][1] if base[0] == INSTANCE else base[1]
    if isinstance(found, str):
        return None
    made: TypeDefinition = replace(found, arguments=arguments) if arguments else found
    return made


def _constructor(of: TypeDefinition, members: dict[str, Any]) -> list[str]:
    """Parameters of the constructor that takes most of the members by their names."""
    best: list[str] | None = [] if of.is_value_type else None
    for method in of.reader.methods(of):
        if method.name != ".ctor" or not method.is_public:
            continue
        names = [p.name for p in method.parameters]
        matches = len({n.lower() for n in names}) == len(names) and all(
            p.name.lower() in members and bare(members[p.name.lower()].type) == bare(p.type)
            for p in method.parameters
        )
        if matches and (best is None or len(names) > len(best)):
            best = names
    if best is None:
        raise Unsupported("it has no public constructor that takes its properties")
    return best
