"""Deployed assemblies whose methods are called, with JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.assembly import Assembly, MalformedImage, identify
from dotnet_wasm_host.errors import AssemblyLoadError, MarshallingError
from dotnet_wasm_host.typed.description import Description
from dotnet_wasm_host.typed.documentation import read_documentation
from dotnet_wasm_host.typed.methods import MethodTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.worker.bundles import Bundle

__all__ = ["DISPATCHER", "DOCUMENTATION", "SOURCE", "dispatcher_of", "read_methods"]

#: Names of a stored function's parts.
SOURCE, DOCUMENTATION, DISPATCHER = "source", "documentation", "dispatcher"


def read_methods(function_id: str, bundle: Bundle, parts: Mapping[str, bytes]) -> MethodTable:
    """The methods of a deployed assembly.

    Raises:
        AssemblyLoadError: its metadata cannot be read.
        MarshallingError: it has no method that can be called.
    """
    try:
        documentation = read_documentation(parts.get(DOCUMENTATION, b""))
    except MarshallingError:
        documentation = read_documentation(b"")
    try:
        assembly = Assembly(identify(bundle.assembly).name, bundle.assembly)
        described = Description(assembly, bundle.dependencies, documentation, nullability=False)
        return MethodTable(described)
    except MalformedImage as error:
        raise AssemblyLoadError(
            function_id,
            "System.BadImageFormatException",
            f"its metadata cannot be read: {error}; send an assembly of .NET",
        ) from error


def dispatcher_of(methods: MethodTable, parts: Mapping[str, bytes], seconds: float) -> Assembly:
    """The stored dispatcher if it is the one of these methods, else one that is compiled now."""
    content, wanted = parts.get(DISPATCHER), methods.dispatcher_name
    if content is not None:
        try:
            if identify(content).name == wanted:
                return Assembly(wanted, content)
        except MalformedImage:
            pass
    return methods.dispatcher(timeout=seconds)
