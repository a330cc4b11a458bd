"""What a function wanted and a trimmed image does not have, out of what .NET says about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, final
from xml.etree import ElementTree as ET

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.configurations import (
    CORE,
    FULL,
    TRIMMED_IMAGES,
    Configuration,
    read_configurations,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from dotnet_wasm_host.abi import RemoteException

__all__ = ["ApiReference", "MissingApiAdvice", "MissingPart", "missing_reference"]

_NAME = r"[\w.`+/<>$|-]+"
#: Messages of Mono and CoreLib, by exception; each names a type, an assembly or both.
_MESSAGES = (
    re.compile(rf"expected class '(?P<type>{_NAME})' in assembly '(?P<assembly>[\w.-]+)"),
    re.compile(
        rf"Could not load type '(?P<type>{_NAME})'(?: from assembly '(?P<assembly>[\w.-]+))?"
    ),
    re.compile(r"Could not load file or assembly '(?P<assembly>[\w.-]+)"),
    # The result's type, then the method: ``void N.T..ctor(string)``.
    re.compile(
        r"(?:Method|Field) not found: .*?(?P<type>(?:\w+\.)+[\w`/+]+)\.(?P<member>\.?\w+)"
        r"(?:<[^(]*>)?(?:\(|$)"
    ),
)
_EXCEPTIONS = frozenset(
    {
        "System.EntryPointNotFoundException",
        "System.IO.FileNotFoundException",
        "System.MissingFieldException",
        "System.MissingMethodException",
        "System.TypeLoadException",
    }
)


#: Where messages say that a type of CoreLib is, or that they do not say.
_FACADES = frozenset({"", "System.Runtime", "mscorlib", "netstandard"})


@dataclass(frozen=True, slots=True)
class MissingPart:
    """Part of the base library, the image that lacks it, and one that has it."""

    api: str
    image: str
    found_in: str


@dataclass(frozen=True, slots=True)
class ApiReference:
    """A part of the base library. Names are ``""`` where nobody said them."""

    assembly: str = ""
    type: str = ""
    member: str = ""

    def __str__(self) -> str:
        if not self.type:
            return self.assembly
        return f"{self.type}.{self.member}" if self.member else self.type


def missing_reference(error: RemoteException) -> ApiReference | None:
    """What a load, link or look-up error missed, the innermost that says so."""
    found = None
    link: RemoteException | None = error
    while link is not None:
        if link.type_name in _EXCEPTIONS:
            found = _reference(link.message) or found
        link = link.inner
    return found


def _reference(message: str) -> ApiReference | None:
    for pattern in _MESSAGES:
        match = pattern.search(message)
        if match:
            names = {key: text or "" for key, text in match.groupdict().items()}
            return ApiReference(**names)
    return None


@final
class MissingApiAdvice:
    """Says which image to take, for functions of a trimmed one.

    Attributes:
        image: name of the image that the functions run on.
    """

    def __init__(self, image: str) -> None:
        self.image = image

    def find(self, error: RemoteException, wanted: Collection[str] = ()) -> MissingPart | None:
        """What is missing, and the smallest built-in image to take.

        Args:
            error: what .NET said.
            wanted: assemblies of the base library that the function refers to and the image
                does not have. They were added, but may find that the image lacks something.
        """
        reference = missing_reference(error)
        if reference is None or not self._is_base_library(reference):
            return None
        references = [ApiReference(name) for name in wanted] or [reference]
        return MissingPart(str(reference), self.image, self.image_with(references))

    def image_with(self, references: Iterable[ApiReference]) -> str:
        """The first built-in image, by size, other than this one that declares all of them."""
        configurations = read_configurations(ArtifactStore.locate())
        for name in TRIMMED_IMAGES:
            if name != self.image and all(
                _declares(configurations[name], reference) for reference in references
            ):
                return name
        return FULL

    @staticmethod
    def _is_base_library(reference: ApiReference) -> bool:
        """Not something that a function forgot to bring along."""
        if not reference.assembly:
            return True
        store = ArtifactStore.locate()
        return f"framework/{reference.assembly}.webcil" in store.manifest.files


def _declares(configuration: Configuration, reference: ApiReference) -> bool:
    for _, text in configuration.descriptors:
        for assembly in ET.fromstring(text).iter("assembly"):  # noqa: S314 - our own file
            name = assembly.get("fullname", "")
            if not reference.type:
                if name == reference.assembly:
                    return True
            elif any(_keeps(e, reference) for e in _types(assembly, name, reference)):
                return True
    return False


def _types(assembly: ET.Element, name: str, reference: ApiReference) -> Iterator[ET.Element]:
    """The elements of an assembly that speak of a type."""
    # Whole namespaces are one assembly's; nobody says where a type behind a facade is.
    home = CORE if reference.assembly in _FACADES else reference.assembly
    for element in assembly:
        pattern = element.get("fullname", "")
        if element.tag == "namespace":
            if name == home and reference.type.rpartition(".")[0] == pattern:
                yield element
        elif pattern == reference.type or (
            name == home and pattern.endswith("*") and reference.type.startswith(pattern[:-1])
        ):
            yield element


def _keeps(element: ET.Element, reference: ApiReference) -> bool:
    if not reference.member or element.get("preserve") or not len(element):
        return True
    accessor = reference.member.partition("_")[2]
    return any(child.get("name") in {reference.member, accessor} for child in element)
