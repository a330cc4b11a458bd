"""``run_csharp``: from source to an exit code."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.assembly import Assembly
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.errors import (
    AssemblyLoadError,
    CompilationError,
    DotnetHostError,
    GuestTerminated,
    GuestTrap,
    InvocationError,
    MarshallingError,
    MarshallingTypeError,
    RuntimeClosed,
)
from dotnet_wasm_host.images.image import RuntimeImage, derive_image
from dotnet_wasm_host.options import Limits, WasiOptions
from dotnet_wasm_host.packages.references import parse_packages
from dotnet_wasm_host.programs.completed import CompletedProgram
from dotnet_wasm_host.programs.packages import package_resolver
from dotnet_wasm_host.programs.program import Program, read_program
from dotnet_wasm_host.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike

    from dotnet_wasm_host.assembly import DependencySource
    from dotnet_wasm_host.engines.base import Engine
    from dotnet_wasm_host.nuget.resolving import PackageSources
    from dotnet_wasm_host.options import HttpPolicy

__all__ = ["build_program_image", "run_csharp", "run_program"]

_FUNCTION = "program"
#: 128 and the number of the signal that would have ended such a process on Linux.
_ABORTED, _KILLED, _SEGMENTATION_FAULT = 134, 137, 139
#: Run while the image is made: what a program does first is warm then.
_WARM_UP = """
var words = Console.ReadLine()?.Split(' ') ?? args;
foreach (var (word, count) in words.GroupBy(w => w).Select(g => (g.Key, g.Count())))
    Console.WriteLine($"{word} {count}");
Console.Error.WriteLine("done");
await Task.Delay(1);
return words.Length;
"""


def run_csharp(
    program: str | PathLike[str] | Mapping[str, str],
    args: Iterable[str] = (),
    *,
    input: str | bytes | None = None,  # noqa: A002 - the name that subprocess.run has
    encoding: str | None = "utf-8",
    files: Mapping[str, bytes] | None = None,
    references: DependencySource = (),
    packages: Iterable[str] = (),
    package_sources: PackageSources = (),
    allow_packages: Iterable[str] | None = None,
    lock_file: str | PathLike[str] | None = None,
    offline: bool = False,
    timeout: float | None = None,
    check: bool = False,
    host_functions: Mapping[str, Callable[[bytes], Any]] | None = None,
    http: HttpPolicy | None = None,
    limits: Limits | None = None,
    wasi: WasiOptions | None = None,
) -> CompletedProgram:
    r"""Compile and run a C# program, as ``dotnet run app.cs`` does, in a sandbox of its own.

    Top-level statements and ``Main`` in all its forms; the usings of a console project; ``#!``,
    ``#:package`` and ``#:property`` of file-based apps.

    >>> import dotnet_wasm_host as dwh
    >>> dwh.run_csharp('Console.WriteLine($"Hello, {args[0]}");', ["Ada"]).stdout
    'Hello, Ada\n'

    Args:
        program: C# text, a :class:`~pathlib.Path` of a ``.cs`` or ``.dll`` file or of a folder
            that ``dotnet publish`` wrote, or file names with their texts.
        args: what ``Main`` is given.
        input: what ``Console.In`` reads; nothing by default.
        encoding: how text becomes bytes and back; ``None`` for bytes.
        files: files the program finds, absolute path to content.
        references: assemblies it uses: a file, a folder, a ``.nupkg``, or a list of these and of
            assemblies as values.
        packages: NuGet packages it uses, beside what it asks for with ``#:package``:
            ``"Name@1.2.3"``, a range in place of the version, or ``"Name"`` for the newest.
        package_sources: where packages may come from, see :func:`resolve_packages`; nothing is
            fetched from anywhere else.
        allow_packages: ids of packages that may be used, dependencies included; ``None`` for all.
        lock_file: versions and hashes of packages, see :func:`resolve_packages`.
        offline: ask no feed over a network.
        timeout: seconds for finding packages, compiling and running together.
        check: raise :class:`ProgramFailed` if the exit code is not 0.
        host_functions: what the program may call, as for :class:`~dotnet_wasm_host.Runtime`.
        http: what ``HttpClient`` may reach; nothing without it.
        limits: memory and sizes.
        wasi: environment, directories, clock; its streams are not used, they are captured here.

    Raises:
        CompilationError: it does not compile.
        AssemblyLoadError: an assembly is missing or cannot be loaded.
        InvocationTimeout: packages and compiling alone took longer than ``timeout``.
        PackageError: a package is not there, damaged, not allowed, or cannot run here.
        ProgramFailed: see ``check``.
        MarshallingError: an argument is not what it should be.
    """
    started = time.monotonic()
    arguments = _check_arguments(args)
    stdin = _encode(input, encoding)
    limits = limits if limits is not None else Limits()
    given = read_program(
        program,
        references,
        timeout=timeout,
        packages=parse_packages(packages),
        resolver=package_resolver(
            package_sources,
            allow_packages=allow_packages,
            lock_file=lock_file,
            offline=offline,
            timeout=timeout,
        ),
    )
    if timeout is not None:
        # A program that compiled gets its chance, however short.
        left = max(timeout - (time.monotonic() - started), 1e-3)
        limits = replace(limits, timeout=left)
    stdout, stderr = io.BytesIO(), io.BytesIO()
    completed = run_program(
        given,
        arguments,
        limits=limits,
        wasi=replace(
            _with(wasi or WasiOptions(), arguments, files or {}),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        ),
        host_functions=host_functions,
        http=http,
    )
    completed.stdout = _decode(stdout, encoding)
    completed.stderr = _decode(stderr, encoding)
    if check:
        completed.check_returncode()
    return completed


def _with(wasi: WasiOptions, args: tuple[str, ...], files: Mapping[str, bytes]) -> WasiOptions:
    return replace(wasi, args=(*wasi.args, *args), files={**wasi.files, **files})


def run_program(
    program: Program,
    args: tuple[str, ...],
    *,
    limits: Limits,
    wasi: WasiOptions,
    host_functions: Mapping[str, Callable[[bytes], Any]] | None = None,
    http: HttpPolicy | None = None,
) -> CompletedProgram:
    """Run a program in an instance of its own, its streams as ``wasi`` says."""
    image = _image(get_engine(None))
    command = "\0".join((program.assembly.name, *args)).encode(errors="surrogateescape")
    with Runtime(
        image, limits=limits, wasi=wasi, host_functions=host_functions, http=http
    ) as runtime:
        try:
            _load(runtime, program)
            code = runtime.invoke(_FUNCTION, command)
        except (RuntimeClosed, CompilationError, AssemblyLoadError, MarshallingError):
            raise
        except DotnetHostError as error:
            return CompletedProgram(list(args), _code_of(error), exception=_cause(error))
    return CompletedProgram(list(args), int.from_bytes(code, "little", signed=True))


def _load(runtime: Runtime, program: Program) -> None:
    assembly = program.assembly
    runtime.load_assembly(
        _FUNCTION, _runner(), dependencies=[assembly, *program.dependencies.values()]
    )


def _code_of(error: DotnetHostError) -> int:
    if isinstance(error, GuestTerminated) and error.is_exit:
        return error.exit_code
    if isinstance(error, (InvocationError, GuestTerminated)):
        return _ABORTED
    return _SEGMENTATION_FAULT if isinstance(error, GuestTrap) else _KILLED


def _cause(error: DotnetHostError) -> DotnetHostError | None:
    """``Environment.Exit`` is a way to return."""
    return None if isinstance(error, GuestTerminated) and error.is_exit else error


@cache
def _runner() -> Assembly:
    name = "MinimalRuntime.Programs"
    return Assembly(name, ArtifactStore.locate().read(f"guest/{name}.dll"))


def build_program_image(progress: Callable[[str], object]) -> None:
    """Make and cache what programs start from. ``progress`` is told what takes time."""
    base = RuntimeImage.load("full", progress=progress)
    derive_image(base, "program", _make_image, progress=progress)


@cache
def _image(engine: Engine) -> RuntimeImage:
    return derive_image(RuntimeImage.load("full", engine=engine), "program", _make_image)


def _make_image(base: RuntimeImage) -> RuntimeImage:
    program = read_program(_WARM_UP)
    command = f"{program.assembly.name}\0a b a".encode()
    with Runtime(base, wasi=WasiOptions(stdout=io.BytesIO(), stderr=io.BytesIO())) as runtime:
        for _ in range(2):
            _load(runtime, program)
            runtime.invoke(_FUNCTION, command)
            runtime.unload_assembly(_FUNCTION)
        return runtime.snapshot()


def _check_arguments(args: Iterable[str]) -> tuple[str, ...]:
    if isinstance(args, (str, bytes)) or not hasattr(args, "__iter__"):
        raise MarshallingTypeError(
            f"args is a list of texts, not {type(args).__name__}; give ['one', 'two'], for example"
        )
    arguments = tuple(args)
    for argument in arguments:
        if not isinstance(argument, str):
            raise MarshallingTypeError(
                f"args holds {argument!r}; convert it, every argument is text"
            )
        if "\0" in argument:
            raise MarshallingError(f"args holds {argument!r}; leave NUL out")
    return arguments


def _encode(given: str | bytes | None, encoding: str | None) -> bytes:
    if given is None:
        return b""
    if isinstance(given, str):
        if encoding is None:
            raise MarshallingTypeError("input is text and encoding is None; give bytes")
        return given.encode(encoding)
    if not isinstance(given, (bytes, bytearray, memoryview)):
        raise MarshallingTypeError(
            f"input is text or bytes, not {type(given).__name__}; give one of these"
        )
    return bytes(given)


def _decode(stream: io.BytesIO, encoding: str | None) -> str | bytes:
    content = stream.getvalue()
    return content if encoding is None else content.decode(encoding, errors="replace")
