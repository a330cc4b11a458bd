"""The functions of a file: read, compiled, and refused where no host could run them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.assembly import Assembly, identify, read_dependencies
from dotnet_wasm_host.ecma335.metadata import Metadata
from dotnet_wasm_host.ecma335.rows import TypeRefRow
from dotnet_wasm_host.errors import StandaloneBuildError
from dotnet_wasm_host.programs.program import Program, find_packages, read_program
from dotnet_wasm_host.runtime.registry import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dotnet_wasm_host.assembly import DependencySource
    from dotnet_wasm_host.linking.options import Target
    from dotnet_wasm_host.packages.references import PackageReference, PackageResolver

    #: C# text, a ``.cs`` or ``.dll`` file, file names with their texts, or an assembly.
    FunctionSource = str | PathLike[str] | Mapping[str, str] | Assembly

__all__ = ["FunctionSource", "GivenFunction", "Packages", "read_functions"]

_RUNNER = "MinimalRuntime.Programs"
#: Types of the contract behind which the host stands.
_OF_THE_HOST = frozenset({"MinimalRuntime.Host", "MinimalRuntime.HostJson"})
_JAVASCRIPT = "System.Runtime.InteropServices.JavaScript"
_HTTP = "System.Net.Http.HttpClient"


class Packages(NamedTuple):
    """Packages that functions use, and what finds them."""

    wanted: Sequence[PackageReference] = ()
    resolver: PackageResolver | None = None


@dataclass(frozen=True, slots=True)
class GivenFunction:
    """A function, or a program and the function that runs it.

    Attributes:
        function_id: the id it is loaded under.
        assembly: what has the handler.
        dependencies: simple name to content of what it brings.
        handler_type: full name of the handler, ``""`` for the first one.
        program: simple name of the program's assembly, ``None`` for a function.
    """

    function_id: str
    assembly: Assembly
    dependencies: Mapping[str, bytes]
    handler_type: str = ""
    program: str | None = None

    def roots(self) -> tuple[bytes, ...]:
        """What .NET is trimmed for; the user's own assembly is the first."""
        own = {self.assembly.name: self.assembly.data, **self.dependencies}
        first = self.program or self.assembly.name
        return (own.pop(first), *own.values())


def read_functions(
    sources: FunctionSource | Sequence[FunctionSource] | None,
    dependencies: DependencySource,
    *,
    function_id: str | Sequence[str | None] | None,
    handler_type: str | Sequence[str | None] | None,
    target: Target,
    progress: Callable[[str], object],
    packages: Packages,
) -> list[GivenFunction]:
    """Read what :func:`~dotnet_wasm_host.build_wasm` is given.

    Raises:
        StandaloneBuildError: a function needs a host that is not there, or does not fit the
            target or another function.
        ValueError: not as many ids or handlers as functions.
    """
    if sources is None:
        return []
    several = _several(sources)
    ids = _one_for_each("function_id", function_id, len(several))
    handlers = _one_for_each("handler_type", handler_type, len(several))
    found = [
        _read_function(
            _read(source, dependencies, progress, packages), source, name, handler, target
        )
        for source, name, handler in zip(several, ids, handlers, strict=True)
    ]
    _refuse_conflicts(found)
    return found


def _several(sources: FunctionSource | Sequence[FunctionSource]) -> Sequence[FunctionSource]:
    if isinstance(sources, (str, bytes, PathLike, Mapping, Assembly)):
        return [sources]
    return sources


def _one_for_each(
    option: str, given: str | Sequence[str | None] | None, count: int
) -> Sequence[str | None]:
    if given is None:
        return [None] * count
    values = [given] if isinstance(given, str) else [*given]
    if len(values) != count:
        raise ValueError(
            f"expected {option} to be a list of {count}, one for each function, found "
            f"{len(values)}; give None where the default will do"
        )
    return values


def _refuse_conflicts(functions: Sequence[GivenFunction]) -> None:
    ids = [function.function_id for function in functions]
    for name in ids:
        if ids.count(name) > 1:
            raise StandaloneBuildError(
                f"expected functions with ids of their own, found {name!r} twice; give "
                "function_id, one for each function"
            )
    known = dict[str, bytes]()
    for function in functions:
        own = {function.assembly.name: function.assembly.data, **function.dependencies}
        for assembly, content in own.items():
            if known.setdefault(assembly, content) != content:
                raise StandaloneBuildError(
                    f"expected one assembly {assembly}, found two that differ; .NET is trimmed "
                    "for all functions together: compile one of them under another name "
                    "(compile_csharp(assembly_name=...), or another file name)"
                )


def _read_function(
    given: Program,
    source: FunctionSource,
    function_id: str | None,
    handler_type: str | None,
    target: Target,
) -> GivenFunction:
    name = function_id if function_id is not None else _default_id(source, given.assembly)
    check_name(name)
    everything = {given.assembly.name: given.assembly.data, **given.dependencies}
    for assembly, content in everything.items():
        _refuse_host_needs(assembly, content, own=assembly == given.assembly.name)
    if not given.has_entry_point:
        return GivenFunction(name, given.assembly, given.dependencies, handler_type or "")
    if target != "command":
        raise StandaloneBuildError(
            f"expected a function for target {target!r}, found a program with a Main method; "
            "build it with target='command', or write a class that implements IFunctionHandler"
        )
    runner = Assembly(_RUNNER, ArtifactStore.locate().read(f"guest/{_RUNNER}.dll"))
    # The adapter takes the id for the name of the program's assembly; nobody else sees it.
    return GivenFunction(given.assembly.name, runner, everything, program=given.assembly.name)


def _read(
    source: FunctionSource,
    dependencies: DependencySource,
    progress: Callable[[str], object],
    packages: Packages,
) -> Program:
    if isinstance(source, bytes):
        source = Assembly(identify(source).name, source)
    if isinstance(source, Assembly):
        found = find_packages(packages.wanted, packages.resolver).libraries
        return Program(source, {**found, **read_dependencies(dependencies)})
    return read_program(
        source,
        dependencies,
        output="detect",
        progress=progress,
        packages=packages.wanted,
        resolver=packages.resolver,
    )


def _default_id(source: FunctionSource, assembly: Assembly) -> str:
    return Path(source).stem if isinstance(source, PathLike) else assembly.name


def _refuse_host_needs(assembly: str, content: bytes, *, own: bool) -> None:
    for name in _type_references(content):
        needs = "host functions" if name in _OF_THE_HOST else ""
        if name.startswith(f"{_JAVASCRIPT}."):
            needs = "functions of JavaScript"
        if name == _HTTP and own:
            needs = "a network"
        if needs:
            raise StandaloneBuildError(
                f"expected a function that needs nothing of its host but WASI, found {assembly} "
                f"using {name}, which needs {needs}; run it with Runtime, or take that out"
            )


def _type_references(content: bytes) -> Iterator[str]:
    metadata = Metadata(content)
    for row in metadata.rows(TypeRefRow):
        yield f"{metadata.string(row.namespace)}.{metadata.string(row.name)}"
