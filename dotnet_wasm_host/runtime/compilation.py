"""When a runtime's methods are compiled: between calls, in the background, in batches."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.engines.threads import start
from dotnet_wasm_host.errors import DotnetHostError, LimitExceeded
from dotnet_wasm_host.jit.hot_methods import HotMethods, Linked
from dotnet_wasm_host.jit.interface import CompilerLimits
from dotnet_wasm_host.jit.reports import JitReport, JitStats
from dotnet_wasm_host.jit.translating_process import shared_process
from dotnet_wasm_host.jit.translation import Pace, translate
from dotnet_wasm_host.jit.view import GuestGone
from dotnet_wasm_host.runtime.forks import Forks
from dotnet_wasm_host.runtime.image_code import ImageCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dotnet_wasm_host.engines.base import Engine
    from dotnet_wasm_host.images.frozen import FrozenRuntime
    from dotnet_wasm_host.jit.interface import CompiledBatch, MintFacts
    from dotnet_wasm_host.jit.reports import JitMethod
    from dotnet_wasm_host.jit.translation import Process, Taken, Translation
    from dotnet_wasm_host.runtime.current_guest import CurrentGuest

__all__ = ["Compilation"]

_log = logging.getLogger("dotnet_wasm_host.jit")
#: Seconds between the first method that is noted and the batch that it is in.
_GATHER = 0.05
#: Batches in the background are small: other threads wait while Python translates.
_BACKGROUND_LIMITS = CompilerLimits(
    method_work=200_000, batch_methods=512, batch_work=8_000_000, batch_bytes=8 << 20
)
#: Methods of a batch that were noted; the others are called by these.
_BATCH = 32


_forks: Forks[Compilation] = Forks()


@final
class Compilation:
    """Compiled code of a runtime's present guest. Not thread-safe: the runtime holds its lock.

    Args:
        current: the guest. This object is one of its tenants.
        engine: compiles for it.
        lock: the runtime's.
        image: what it starts from.
        code: of the image.

    Attributes:
        one_at_a_time: held while a batch is compiled; taken before the runtime's lock.
    """

    __slots__ = (
        "__weakref__", "_code", "_current", "_engine", "_facts", "_failed", "_hot", "_image",
        "_lock", "_unloads", "_worker", "one_at_a_time",
    )  # fmt: skip

    def __init__(
        self,
        current: CurrentGuest,
        engine: Engine,
        lock: threading.RLock,
        image: FrozenRuntime,
        code: ImageCode,
    ) -> None:
        self._current = current
        self._engine = engine
        self._code = code
        self._facts = code.facts
        self._lock = lock
        self.one_at_a_time: threading.Lock = threading.Lock()
        self._image = image
        self._unloads = 0
        self._failed = False
        self._worker: threading.Thread | None = None
        self._hot: HotMethods | None = None
        _forks.watch(self, Compilation._after_fork_in_child)
        self.move_in()

    @classmethod
    def of(cls, image: FrozenRuntime, current: CurrentGuest, lock: threading.RLock) -> Compilation:
        """The compiled code of a guest of ``image``.

        Raises:
            ArtifactError: the installed facts are of another code module than the image's.
        """
        return cls(current, image.engine, lock, image, ImageCode.of(image))

    def evicted(self) -> None:
        """The guest is about to go: its code goes with it."""
        if self._hot is not None:
            self._hot.close()
        self._hot = None

    def _after_fork_in_child(self) -> None:
        """The thread that compiled does not exist here, and may have held any lock."""
        self._hot = None

    def move_in(self) -> None:
        """There is a fresh guest, whose methods have not run yet."""
        host = self._current.guest.host
        linker = host.instance.code_linker
        state = self._image.parts.state
        if linker is None or self._failed or not state.records:
            return
        hot = HotMethods(host, linker, self._facts, state.records, state.thread_context)
        method = weakref.WeakMethod(self._begin)
        hot.on_noted = lambda: (begin := method()) and begin()
        self._hot = hot
        if not state.hot_methods:
            return
        prepared = self._code.for_an_instance()
        try:
            adopted = prepared is not None and hot.adopt(prepared)
        except (ValueError, DotnetHostError):
            self.fail()
            return
        if not adopted:
            hot.expect(state.hot_methods)

    def prepare(self, image: FrozenRuntime) -> None:
        """Compile what instances of an image have from their start, and wait for it."""
        ImageCode.of(image).make()

    @property
    def stats(self) -> JitStats:
        """Of the present guest."""
        hot = self._hot  # any thread may ask
        return JitStats() if hot is None else hot.stats

    def describe(self) -> tuple[JitMethod, ...]:
        """Methods of the present guest that ran often, whose code may be executed for it."""
        hot = self._hot
        return () if hot is None else self._current.run(lambda _: hot.describe())

    def compile_now(self) -> JitReport:
        """Compile everything that waits, and wait for it. Without the runtime's lock."""
        started = time.perf_counter()
        methods = code = 0
        rejected: Counter[str] = Counter()
        exits: Counter[str] = Counter()
        while (done := _compile_a_batch(weakref.ref(self))) is not None:
            linked, batch = done
            if batch is None:
                continue
            methods += linked.methods
            code += len(batch.wasm)
            rejected.update(map(str, batch.rejected))
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

    def _begin(self) -> None:
        """A method has been noted. In the middle of a call: only wake a thread."""
        worker = self._worker
        if self._failed or (worker is not None and worker.is_alive()):
            return
        worker = threading.Thread(
            target=_compile_in_background, args=(weakref.ref(self),), daemon=True, name="dotnet-jit"
        )
        with suppress(LimitExceeded):  # without a thread everything is interpreted
            start(worker)
            self._worker = worker

    def take(self) -> _Task | None:
        """What is to be compiled now, ``None`` if there is nothing. Without the runtime's lock."""
        with self._lock:
            return self._take()

    def link(self, task: _Task, translation: Translation) -> Linked:
        """Give methods their code, if they are still there. Without the runtime's lock."""
        with self._lock:
            return self._link(task, translation)

    # In functions of their own, which end before the lock is released: what they refer to keeps
    # the instance, which somebody may be about to close.

    def _take(self) -> _Task | None:
        task = self._next_task()
        if task is None:
            self._worker = None  # it ends; a method that is noted from now on needs another
        return task

    def _next_task(self) -> _Task | None:
        hot = self._hot
        if hot is None or self._failed or self._current.present is None:
            return None
        if self._unloads != self._current.unloads:
            # Addresses of methods may mean others now; those that still run are noted again.
            self._unloads = self._current.unloads
            hot.forget_pending()
        taken = hot.take(_BATCH)
        return None if taken is None else _Task(self._facts, self._engine, weakref.ref(hot), taken)

    def _link(self, task: _Task, translation: Translation) -> Linked:
        hot = task.hot()
        # A guest that was replaced meanwhile has another object, a closed one none.
        if hot is None or self._hot is not hot or self._unloads != self._current.unloads:
            return Linked(0, 0)
        try:
            return hot.link(translation)
        except (ValueError, DotnetHostError):
            self.fail()
            return Linked(0, 0)

    def fail(self) -> None:
        """Everything that is not compiled by now stays interpreted."""
        if not self._failed:
            self._failed = True
            _log.warning("methods stay interpreted: the compiler failed", exc_info=True)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be compiled; no instance is kept by it."""

    facts: MintFacts
    engine: Engine
    hot: weakref.ref[HotMethods]
    taken: Taken


def _compile_a_batch(
    reference: weakref.ref[Compilation],
    pace: Callable[[], object] | None = None,
    process: Process | None = None,
) -> tuple[Linked, CompiledBatch | None] | None:
    """Compile what waits, ``None`` if there is nothing to do.

    Neither the runtime nor its instance is kept meanwhile: what is forgotten or replaced goes, and
    there is no batch then.
    """
    compilation = reference()
    if compilation is None:
        return None
    one_at_a_time = compilation.one_at_a_time
    del compilation
    with one_at_a_time:
        compilation = reference()
        task = None if compilation is None else compilation.take()
        del compilation
        if task is None:
            return None
        try:
            translation = translate(
                task.facts, task.engine.compile, task.taken, _BACKGROUND_LIMITS, pace, process
            )
        except GuestGone:
            return Linked(0, 0), None
        except Exception:  # noqa: BLE001 - the interpreter can do everything
            compilation = reference()
            if compilation is not None:
                compilation.fail()
            return None
        compilation = reference()
        if compilation is None:
            return None
        return compilation.link(task, translation), translation.batch


def _compile_in_background(reference: weakref.ref[Compilation]) -> None:
    more = True
    with shared_process() as process:
        while more:
            time.sleep(_GATHER)
            more = _compile_a_batch(reference, Pace(), process) is not None
