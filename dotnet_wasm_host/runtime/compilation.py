"""When a runtime's methods are compiled: between calls, in the background, in batches."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.jit.facts import load_facts
from dotnet_wasm_host.jit.hot_methods import HotMethods, Linked
from dotnet_wasm_host.jit.interface import CompilerLimits
from dotnet_wasm_host.options import JitReport, JitStats

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dotnet_wasm_host.engines.base import Engine
    from dotnet_wasm_host.images.frozen import FrozenRuntime
    from dotnet_wasm_host.jit.hot_methods import Taken, Translation
    from dotnet_wasm_host.jit.interface import CompiledBatch, MintFacts
    from dotnet_wasm_host.runtime.current_guest import CurrentGuest

    #: Whose methods, and which.
    Work = tuple[HotMethods, Taken]

__all__ = ["Compilation"]

_log = logging.getLogger("dotnet_wasm_host.jit")
#: Seconds between the first method that is noted and the batch that it is in.
_GATHER = 0.05
#: Batches in the background are small: other threads wait while Python translates.
_BACKGROUND_LIMITS = CompilerLimits(batch_methods=64)


@final
class Compilation:
    """Compiled code of a runtime's present guest. Not thread-safe: the runtime holds its lock.

    Args:
        current: the guest. This object is one of its tenants.
        engine: compiles for it.
        facts: of the code module that runs in it.
        lock: the runtime's.
        expected: methods that ran often before the image was made.
    """

    def __init__(
        self,
        current: CurrentGuest,
        engine: Engine,
        facts: MintFacts,
        lock: threading.RLock,
        expected: Sequence[int],
    ) -> None:
        self._current = current
        self._engine = engine
        self._facts = facts
        self._lock = lock
        self._one_at_a_time = threading.Lock()  # taken before the runtime's
        self._expected = expected
        self._unloads = 0
        self._failed = False
        self._worker: threading.Thread | None = None
        self._hot: HotMethods | None = None
        self.move_in()

    @classmethod
    def of(cls, image: FrozenRuntime, current: CurrentGuest, lock: threading.RLock) -> Compilation:
        """The compiled code of a guest of ``image``.

        Raises:
            ArtifactError: the installed facts are of another code module than the image's.
        """
        state = image.parts.state
        facts = load_facts(ArtifactStore.locate(), state.code_sha256)
        return cls(current, image.engine, facts, lock, state.hot_methods)

    def evicted(self) -> None:
        """The guest is about to go: its code goes with it."""
        self._hot = None

    def move_in(self) -> None:
        """There is a fresh guest, whose methods have not run yet."""
        host = self._current.guest.host
        linker = host.instance.code_linker
        if linker is None or self._failed:
            return
        hot = HotMethods(host, linker, self._engine, self._facts, _BACKGROUND_LIMITS)
        method = weakref.WeakMethod(self._begin)
        hot.on_noted = lambda: (begin := method()) and begin()
        self._hot = hot
        hot.expect(self._expected)

    @property
    def stats(self) -> JitStats:
        """Of the present guest."""
        return JitStats() if self._hot is None else self._hot.stats

    def compile_now(self) -> JitReport:
        """Compile everything that waits, and wait for it. Without the runtime's lock."""
        started = time.perf_counter()
        methods = code = 0
        rejected: Counter[str] = Counter()
        exits: Counter[str] = Counter()
        while (done := self.compile_a_batch()) is not None:
            linked, batch = done
            methods += linked.methods
            code += len(batch.wasm)
            rejected.update(
                f"{item.reason} ({item.opcode})" if item.opcode else item.reason
                for item in batch.rejected
            )
            exits.update(batch.statistics.exits)
        seconds = time.perf_counter() - started
        return JitReport(methods, code, dict(rejected), dict(exits), seconds)

    @contextmanager
    def unlinked(self) -> Iterator[tuple[int, ...]]:
        """No compiled code is in the guest's memory, which is about to be copied.

        Gives the methods that are compiled or wait to be.
        """
        if self._hot is None:
            yield ()
            return
        hot = self._hot.hot
        self._hot.unlink()
        try:
            yield hot
        finally:
            self._hot.relink()

    def _take(self) -> Work | None:
        """What is to be compiled in the present guest, ``None`` if there is nothing."""
        hot = self._hot
        if hot is None or self._failed or self._current.present is None:
            return None
        if self._unloads != self._current.unloads:
            # Addresses of methods may mean others now; those that still run are noted again.
            self._unloads = self._current.unloads
            hot.forget_pending()
        work = hot.take()
        return None if work is None else (hot, work)

    def _begin(self) -> None:
        """A method has been noted. In the middle of a call: only wake a thread."""
        worker = self._worker
        if self._failed or (worker is not None and worker.is_alive()):
            return
        self._worker = threading.Thread(
            target=_compile_in_background, args=(weakref.ref(self),), daemon=True, name="dotnet-jit"
        )
        self._worker.start()

    def compile_a_batch(self) -> tuple[Linked, CompiledBatch] | None:
        """Compile what waits. The runtime's lock is held for the ends only.

        ``None`` if there is nothing to do.
        """
        with self._one_at_a_time:
            with self._lock:
                work = self._take()
            if work is None:
                return None
            hot, translation = work[0], self._translate(*work)
            if translation is None:
                return None
            with self._lock:
                current = self._current
                # A guest that was replaced meanwhile has another object, a closed one none.
                changed = (
                    self._hot is not hot
                    or current.present is None
                    or self._unloads != current.unloads
                )
                linked = Linked(0, 0) if changed else self._link(hot, translation)
            return linked, translation.batch

    def _translate(self, hot: HotMethods, taken: Taken) -> Translation | None:
        try:
            return hot.translate(taken)
        except Exception:  # noqa: BLE001 - the interpreter can do everything
            self._fail()
            return None

    def _link(self, hot: HotMethods, translation: Translation) -> Linked:
        try:
            return hot.link(translation)
        except (ValueError, DotnetHostError):
            self._fail()
            return Linked(0, 0)

    def _fail(self) -> None:
        """Everything that is not compiled by now stays interpreted."""
        if not self._failed:
            self._failed = True
            _log.warning("methods stay interpreted: the compiler failed", exc_info=True)


def _compile_in_background(reference: weakref.ref[Compilation]) -> None:
    more = True
    while more:
        time.sleep(_GATHER)
        compilation = reference()
        more = compilation is not None and compilation.compile_a_batch() is not None
        del compilation  # a runtime that is forgotten goes between two batches
