"""What the adapter is told: the Python half of ``struct Layout`` in ``adapter/src/adapter.h``."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ADAPTER_MEMORY", "ENTRY_HEAD", "AdapterFlags", "AdapterLayout"]

#: Addresses of the adapter's own data, which Emscripten's modules leave free.
ADAPTER_MEMORY = range(64, 1024)

_LAYOUT = struct.Struct("<10I")
#: ``struct Entry``: the next one, the guest's handle, the length of the id behind it.
ENTRY_HEAD = struct.Struct("<IiI")


class AdapterFlags(IntFlag):
    """``FLAG_*`` of adapter.h."""

    FILES = 1
    JS_LOG = 2
    BOOT = 4
    WORK = 8
    PROGRAM = 16
    COMMAND = 32


@dataclass(frozen=True, slots=True)
class AdapterLayout:
    """``struct Layout``: addresses are 0 where the adapter finds them itself.

    Attributes:
        flags: how the adapter behaves.
        heap_max: what linear memory may grow to, in bytes.
        methods: entry point to the address of its method.
        frame: address of the frame.
        functions: address of the first entry of the list of loaded functions.
        assemblies, assemblies_bytes: where the block of assemblies is that .NET boots from.
    """

    flags: AdapterFlags
    heap_max: int
    methods: Mapping[str, int] | None = None
    frame: int = 0
    functions: int = 0
    assemblies: int = 0
    assemblies_bytes: int = 0

    def encode(self) -> bytes:
        """The structure's bytes."""
        methods = self.methods or {}
        return _LAYOUT.pack(
            *(methods.get(name, 0) for name in ("Invoke", "Load", "Unload", "Collect")),
            self.frame,
            self.functions,
            self.flags,
            self.heap_max,
            self.assemblies,
            self.assemblies_bytes,
        )
