"""What programs of upstream packages made, kept in the cache by the hash of what went in."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["keep", "kept", "key_of"]


def key_of(parts: Iterable[bytes]) -> str:
    """A name for what is made of these inputs."""
    key = hashlib.sha256()
    for part in parts:
        key.update(hashlib.sha256(part).digest())
    return key.hexdigest()[:32]


def kept(path: Path) -> bytes | None:
    """Content of a file of the cache, which begins with its hash; None if missing or damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    size = hashlib.sha256().digest_size
    return data[size:] if hashlib.sha256(data[size:]).digest() == data[:size] else None


def keep(path: Path, content: bytes) -> None:
    """Write such a file; nobody ever sees half of it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(hashlib.sha256(content).digest() + content)
    Path(file.name).replace(path)
