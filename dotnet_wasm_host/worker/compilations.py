"""C# sources, compiled so that no source delays the deploys of other clients."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar, final

from dotnet_wasm_host.errors import (
    DotnetHostError,
    InvocationTimeout,
    MarshallingError,
    RuntimeClosed,
)
from dotnet_wasm_host.programs.directives import error_at, read_files
from dotnet_wasm_host.programs.packages import package_resolver
from dotnet_wasm_host.programs.program import find_packages
from dotnet_wasm_host.roslyn import CompilerOptions, CSharpCompiler
from dotnet_wasm_host.runtime.cancellation import Cancellation
from dotnet_wasm_host.worker.bundles import Bundle, write_bundle
from dotnet_wasm_host.worker.fair_turns import FairTurns
from dotnet_wasm_host.worker.priorities import yield_to_event_loop
from dotnet_wasm_host.worker.typed_functions import DOCUMENTATION, SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dotnet_wasm_host.packages.references import PackageLibraries, PackageReference
    from dotnet_wasm_host.typed.methods import MethodTable
    from dotnet_wasm_host.worker.options import WorkerOptions

__all__ = ["CompilationTooLong", "Compilations", "Compiled"]

#: What a source gets at first. A function of a few hundred lines takes a fifth of it.
QUICK_SECONDS = 1.0
#: What diagnostics call a source.
_FILE = "function.cs"
_LEAST = 1e-3
#: Methods need no class, and their comments describe them.
_OPTIONS = CompilerOptions(members=True, documentation=True)
T = TypeVar("T")


class CompilationTooLong(DotnetHostError):
    """The compiler did not get done with a source in the time that the worker allows."""


class Compiled(NamedTuple):
    """What becomes of a source.

    Attributes:
        content: the assembly, or a bundle of it and the packages that it uses.
        parts: what is stored with it.
    """

    content: bytes
    parts: Mapping[str, bytes] = MappingProxyType({})


@final
class Compilations:
    """Compiles in two threads: one for the first second of each source, one for the rest.

    A few lines of C# can keep a compiler busy for minutes (overloads and lambdas in each other).
    A source that is not done after :data:`QUICK_SECONDS` is stopped and begun again in the other
    thread, where the slow ones wait for each other; so a deploy waits a second for each client
    before it, whatever they sent. Its methods belong to the event loop, but for :meth:`close`.

    Args:
        options: what a compilation may take at most, and where packages come from.
    """

    def __init__(self, options: WorkerOptions) -> None:
        seconds = self._seconds = options.compile_seconds
        self._options = options
        quick = [_Lane(QUICK_SECONDS)] if seconds > QUICK_SECONDS else []
        self._lanes = (*quick, _Lane(seconds))
        self._running: set[Cancellation] = set()
        self._closed = False

    async def compile(self, source: bytes, client: str, function_id: str) -> Compiled:
        """The assembly of a source. A task that is cancelled takes its compilation with it.

        Raises:
            CompilationError: the source has errors.
            CompilationTooLong: it took too long.
            MarshallingError: it is not UTF-8.
            TooManyCalls: too many sources wait.
        """
        return await self._run(client, function_id, partial(_compile, self._options, source))

    async def dispatcher(self, methods: MethodTable, client: str, function_id: str) -> bytes:
        """What calls methods; errors as those of :meth:`compile`."""

        def work(seconds: float, cancellation: Cancellation) -> bytes:
            return methods.dispatcher(timeout=seconds, cancellation=cancellation).data

        return await self._run(client, function_id, work)

    async def _run(
        self, client: str, function_id: str, work: Callable[[float, Cancellation], T]
    ) -> T:
        for lane in self._lanes:
            await lane.turns.take(client, function_id)
            try:
                with suppress(InvocationTimeout):
                    return await self._in_thread(lane, work)
            finally:
                lane.turns.give_back()
        raise CompilationTooLong(
            f"the compiler was not done after {self._seconds:g} s, all that a source gets here; "
            "deploy the compiled assembly, or raise compile_seconds"
        )

    def close(self) -> None:
        """Stop what is compiled, and compile nothing any more. Waits for the threads."""
        self._closed = True
        for cancellation in tuple(self._running):
            cancellation.cancel()
        for lane in self._lanes:
            lane.thread.shutdown()

    async def _in_thread(self, lane: _Lane, work: Callable[[float, Cancellation], T]) -> T:
        if self._closed:
            raise RuntimeClosed("the worker is shutting down; try again with another")
        cancellation = Cancellation()
        self._running.add(cancellation)
        task = asyncio.get_running_loop().run_in_executor(
            lane.thread, work, lane.seconds, cancellation
        )

        def done(task: asyncio.Future[T]) -> None:
            self._running.discard(cancellation)
            if not task.cancelled():
                task.exception()  # whoever asked may be gone

        task.add_done_callback(done)
        try:
            return await asyncio.shield(task)
        finally:
            cancellation.cancel()


class _Lane:
    """A thread, and who is to use it next."""

    def __init__(self, seconds: float) -> None:
        self.seconds: float = seconds
        self.turns: FairTurns = FairTurns(1, "sources")
        self.thread: ThreadPoolExecutor = ThreadPoolExecutor(
            1, "dotnet_wasm_host compile", yield_to_event_loop
        )


def _compile(
    options: WorkerOptions, source: bytes, seconds: float, cancellation: Cancellation
) -> Compiled:
    started = time.monotonic()
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MarshallingError(
            f"the source is not UTF-8: {error.reason}; encode it as UTF-8"
        ) from None
    files = read_files({_FILE: text}, _OPTIONS)
    found = _packages(options, files.packages, seconds)
    made = CSharpCompiler.load().compile(
        files.texts,
        assembly_name=files.assembly_name,
        references=list(found.references.values()),
        options=files.options,
        timeout=max(seconds - (time.monotonic() - started), _LEAST),
        cancellation=cancellation,
    )
    content = made.data
    if found.libraries:
        libraries = {f"{name}.dll": library for name, library in found.libraries.items()}
        content = write_bundle(Bundle(content, libraries))
    documentation = (made.documentation or "").encode()
    return Compiled(content, {SOURCE: source, DOCUMENTATION: documentation})


def _packages(
    options: WorkerOptions, wanted: Sequence[PackageReference], seconds: float
) -> PackageLibraries:
    """The packages of a source. CompilationError at the line of one that nobody may have."""
    if wanted and not options.package_sources:
        first = wanted[0]
        raise error_at(
            first.file,
            first.line,
            f"package {first.name} is wanted, and this worker takes no packages: its operator may "
            "name a source of them (--package-source); or deploy a zip archive of the assembly "
            "and what it depends on",
        )
    resolver = package_resolver(
        options.package_sources, allow_packages=options.allow_packages, timeout=seconds
    )
    return find_packages(wanted, resolver)
