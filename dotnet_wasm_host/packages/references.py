"""What a program asks for with ``#:package``, and the seam to what finds packages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.errors import MarshallingError, MarshallingTypeError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "PackageLibraries",
    "PackageReference",
    "PackageResolver",
    "is_package_id",
    "parse_packages",
]

#: NuGet: a package id has at most 100 letters, digits, ``_``, ``.`` and ``-``.
_ID = re.compile(r"\w+([._-]\w+)*", re.ASCII)
_LONGEST_ID = 100


def is_package_id(text: str) -> bool:
    """Whether a package can be called that."""
    return len(text) <= _LONGEST_ID and _ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class PackageReference:
    """A package that somebody wants.

    Attributes:
        name: its id; upper and lower case are the same.
        version: version or range in NuGet's notation, ``"13.0.3"``, ``"[1.0,2.0)"``, ``"1.*"``;
            ``""`` if none was asked for.
        file, line: the directive that asked for it; ``""`` and 0 if none did.
    """

    name: str
    version: str = ""
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    @classmethod
    def parse(cls, text: str, file: str = "", line: int = 0) -> PackageReference:
        """Read ``Name`` or ``Name@Version``. ValueError if it is neither."""
        name, separator, version = (part.strip() for part in text.partition("@"))
        if not is_package_id(name) or bool(separator) != bool(version):
            raise ValueError(
                f"expected the id of a package, with '@' and a version behind it if it matters, "
                f"found {text!r}; write for example 'Newtonsoft.Json@13.0.3'"
            )
        return cls(name, version, file, line)


class PackageLibraries(NamedTuple):
    """Assemblies of packages, by simple name; satellites by ``culture/name``.

    Attributes:
        references: what is compiled against.
        libraries: what is there at run time.
    """

    references: Mapping[str, bytes]
    libraries: Mapping[str, bytes]


#: Finds packages and all that they depend on.
PackageResolver = Callable[[Sequence[PackageReference]], PackageLibraries]


def parse_packages(packages: Iterable[str]) -> list[PackageReference]:
    """Ids with versions. MarshallingError for anything else."""
    if isinstance(packages, (str, bytes)) or not hasattr(packages, "__iter__"):
        raise MarshallingTypeError(
            f"packages is a list of texts such as 'Name@1.0', not {packages!r}; give one"
        )
    found = []
    for text in packages:
        if not isinstance(text, str):
            raise MarshallingTypeError(
                f"packages holds {text!r}; every package is text; give its id"
            )
        try:
            found.append(PackageReference.parse(text))
        except ValueError as error:
            raise MarshallingError(f"packages: {error}") from error
    return found
