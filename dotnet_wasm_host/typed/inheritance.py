"""Which types derive from which, over all assemblies that are known."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.ecma335.signatures import INSTANCE, VAR
from dotnet_wasm_host.typed.nullability import bare
from dotnet_wasm_host.typed.unsupported import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dotnet_wasm_host.typed.definitions import TypeDefinition

__all__ = ["Families"]


@final
class Families:
    """Types by the class that they derive from, whoever may see them.

    Args:
        types: all of them.
        close: makes a constructed type of a generic one and its arguments. Unsupported if there
            is none.
    """

    def __init__(
        self,
        types: Iterable[TypeDefinition],
        close: Callable[[TypeDefinition, tuple[Any, ...]], TypeDefinition],
    ) -> None:
        self._types = types
        self._close = close
        self._by_base: dict[str, list[tuple[TypeDefinition, tuple[Any, ...]]]] | None = None

    def derived(self, of: TypeDefinition) -> list[TypeDefinition]:
        """Types that derive from one, the nearest first, however many are between.

        A generic one is constructed as the one that it derives from is; it stays generic where
        that does not say of what.
        """
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
            elif type_.generic_count and _is_open(arguments):
                yield self._closed(type_, arguments, of)

    def _closed(
        self, type_: TypeDefinition, arguments: tuple[Any, ...], of: TypeDefinition
    ) -> TypeDefinition:
        own = tuple((VAR, number) for number in range(type_.generic_count))
        if arguments == own:
            with suppress(Unsupported):
                return self._close(type_, of.arguments)
        return type_


def _is_open(arguments: tuple[Any, ...]) -> bool:
    """Whether a type parameter is in one of these types."""
    return any(
        isinstance(part, tuple) and (part[:1] == (VAR,) or _is_open(part[1:])) for part in arguments
    )
