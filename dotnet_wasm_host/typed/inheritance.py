"""Which types derive from which, over all assemblies that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.ecma335.signatures import INSTANCE
from dotnet_wasm_host.typed.nullability import bare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dotnet_wasm_host.typed.definitions import TypeDefinition

__all__ = ["Families"]


@final
class Families:
    """Types by the class that they derive from, whoever may see them.

    Args:
        types: all of them.
    """

    def __init__(self, types: Iterable[TypeDefinition]) -> None:
        self._types = types
        self._by_base: dict[str, list[tuple[TypeDefinition, tuple[Any, ...]]]] | None = None

    def derived(self, of: TypeDefinition) -> list[TypeDefinition]:
        """Types that derive from one, the nearest first, however many are between."""
        found: list[TypeDefinition] = []
        pending = [of]
        while pending:
            new = [t for t in self._direct(pending.pop(0)) if t not in found and t is not of]
            found += new
            pending += new
        return found

    def _direct(self, of: TypeDefinition) -> Iterator[TypeDefinition]:
        if self._by_base is None:
            self._by_base = {}
            for type_ in self._types:
                base = type_.reader.base(type_)
                if not isinstance(base, tuple):
                    continue
                head, arguments = base, ()
                if base[0] == INSTANCE:
                    head, arguments = base[1], tuple(map(bare, base[2:]))
                if head[0] == "T":
                    name = head[1] if isinstance(head[1], str) else head[1].full_name
                    self._by_base.setdefault(name, []).append((type_, arguments))
        for type_, arguments in self._by_base.get(of.origin.full_name, ()):
            if arguments == tuple(map(bare, of.arguments)):
                yield type_
