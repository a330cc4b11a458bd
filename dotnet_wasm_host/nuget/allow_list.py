"""Which packages may be used, whoever wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import MarshallingError, MarshallingTypeError
from dotnet_wasm_host.packages.references import PackageReference, is_package_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dotnet_wasm_host.nuget.rules import PackageRules

__all__ = ["AllowList"]


@final
class AllowList:
    """Ids that are allowed: ``"Name"``, ``"Name@1.2"`` with a range, ``"Prefix.*"``.

    Args:
        entries: ``None`` allows every package of the sources.

    Raises:
        MarshallingError: an entry is none of these.
    """

    def __init__(self, entries: Iterable[str] | None) -> None:
        self._exact: dict[str, list[str]] | None = None
        self._prefixes: list[str] = []
        if entries is None:
            return
        if isinstance(entries, str) or not hasattr(entries, "__iter__"):
            raise MarshallingTypeError(
                f"expected allow_packages as a list of texts, found {entries!r:.80}; give for "
                "example "
                '["Humanizer.Core", "Serilog.*"]'
            )
        self._exact = {}
        for entry in entries:
            self._add(entry, self._exact)

    def _add(self, entry: str, exact: dict[str, list[str]]) -> None:
        if not isinstance(entry, str):
            raise MarshallingTypeError(
                f"expected texts in allow_packages, found {entry!r:.80}; give an id, "
                "'Id@version' or 'Prefix.*'"
            )
        if entry.endswith("*"):
            prefix = entry[:-1].lower()
            if prefix and not is_package_id(prefix.rstrip(".")):
                raise MarshallingError(
                    "allow_packages: expected the beginning of an id before '*', found "
                    f"{entry!r:.80}; "
                    "give for example 'Serilog.*'"
                )
            self._prefixes.append(prefix)
            return
        try:
            reference = PackageReference.parse(entry)
        except ValueError as error:
            raise MarshallingError(
                f"allow_packages: {error}; give an id, 'Id@version' or 'Prefix.*'"
            ) from error
        exact.setdefault(reference.name.lower(), []).append(reference.version)

    def has(self, name: str) -> bool:
        """Whether some version of a package may be used. Asked before any feed is."""
        key = name.lower()
        return self._exact is None or key in self._exact or key.startswith(tuple(self._prefixes))

    def permits(self, name: str, version: str, rules: PackageRules) -> bool:
        """Whether this version of a package may be used. Asked before it is fetched."""
        if self._exact is None or name.lower().startswith(tuple(self._prefixes)):
            return True
        ranges = self._exact.get(name.lower(), ())
        return any(not wanted or rules.satisfies(wanted, version) for wanted in ranges)

    def check(self, rules: PackageRules) -> None:
        """MarshallingError if a range is none."""
        for name, ranges in (self._exact or {}).items():
            for wanted in filter(None, ranges):
                if rules.range(wanted) is None:
                    raise MarshallingError(
                        f"allow_packages: {name}@{wanted} has no range of versions; write for "
                        "example 'Name@1.2', 'Name@[1.0,2.0)' or 'Name'"
                    )
