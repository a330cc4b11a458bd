"""The built-in images, from ``images.toml`` to the file that the package reads."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.base_library.configurations import FULL, IMAGE_NAMES
from dotnet_wasm_host.errors import ArtifactError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["collect"]

_REQUIRED = {"description": str, "descriptors": list, "samples": list, "budget": dict}
_OPTIONAL = {"features": dict, "guest": list, "optional": list, "reflected": bool}


def collect(file: Path, folder: Path) -> dict[str, bytes]:
    """``images.json`` and the descriptors it names. ArtifactError if something is amiss."""
    try:
        images = tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtifactError(f"{file} is not TOML: {error}") from error
    if (*images, FULL) != IMAGE_NAMES:
        raise ArtifactError(f"{file} has {', '.join(images)}; the package knows {IMAGE_NAMES}")
    contents = {"images.json": (json.dumps(images, indent=1, sort_keys=True) + "\n").encode()}
    for name, image in images.items():
        _check(image, f"[{name}] of {file}")
        for descriptor in image["descriptors"]:
            try:
                contents[f"images/{descriptor}"] = (folder / descriptor).read_bytes()
            except OSError as error:
                raise ArtifactError(f"[{name}] of {file} names {descriptor}: {error}") from error
    return contents


def _check(image: dict[str, Any], where: str) -> None:
    unknown = image.keys() - _REQUIRED.keys() - _OPTIONAL.keys()
    if unknown:
        raise ArtifactError(f"{where} has an entry {min(unknown)!r} that means nothing")
    for key, kind in (_REQUIRED | _OPTIONAL).items():
        if key in image and not isinstance(image[key], kind):
            raise ArtifactError(f"{where}: {key!r} is no {kind.__name__}")
        if key in _REQUIRED and key not in image:
            raise ArtifactError(f"{where} lacks {key!r}")
    if not {"raw", "compressed"} == image["budget"].keys():
        raise ArtifactError(f"{where}: 'budget' is raw and compressed bytes")
