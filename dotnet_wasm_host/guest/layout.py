"""Where the entry points of the managed side, and what is exchanged with it, are in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BUFFER_SIZE", "ENTRY_POINTS", "GuestLayout"]

#: ``MinimalRuntime.EntryPoints``.
ENTRY_POINTS = (
    "Initialize",
    "Invoke",
    "InvokeMany",
    "Collect",
    "Cancel",
    "EndHostCall",
    "Load",
    "Unload",
    "LoadCapability",
    "UnloadCapability",
    "Inspect",
    "Rest",
)
#: Payloads up to this size use the buffer that every image carries.
BUFFER_SIZE = 64 * 1024


class GuestLayout(NamedTuple):
    """Where things are in linear memory; the same in every instance of an image.

    Attributes:
        methods: entry point to the address of its method.
        frame: address of the one :data:`abi.FRAME`.
        buffer: address of the call buffer, :data:`BUFFER_SIZE` bytes.
    """

    methods: Mapping[str, int]
    frame: int
    buffer: int
