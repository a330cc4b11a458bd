"""What a function wanted and a trimmed image does not have, out of what .NET says about it."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final
from xml.etree import ElementTree as ET

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.assembly import identify
from dotnet_wasm_host.base_library.configurations import (
    CORE,
    FULL,
    HOST_JSON,
    TRIMMED_IMAGES,
    Configuration,
    read_configurations,
)
from dotnet_wasm_host.ecma335.metadata import Metadata
from dotnet_wasm_host.ecma335.rows import AssemblyRefRow, TypeRefRow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from dotnet_wasm_host.abi import RemoteException
    from dotnet_wasm_host.trimming.api_surface import ApiSurface

__all__ = ["ApiReference", "MissingApiAdvice", "MissingPart", "declares", "missing_reference"]

#: Most characters of a message that are looked at: a guest may write it. The expressions below
#: match one character after the other and never go back.
_LONGEST_MESSAGE = 4096
_TYPE_NAME = re.compile(r"[\w.`+/<>$|-]+")
_ASSEMBLY_NAME = re.compile(r"[\w.-]+")
_MEMBER_TYPE = re.compile(r"[\w.`/+]+")
_MEMBER_NAME = re.compile(r"\w+")
_EXCEPTIONS = frozenset(
    {
        "System.BadImageFormatException",
        "System.EntryPointNotFoundException",
        "System.IO.FileNotFoundException",
        "System.MissingFieldException",
        "System.MissingMethodException",
        "System.TypeLoadException",
    }
)


#: Of a type that cannot be made because of what its members refer to, say.
_VAGUE = frozenset({"System.BadImageFormatException", "System.TypeLoadException"})
#: What readers of metadata raise for damaged assemblies.
_DAMAGE = (
    *(ValueError, LookupError, ArithmeticError, TypeError),
    *(RecursionError, AssertionError, struct.error),
)
#: Of these, .NET says what is missing.
_MEMBERS = frozenset({"System.MissingFieldException", "System.MissingMethodException"})
#: Tag of an AssemblyRef in a ResolutionScope (ECMA-335 II.24.2.6).
_IN_ASSEMBLY = 2
#: As many suspects are named.
_NAMED = 3
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
    """A part of the base library. Names are ``""`` if they are not known."""

    assembly: str = ""
    type: str = ""
    member: str = ""

    def __str__(self) -> str:
        if not self.type:
            return self.assembly
        name = self.type.replace("/", ".")
        return f"{name}.{self.member}" if self.member else name


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
    """The type, assembly or both that a message of Mono or CoreLib names."""
    text = message[:_LONGEST_MESSAGE]
    for before, between in (
        ("expected class '", "' in assembly '"),
        ("Could not load type '", "' from assembly '"),
    ):
        name, rest = _after(before, text, _TYPE_NAME)
        if name and rest.startswith("'"):
            assembly, _ = _after(between, rest, _ASSEMBLY_NAME, anchored=True)
            return ApiReference(assembly, name)
    assembly, _ = _after("Could not load file or assembly '", text, _ASSEMBLY_NAME)
    if assembly:
        return ApiReference(assembly)
    for before in ("Method not found: ", "Field not found: "):
        _, found, rest = text.partition(before)
        if found:
            return _member(rest)
    return None


def _after(
    before: str, text: str, name: re.Pattern[str], *, anchored: bool = False
) -> tuple[str, str]:
    """The name that follows ``before``, and the rest behind it; ``""`` if there is none."""
    start = text.find(before)
    match = name.match(text, start + len(before)) if start >= 0 else None
    if match is None or (anchored and start > 0):
        return "", ""
    return match[0], text[match.end() :]


def _member(signature: str) -> ApiReference | None:
    """The member of a signature: the result's type, then the method, ``void N.T..ctor(string)``."""
    said = signature.partition("(")[0].partition(" Due to: ")[0]
    if said.endswith(">"):  # of a generic method
        depth = 0
        for at in range(len(said) - 1, -1, -1):
            depth += (said[at] == ">") - (said[at] == "<")
            if depth == 0:
                said = said[:at]
                break
    name = said.rpartition(" ")[2]
    type_name, _, member = name.rpartition(".")
    if type_name.endswith("."):  # ".ctor" and ".cctor" begin with a dot
        type_name, member = type_name[:-1], f".{member}"
    if (
        "." in type_name
        and _MEMBER_TYPE.fullmatch(type_name)
        and _MEMBER_NAME.fullmatch(member.removeprefix("."))
    ):
        return ApiReference("", type_name, member)
    return None


@final
class MissingApiAdvice:
    """Says which image to take, for functions of a trimmed one.

    Args:
        image: name of the image that the functions run on.
        read: gives the image's assemblies by simple name.
    """

    def __init__(self, image: str, read: Callable[[], Mapping[str, bytes]] = dict) -> None:
        self.image = image
        self._read = read
        self._surface: ApiSurface | None = None

    def find(
        self, error: RemoteException, wanted: Collection[str] = (), own: Iterable[bytes] = ()
    ) -> MissingPart | None:
        """What is missing, and the smallest built-in image to take.

        Args:
            error: what .NET said.
            wanted: assemblies of the base library that the function refers to and the image
                does not have. They were added, but may find that the image lacks something.
            own: the function's assemblies.
        """
        reference = missing_reference(error)
        if reference is None or not self._is_base_library(reference):
            return None
        references = [r for r in _type_references(own) if r.assembly in wanted]
        references = references or [ApiReference(name) for name in wanted]
        return MissingPart(str(reference), self.image, self.image_with(references or [reference]))

    @staticmethod
    def is_vague(error: RemoteException) -> bool:
        """Whether something of the base library may be missing and .NET does not say what."""
        root = error
        while root.inner is not None:
            root = root.inner
        return root.type_name in _VAGUE and missing_reference(error) is None

    def explain(self, own: Iterable[bytes], added: Iterable[str]) -> MissingPart | None:
        """What assemblies lack whose function ended without saying it.

        Mono asserts where the signature of a method that is called has a type that is missing, and
        in some other places; then it cannot say which.

        Args:
            own: those of the function that ran.
            added: names of assemblies of the base library that were added to the image for it.
        """
        try:
            missing = self.unresolved(own, added)
        except _DAMAGE:
            return None
        if not missing:
            return None
        names = [str(reference) for reference in missing[:_NAMED]]
        if len(missing) > _NAMED:
            names.append(f"{len(missing) - _NAMED} more")
        return MissingPart(" or ".join(names), self.image, self.image_with(missing))

    def unresolved(self, own: Iterable[bytes], added: Iterable[str]) -> list[ApiReference]:
        """What a function's assemblies refer to and the image lacks; see :meth:`explain`."""
        store = ArtifactStore.locate()
        beside = {name: store.read(f"framework/{name}.webcil") for name in added}
        for suspects in ({identify(image).name: image for image in own}, beside):
            # Members that are missing have an exception of their own.
            missing = [
                ApiReference(reference.assembly, reference.type)
                for reference in self._api().missing(suspects, beside)
                if reference.dotnet_type not in _MEMBERS
            ]
            if missing:
                return missing
        return []

    def _api(self) -> ApiSurface:
        if self._surface is None:
            from dotnet_wasm_host.trimming.api_surface import ApiSurface

            paths = ArtifactStore.locate().names("framework/")
            base_library = {Path(path).stem for path in paths}
            self._surface = ApiSurface(self.image, self._read, base_library)
        return self._surface

    def image_with(self, references: Iterable[ApiReference]) -> str:
        """The first built-in image, by size, other than this one that declares all of them."""
        configurations = read_configurations(ArtifactStore.locate())
        for name in TRIMMED_IMAGES:
            if name != self.image and all(
                declares(configurations[name], reference) for reference in references
            ):
                return name
        return FULL

    @staticmethod
    def _is_base_library(reference: ApiReference) -> bool:
        """Not something that a function forgot to bring along."""
        if not reference.assembly:
            return True
        store = ArtifactStore.locate()
        path = f"framework/{reference.assembly}.webcil"
        return path in store.manifest.files or reference.assembly == HOST_JSON


def _type_references(images: Iterable[bytes]) -> list[ApiReference]:
    """Types of other assemblies that these refer to, without nested ones; none if damaged."""
    try:
        return [reference for image in images for reference in _references(image)]
    except _DAMAGE:
        return []


def _references(image: bytes) -> Iterator[ApiReference]:
    metadata = Metadata(image)  # ECMA-335 II.22.38
    assemblies = [metadata.string(row.name) for row in metadata.rows(AssemblyRefRow)]
    for scope, name, namespace in metadata.rows(TypeRefRow):
        if scope & 3 == _IN_ASSEMBLY:
            full_name = f"{metadata.string(namespace)}.{metadata.string(name)}"
            yield ApiReference(assemblies[(scope >> 2) - 1], full_name)


def declares(configuration: Configuration, reference: ApiReference) -> bool:
    """Whether a configuration has a part of the base library as its descriptors say."""
    if reference.assembly in configuration.guest:
        return True
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
