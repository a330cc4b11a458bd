"""Capabilities that come with the package: assemblies that functions ask for and share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.artifacts.store import ArtifactStore

if TYPE_CHECKING:
    from dotnet_wasm_host.assembly import Assembly

__all__ = ["BUILT_IN", "capability_assembly"]

#: Name to assembly, and to the assembly of the base library that an image must have for it.
BUILT_IN = {
    "compression": ("MinimalRuntime.Compression", "System.IO.Compression"),
    "cryptography": ("MinimalRuntime.Cryptography", "System.Security.Cryptography"),
    "http": ("MinimalRuntime.Http", "System.Net.Http"),
    "json": ("MinimalRuntime.JsonCapability", "System.Text.Json"),
}


def capability_assembly(name: str) -> Assembly:
    """A capability's assembly, to compile functions against that use it.

    >>> import dotnet_wasm_host as dwh
    >>> function = dwh.compile_csharp(
    ...     '''public sealed class F : MinimalRuntime.IFunctionHandler {
    ...         public byte[] Execute(System.ReadOnlySpan<byte> json) =>
    ...             MinimalRuntime.Json.JsonCapability.Minify(json); }''',
    ...     references=[dwh.capability_assembly("json")],
    ... )

    Raises:
        ValueError: the package has no capability of this name.
    """
    if name not in BUILT_IN:
        raise ValueError(
            f"the package has no capability {name!r}, only {', '.join(map(repr, BUILT_IN))}; "
            "give an assembly of your own"
        )
    from dotnet_wasm_host.assembly import Assembly

    assembly, _ = BUILT_IN[name]
    return Assembly(assembly, ArtifactStore.locate().read(f"guest/{assembly}.dll"))
