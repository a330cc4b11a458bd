"""How ``Runtime.load_csharp`` comes from source to assemblies.

The compiler is itself a runtime, and stands above this room. The package, which has both, says
here how to reach it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Unpack

    from dotnet_wasm_host.assembly import Assembly, DependencySource
    from dotnet_wasm_host.options import CompileOptions

__all__ = ["CompileSource", "CompiledSource", "compile_source", "reach"]


class CompiledSource(NamedTuple):
    """What source became.

    Attributes:
        assembly: the function.
        dependencies: what it is loaded with.
    """

    assembly: Assembly
    dependencies: tuple[bytes, ...]


class CompileSource(Protocol):
    """Compiles a function."""

    def __call__(
        self,
        source: str | Mapping[str, str],
        *,
        references: DependencySource = (),
        **options: Unpack[CompileOptions],
    ) -> CompiledSource:
        """As ``compile_csharp`` does."""


_reached: list[Callable[[], CompileSource]] = []


def reach(compiler: Callable[[], CompileSource]) -> None:
    """Say how to get the compiler; asked when it is first needed."""
    _reached[:] = [compiler]


def compile_source(
    source: str | Mapping[str, str],
    *,
    references: DependencySource = (),
    **options: Unpack[CompileOptions],
) -> CompiledSource:
    """Compile with the compiler of the package."""
    (compiler,) = _reached
    return compiler()(source, references=references, **options)
