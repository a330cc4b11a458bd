"""C# sources, compiled so that no source delays the deploys of other clients."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import final

from dotnet_wasm_host.errors import (
    DotnetHostError,
    InvocationTimeout,
    MarshallingError,
    RuntimeClosed,
)
from dotnet_wasm_host.roslyn import CSharpCompiler
from dotnet_wasm_host.runtime.cancellation import Cancellation
from dotnet_wasm_host.worker.fair_turns import FairTurns
from dotnet_wasm_host.worker.priorities import yield_to_event_loop

__all__ = ["CompilationTooLong", "Compilations"]

#: What a source gets at first. A function of a few hundred lines takes a fifth of it.
QUICK_SECONDS = 1.0


class CompilationTooLong(DotnetHostError):
    """The compiler did not get done with a source in the time that the worker allows."""


@final
class Compilations:
    """Compiles in two threads: one for the first second of each source, one for the rest.

    A few lines of C# can keep a compiler busy for minutes (overloads and lambdas in each other).
    A source that is not done after :data:`QUICK_SECONDS` is stopped and begun again in the other
    thread, where the slow ones wait for each other; so a deploy waits a second for each client
    before it, whatever they sent. Its methods belong to the event loop, but for :meth:`close`.

    Args:
        seconds: what a compilation may take at most.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        quick = [_Lane(QUICK_SECONDS)] if seconds > QUICK_SECONDS else []
        self._lanes = (*quick, _Lane(seconds))
        self._running: set[Cancellation] = set()
        self._closed = False

    async def compile(self, source: bytes, client: str, function_id: str) -> bytes:
        """The assembly of a source. A task that is cancelled takes its compilation with it.

        Raises:
            CompilationError: the source has errors.
            CompilationTooLong: it took too long.
            MarshallingError: it is not UTF-8.
            TooManyCalls: too many sources wait.
        """
        for lane in self._lanes:
            await lane.turns.take(client, function_id)
            try:
                with suppress(InvocationTimeout):
                    return await self._in_thread(lane, source)
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

    async def _in_thread(self, lane: _Lane, source: bytes) -> bytes:
        if self._closed:
            raise RuntimeClosed("the worker is shutting down; try again with another")
        cancellation = Cancellation()
        self._running.add(cancellation)
        work = asyncio.get_running_loop().run_in_executor(
            lane.thread, _compile, source, lane.seconds, cancellation
        )

        def done(work: asyncio.Future[bytes]) -> None:
            self._running.discard(cancellation)
            if not work.cancelled():
                work.exception()  # whoever asked may be gone

        work.add_done_callback(done)
        try:
            return await asyncio.shield(work)
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


def _compile(source: bytes, seconds: float, cancellation: Cancellation) -> bytes:
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MarshallingError(
            f"the source is not UTF-8: {error.reason}; encode it as UTF-8"
        ) from None
    compiler = CSharpCompiler.load()
    return compiler.compile(text, timeout=seconds, cancellation=cancellation).data
