"""The user's cache of compiled images: private, content-addressed, verified before use."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CacheEntry", "ImageCache", "default_folder"]

_log = logging.getLogger(__name__)
NAME = "dotnet_wasm_host"
#: Set it to put the cache elsewhere; an empty value turns the cache off.
ENVIRONMENT_VARIABLE = "DOTNET_WASM_HOST_CACHE"
#: An entry that was not read for this long is dropped when another is written.
UNUSED_SECONDS = 30 * 24 * 3600
#: What all entries may take together. More is dropped, what was read least lately first.
MOST_BYTES = 1 << 30
#: But nothing that was read a moment ago: a process that starts often would make it each time.
_KEPT_SECONDS = 3600
#: What nothing refers to after this time was left behind; before, somebody may be about to.
_ORPHAN_SECONDS = 600
#: How long another process may take to make an entry before it is made here, too.
PATIENCE = 300.0
_PAUSE = 0.05
_OURS = frozenset({".json", ".bin", ".ok", ".tmp", ".lock"})
#: What reading an entry that somebody damaged may raise.
_UNREADABLE = (OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError)


class CacheEntry(NamedTuple):
    """What is cached under a key.

    Attributes:
        size: bytes of its data.
        what: it, for people.
        used: when it was read or written last, seconds since the epoch.
    """

    key: str
    size: int
    what: str
    used: float


@final
class ImageCache:
    """A folder of entries: a JSON description that names the data file it goes with.

    A data file is named by its hash and written before the description that refers to it, so
    processes that build the same entry at once never see a mixture, and a damaged file is an
    entry that does not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def locate(cls, folder: str = "") -> ImageCache | None:
        """The user's cache, or ``None`` where there can be none that is private and writable.

        Args:
            folder: a part of it with entries of its own; ``""`` has the images.
        """
        configured = os.environ.get(ENVIRONMENT_VARIABLE)
        if configured == "":
            return None
        try:
            root = (Path(configured) if configured else default_folder()) / folder
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            _require_private(root)
            if not folder:
                _require_executable(root)
        except OSError as error:
            _log.warning("%s are not cached: %s", folder or "images", error)
            return None
        return cls(root)

    def read(self, key: str) -> tuple[dict[str, Any], Path] | None:
        """Description and verified data file of an entry; ``None`` if it is not whole."""
        file = self.root / f"{key}.json"
        try:
            entry = json.loads(file.read_bytes())
            path = self._verify(str(entry["sha256"]), int(entry["size"]))
            description = dict(entry["description"])
        except FileNotFoundError:
            return None
        except _UNREADABLE as error:
            _log.warning("cache entry %s is damaged (%s); it is made again", key, error)
            return None
        with contextlib.suppress(OSError):
            os.utime(file)
        return description, path

    def write(self, key: str, description: dict[str, Any], content: bytes, what: str = "") -> None:
        """Store an entry, replacing one of the same key, and drop what is old or too much.

        ``what`` is for :meth:`entries`.
        """
        self.put(key, description, content, what)
        self.prune(key)

    def put(self, key: str, description: dict[str, Any], content: bytes, what: str = "") -> None:
        """Store an entry, replacing one of the same key."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._data_path(digest)
        self._replace(path, content)
        self._remember(path, digest)
        entry = {"description": description, "sha256": digest, "size": len(content), "what": what}
        self._replace(self.root / f"{key}.json", json.dumps(entry, indent=1).encode())

    @contextlib.contextmanager
    def making(self, key: str) -> Iterator[None]:
        """Have one process at a time make an entry, for those that look again inside.

        What makes images is not the same each time, byte for byte: four processes that begin at
        once would leave four. Who waits for too long makes one all the same.
        """
        try:
            descriptor = os.open(self.root / f"{key}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:  # nothing can be written either
            yield
            return
        try:
            _lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def note(self, key: str) -> None:
        """Remember that something was done, until it was not asked for in a while."""
        with contextlib.suppress(OSError):
            self._replace(self._note_path(key), b"")

    def is_noted(self, key: str) -> bool:
        """Whether :meth:`note` was called with a key, by any process."""
        try:
            os.utime(self._note_path(key))
        except OSError:
            return False
        return True

    def entries(self) -> Iterator[CacheEntry]:
        """Every entry, by key."""
        for path in sorted(self.root.glob("*.json")):
            with contextlib.suppress(*_UNREADABLE):
                entry = json.loads(path.read_bytes())
                used = path.stat().st_mtime
                yield CacheEntry(path.stem, int(entry["size"]), str(entry.get("what", "")), used)

    def size(self) -> int:
        """Bytes of all files on disk."""
        total = 0
        for path in self.root.iterdir():
            if path.suffix in _OURS:
                with contextlib.suppress(OSError):
                    total += path.stat().st_size
        return total

    def clear(self) -> int:
        """Remove everything; returns the number of bytes freed."""
        freed = 0
        for path in self.root.iterdir():
            if path.suffix in _OURS:
                with contextlib.suppress(OSError):
                    freed += path.stat().st_size
                    path.unlink()
        return freed

    def prune(self, written: str = "") -> None:
        """Drop what is unused for long, what is too much, and what nothing refers to."""
        now = time.time()
        room = MOST_BYTES
        for entry in sorted(self.entries(), key=lambda entry: -entry.used):
            room -= entry.size
            age = now - entry.used
            too_much = room < 0 and age > _KEPT_SECONDS
            if entry.key != written and (too_much or age > UNUSED_SECONDS):
                with contextlib.suppress(OSError):
                    (self.root / f"{entry.key}.json").unlink()
        used = set()
        for path in self.root.glob("*.json"):
            with contextlib.suppress(*_UNREADABLE):
                used.add(self._data_path(str(json.loads(path.read_bytes())["sha256"])).stem)
        for path in self.root.iterdir():
            # A note has no data.
            is_note = path.suffix == ".ok" and not path.with_suffix(".bin").exists()
            oldest = now - (UNUSED_SECONDS if is_note else _ORPHAN_SECONDS)
            if path.suffix in _OURS - {".json"} and path.stem not in used:
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < oldest:
                        path.unlink()

    def _data_path(self, digest: str) -> Path:
        return self.root / f"{digest[:40]}.bin"

    def _note_path(self, key: str) -> Path:
        return self.root / f"{key}.ok"

    def _verify(self, digest: str, size: int) -> Path:
        path = self._data_path(digest)
        if not digest.isalnum():
            raise ValueError("hash is malformed")
        status = path.stat()
        if status.st_size != size:
            raise ValueError(f"{path.name} has {status.st_size} bytes instead of {size}")
        # Hashing tens of megabytes at every start would cost more than the start itself. Any
        # write changes the inode's ctime, so a file that was verified once stays verified.
        with contextlib.suppress(OSError):
            if path.with_suffix(".ok").read_text() == _stamp(path, digest):
                return path
        with path.open("rb") as file:
            found = hashlib.sha256()
            while chunk := file.read(1 << 20):
                found.update(chunk)
        if found.hexdigest() != digest:
            raise ValueError(f"{path.name} does not have its hash")
        self._remember(path, digest)
        return path

    def _remember(self, path: Path, digest: str) -> None:
        with contextlib.suppress(OSError):
            self._replace(path.with_suffix(".ok"), _stamp(path, digest).encode())

    def _replace(self, path: Path, content: bytes) -> None:
        import tempfile

        descriptor, temporary = tempfile.mkstemp(dir=self.root, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise


def default_folder() -> Path:
    """The user's folder for caches, as platformdirs has it.

    FileNotFoundError for a user who has none: without a home, and unknown to the system.
    """
    if sys.platform == "linux":
        # The XDG Base Directory Specification; most new processes need not import platformdirs,
        # which would be a tenth of what they do before their first call.
        caches, home = os.environ.get("XDG_CACHE_HOME", ""), os.environ.get("HOME", "")
        if caches.startswith("/"):
            return Path(caches, NAME)
        if not caches and home.startswith("/"):
            return Path(home, ".cache", NAME)
    import platformdirs

    try:
        return Path(platformdirs.user_cache_dir(NAME))
    except RuntimeError as error:
        raise FileNotFoundError(f"{error}, or {ENVIRONMENT_VARIABLE}") from error


def _stamp(path: Path, digest: str) -> str:
    status = path.stat()
    return f"{digest} {status.st_dev} {status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}"


def _lock(descriptor: int) -> None:
    """Until it is closed, or this process ends; no longer than :data:`PATIENCE`."""
    if sys.platform == "win32":
        return
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
        except OSError:  # a file system that has none
            return
        else:
            return


def _require_executable(root: Path) -> None:
    if hasattr(os, "statvfs") and os.statvfs(root).f_flag & getattr(os, "ST_NOEXEC", 0):
        raise PermissionError(
            f"{root} is on a file system that is mounted noexec, and machine code is mapped from "
            f"there: set {ENVIRONMENT_VARIABLE} to a folder on another one"
        )


def _require_private(root: Path) -> None:
    # The files are machine code that this process will run.
    if not hasattr(os, "geteuid"):
        return
    status = root.stat()
    # What root has put there, in the image of a container for example, is as good as the system.
    if status.st_uid not in {os.geteuid(), 0}:
        raise PermissionError(f"{root} belongs to another user")
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise PermissionError(f"{root} can be written by other users")
    for above in root.resolve().parents:
        mode = above.stat().st_mode
        # In a folder that is sticky, as /tmp, others cannot rename what is not theirs.
        if mode & 0o002 and not mode & stat.S_ISVTX:
            raise PermissionError(
                f"{root} is inside of {above}, where everybody can put another folder in its "
                f"place: change the mode of {above}, or set {ENVIRONMENT_VARIABLE} to a private "
                "folder"
            )
