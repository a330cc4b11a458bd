"""``csharp`` and ``load``: from source or a DLL to a module."""

from __future__ import annotations

import time
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.assembly import Assembly, MalformedImage, identify, read_assembly
from dotnet_wasm_host.errors import AssemblyLoadError
from dotnet_wasm_host.packages.references import parse_packages
from dotnet_wasm_host.programs.directives import read_files
from dotnet_wasm_host.programs.packages import package_resolver
from dotnet_wasm_host.programs.program import find_packages, read_references
from dotnet_wasm_host.roslyn import CompilerOptions, CSharpCompiler
from dotnet_wasm_host.typed.description import Description
from dotnet_wasm_host.typed.documentation import read_documentation
from dotnet_wasm_host.typed.loading import check_host, make_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dotnet_wasm_host.assembly import AssemblySource, DependencySource
    from dotnet_wasm_host.nuget.resolving import PackageSources
    from dotnet_wasm_host.options import HttpPolicy, Limits, WasiOptions
    from dotnet_wasm_host.pool.pool import RuntimePool
    from dotnet_wasm_host.programs.directives import SourceFiles
    from dotnet_wasm_host.runtime import Runtime
    from dotnet_wasm_host.typed.module import CSharpModule

__all__ = ["csharp", "describe_assembly", "describe_source", "load", "read_source"]

#: Methods need no class, and their comments become docstrings.
_OPTIONS = CompilerOptions(members=True, documentation=True)


def csharp(
    source: str | Mapping[str, str],
    *,
    runtime: Runtime | RuntimePool | None = None,
    references: DependencySource = (),
    packages: Iterable[str] = (),
    package_sources: PackageSources = (),
    allow_packages: Iterable[str] | None = None,
    limits: Limits | None = None,
    wasi: WasiOptions | None = None,
    host_functions: Mapping[str, Callable[[bytes], Any]] | None = None,
    http: HttpPolicy | None = None,
    timeout: float | None = None,
) -> CSharpModule:
    """Compile C# and call its methods with values.

    >>> import dotnet_wasm_host as dwh
    >>> add = dwh.csharp("public static int Add(int a, int b) => a + b;")
    >>> add(1, 2)
    3

    Public static methods are attributes of what comes back; if there is exactly one, it can be
    called itself. Methods need no class around them. ``docs/typed.md`` says which types of C#
    are which of Python.

    Args:
        source: one file's text, or file names with their texts.
        runtime: where it runs; without one the module has a runtime of its own, which ends with
            it.
        references: assemblies it uses: a file, a folder, a ``.nupkg``, or a list of these and of
            assemblies as values.
        packages: NuGet packages it uses, beside those of its ``#:package`` lines.
        package_sources: where packages may come from, see :func:`resolve_packages`.
        allow_packages: ids of packages that may be used, dependencies included; ``None`` for all.
        limits: of a runtime of its own, as for :class:`~dotnet_wasm_host.Runtime`.
        wasi: likewise.
        host_functions: likewise.
        http: likewise.
        timeout: seconds that finding packages and compiling may take together.

    Raises:
        CompilationError: the source has errors.
        PackageError: a package is not there, damaged, not allowed, or cannot run here.
        MarshallingError: no method can be called, or an argument is not what it should be.
    """
    own = check_host(
        runtime, {"limits": limits, "wasi": wasi, "host_functions": host_functions, "http": http}
    )
    started = time.monotonic()
    found: dict[str, bytes] = {}
    files = read_source(source)
    if wanted := [*parse_packages(packages), *files.packages]:
        resolver = package_resolver(package_sources, allow_packages=allow_packages, timeout=timeout)
        found = dict(find_packages(wanted, resolver).libraries)
    library = {**found, **read_references(references)}
    description = describe_source(files, library, timeout=_left(timeout, started))
    return make_module(description, runtime, own, timeout=_left(timeout, started))


def load(
    assembly: AssemblySource,
    *,
    dependencies: DependencySource = (),
    runtime: Runtime | RuntimePool | None = None,
    limits: Limits | None = None,
    wasi: WasiOptions | None = None,
    host_functions: Mapping[str, Callable[[bytes], Any]] | None = None,
    http: HttpPolicy | None = None,
) -> CSharpModule:
    """Call the methods of a DLL with values; see :func:`csharp`.

    ``dwh.load("Lib.dll")["Namespace.Type"].Method(1)``, ``.Type.Method(1)``, or ``.Method(1)`` if
    one type has it.

    Args:
        assembly: a ``.dll`` as bytes, path or compiler output. What its XML file says is in the
            docstrings if that lies beside it.
        dependencies: assemblies it uses: a file, a folder, a ``.nupkg``, or a list of these.
        runtime: where it runs; without one the module has a runtime of its own.
        limits: of a runtime of its own, as for :class:`~dotnet_wasm_host.Runtime`.
        wasi: likewise.
        host_functions: likewise.
        http: likewise.

    Raises:
        AssemblyLoadError: it is not a .NET assembly, or cannot be loaded.
        MarshallingError: no method of it can be called.
    """
    own = check_host(
        runtime, {"limits": limits, "wasi": wasi, "host_functions": host_functions, "http": http}
    )
    return make_module(describe_assembly(assembly, dependencies), runtime, own)


def describe_source(
    files: SourceFiles, library: Mapping[str, bytes], *, timeout: float | None = None
) -> Description:
    """Compile files, and describe what of them can be called."""
    compiler = CSharpCompiler.load()
    request = compiler.request(
        files.texts,
        assembly_name=files.assembly_name,
        references=[*library.values()],
        options=files.options,
    )
    answer = compiler.answer(request, timeout=timeout)
    assembly = Assembly(request.assembly_name, answer.image, answer.diagnostics)
    return Description(assembly, library, read_documentation(answer.documentation))


def describe_assembly(source: AssemblySource, dependencies: DependencySource) -> Description:
    """What of an assembly can be called. AssemblyLoadError if it is none."""
    content = read_assembly(source)
    try:
        name = identify(content).name
    except MalformedImage as error:
        where = str(source) if isinstance(source, (str, PathLike)) else "the assembly"
        raise AssemblyLoadError(
            where,
            "System.BadImageFormatException",
            f"it is not a .NET assembly: {error}; give a .dll that .NET compiled",
        ) from error
    library = read_references(dependencies)
    library.pop(name, None)
    documentation = b""
    if isinstance(source, (str, PathLike)):
        beside = Path(source).with_suffix(".xml")
        documentation = beside.read_bytes() if beside.is_file() else b""
    return Description(Assembly(name, content), library, read_documentation(documentation))


def read_source(source: str | Mapping[str, str]) -> SourceFiles:
    """Read files and their directives, for :func:`describe_source`."""
    return read_files(source, _OPTIONS)


def _left(timeout: float | None, started: float) -> float | None:
    return None if timeout is None else max(timeout - (time.monotonic() - started), 1e-3)
