"""``compile_csharp``: from source to an assembly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import MarshallingTypeError
from dotnet_wasm_host.packages.references import parse_packages
from dotnet_wasm_host.programs.packages import package_resolver
from dotnet_wasm_host.programs.program import find_packages, read_references
from dotnet_wasm_host.roslyn import CompilerOptions, CSharpCompiler
from dotnet_wasm_host.runtime.source_compiler import CompiledSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from typing_extensions import Unpack

    from dotnet_wasm_host.assembly import Assembly, DependencySource
    from dotnet_wasm_host.nuget.resolving import PackageSources
    from dotnet_wasm_host.options import CompileOptions

__all__ = ["compile_csharp", "compile_function"]


def compile_csharp(
    source: str | Mapping[str, str],
    *,
    assembly_name: str | None = None,
    references: DependencySource = (),
    packages: Iterable[str] = (),
    package_sources: PackageSources = (),
    allow_packages: Iterable[str] | None = None,
    lock_file: str | PathLike[str] | None = None,
    offline: bool = False,
    optimize: bool = True,
    nullable: bool = True,
    implicit_usings: bool = True,
    pdb: bool = True,
    define: Iterable[str] = (),
    langversion: str | None = None,
    unsafe: bool = True,
    checked: bool = False,
    warnings_as_errors: bool = False,
    documentation: bool = False,
    roslyn: str | PathLike[str] | None = None,
    timeout: float | None = None,
) -> Assembly:
    """Compile C# into an assembly, with Roslyn running inside the sandbox.

    The base library and ``MinimalRuntime`` (the contract) are referenced. No SDK is needed and
    the compiler sees nothing of the host but what is given here. The same input gives the same
    bytes. The first compile on a machine builds an image (seconds); later ones take around a
    tenth of a second.

    Args:
        source: one file's text, or file names with their texts.
        assembly_name: simple name; without it one is made from a hash of the source.
        references: assemblies the source uses: a file, a folder, a ``.nupkg``, or a list of these
            and of assemblies as values. Give the same to ``load_assembly(..., dependencies=...)``.
        packages: NuGet packages the source uses: ``"Name@1.2.3"``, a range in place of the
            version, or ``"Name"`` for the newest. For ``load_assembly`` find them with
            :func:`resolve_packages`.
        package_sources: where packages may come from, see :func:`resolve_packages`.
        allow_packages: ids of packages that may be used, dependencies included; ``None`` for all.
        lock_file: versions and hashes of packages, see :func:`resolve_packages`.
        offline: ask no feed over a network.
        optimize: release code; otherwise debug code, with the symbol ``DEBUG``.
        nullable: enable nullable reference types.
        implicit_usings: the usings of an SDK project for the console, and ``MinimalRuntime``.
        pdb: embed a portable PDB, from which stack traces get files and lines.
        define: preprocessor symbols.
        langversion: C# version as the compiler's ``/langversion`` has it: ``"7.3"``, ``"12"``,
            ``"preview"``; ``None`` for C# 12, or the newest one of ``roslyn``.
        unsafe: allow unsafe code. It is: a sandbox holds unsafe code as well as other code.
        checked: integer arithmetic that overflows throws.
        warnings_as_errors: whether a warning stops the compilation.
        documentation: read the XML comments into ``Assembly.documentation``.
        roslyn: a folder with a newer Roslyn than the one that comes with the package: its two DLLs,
            an SDK, or an installation of .NET, whose newest SDK is taken; ``"sdk"`` looks where
            .NET is installed. It runs in the sandbox, too. Its first compilation builds an image.
        timeout: seconds that finding packages and compiling may take together.

    Raises:
        CompilationError: the source has errors; ``.diagnostics`` has them with positions.
        InvocationTimeout: it took longer than ``timeout``.
        PackageError: a package is not there, damaged, not allowed, or cannot run here.
        MarshallingError: a source, name, reference or option is not what it should be.
    """
    options = CompilerOptions(
        optimize=optimize,
        nullable=nullable,
        implicit_usings=implicit_usings,
        pdb=pdb,
        define=_texts(define),
        langversion=langversion,
        unsafe=unsafe,
        checked=checked,
        warnings_as_errors=warnings_as_errors,
        documentation=documentation,
    )
    started = time.monotonic()
    if wanted := parse_packages(packages):
        resolver = package_resolver(
            package_sources,
            allow_packages=allow_packages,
            lock_file=lock_file,
            offline=offline,
            timeout=timeout,
        )
        found = find_packages(wanted, resolver).references
        references = [*{**found, **read_references(references)}.values()]
    return CSharpCompiler.load(roslyn=roslyn).compile(
        source,
        assembly_name=assembly_name,
        references=references,
        options=options,
        timeout=_left(timeout, started),
    )


def compile_function(
    source: str | Mapping[str, str],
    *,
    references: DependencySource = (),
    **options: Unpack[CompileOptions],
) -> CompiledSource:
    """Compile a function, and read what it is to be loaded with: references and packages."""
    started = time.monotonic()
    timeout = options.pop("timeout", None)
    given = read_references(references)
    wanted = parse_packages(options.pop("packages", ()))
    resolver = package_resolver(
        options.pop("package_sources", ()),
        allow_packages=options.pop("allow_packages", None),
        lock_file=options.pop("lock_file", None),
        offline=options.pop("offline", False),
        timeout=timeout,
    )
    found = find_packages(wanted, resolver)
    options["timeout"] = _left(timeout, started)
    assembly = compile_csharp(
        source,
        references=[*{**found.references, **given}.values()],
        **options,
    )
    return CompiledSource(assembly, tuple({**found.libraries, **given}.values()))


def _left(timeout: float | None, started: float) -> float | None:
    """What is left of a time, at least a moment: the compiler says then that it is over."""
    return None if timeout is None else max(timeout - (time.monotonic() - started), 1e-3)


def _texts(given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise MarshallingTypeError(
            f"define is a list of texts, not {given!r}; give ['DEBUG'], for example"
        )
    return tuple(given)
