"""Roslyn inside the sandbox: an image with the compiler loaded, and a fresh instance a compile."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.assembly import Assembly, MalformedImage, read_dependencies
from dotnet_wasm_host.ecma335.metadata import has_public_types, referenced_assemblies
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.errors import CompilationError, MarshallingError, MarshallingTypeError
from dotnet_wasm_host.images.image import RuntimeImage, derive_image, frozen_of
from dotnet_wasm_host.options import MIB, Limits
from dotnet_wasm_host.roslyn.editions import RoslynEdition, find_edition, shipped_edition
from dotnet_wasm_host.roslyn.options import CompilerOptions, diagnostic_id
from dotnet_wasm_host.roslyn.protocol import (
    CompileAnswer,
    CompileRequest,
    reference_request,
)
from dotnet_wasm_host.runtime import Runtime
from dotnet_wasm_host.runtime.observing import unobserved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike

    from dotnet_wasm_host.assembly import DependencySource
    from dotnet_wasm_host.engines.base import Engine
    from dotnet_wasm_host.runtime.cancellation import Cancellation

__all__ = ["PROGRAM_NAME", "CSharpCompiler", "framework_names"]

_FUNCTION = "csharp"
#: What ``/langversion`` calls the newest language of a compiler.
NEWEST_LANGUAGE = "default"
#: What programs are called that have no name of their own.
PROGRAM_NAME = "app"
_LIMITS = Limits(memory_bytes=1024 * MIB, payload_bytes=512 * MIB, result_bytes=512 * MIB)
#: Characters that Roslyn refuses in an assembly name, or that a file name cannot have.
_NOT_IN_NAMES = frozenset('\\/:*?"<>|,=')
#: Times that the samples are compiled while the image is made. .NET translates a method that
#: has run a thousand times anew, optimised; after this often it has done so with most of Roslyn.
_WARM_UP_ROUNDS = 4
#: Compiled while the image is made, so that a user's first compile is already warm.
_WARM_UP = """
using System; using System.Collections.Generic; using System.Linq; using System.Text;
using System.Threading.Tasks;
namespace WarmUp;
public record Point(int X, int Y);
public interface IShape<T> where T : struct { T Area { get; } }
public sealed class Handler : MinimalRuntime.IFunctionHandler {
    private readonly Dictionary<string, List<Point>> points = new();
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var text = Encoding.UTF8.GetString(input);
        foreach (var c in text) points.TryAdd($"{c}", [new(1, 2)]);
        var sum = points.Values.SelectMany(p => p).Where(p => p is { X: > 0 }).Sum(p => p.X);
        try { return Encoding.UTF8.GetBytes(Compute(sum).GetAwaiter().GetResult()); }
        catch (FormatException e) when (e.Message.Length > 0) { throw new Exception("x", e); }
    }
    private static async Task<string> Compute(int n) {
        await Task.CompletedTask;
        return n switch { 0 => "none", _ => n.ToString() };
    }
    private IEnumerable<int> Numbers() { for (var i = 0; i < 3; i++) yield return i; }
}
"""
_WARM_UP_PROGRAM = """
var words = Console.ReadLine()?.Split(' ') ?? args;
foreach (var (word, count) in words.GroupBy(w => w).Select(g => (g.Key, g.Count())))
    Console.WriteLine($"{word} {count}");
await Task.Delay(1);
return words.Length;
"""
_WARM_UP_ERROR = "class Broken { int F() { return missing; } }"


class CSharpCompiler:
    """The compiler's image. Thread-safe: each compilation has an instance of its own."""

    def __init__(self, image: RuntimeImage, language: str = "") -> None:
        self._image = image
        self._language = language

    @classmethod
    def load(
        cls,
        *,
        engine: str | Engine | None = None,
        progress: Callable[[str], object] | None = None,
        roslyn: str | PathLike[str] | None = None,
    ) -> CSharpCompiler:
        """The compiler, built and cached on first use.

        Args:
            engine: what it runs on.
            progress: told what is being built.
            roslyn: a folder with a newer Roslyn, or ``"sdk"``: see ``find_edition``.
        """
        chosen = get_engine(engine)
        edition = None
        if roslyn is not None:
            base = RuntimeImage.load("full", engine=chosen, progress=progress)
            edition = find_edition(roslyn, frozen_of(base).assembly_names)
        return _load(chosen, edition, progress)

    def compile(
        self,
        source: str | Mapping[str, str],
        *,
        assembly_name: str | None = None,
        references: DependencySource = (),
        options: CompilerOptions | None = None,
        timeout: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> Assembly:
        """Compile one file's text, or file names with their texts, into an assembly.

        Args:
            source: what to compile.
            assembly_name: simple name; without it one is made from a hash of the source.
            references: assemblies the source uses; those of the base library are left out.
            options: how.
            timeout: seconds it may take.
            cancellation: stops it from another thread.

        Raises:
            CompilationError: the source has errors.
            InvocationCancelled: it was stopped.
            InvocationTimeout: it took longer.
            MarshallingError: a source, name or reference is not what it should be.
        """
        request = self.request(
            source, assembly_name=assembly_name, references=references, options=options
        )
        return self.run(request, timeout=timeout, cancellation=cancellation)

    def request(
        self,
        source: str | Mapping[str, str],
        *,
        assembly_name: str | None = None,
        references: DependencySource = (),
        options: CompilerOptions | None = None,
    ) -> CompileRequest:
        """What :meth:`compile` asks for."""
        sources = _check_sources(source)
        options = options or CompilerOptions()
        given = _read_references(references, frozen_of(self._image).assembly_names)
        return CompileRequest(
            assembly_name=_check_name(assembly_name) or _default_name(sources),
            sources=sources,
            references=given,
            flags=options.flags,
            language=options.langversion or self._language,
            symbols=options.define,
            suppressed=tuple(map(diagnostic_id, options.no_warn)),
            framework=self.framework_of(given),
        )

    def framework_of(self, references: Iterable[tuple[str, bytes]]) -> tuple[str, ...]:
        """Names of the framework's assemblies that these were built against."""
        wanted = {name for _, image in references for name in referenced_assemblies(image)}
        return tuple(sorted(wanted & frozen_of(self._image).assembly_names))

    def run(
        self,
        request: CompileRequest,
        *,
        timeout: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> Assembly:
        """Carry out a request as it is."""
        answer = self.answer(request, timeout=timeout, cancellation=cancellation)
        comments = answer.documentation.decode(errors="replace") or None
        return Assembly(
            request.assembly_name, answer.image, answer.diagnostics, documentation=comments
        )

    def answer(
        self,
        request: CompileRequest,
        *,
        timeout: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> CompileAnswer:
        """The same, with all that the compiler says. CompilationError if that is not success."""
        try:
            payload = request.encode()
        except UnicodeEncodeError as error:
            raise MarshallingError(
                f"the source cannot be UTF-8: {error.reason}; replace lone surrogates"
            ) from None
        with unobserved(), Runtime(self._image, limits=_LIMITS) as runtime:
            result = runtime.invoke(_FUNCTION, payload, timeout=timeout, cancellation=cancellation)
        answer = CompileAnswer.decode(result, request.sources)
        if not answer.success:
            raise CompilationError(answer.diagnostics)
        return answer


_loaded: dict[tuple[Engine, str], CSharpCompiler] = {}


def _load(
    engine: Engine, edition: RoslynEdition | None, progress: Callable[[str], object] | None
) -> CSharpCompiler:
    key = (engine, edition.key if edition else "")
    if key not in _loaded:
        base = RuntimeImage.load("full", engine=engine, progress=progress)
        name = f"{_FUNCTION}-{edition.key}" if edition else _FUNCTION
        make = partial(_make_image, edition=edition)
        image = derive_image(base, name, make, progress=progress)
        language = NEWEST_LANGUAGE if edition else ""
        _loaded[key] = CSharpCompiler(image, language)
    return _loaded[key]


def _make_image(base: RuntimeImage, edition: RoslynEdition | None = None) -> RuntimeImage:
    store = ArtifactStore.locate()
    edition = edition or shipped_edition()
    with unobserved(), Runtime(base, limits=_LIMITS) as runtime:
        compiler = store.read("guest/MinimalRuntime.Compiler.dll")
        runtime.load_assembly(_FUNCTION, compiler, dependencies=edition.assemblies)
        runtime.invoke(
            _FUNCTION, reference_request(framework_names(store, frozen_of(base).assembly_names))
        )
        for _ in range(_WARM_UP_ROUNDS):
            for text in (_WARM_UP, _WARM_UP_ERROR, _WARM_UP, _WARM_UP_PROGRAM, _WARM_UP_PROGRAM):
                _warm_up(runtime, text)
        return runtime.snapshot(_FUNCTION)


def _warm_up(runtime: Runtime, text: str) -> None:
    options = CompilerOptions(output="program" if text is _WARM_UP_PROGRAM else "detect")
    # The compiler keeps what it knows of the references for programs of the usual name.
    request = CompileRequest(PROGRAM_NAME, {"WarmUp.cs": text}, flags=options.flags)
    runtime.invoke(_FUNCTION, request.encode())


def framework_names(store: ArtifactStore, names: frozenset[str]) -> list[str]:
    """Assemblies that every compilation refers to: those with types, and what these refer to.

    The others only forward to them. Looking into each is a third of a small compilation.
    """
    images = {PurePath(path).stem: store.read(path) for path in store.names("framework/")}
    pending = [name for name in names if name not in images or has_public_types(images[name])]
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name in names and name not in found:
            found.add(name)
            pending += referenced_assemblies(images[name]) if name in images else ()
    return sorted(found)


def _check_sources(source: str | Mapping[str, str]) -> dict[str, str]:
    sources = {"function.cs": source} if isinstance(source, str) else source
    if not hasattr(sources, "items"):
        raise MarshallingTypeError(
            f"source is text, or file names with their texts, not {type(source).__name__}; give "
            "one of these"
        )
    if not all(isinstance(part, str) for item in sources.items() for part in item):
        raise MarshallingTypeError(
            "every source file is text under a name that is text; decode bytes first"
        )
    if not sources:
        raise MarshallingError("there is no source to compile; give a text, or at least one file")
    return dict(sources)


def _check_name(name: str | None) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str):
        raise MarshallingTypeError(
            f"assembly_name is text, not {type(name).__name__}; give text, or None"
        )
    if not name.strip(" .") or not name.isprintable() or _NOT_IN_NAMES & set(name):
        raise MarshallingError(
            f"{name!r} cannot be the simple name of an assembly; use a name such as 'Greeter'"
        )
    return name


def _default_name(sources: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for file, text in sources.items():
        digest.update(f"{file}\0{text}\0".encode(errors="surrogatepass"))
    return f"Function_{digest.hexdigest()[:12]}"


def _read_references(
    references: DependencySource, shared: frozenset[str]
) -> tuple[tuple[str, bytes], ...]:
    try:
        given = read_dependencies(references)
    except MalformedImage as error:
        raise MarshallingError(
            f"a reference is not a .NET assembly: {error}; give a .dll of .NET"
        ) from error
    except OSError as error:
        raise MarshallingError(
            f"a reference cannot be read: {error}; give the path of a .dll"
        ) from error
    return tuple(
        (name, content)
        for name, content in given.items()
        # Satellites, called culture/name, have resources only.
        if name not in shared and "/" not in name
    )
