"""What is around a function that is written: helpers, callees, addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.jit.helpers import Helpers
    from dotnet_wasm_host.jit.interface import Callee

__all__ = ["Surroundings"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What functions of a module refer to.

    Attributes:
        helpers: exports of the code module.
        types: index of the type of each indirect call, by name.
        callees: what methods are called directly, by address, and how.
        frame_size: bytes of the frame.
        stack_end: address of the word that says where the interpreter's stack must end.
        stack_pointer: the same for where it ends now.
        records: address of :class:`.interface.LinkTarget`.
        found_at: offset of the slot in a method whose target is found when it is called.
        budget: of :class:`.interface.LinkTarget`.
        boxed_data: offset of the value in a box.
    """

    helpers: Helpers
    types: Mapping[str, int]
    callees: Mapping[int, tuple[Callee, bytes]]
    frame_size: int
    stack_end: int
    stack_pointer: int
    records: int
    found_at: int
    budget: int
    boxed_data: int
