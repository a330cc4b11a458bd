"""Loading into a guest, and unloading: functions, capabilities, assemblies of the base library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host import abi
from dotnet_wasm_host.errors import (
    DotnetHostError,
    GuestOutOfMemory,
    GuestTrap,
    HandlerNotFound,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dotnet_wasm_host.base_library.library import BaseLibrary
    from dotnet_wasm_host.guest.guest import Guest

__all__ = [
    "LEAK_PER_UNLOAD",
    "SMALLEST_HANDLER",
    "add_base_library",
    "load_capability",
    "load_function",
    "unload_capability",
    "unload_function",
]

#: Linear memory that Mono keeps for an unloaded context besides the copies of its images:
#: metadata, vtables, interpreter code. Measured over 10,000 cycles (docs/architecture.md).
LEAK_PER_UNLOAD = 28 * 1024
#: What a source needs to be a function, for people who have written something else.
SMALLEST_HANDLER = (
    "public class Handler : MinimalRuntime.IFunctionHandler { "
    "public byte[] Execute(System.ReadOnlySpan<byte> input) => input.ToArray(); }"
)
#: How ``HandlerLocator`` says that no class implements the contract.
_NO_CLASS = "has no class that implements"
_LOAD_FAILURES = (
    abi.Status.HANDLER_THREW,
    abi.Status.HANDLER_NOT_FOUND,
    abi.Status.LOAD_FAILED,
)


def load_function(
    guest: Guest,
    function_id: str,
    image: bytes,
    dependencies: Iterable[tuple[str, bytes]],
    handler_type: str,
    symbols: Iterable[tuple[str, bytes]] = (),
) -> abi.LoadReport:
    """Load a function, replacing one of the same id.

    Args:
        guest: where.
        function_id: its id.
        image: its assembly.
        dependencies: simple name and content of the assemblies that it brings.
        handler_type: full name of the handler; ``""`` for the first one.
        symbols: simple name and portable PDB of assemblies that have one.
    """
    request = abi.pack_load(
        function_id.encode(), handler_type.encode(), image, dependencies, symbols
    )
    handle, status, output = _request_load(guest, "Load", function_id, request)
    if status == abi.Status.OK:
        guest.function_ids[handle] = function_id
        return guest.decode(lambda: abi.LoadReport.decode(handle, output))
    raise _load_error(guest, function_id, status, output)


def unload_function(guest: Guest, function_id: str) -> bool:
    """Unload a function; False if the guest does not have it."""
    guest.needs.own.pop(function_id, None)
    guest.needs.explained.pop(function_id, None)
    _, status, output = guest.request("Unload", abi.pack_fields(function_id.encode()))
    return _was_found(guest, function_id, status, output)


def load_capability(
    guest: Guest,
    name: str,
    image: bytes,
    dependencies: Iterable[tuple[str, bytes]],
    symbols: Iterable[tuple[str, bytes]] = (),
) -> None:
    """Load a capability, replacing one of the same name."""
    request = abi.pack_load_capability(name.encode(), image, dependencies, symbols)
    _, status, output = _request_load(guest, "LoadCapability", name, request)
    if status != abi.Status.OK:
        raise _load_error(guest, name, status, output)


def unload_capability(guest: Guest, name: str) -> bool:
    """Unload a capability; False if the guest does not have it."""
    _, status, output = guest.request("UnloadCapability", abi.pack_fields(name.encode()))
    return _was_found(guest, name, status, output)


def add_base_library(
    guest: Guest, wanted_by: str, images: Iterable[bytes], library: BaseLibrary
) -> None:
    """Make known what a trimmed image lacks of the base library that ``images`` refer to."""
    needs = guest.needs
    needs.explained.clear()  # what is added may be what was missing
    needs.own[wanted_by] = tuple(images)
    needs.wanted[wanted_by], needed = library.needed_by(needs.own[wanted_by])
    for name in needed:
        if name not in needs.added:
            _add_assembly(guest, name, library.read(name))
            needs.added[name] = library.file(name)


def _add_assembly(guest: Guest, name: str, content: bytes) -> None:
    parts = []
    for part in (f"{name}.wasm".encode() + b"\0", content):
        block = guest.heap_call("malloc", len(part))
        if block == 0:
            raise GuestOutOfMemory(
                f"linear memory has no room for assembly {name!r}; raise Limits(memory_bytes=...)"
            )
        guest.host.memory.write(block, part)
        parts.append(block)
    # Mono reads the bytes where they are for as long as the runtime lives.
    guest.needs.places[f"{name}.wasm"] = parts[1]
    guest.heap_call("mono_wasm_add_assembly", *parts, len(content))


def _request_load(guest: Guest, entry: str, name: str, request: bytes) -> tuple[int, int, bytes]:
    guest.needs.loading = name
    try:
        return guest.request(entry, request)
    finally:
        guest.needs.loading = None


def _load_error(guest: Guest, name: str, status: int, record: bytes) -> DotnetHostError:
    if status not in _LOAD_FAILURES:
        return guest.lied(GuestTrap(f"the guest answered with unknown status {status}"))
    thrown = guest.decode(lambda: abi.decode_error(record))
    if status == abi.Status.HANDLER_NOT_FOUND:
        hint = f"; the smallest is {SMALLEST_HANDLER}" if _NO_CLASS in thrown.message else ""
        return HandlerNotFound(name, thrown.type_name, thrown.message + hint)
    constructing = status == abi.Status.HANDLER_THREW
    return guest.errors.of_load(name, thrown, constructing=constructing)


def _was_found(guest: Guest, name: str, status: int, record: bytes) -> bool:
    if status in {abi.Status.OK, abi.Status.NOT_LOADED}:
        return status == abi.Status.OK
    raise guest.invocation_error(name, status, record)
