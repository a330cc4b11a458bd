"""What a package says of itself: the ``.nuspec`` at its root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotnet_wasm_host.nuget.xml_text import MalformedXml, parse_xml
from dotnet_wasm_host.packages.references import is_package_id

if TYPE_CHECKING:
    from dotnet_wasm_host.nuget.xml_text import Element

__all__ = ["Dependency", "Nuspec", "read_nuspec"]

#: Dependencies of one package, of all its groups together.
MAX_DEPENDENCIES = 2_000
_LONGEST_RANGE = 256


@dataclass(frozen=True, slots=True)
class Dependency:
    """A package that another one needs; ``wanted`` is a range as NuGet writes it."""

    name: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Nuspec:
    """What is used of it.

    Attributes:
        name, version: the package's identity, as written.
        dependencies: target framework (``""`` for every one) to what is needed there.
        frameworks: the same to shared frameworks beside .NET itself that are needed.
    """

    name: str
    version: str
    dependencies: dict[str, tuple[Dependency, ...]]
    frameworks: dict[str, tuple[str, ...]]


def read_nuspec(content: bytes) -> Nuspec:
    """Read a nuspec. MalformedXml, with a reason, for what cannot be one."""
    root = parse_xml(content)
    metadata = root.first("metadata")
    if root.name != "package" or metadata is None:
        raise MalformedXml("it is no nuspec: package/metadata is missing")
    name, version = metadata.text_of("id"), metadata.text_of("version")
    if not is_package_id(name) or not version:
        raise MalformedXml(f"its id is {name[:100]!r} and its version {version[:100]!r}")
    dependencies = metadata.first("dependencies")
    frameworks = metadata.first("frameworkReferences")
    return Nuspec(
        name,
        version,
        {} if dependencies is None else _dependencies(dependencies),
        {} if frameworks is None else _frameworks(frameworks),
    )


def _dependencies(element: Element) -> dict[str, tuple[Dependency, ...]]:
    # The oldest schema has no groups.
    groups = list(element.all("group")) or [element]
    found: dict[str, tuple[Dependency, ...]] = {}
    count = 0
    for group in groups:
        items = tuple(_dependency(item) for item in group.all("dependency"))
        count += len(items)
        if count > MAX_DEPENDENCIES:
            raise MalformedXml(f"it has more than {MAX_DEPENDENCIES} dependencies")
        framework = group.attributes.get("targetFramework", "")
        found[framework] = (*found.get(framework, ()), *items)
    return found


def _dependency(element: Element) -> Dependency:
    name = element.attributes.get("id", "").strip()
    if not is_package_id(name):
        raise MalformedXml(f"it depends on {name[:100]!r}, which is no id of a package")
    wanted = element.attributes.get("version", "").strip()
    if len(wanted) > _LONGEST_RANGE or not (wanted.isascii() and wanted.isprintable()):
        raise MalformedXml(f"it depends on {name} {wanted[:100]!r}, which is no range")
    return Dependency(name, wanted)


def _frameworks(element: Element) -> dict[str, tuple[str, ...]]:
    return {
        group.attributes.get("targetFramework", ""): tuple(
            item.attributes.get("name", "")[:100] for item in group.all("frameworkReference")
        )
        for group in element.all("group")
    }
