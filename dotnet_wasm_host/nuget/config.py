"""``NuGet.Config``: sources as other tools of .NET have them, read where it is named.

Source: NuGet's documentation, "nuget.config reference". Of the file's sections those count that
say where packages come from; nothing is inherited from folders above or from the user.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import MarshallingError
from dotnet_wasm_host.nuget.source import ENVIRONMENT_PREFIX, PackageSource
from dotnet_wasm_host.nuget.xml_text import MAX_BYTES, MalformedXml, parse_xml

if TYPE_CHECKING:
    from pathlib import Path

    from dotnet_wasm_host.nuget.xml_text import Element

__all__ = ["is_config", "read_config"]

_VARIABLE = re.compile(r"%(\w+)%")
#: XML names cannot have every character: ``_x0020_`` is a space.
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def is_config(source: object) -> bool:
    """Whether a source is a file that names sources."""
    if not isinstance(source, (str, os.PathLike)):
        return False
    return str(os.fspath(source)).lower().endswith(".config")


def read_config(path: Path) -> list[PackageSource]:
    """The sources that a ``NuGet.Config`` names and does not disable, in its order.

    MarshallingError if it cannot be read, or says what this library does not do.
    """
    try:
        with path.open("rb") as file:
            root = parse_xml(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise MarshallingError(
            f"{path} cannot be read: {error.strerror or error}; check the path and its permissions"
        ) from error
    except MalformedXml as error:
        raise MarshallingError(f"{path} is no NuGet.Config: {error}; correct the file") from error
    if root.name != "configuration":
        raise MarshallingError(
            f"expected <configuration> as the root of {path}, found <{root.name[:100]}>; give a "
            "NuGet.Config"
        )
    _refuse_signatures(root, path)
    mapping = _mapping(root)
    disabled = {
        key.lower()
        for key, value in _items(root.first("disabledPackageSources")).items()
        if value.attributes.get("value", "").lower() == "true"
    }
    return [
        _source(key, item, root, path, mapping)
        for key, item in _items(root.first("packageSources")).items()
        if key.lower() not in disabled
    ]


def _source(
    key: str,
    item: Element,
    root: Element,
    path: Path,
    mapping: dict[str, tuple[str, ...]] | None,
) -> PackageSource:
    value = _expanded(item.attributes.get("value", ""))
    if not value:
        raise MarshallingError(
            f"{path}: the source {key!r} has no value; give a folder or an address as value="
        )
    if item.attributes.get("protocolVersion") == "2":
        raise MarshallingError(
            f"{path}: expected protocolVersion 3 of the source {key!r}, found 2; give the "
            "address of its v3 index.json"
        )
    is_http = value.lower().startswith(("http://", "https://"))
    try:
        return PackageSource(
            value if is_http else path.parent / value.replace("\\", "/"),
            key,
            credentials=_credentials(key, root, path),
            patterns=None if mapping is None else mapping.get(key.lower(), ()),
            allow_insecure=item.attributes.get("allowInsecureConnections", "").lower() == "true",
        )
    except MarshallingError as error:
        raise MarshallingError(f"{path}: the source {key!r}: {error}; correct its value") from error


def _credentials(key: str, root: Element, path: Path) -> tuple[str, str] | None:
    section = root.first("packageSourceCredentials")
    for element in section.children if section is not None else ():
        if _ESCAPED.sub(lambda m: chr(int(m[1], 16)), element.name).lower() != key.lower():
            continue
        if ENVIRONMENT_PREFIX + key in os.environ:
            return None
        given = {
            name.lower(): item.attributes.get("value", "") for name, item in _items(element).items()
        }
        if "password" in given:
            raise MarshallingError(
                f"{path}: the password of {key!r} is encrypted for Windows; give "
                'ClearTextPassword="%NAME_OF_A_VARIABLE%" and the variable'
            )
        if "username" in given and "cleartextpassword" in given:
            return _expanded(given["username"]), _expanded(given["cleartextpassword"])
    return None


def _mapping(root: Element) -> dict[str, tuple[str, ...]] | None:
    """Source to patterns; ``None`` where there is no mapping."""
    section = root.first("packageSourceMapping")
    sources = list(section.all("packageSource")) if section is not None else []
    if not sources:
        return None
    return {
        source.attributes.get("key", "").lower(): tuple(
            package.attributes.get("pattern", "") for package in source.all("package")
        )
        for source in sources
    }


def _refuse_signatures(root: Element, path: Path) -> None:
    settings = _items(root.first("config"))
    mode = settings.get("signatureValidationMode")
    if mode is not None and mode.attributes.get("value", "").lower() == "require":
        raise MarshallingError(
            f"{path} requires signed packages (signatureValidationMode), and signatures are not "
            "verified here; use a lock file, whose hashes are"
        )


def _items(section: Element | None) -> dict[str, Element]:
    """What ``<add key=...>`` adds, since the last ``<clear />``."""
    found: dict[str, Element] = {}
    for element in section.children if section is not None else ():
        if element.name == "clear":
            found.clear()
        elif element.name == "add" and "key" in element.attributes:
            found[element.attributes["key"]] = element
    return found


def _expanded(text: str) -> str:
    """``%NAME%`` replaced from the environment; what is not there stays, as NuGet has it."""
    return _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), text)
