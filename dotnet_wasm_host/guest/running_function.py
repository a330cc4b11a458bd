"""Which function of a guest runs: the guest writes its handle behind the frame."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, final

from dotnet_wasm_host import abi

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.base import LinearMemory

__all__ = ["RunningFunction"]


@final
class RunningFunction:
    """Gives the id of the function that runs, or ran last; None for code of no function.

    It is made before the host and the guest, which both use it.

    Args:
        linear: the guest's memory.
        frame: address of the frame in it.

    Attributes:
        ids: the guest's handles of functions to their ids.
    """

    __slots__ = ("_at", "_linear", "ids")

    def __init__(self, linear: LinearMemory, frame: int) -> None:
        self._linear = linear
        self._at = frame + abi.FRAME.size
        self.ids: dict[int, str] = {}

    def __call__(self) -> str | None:
        """The id. From the guest's thread."""
        if not 0 < self._at <= self._linear.size - abi.CONTEXT.size:
            return None
        context = ctypes.string_at(self._linear.address + self._at, abi.CONTEXT.size)
        _, handle, _ = abi.CONTEXT.unpack(context)
        return self.ids.get(handle)
