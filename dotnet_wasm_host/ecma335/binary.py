"""Bounds-checked access to little-endian binary formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.errors import ArtifactError

if TYPE_CHECKING:
    import struct

__all__ = ["Allowance", "BinaryView", "MalformedImage", "align"]


class MalformedImage(ArtifactError, ValueError):
    """The bytes are not a .NET assembly image this reader understands."""


@final
class Allowance:
    """How much an assembly may ask for. Raises :class:`MalformedImage` when it is used up.

    Rows of a few bytes can name the same long text or blob again and again; what assemblies of
    compilers ask for is in proportion to their size.
    """

    __slots__ = ("_left", "_what")

    def __init__(self, what: str, units: int) -> None:
        self._what = what
        self._left = units

    def spend(self, units: int) -> None:
        """Take from what is left."""
        self._left -= units
        if self._left < 0:
            raise MalformedImage(
                f"an assembly asks for more {self._what} than one of its size can need"
            )


def align(value: int, alignment: int) -> int:
    """``value`` rounded up to a multiple of ``alignment``."""
    return -(-value // alignment) * alignment


class BinaryView(NamedTuple):
    """Bytes whose every access is checked. Raises :class:`MalformedImage`."""

    data: bytes

    def take(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``."""
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise MalformedImage(
                f"{size} bytes wanted at offset {offset:#x}, but there are {len(self.data)}"
            )
        return self.data[offset : offset + size]

    def unpack(self, layout: struct.Struct, offset: int) -> tuple[int, ...]:
        """Integers of ``layout`` at ``offset``."""
        return layout.unpack(self.take(offset, layout.size))

    def u16(self, offset: int) -> int:
        """Two bytes at ``offset``."""
        return int.from_bytes(self.take(offset, 2), "little")

    def u32(self, offset: int) -> int:
        """Four bytes at ``offset``."""
        return int.from_bytes(self.take(offset, 4), "little")

    def unsigned(self, offset: int, width: int) -> int:
        """``width`` bytes at ``offset``."""
        return int.from_bytes(self.take(offset, width), "little")

    def zero_terminated(self, offset: int) -> str:
        """UTF-8 text at ``offset`` up to its NUL."""
        end = self.data.find(b"\0", offset) if 0 <= offset < len(self.data) else -1
        if end < 0:
            raise MalformedImage(f"no NUL-terminated text at offset {offset:#x}")
        try:
            return self.data[offset:end].decode()
        except UnicodeDecodeError as error:
            raise MalformedImage(f"text at offset {offset:#x} is not UTF-8") from error
