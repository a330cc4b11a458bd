"""Finding instructions in function bodies, for those who read or rewrite code.

Source of every number: WebAssembly core specification 2.0, 5.4 (instructions), of which
everything is known here but the threads proposal, which .NET is built without.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.wasm.binary import MalformedModule, Reader, uleb128

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "CALL",
    "CALL_INDIRECT",
    "LOOP",
    "MEMORY_ACCESSES",
    "REF_FUNC",
    "Found",
    "Scanner",
    "instructions_start",
    "simd",
]

LOOP = b"\x03"
CALL = b"\x10"
CALL_INDIRECT = b"\x11"
REF_FUNC = b"\xd2"

_BR_TABLE = 0x0E
_SELECT_TYPED = 0x1C
_BULK_PREFIX = b"\xfc"
_SIMD_PREFIX = b"\xfd"
_LEB128 = rb"[\x80-\xff]*[\x00-\x7f]"


def simd(number: int) -> bytes:
    """Encoding of vector instruction ``number`` (5.4.8), without its immediates."""
    return _SIMD_PREFIX + uleb128(number)


def _bulk(number: int) -> bytes:
    return _BULK_PREFIX + uleb128(number)


def _bytes(*ranges: tuple[int, int]) -> list[bytes]:
    return [bytes([code]) for first, last in ranges for code in range(first, last + 1)]


def _vector(*ranges: tuple[int, int]) -> list[bytes]:
    return [simd(number) for first, last in ranges for number in range(first, last + 1)]


#: The pattern of the immediates, and the encodings of the instructions that have them. Not here:
#: ``br_table`` and ``select`` with types, whose immediates say how many they are.
_IMMEDIATES: Mapping[bytes, Sequence[bytes]] = {
    b"": [
        *_bytes((0x00, 0x01), (0x05, 0x05), (0x0B, 0x0B), (0x0F, 0x0F), (0x1A, 0x1B)),
        *_bytes((0x45, 0xC4), (0xD1, 0xD1)),
        *map(_bulk, range(8)),
        *_vector((14, 20), (35, 83), (94, 255)),
    ],
    _LEB128: [
        *_bytes((0x02, 0x04), (0x0C, 0x0D), (0x10, 0x10), (0x20, 0x26), (0x3F, 0x42)),
        *_bytes((0xD0, 0xD0), (0xD2, 0xD2)),
        *map(_bulk, (9, 11, 13, 15, 16, 17)),
    ],
    _LEB128 + _LEB128: [
        *_bytes((0x11, 0x11), (0x28, 0x3E)),
        *map(_bulk, (8, 10, 12, 14)),
        *_vector((0, 11), (92, 93)),
    ],
    rb"[\x00-\xff]{4}": _bytes((0x43, 0x43)),
    rb"[\x00-\xff]{8}": _bytes((0x44, 0x44)),
    rb"[\x00-\xff]{16}": _vector((12, 13)),
    rb"[\x00-\xff]": _vector((21, 34)),
    _LEB128 + _LEB128 + rb"[\x00-\xff]": _vector((84, 91)),
}


#: Loads and stores whose immediates are an alignment and an offset.
MEMORY_ACCESSES: Sequence[bytes] = (
    *_bytes((0x28, 0x3E)),
    *_vector((0, 11), (84, 93)),
)


class Found(NamedTuple):
    """An instruction: where it begins, where it ends, and its encoding without immediates."""

    start: int
    end: int
    encoding: bytes


@final
class Scanner:
    """Finds the instructions with the given encodings, passing over all others.

    Two megabytes of code are some 900,000 instructions. A regular expression takes whole runs
    of those that are not wanted, which is ten times faster than a loop over all of them.
    """

    def __init__(self, wanted: frozenset[bytes]) -> None:
        self._wanted = re.compile(
            b"|".join(
                b"(" + _any_of(found) + b")" + immediates
                for immediates, encodings in _IMMEDIATES.items()
                if (found := [e for e in encodings if e in wanted])
            )
        )
        self._others = re.compile(
            b"(?:"
            + b"|".join(
                _any_of([e for e in encodings if e not in wanted]) + immediates
                for immediates, encodings in _IMMEDIATES.items()
                if not wanted.issuperset(encodings)
            )
            + b")*"
        )

    def find(self, body: bytes) -> Iterator[Found]:
        """The wanted instructions of a function's body, in order.

        Raises:
            MalformedModule: an instruction is not known.
        """
        position, end = instructions_start(body), len(body)
        others, wanted = self._others.match, self._wanted.match
        while True:
            run = others(body, position)
            assert run is not None  # it may be empty
            position = run.end()
            if position == end:
                return
            found = wanted(body, position)
            if found is not None:
                position = found.end()
                yield Found(found.start(), position, found[found.lastindex or 0])
            else:
                position = _skip_counted(body, position)


def instructions_start(body: bytes) -> int:
    """Where the instructions of a function's body begin, behind its locals (5.4.7)."""
    reader = Reader(body)
    for _ in range(reader.uleb128()):
        reader.uleb128()
        reader.byte()
    return reader.pos


def _skip_counted(body: bytes, position: int) -> int:
    opcode, reader = body[position], Reader(body, position + 1)
    if opcode == _BR_TABLE:
        for _ in range(reader.uleb128() + 1):
            reader.uleb128()
    elif opcode == _SELECT_TYPED:
        reader.vector()
    else:
        raise MalformedModule(
            f"instruction {body[position : position + 3].hex()} at offset {position} is not known"
        )
    return reader.pos


def _any_of(encodings: Sequence[bytes]) -> bytes:
    """A pattern for any of these encodings."""
    by_prefix: dict[bytes, list[int]] = {}
    for encoding in encodings:
        by_prefix.setdefault(encoding[:-1], []).append(encoding[-1])
    return (
        b"(?:"
        + b"|".join(
            re.escape(prefix) + b"[" + b"".join(b"\\x%02x" % code for code in codes) + b"]"
            for prefix, codes in by_prefix.items()
        )
        + b")"
    )
