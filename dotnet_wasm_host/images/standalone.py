"""What a guest's memory has to hold for the adapter of standalone modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.errors import ArtifactError, GuestOutOfMemory
from dotnet_wasm_host.linking.adapter_layout import ADAPTER_MEMORY, ENTRY_HEAD
from dotnet_wasm_host.linking.memory import BootedMemory, Function

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.guest.guest import Guest
    from dotnet_wasm_host.linking.compiled_code import CompiledCode

__all__ = ["LoadedEntry", "booted_memory"]


class LoadedEntry(NamedTuple):
    """A function that is loaded in a guest."""

    function: Function
    handle: int


def booted_memory(
    guest: Guest, loaded: Sequence[LoadedEntry], code: CompiledCode | None = None
) -> BootedMemory:
    """The memory of a guest, brought to rest, with the list of functions that the adapter reads.

    Args:
        guest: it is of no use to others afterwards: the list is in its heap.
        loaded: its functions.
        code: its compiled methods.

    Raises:
        ArtifactError: the guest has something where the adapter's data goes.
        GuestOutOfMemory: there is no room for the list.
    """
    head = 0
    for function, handle in reversed(loaded):
        text = function.function_id.encode()
        entry = ENTRY_HEAD.pack(head, handle, len(text)) + text
        head = guest.heap_call("malloc", len(entry))
        if head == 0:
            raise GuestOutOfMemory(
                "linear memory has no room for the list of functions; raise max_memory_bytes"
            )
        guest.host.memory.write(head, entry)
    guest.rest()
    memory = guest.host.memory
    content = memory.read(0, memory.size)
    if any(content[ADAPTER_MEMORY.start : ADAPTER_MEMORY.stop]):
        raise ArtifactError(
            f"expected nothing at addresses {ADAPTER_MEMORY.start} to {ADAPTER_MEMORY.stop - 1} "
            "of linear memory, found data; build the adapter for this .NET"
        )
    return BootedMemory(
        content=content,
        globals=guest.host.instance.globals(),
        methods=guest.layout.methods,
        frame=guest.layout.frame,
        functions=[entry.function for entry in loaded],
        entries=head,
        has_work=guest.host.mono.has_work,
        code=code,
    )
