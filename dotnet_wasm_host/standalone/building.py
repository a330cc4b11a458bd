"""Put functions and the .NET they need into one WebAssembly file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, get_args

from dotnet_wasm_host import abi
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.assembly import Assembly
from dotnet_wasm_host.base_library.configurations import DATA, IMAGE_NAMES
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.guest.function_source import read_source
from dotnet_wasm_host.guest.loading import load_function
from dotnet_wasm_host.images.boot import runtime_properties
from dotnet_wasm_host.images.builder import ImageBuilder
from dotnet_wasm_host.images.compiling import check_compiles
from dotnet_wasm_host.images.progress import announce
from dotnet_wasm_host.images.standalone import LoadedEntry, booted_memory
from dotnet_wasm_host.linking.description import Description
from dotnet_wasm_host.linking.memory import Assemblies, Function
from dotnet_wasm_host.linking.options import Boot, ModuleOptions, require_one_of
from dotnet_wasm_host.linking.template import NAME
from dotnet_wasm_host.linking.writing import check_functions, write_module
from dotnet_wasm_host.packages.references import parse_packages
from dotnet_wasm_host.programs.packages import package_resolver
from dotnet_wasm_host.standalone.fixed_world import fixed_world
from dotnet_wasm_host.standalone.functions import GivenFunction, Packages, read_functions
from dotnet_wasm_host.standalone.libraries import (
    AUTO,
    BASE_LAYER,
    Library,
    image_library,
    trimmed_library,
)
from dotnet_wasm_host.standalone.warming import JIT_CALLS, Warming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from dotnet_wasm_host.assembly import DependencySource
    from dotnet_wasm_host.guest.function_source import FunctionSource as LoadSource
    from dotnet_wasm_host.linking.memory import BootedMemory
    from dotnet_wasm_host.linking.module import StandaloneModule
    from dotnet_wasm_host.linking.options import SegmentLayout, Target, Wasi
    from dotnet_wasm_host.nuget.resolving import PackageSources
    from dotnet_wasm_host.standalone.functions import FunctionSource

__all__ = ["build_wasm"]


def build_wasm(
    function: FunctionSource | Sequence[FunctionSource] | None = None,
    *,
    function_id: str | Sequence[str | None] | None = None,
    handler_type: str | Sequence[str | None] | None = None,
    dependencies: DependencySource = (),
    packages: Iterable[str] = (),
    package_sources: PackageSources = (),
    allow_packages: Iterable[str] | None = None,
    lock_file: str | PathLike[str] | None = None,
    offline: bool = False,
    target: Target = "library",
    image: str = AUTO,
    wasi: Wasi = "original",
    boot: Boot = "inside",
    layout: SegmentLayout = "sparse",
    warm: Mapping[str, bytes | Sequence[bytes]] | None = None,
    jit: bool = False,
    jit_calls: int = JIT_CALLS,
    js_log: bool = False,
    max_memory_bytes: int | None = None,
    max_bytes: int | None = None,
    features: Mapping[str, bool] | None = None,
    descriptors: tuple[tuple[str, str | bytes], ...] = (),
    progress: Callable[[str], object] | None = None,
) -> StandaloneModule:
    """Make one WebAssembly file with functions and .NET inside, for any host with WASI preview 1.

    The same input gives the same bytes.

    >>> import dotnet_wasm_host as dwh
    >>> dwh.build_wasm(Path("greet.cs")).save("greet.wasm")

    Args:
        function: C# text, a :class:`~pathlib.Path` of a ``.cs`` or ``.dll`` file, file names with
            their texts, or an assembly; a list for several functions. Without it the file is
            the base layer: its host loads functions.
        function_id: the function's id; by default the file's stem, else its assembly's name.
            A list for several functions.
        handler_type: full name of the handler, if there are several. A list for several
            functions.
        dependencies: assemblies that functions bring: a file, a folder, a ``.nupkg``, or a
            list of these and of assemblies as values.
        packages: NuGet packages that functions use, beside what they ask for with
            ``#:package``, see :func:`run_csharp`.
        package_sources: where packages may come from, see :func:`resolve_packages`.
        allow_packages: ids of packages that may be used; ``None`` for all.
        lock_file: versions and hashes of packages, see :func:`resolve_packages`.
        offline: ask no feed over a network.
        target: ``"library"`` has the exports of the original TypeScript host's module,
            ``"command"`` is run: a function on standard input and output, or a program with its
            ``Main``; ``"extism"`` is an Extism plugin.
        image: ``"auto"`` for what the function reaches, or the name of a built-in image, which
            also runs what a host loads later.
        wasi: ``"original"`` imports no more of WASI than the original host gives; ``"full"`` has
            files.
        boot: ``"inside"`` carries the memory of a booted .NET and starts at once;
            ``"at-start"`` is about half as large and boots when it is started.
        layout: ``"sparse"`` leaves zeros out; ``"dense"`` writes memory as one segment, which
            wasmtime maps copy-on-write.
        warm: id to a payload, or several, that the function is called with before its memory is
            written: the first call of each instance has its code ready then. What these calls
            leave in statics, and what they drew from a hash or ``Random``, is in all instances.
        jit: methods that run often when the functions are called with the payloads of ``warm``
            are compiled to WebAssembly and part of the file: hosts that cannot compile at run time
            run these fast. An experiment, see docs/jit.md.
        jit_calls: how often each function of ``warm`` is called with ``jit``, its payloads in
            turn, 1..1,000,000. The interpreter optimises a method when it was called a thousand
            times, and what is not optimised is not compiled.
        js_log: what .NET prints goes to ``env.js_log(pointer, length)``.
        max_memory_bytes: what linear memory may grow to, 1 MiB..2 GiB.
        max_bytes: the largest file that is of use.
        features: feature switches, as ``dotnet-wasm-host publish`` has them.
        descriptors: name and XML of ILLink descriptors that keep what the function reaches by
            reflection alone.
        progress: told what takes longer than a moment.

    Raises:
        StandaloneBuildError: no host could run it: it needs a host function, a network or
            JavaScript; or the function does not fit the target.
        CompilationError: the source has errors.
        PackageError: a package is not there, damaged, not allowed, or cannot run here.
        AssemblyLoadError, HandlerNotFound: .NET refuses it, or it uses what is not there.
        LimitExceeded: it does not fit ``max_memory_bytes`` or ``max_bytes``.
        ValueError: an option is none of its values.
    """
    options = ModuleOptions(target, wasi, layout, js_log, max_memory_bytes, max_bytes)
    require_one_of("boot", boot, get_args(Boot))
    require_one_of("image", image, (AUTO, *IMAGE_NAMES))
    progress = progress or announce
    warming = Warming.read(warm or {}, boot, jit=jit, calls=jit_calls)
    resolver = package_resolver(
        package_sources,
        allow_packages=allow_packages,
        lock_file=lock_file,
        offline=offline,
        progress=progress,
    )
    given = read_functions(
        function,
        dependencies,
        function_id=function_id,
        handler_type=handler_type,
        target=target,
        progress=progress,
        packages=Packages(parse_packages(packages), resolver),
    )
    check_functions([each.function_id for each in given], options)
    warming.check(given)
    library = _library(given, image, features or {}, descriptors, progress)
    sources = [_source(each, library) for each in given]
    booted = _boot(given, sources, library, warming, progress)
    start = booted if boot == "inside" else _assemblies(booted, given, sources, library)
    described = _describe(start, library, options, boot)
    is_program = any(each.program is not None for each in given)
    template = ArtifactStore.locate().read(NAME)
    module = write_module(template, start, options, described, is_program=is_program)
    check_compiles(module.data, progress)
    return module


def _library(
    given: Sequence[GivenFunction],
    image: str,
    features: Mapping[str, bool],
    descriptors: tuple[tuple[str, str | bytes], ...],
    progress: Callable[[str], object],
) -> Library:
    if given and image == AUTO:
        return trimmed_library(given, features, descriptors, progress)
    return image_library(BASE_LAYER if image == AUTO else image, given, progress)


def _source(given: GivenFunction, library: Library) -> LoadSource:
    dependencies = [Assembly(name, content) for name, content in given.dependencies.items()]
    source = read_source(
        given.function_id,
        given.assembly,
        dependencies,
        given.handler_type or None,
        library.names,
    )
    if library.image == AUTO:  # the trimmer has looked
        return source
    return source.resolved(given.function_id, library.names)


def _boot(
    given: Sequence[GivenFunction],
    sources: Sequence[LoadSource],
    library: Library,
    warming: Warming,
    progress: Callable[[str], object],
) -> BootedMemory:
    """.NET booted, with functions loaded. Who boots at the start wants to know that it can."""
    builder = ImageBuilder(get_engine(None), progress, method_entries=warming.jit)
    with builder.step("booting .NET once"):
        guest = builder.boot_guest(
            library.files, library.data, fixed_world(), trimmed=library.image == AUTO
        )
    try:
        loaded = []
        for each, source in zip(given, sources, strict=True):
            report = load_function(
                guest,
                each.function_id,
                source.image,
                source.dependencies,
                source.handler_type,
                source.symbols,
            )
            digest = hashlib.sha256(source.image).hexdigest()
            function = Function(each.function_id, report.assembly_name, digest)
            loaded.append(LoadedEntry(function, report.handle))
        code = warming.run(guest, builder, loaded)
        return booted_memory(guest, loaded, code)
    finally:
        guest.close()


def _assemblies(
    booted: BootedMemory,
    given: Sequence[GivenFunction],
    sources: Sequence[LoadSource],
    library: Library,
) -> Assemblies:
    requests = [
        abi.pack_load(
            each.function_id.encode(),
            source.handler_type.encode(),
            source.image,
            source.dependencies,
            source.symbols,
        )
        for each, source in zip(given, sources, strict=True)
    ]
    return Assemblies(
        files=library.files,
        properties=runtime_properties(with_time_zones=library.data == DATA),
        data=ArtifactStore.locate().read(library.data),
        functions=booted.functions,
        requests=requests,
        booted_bytes=len(booted.content),
    )


def _describe(
    start: BootedMemory | Assemblies, library: Library, options: ModuleOptions, boot: Boot
) -> Description:
    return Description(
        dotnet_version=ArtifactStore.locate().manifest.dotnet_version,
        package_version=Description.own_version(),
        target=options.target,
        wasi=options.wasi,
        boot=boot,
        image=library.image,
        assemblies={name: len(content) for name, content in library.files.items()},
        functions=start.functions,
    )
