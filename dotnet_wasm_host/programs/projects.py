"""Projects of the .NET SDK: the few things of a ``.csproj`` that a compilation here needs.

MSBuild is not here. What would change the result and cannot be followed is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from dotnet_wasm_host.errors import MarshallingError
from dotnet_wasm_host.packages.references import PackageReference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Project", "read_project"]

#: Folders of a project that have no sources of it.
_LEFT_OUT = {"bin", "obj"}
#: Properties that a compilation has, as ``#:property`` does.
_PROPERTIES = (
    "AllowUnsafeBlocks", "AssemblyName", "CheckForOverflowUnderflow", "DefineConstants",
    "ImplicitUsings", "LangVersion", "NoWarn", "Nullable", "TreatWarningsAsErrors",
)  # fmt: skip
_ENTITY = re.compile(r"<!(?!--)")
_MOST_FILES = 1000


@dataclass(frozen=True, slots=True)
class Project:
    """What is compiled.

    Attributes:
        texts: file name, below the project's folder, to C#.
        packages: what it uses.
    """

    texts: dict[str, str]
    packages: tuple[PackageReference, ...]


def read_project(path: Path) -> Project:
    """Read a ``.csproj`` file with the sources around it, or a folder of sources.

    Raises:
        MarshallingError: it is no such file or folder, or has what cannot be followed here.
    """
    if path.is_dir():
        projects = sorted(path.glob("*.csproj"))
        if len(projects) > 1:
            names = ", ".join(file.name for file in projects)
            raise MarshallingError(
                f"{path}: expected one project, found {names}; give the file of one of them"
            )
        folder, file = path, projects[0] if projects else None
    else:
        folder, file = path.parent, path
    texts = dict(_sources(folder))
    if not texts:
        raise MarshallingError(
            f"{folder}: expected C# sources, found no .cs file; give another folder"
        )
    if file is None:
        return Project(texts, ())
    properties, packages = _read(file)
    # Directives say the same to the compiler, before the first line of a file of their own.
    head = "".join(f"#:property {name}={value}\n" for name, value in properties.items())
    return Project({**texts, f"{file.stem}.Project.g.cs": head}, packages)


def _sources(folder: Path) -> Iterator[tuple[str, str]]:
    files = sorted(
        file
        for file in folder.rglob("*.cs")
        if not _LEFT_OUT.intersection(file.relative_to(folder).parts[:-1])
    )
    if len(files) > _MOST_FILES:
        raise MarshallingError(
            f"{folder}: expected at most {_MOST_FILES} sources, found {len(files)}; build it with "
            "the .NET SDK, and give the folder that was published"
        )
    for file in files:
        try:
            yield file.relative_to(folder).as_posix(), file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise MarshallingError(
                f"{file}: expected C# in UTF-8, found what cannot be read: {error}; encode it as "
                "UTF-8"
            ) from error


def _read(file: Path) -> tuple[dict[str, str], tuple[PackageReference, ...]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        if _ENTITY.search(text):
            raise ET.ParseError("it has a DOCTYPE")
        root = ET.fromstring(text)  # noqa: S314 - without entities, see above
    except (OSError, UnicodeDecodeError, ET.ParseError) as error:
        raise MarshallingError(
            f"{file}: expected a project of the .NET SDK, found what cannot be read: {error}; give "
            "a .csproj file"
        ) from error
    properties: dict[str, str] = {}
    packages = []
    for element, is_conditional in _elements(root, is_conditional=False):
        name = _name(element)
        # Its lines and indentation mean nothing, and a directive has one line.
        value = " ".join((element.text or "").split())
        if name in _PROPERTIES and value:
            _refuse_condition(file, name, refused=is_conditional)
            properties[name] = value
        elif name == "PackageReference":
            _refuse_condition(file, name, refused=is_conditional)
            packages.append(_package(file, element))
        elif name in {"ProjectReference", "Reference", "Import", "Compile"}:
            raise MarshallingError(
                f"{file}: <{name}> cannot be followed without MSBuild; run 'dotnet publish', and "
                "give the folder that it wrote"
            )
    return properties, tuple(packages)


def _elements(parent: ET.Element, *, is_conditional: bool) -> Iterator[tuple[ET.Element, bool]]:
    """Everything in a project, and whether a condition of it or of a group around it decides."""
    for element in parent:
        # <Otherwise> has no condition of its own.
        decides = is_conditional or "Condition" in element.attrib or _name(element) == "Choose"
        yield element, decides
        yield from _elements(element, is_conditional=decides)


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _refuse_condition(file: Path, name: str, *, refused: bool) -> None:
    if refused:
        raise MarshallingError(
            f"{file}: the condition of <{name}> cannot be decided without MSBuild; run 'dotnet "
            "publish', and give the folder that it wrote"
        )


def _package(file: Path, element: ET.Element) -> PackageReference:
    name = element.get("Include") or ""
    version = element.get("Version") or next(
        ((child.text or "") for child in element if _name(child) == "Version"), ""
    )
    try:
        return PackageReference.parse(f"{name}@{version}" if version else name, file.name, 0)
    except ValueError as error:
        raise MarshallingError(
            f"{file}: <PackageReference> {name!r} {version!r}: {error}; correct it"
        ) from error
