"""A method that is called over columns, and the kernel for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.assembly import Assembly
from dotnet_wasm_host.columns.kernels import kernel_source
from dotnet_wasm_host.roslyn import CompilerOptions, CSharpCompiler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.columns.methods import ColumnMethod

__all__ = ["ColumnSource"]


#: What kernels use.
_SUPPORT = "MinimalRuntime.Columns"


@dataclass(frozen=True, slots=True, eq=False)
class ColumnSource:
    """What a kernel is made of.

    Attributes:
        method: what it calls.
        assembly: what has the method.
        libraries: what that needs.
        bases: base class by name, of the assembly's exceptions.
    """

    method: ColumnMethod
    assembly: Assembly
    libraries: tuple[bytes, ...]
    bases: Mapping[str, str]

    def dependencies(self) -> list[Assembly | bytes]:
        """What a kernel needs."""
        support = Assembly(_SUPPORT, ArtifactStore.locate().read(f"guest/{_SUPPORT}.dll"))
        return [self.assembly, support, *self.libraries]

    def compile(self) -> Assembly:
        """The assembly with the kernel, in 0.1 s or so."""
        source = kernel_source(self.method)
        name = hashlib.sha256(self.assembly.data + source.encode()).hexdigest()[:12]
        return CSharpCompiler.load().compile(
            {"Columns.g.cs": source},
            assembly_name=f"Columns_{name}",
            references=self.dependencies(),
            options=CompilerOptions(implicit_usings=False, pdb=False),
        )
