"""Files of NuGet packages: zip archives of strangers, read within bounds.

Layout and names: NuGet's documentation, "How NuGet resolves package dependencies" and "Target
frameworks in SDK-style projects".
"""

from __future__ import annotations

import io
import re
import zlib
from typing import TYPE_CHECKING, final
from urllib.parse import unquote

from dotnet_wasm_host.ecma335.binary import MalformedImage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zipfile import ZipFile, ZipInfo

__all__ = ["FRAMEWORKS", "PackageFile", "nearest_framework", "read_libraries"]

#: Target frameworks whose libraries run on .NET 10, the nearest first. Those of .NET Framework
#: come last, in the order in which NuGet falls back to them (``AssetTargetFallback``).
FRAMEWORKS = (
    *(f"net{version}.0" for version in range(10, 4, -1)),
    *(f"netcoreapp{version}" for version in ("3.1", "3.0", "2.2", "2.1", "2.0", "1.1", "1.0")),
    *(f"netstandard{version}" for version in ("2.1", "2.0", "1.6", "1.5", "1.4", "1.3", "1.2")),
    *("netstandard1.1", "netstandard1.0"),
    *("net461", "net46", "net452", "net451", "net45", "net403", "net40", "net35", "net20"),
    *("net462", "net47", "net471", "net472", "net48", "net481"),
)
#: The largest package file, and what its entries may hold together once they are unpacked.
MAX_PACKAGE_BYTES = 256 << 20
MAX_UNPACKED_BYTES = 1 << 30
MAX_ENTRIES = 20_000
#: The libraries for one target framework: all of .NET has 70 MB.
MAX_LIBRARY_BYTES = 256 << 20
#: APPNOTE.TXT 4.4.5: stored, deflated.
_COMPRESSIONS = frozenset({0, 8})
_CULTURE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


@final
class PackageFile:
    """A ``.nupkg``, or another zip archive of a stranger.

    Args:
        content: the file.
        where: its name, for messages.
        most: bytes that its entries may hold together.

    Raises:
        MalformedImage: not a zip archive, or one that is made to harm: names that lead out of
            the archive, names that differ in case only, entries that are larger than they say.
    """

    def __init__(self, content: bytes, where: str, most: int | None = None) -> None:
        self._where = where
        self._most = MAX_UNPACKED_BYTES if most is None else most
        if len(content) > MAX_PACKAGE_BYTES:
            raise self._damaged(f"it has {len(content)} bytes; {MAX_PACKAGE_BYTES} is the most")
        self._archive = self._open(content)
        self._entries: dict[str, ZipInfo] = {}
        self._check_entries()

    def _open(self, content: bytes) -> ZipFile:
        import zipfile

        try:
            return zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError) as error:
            raise self._damaged(f"it is not a zip archive: {error}") from error

    def _check_entries(self) -> None:
        entries = self._archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise self._damaged(f"it has {len(entries)} entries; {MAX_ENTRIES} is the most")
        seen: dict[str, str] = {}
        total = 0
        for entry in entries:
            # The Open Packaging Conventions escape names as URIs do: lib/portable-net45%2Bwin8.
            name = unquote(entry.filename, errors="replace")
            parts = name.replace("\\", "/").split("/")
            if "\\" in name or name.startswith("/") or ":" in name or {"..", "."} & set(parts):
                raise self._damaged(f"entry {name[:80]!r} leads out of the package")
            if "\0" in name or entry.flag_bits & 1:
                raise self._damaged(f"entry {name[:80]!r} is encrypted or holds NUL")
            if entry.compress_type not in _COMPRESSIONS:
                # Python unpacks the others without a bound, and NuGet writes none of them.
                raise self._damaged(f"entry {name[:80]!r} is neither stored nor deflated")
            if seen.setdefault(name.casefold(), name) != name or name in self._entries:
                raise self._damaged(f"several entries are called {name[:80]!r}")
            self._entries[name] = entry
            total += entry.file_size
        if total > self._most:
            raise self._damaged(f"unpacked it has {total} bytes; {self._most} is the most")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entries."""
        return tuple(self._entries)

    def size(self, name: str) -> int:
        """Bytes that the archive says an entry has."""
        return self._entries[name].file_size

    def read(self, name: str) -> bytes:
        """Content of an entry, never more than the archive says it has."""
        import zipfile

        entry = self._entries[name]
        size = entry.file_size
        try:
            with self._archive.open(entry) as file:
                content = file.read(size + 1)
        except (
            *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError),
            *(NotImplementedError, RuntimeError),
        ) as error:
            raise self._damaged(f"entry {name[:80]!r} cannot be read: {error}") from error
        if len(content) != size:
            raise self._damaged(f"entry {name[:80]!r} does not have the {size} bytes it says")
        return content

    def frameworks(self, folder: str) -> tuple[str, ...]:
        """Target frameworks that have libraries in ``folder`` (``lib`` or ``ref``), or ``_._``.

        Upper and lower case are the same in the names of folders.
        """
        depth = folder.count("/") + 1
        found: dict[str, None] = {}
        for name in self._entries:
            parts = name.split("/")
            is_part = len(parts) > depth + 1 and _is_asset(parts[-1])
            if is_part and "/".join(parts[:depth]).lower() == folder:
                found.setdefault(parts[depth])
        return tuple(found)

    def libraries(self, folder: str, framework: str) -> dict[str, bytes]:
        """Assemblies for a target framework, satellites in their folders: name to content."""
        found = {}
        total = 0
        prefix = f"{folder}/{framework}/".lower()
        for name in self._entries:
            if not name.lower().startswith(prefix) or not name.lower().endswith(".dll"):
                continue
            culture, slash, file = name[len(prefix) :].rpartition("/")
            is_satellite = file.lower().endswith(".resources.dll")
            if not slash or (is_satellite and _CULTURE.fullmatch(culture)):
                total += self.size(name)
                if total > MAX_LIBRARY_BYTES:
                    raise self._damaged(f"its libraries have more than {MAX_LIBRARY_BYTES} bytes")
                found[name[len(prefix) :]] = self.read(name)
        return found

    def native_files(self) -> tuple[str, ...]:
        """Machine code inside: nothing that can run here."""
        return tuple(
            name
            for name in self._entries
            if name.lower().startswith("runtimes/") and "/native/" in name.lower()
        )

    def _damaged(self, what: str) -> MalformedImage:
        return MalformedImage(f"{self._where} is not a package that can be used: {what}")


def _is_asset(file: str) -> bool:
    return file == "_._" or file.lower().endswith((".dll", ".exe", ".winmd"))


def nearest_framework(names: Iterable[str]) -> str | None:
    """The target framework of these that suits .NET 10 best, as it is written; else ``None``."""
    written = {name.lower(): name for name in names}
    return next((written[name] for name in FRAMEWORKS if name in written), None)


def read_libraries(content: bytes, where: str) -> dict[str, bytes]:
    """The libraries of a package that was built for this .NET, without those it depends on."""
    package = PackageFile(content, where)
    frameworks = package.frameworks("lib")
    nearest = nearest_framework(frameworks)
    if nearest is not None:
        return package.libraries("lib", nearest)
    if frameworks:
        raise MalformedImage(f"{where} has libraries for {', '.join(frameworks)}, not for .NET 10")
    return {}
