"""The list of everything the runtime needs, with sizes and hashes.

A manifest is read as if an enemy wrote it: names that could leave the artifact folder, wrong
types and unknown formats are refused with :class:`ArtifactError`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FORMAT", "ArtifactFile", "Manifest", "NativeContract"]

#: The only manifest format there is so far.
FORMAT = 1
#: Folders and a file name of plain characters: no absolute paths, ``..``, drives, or NUL.
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")
VERSION_PATTERN = re.compile(r"\d{1,9}(\.\d{1,9}){1,3}")
MAX_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """A file of the artifacts.

    Attributes:
        name: path under the artifact folder, with ``/``.
        sha256: hash of its content, in lower-case hex.
        size: its size in bytes.
        assembly, version, mvid: identity of a .NET assembly; ``None`` for other files.
    """

    name: str
    sha256: str
    size: int
    assembly: str | None = None
    version: str | None = None
    mvid: str | None = None

    def to_json(self) -> dict[str, object]:
        """The file's entry in ``manifest.json``."""
        entry: dict[str, object] = {"sha256": self.sha256, "size": self.size}
        for key in ("assembly", "version", "mvid"):
            if getattr(self, key) is not None:
                entry[key] = getattr(self, key)
        return entry


@dataclass(frozen=True, slots=True)
class NativeContract:
    """What the native module asks of a host.

    Attributes:
        imports: its imported functions with their types, in module order.
        imports_sha256, exports_sha256: hashes of the canonical lists of imports and exports.
    """

    imports: tuple[str, ...]
    imports_sha256: str
    exports_sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything in the artifact folder.

    Attributes:
        dotnet_version: the .NET runtime's version, ``10.0.10``.
        roslyn_version: the C# compiler's assembly version.
        native: the native module's contract.
        files: every file, by name.
    """

    dotnet_version: str
    roslyn_version: str
    native: NativeContract
    files: Mapping[str, ArtifactFile]

    @classmethod
    def parse(cls, data: bytes, source: str) -> Manifest:
        """Read ``manifest.json``; ``source`` names it in the :class:`ArtifactError`."""
        return _Parser(source).manifest(data)

    def to_bytes(self) -> bytes:
        """``manifest.json``: the same bytes for the same content, whatever made it."""
        native = self.native
        document = {
            "format": FORMAT,
            "dotnet_version": self.dotnet_version,
            "roslyn_version": self.roslyn_version,
            "native": {
                "imports": list(native.imports),
                "imports_sha256": native.imports_sha256,
                "exports_sha256": native.exports_sha256,
            },
            "files": {name: self.files[name].to_json() for name in sorted(self.files)},
        }
        return (json.dumps(document, indent=1) + "\n").encode()


class _Parser:
    """Checks every value on the way in; errors name the manifest and the place in it."""

    def __init__(self, source: str) -> None:
        self._source = source

    def manifest(self, data: bytes) -> Manifest:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self._error(f"it is not JSON ({error})") from error
        root = self._mapping(document, "it")
        found = root.get("format")
        if type(found) is not int or found != FORMAT:
            raise self._error(f"its format is {found!r}, this version reads {FORMAT}")
        files = self._mapping(root.get("files"), "'files'")
        return Manifest(
            dotnet_version=self._text(root, "dotnet_version", VERSION_PATTERN),
            roslyn_version=self._text(root, "roslyn_version", VERSION_PATTERN),
            native=self._native(self._mapping(root.get("native"), "'native'")),
            files=MappingProxyType({n: self._file(n, entry) for n, entry in files.items()}),
        )

    def _native(self, entry: Mapping[str, object]) -> NativeContract:
        imports = entry.get("imports")
        if not isinstance(imports, list) or not all(isinstance(i, str) for i in imports):
            raise self._error("'native.imports' is not a list of texts")
        return NativeContract(
            imports=tuple(imports),
            imports_sha256=self._text(entry, "imports_sha256", SHA256_PATTERN),
            exports_sha256=self._text(entry, "exports_sha256", SHA256_PATTERN),
        )

    def _file(self, name: str, value: object) -> ArtifactFile:
        if len(name) > MAX_NAME_LENGTH or not NAME_PATTERN.fullmatch(name):
            raise self._error(f"it has a file named {name[:MAX_NAME_LENGTH]!r}")
        entry = self._mapping(value, f"file {name!r}")
        size = entry.get("size")
        if type(size) is not int or size < 0:
            raise self._error(f"file {name!r} has the size {size!r}")
        return ArtifactFile(
            name=name,
            sha256=self._text(entry, "sha256", SHA256_PATTERN),
            size=size,
            assembly=self._optional_text(entry, "assembly"),
            version=self._optional_text(entry, "version"),
            mvid=self._optional_text(entry, "mvid"),
        )

    def _mapping(self, value: object, what: str) -> Mapping[str, object]:
        if not isinstance(value, dict):
            raise self._error(f"{what} is not an object")
        return value

    def _text(self, entry: Mapping[str, object], key: str, pattern: re.Pattern[str]) -> str:
        value = entry.get(key)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self._error(f"{key!r} is {value!r}")
        return value

    def _optional_text(self, entry: Mapping[str, object], key: str) -> str | None:
        value = entry.get(key)
        if value is not None and not isinstance(value, str):
            raise self._error(f"{key!r} is {value!r}")
        return value

    def _error(self, reason: str) -> ArtifactError:
        return ArtifactError(f"{self._source} is damaged: {reason}")
