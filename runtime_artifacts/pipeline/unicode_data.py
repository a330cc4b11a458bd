"""Write what the guest's C# has of Unicode: decompositions of characters, names of time zones.

Sources: the Unicode Character Database as the PyPI package ``unicodedata2`` has it, in the version
that this .NET has its other data of characters from; Unicode CLDR's ``windowsZones`` and
``timezone`` as Unicode publishes them on npm.
"""

from __future__ import annotations

import base64
import json
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from dotnet_wasm_host.errors import ArtifactError
from runtime_artifacts.pipeline.fetch import PinnedPackage, fetch, read_members

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UNICODE_VERSION", "normalization_source", "time_zone_source", "write_sources"]

#: Of ``CharUnicodeInfo`` in .NET 10.
UNICODE_VERSION = "16.0.0"
CLDR = PinnedPackage(
    "cldr-core",
    "48.2.0",
    "sha512-zfmLothncSwfv2jlevoSrgI2VGgH8SDGHXst6jUEotHA8nq9Igeg9jzdJDFtBso9pgJuG89DK16TzrmZDdo2Bg==",
)
CLDR_KEYS = PinnedPackage(
    "cldr-bcp47",
    "48.2.0",
    "sha512-ks3zN+Wbg1zMqvJNeDai1zA0JBGHbAnxv2Ko4rjVohvXscDGmTa7VNy1T+QRlQw3QVPzQcCm2EOiEtAfOU4d+g==",
)
_ZONES, _ALIASES = "supplemental/windowsZones.json", "bcp47/timezone.json"
#: Syllables of Hangul, which are computed: Unicode Standard 3.12.
_SYLLABLES = range(0xAC00, 0xD7A4)
_LINE = 96
_HEAD = """\
using System;

namespace MinimalRuntime.Platform;

/// <summary>{summary}</summary>
/// <remarks>Written by <c>python -m runtime_artifacts.pipeline unicode</c>.</remarks>
internal static class {name}
{{
"""


class _Database(Protocol):
    """What is asked of ``unicodedata2``."""

    unidata_version: str

    def decomposition(self, character: str, /) -> str: ...
    def combining(self, character: str, /) -> int: ...
    def normalize(self, form: str, text: str, /) -> str: ...


def write_sources(folder: Path, cache: Path) -> list[str]:
    """Write both files into the sources of ``MinimalRuntime.Platform``; names of what changed."""
    sources = {
        "NormalizationData.cs": normalization_source(),
        "TimeZoneData.cs": time_zone_source(cache),
    }
    changed = []
    for name, text in sources.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed


def normalization_source() -> str:
    """C# with decompositions and combining classes.

    Raises:
        ArtifactError: ``unicodedata2`` is missing or of another version of Unicode.
    """
    try:
        # Only who writes these files has to have it.
        unicode: _Database = import_module("unicodedata2")
    except ImportError as error:
        raise ArtifactError(
            f"unicodedata2 {UNICODE_VERSION} is needed; run 'pip install "
            f"unicodedata2=={UNICODE_VERSION}'"
        ) from error
    if unicode.unidata_version != UNICODE_VERSION:
        raise ArtifactError(
            f"unicodedata2 is of Unicode {unicode.unidata_version}; run 'pip install "
            f"unicodedata2=={UNICODE_VERSION}'"
        )
    packed = base64.b64encode(_decompositions(unicode) + _classes(unicode)).decode()
    lines = [packed[start : start + _LINE] for start in range(0, len(packed), _LINE)]
    literal = "\n        + ".join(f'"{line}"u8' for line in lines)
    head = _HEAD.format(
        summary=f"Unicode {UNICODE_VERSION}, packed as <c>NormalizationTables</c> reads it.",
        name="NormalizationData",
    )
    return f"{head}    public static ReadOnlySpan<byte> Packed =>\n        {literal};\n}}\n"


def _decompositions(unicode: _Database) -> bytes:
    """Characters in their order: distance, parts * 4 + composes * 2 + compatibility, parts."""
    rows = bytearray()
    characters = parts = last = former = 0
    for point in range(sys.maxunicode + 1):
        said = unicode.decomposition(chr(point))
        if not said or point in _SYLLABLES:
            continue
        compatibility = said.startswith("<")
        points = [int(part, 16) for part in said.split() if not part.startswith("<")]
        composes = (
            not compatibility
            and len(points) == 2
            and unicode.normalize("NFC", chr(point)) == chr(point)
        )
        rows += _number(point - last) + _number(len(points) * 4 + composes * 2 + compatibility)
        for part in points:
            rows += _signed(part - former)
            former = part
        last = point
        characters += 1
        parts += len(points)
    return _number(characters) + _number(parts) + rows


def _classes(unicode: _Database) -> bytes:
    """Ranges of one combining class: distance, length, class."""
    ranges: list[tuple[int, int, int]] = []
    for point in range(sys.maxunicode + 1):
        combining = unicode.combining(chr(point))
        if not combining:
            continue
        if ranges and ranges[-1][1] == point and ranges[-1][2] == combining:
            ranges[-1] = (ranges[-1][0], point + 1, combining)
        else:
            ranges.append((point, point + 1, combining))
    rows = bytearray(_number(len(ranges)))
    last = 0
    for start, end, combining in ranges:
        rows += _number(start - last) + _number(end - start) + _number(combining)
        last = end
    return bytes(rows)


def _number(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _signed(value: int) -> bytes:
    return _number(value << 1 if value >= 0 else (-value << 1) - 1)


def time_zone_source(cache: Path) -> str:
    """C# with names that Windows has for time zones, and other names that zones have.

    Raises:
        ArtifactError: the packages of CLDR cannot be had, or look otherwise.
    """
    try:
        zones = _read(CLDR, _ZONES, cache)["supplemental"]["windowsZones"]["mapTimezones"]
        names: dict[str, list[tuple[str, str]]] = {}
        for entry in zones:
            zone = entry["mapZone"]
            names.setdefault(zone["_other"], []).append((zone["_territory"], zone["_type"]))
        keys = _read(CLDR_KEYS, _ALIASES, cache)["keyword"]["u"]["tz"].values()
        aliases = [
            key["_alias"].split() for key in keys if isinstance(key, dict) and "_alias" in key
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{CLDR} looks otherwise than it did: {error!r}; adapt unicode_data.py"
        ) from error
    lines = [
        "|".join((name, *(item for pair in places for item in pair)))
        for name, places in sorted(names.items())
    ]
    lines += ["|".join(("", *zone)) for zone in sorted(aliases) if len(zone) > 1]
    literal = "\n".join(f"        {line}" for line in lines)
    head = _HEAD.format(
        summary=f"Unicode CLDR {CLDR.version}, as <c>TimeZoneNames</c> reads it.",
        name="TimeZoneData",
    )
    text = f'    public static ReadOnlySpan<byte> Lines => """\n{literal}\n        """u8;\n}}\n'
    return head + text


def _read(package: PinnedPackage, path: str, cache: Path) -> dict[str, Any]:
    members = read_members(fetch(package, cache), path.__eq__)
    content: dict[str, Any] = json.loads(members[path])
    return content
