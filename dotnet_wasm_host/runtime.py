"""One .NET runtime in one WebAssembly instance."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import warnings
import weakref
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, final

from dotnet_wasm_host.batches import batches
from dotnet_wasm_host.capabilities import BUILT_IN, capability_assembly
from dotnet_wasm_host.errors import (
    CRASHES,
    AssemblyLoadError,
    DotnetHostError,
    FunctionNotLoaded,
    FunctionSuspended,
    InstanceLost,
    InvocationCancelled,
    InvocationError,
    InvocationTimeout,
    LimitExceeded,
    MarshallingError,
    MarshallingTypeError,
    RuntimeClosed,
    is_crash,
)
from dotnet_wasm_host.forks import Forks
from dotnet_wasm_host.function_source import LEAK_PER_UNLOAD, FunctionSource, read_source
from dotnet_wasm_host.guest.pending import PendingCall
from dotnet_wasm_host.image import FrozenFunction, RuntimeImage
from dotnet_wasm_host.imports.http import http_access, http_module
from dotnet_wasm_host.imports.services import HostServices
from dotnet_wasm_host.options import LONGEST_TIMEOUT, HttpPolicy, Limits, RuntimeStats, WasiOptions
from dotnet_wasm_host.registry import (
    FunctionLife,
    FunctionRegistry,
    FunctionState,
    FunctionTable,
    LoadedFunction,
    check_name,
)
from dotnet_wasm_host.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Future
    from types import TracebackType

    from typing_extensions import Buffer, Self

    from dotnet_wasm_host.abi import LoadReport
    from dotnet_wasm_host.assembly import (
        Assembly,
        AssemblyPath,
    )
    from dotnet_wasm_host.cancellation import Cancellation
    from dotnet_wasm_host.engines.base import Engine, Interruption
    from dotnet_wasm_host.fetch.access import HttpAccess
    from dotnet_wasm_host.guest.guest import Guest
    from dotnet_wasm_host.imports.host_functions import HostFunctions
    from dotnet_wasm_host.memory import Memory

__all__ = ["Runtime"]

T = TypeVar("T")
#: Seconds that the guest always has for calls that wait, however late it is.
_SHORTEST_STEP = 0.1
_log = logging.getLogger(__name__)
_forks = Forks()


@dataclass(slots=True)
class _Entry:
    """A function and where the guest has it; no handle after the instance was replaced."""

    function: LoadedFunction
    life: FunctionLife
    handle: int | None
    source: FunctionSource | None
    #: The handle it has in every fresh instance, if it is part of the image.
    frozen: int | None = None
    #: Times in a row that it killed its instance.
    crashes: int = 0


@final
class Runtime:
    """A .NET runtime with its own memory, heap, statics, files and functions.

    Args:
        image: what to start from: ``"full"``, which runs any function, one of the smaller
            built-in images (:meth:`RuntimeImage.load`), or a :class:`RuntimeImage`.
        engine: ``"wasmtime"`` (the default) or an engine; an image brings its own.
        limits: memory, time and sizes.
        wasi: arguments, environment, streams, files, clock and randomness of the guest.
        host_functions: what the guest may call with ``Host.Call`` and ``Host.CallAsync``: name to
            a function that takes bytes and returns bytes, or a coroutine function. They run in the
            process, outside of the sandbox, with what the guest gives them: trust no argument.
        http: what ``HttpClient`` may reach; nothing without it. Needs the extra ``http``.

    Thread-safe: calls are carried out one after the other. Use it as a context manager, or
    call :meth:`close`; a runtime that is forgotten warns and is freed by the garbage collector.

    When the guest traps, exits, aborts or overruns its deadline, the call raises and the
    instance is replaced by a fresh one of the same image. The loaded functions stay loaded:
    each is loaded again at its next call, and its statics start afresh.
    """

    def __init__(
        self,
        image: str | RuntimeImage = "full",
        *,
        engine: str | Engine | None = None,
        limits: Limits | None = None,
        wasi: WasiOptions | None = None,
        host_functions: Mapping[str, Callable[[bytes], Any]] | HostFunctions | None = None,
        http: HttpPolicy | HttpAccess | None = None,
    ) -> None:
        self._closed = True  # so that __del__ is right if the lines below raise
        if isinstance(image, str):
            stack_bytes = None if limits is None else limits.stack_bytes
            image = RuntimeImage.load(image, engine=engine, stack_bytes=stack_bytes)
        elif engine is not None:
            raise ValueError("the image belongs to its engine already; leave engine out")
        self._image = image
        self._limits = limits if limits is not None else Limits()
        _check_stack(image, self._limits)
        self._wasi = wasi if wasi is not None else WasiOptions()
        self._lock = threading.RLock()
        # Guards the step to UNLOADING, which must not wait for a running call.
        self._life_lock = threading.Lock()
        self._calling = False
        self.bell = Wakeup()
        self._own_functions: HostFunctions | None = None
        lent = None
        if host_functions is not None:
            from dotnet_wasm_host.imports.host_functions import HostFunctions  # noqa: PLC0415

            if isinstance(host_functions, HostFunctions):
                lent = host_functions  # a pool's
            else:
                lent = self._own_functions = HostFunctions(host_functions)
        access = http_access(http) if isinstance(http, HttpPolicy) else http
        # One that was given belongs to a pool.
        self._http = access if access is not http else None
        self._services = HostServices(
            javascript=(http_module(access),), functions=lent, wake=self.bell.ring
        )
        # The instance is to be replaced as soon as no call waits in it.
        self._worn = False
        self._table = FunctionTable()
        self._registry = FunctionRegistry(self._table)
        self._entries: dict[str, _Entry] = {}
        # No source for those that are part of the image.
        self._capabilities: dict[str, FunctionSource | None] = dict.fromkeys(image.capabilities)
        self._loads = self._unloads = self._recycles = 0
        self._invocations = self._failed = self._operations = 0
        self._leaked = 0
        self._disowned = False
        self._guest: Guest = self._start()
        for frozen in image.functions:
            self._add(frozen, None)
        self._closed = False
        _forks.watch(self)

    # ---------------------------------------------------------------- functions

    def load_assembly(
        self,
        function_id: str,
        assembly: Buffer | AssemblyPath | Assembly,
        *,
        dependencies: Iterable[Buffer | AssemblyPath | Assembly] | AssemblyPath = (),
        handler_type: str | None = None,
    ) -> LoadedFunction:
        """Load a function under an id; one that is loaded under it is unloaded first.

        Args:
            function_id: 1..1,024 bytes of UTF-8 without NUL.
            assembly: a ``.dll`` as bytes, path or compiler output.
            dependencies: assemblies that only this function sees, or a folder of them. An
                assembly of the base library among them is left out: those are shared.
            handler_type: full name of the handler; without it the first
                ``IFunctionHandler`` in metadata order is taken.

        Raises:
            MarshallingError: the id cannot be one.
            AssemblyLoadError: the bytes are no .NET assembly (then nothing has changed), or
                .NET refused it, or the handler's constructor threw (then the id is not loaded).
            HandlerNotFound: no usable handler; the id is not loaded.
            LimitExceeded: as many functions as ``Limits.function_count`` are loaded.
        """
        check_name(function_id)
        source = read_source(
            function_id, assembly, dependencies, handler_type, self._image.assembly_names
        )
        if self._image.api is not None:
            self._image.api.require(function_id, source.assemblies())
        with self._entered():
            self._require_room(function_id)
            self._forget(function_id)
            report, handle = self._load(function_id, source)
            function = self._register(function_id, source, report, handle)
            self._loads += 1
            return function

    def invoke(
        self,
        function_id: str,
        payload: Buffer = b"",
        *,
        timeout: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> bytes:
        """Call a function with bytes, and get the bytes it returns.

        Args:
            function_id: the id it was loaded under.
            payload: anything with the buffer protocol.
            timeout: seconds this call may take; ``None`` for the runtime's own limit.
            cancellation: stops the call from another thread.

        Raises:
            FunctionNotLoaded: no function has this id.
            FunctionSuspended: it crashed as often in a row as ``Limits.crash_limit`` allows.
            InvocationError: a .NET exception escaped the handler.
            InvocationTimeout, GuestOutOfMemory, GuestTerminated, GuestTrap: the guest died of
                the call and was replaced.
            InvocationCancelled: somebody cancelled the call; the guest was replaced.
            LimitExceeded: payload or result are larger than allowed.
            MarshallingTypeError: the payload has no buffer protocol.
        """
        with self._lock:
            if cancellation is not None:
                return self._invoke_covered(function_id, payload, timeout, cancellation)
            result = self._begin(self._entry(function_id), payload, timeout)
            return self._wait_for(result) if type(result) is PendingCall else result

    def cancel(self) -> bool:
        """Stop what the guest is doing: a call, loading, unloading. False if that is nothing.

        From any thread. Returns at once: the call raises :class:`InvocationCancelled` in its own
        thread within milliseconds, and the instance is replaced. While no code of the guest runs,
        the asynchronous calls that wait in it are cancelled by their tokens instead, and the
        instance stays. Calls that wait for their turn are not touched. To stop one particular
        call, give it a :class:`Cancellation`.
        """
        number = self._invocations + self._operations
        if not self._calling:
            return self._give_up_waiting()
        method = weakref.WeakMethod(self._verdict)
        self._interrupt(lambda: (verdict := method()) and verdict(number))
        return True

    def _verdict(self, number: int) -> InvocationCancelled | None:
        """What to raise in the guest if call ``number`` still runs, as it did for cancel()."""
        if self._invocations + self._operations != number:
            return None
        return InvocationCancelled("the call was cancelled")

    def _give_up_waiting(self) -> bool:
        guest: Guest | None = getattr(self, "_guest", None)
        waiting = [] if guest is None else list(guest.pending.values())
        for call in waiting:
            self.withdraw(call)
        return bool(waiting)

    def _interrupt(self, interruption: Interruption) -> None:
        with suppress(AttributeError, RuntimeClosed):  # closed meanwhile
            self._guest.host.instance.interrupt(interruption)

    def invoke_many(self, function_id: str, payloads: Iterable[Buffer]) -> list[bytes]:
        """Call a function once for each payload; several calls cross to the guest together.

        Results come in order. The first error ends it, and the results before it are lost. With
        a ``Limits.timeout`` each payload is a call of its own, because each has the deadline.
        """
        with self._lock:
            entry = self._entry(function_id)
            if entry.function.is_async:
                return self._invoke_together(function_id, payloads)
            if self._limits.timeout is not None:
                return [self._call(self._entry(function_id), p) for p in payloads]
            results: list[bytes] = []
            for batch in batches(payloads, self._limits.payload_bytes):
                results += self._invoke_batch(function_id, batch)
            return results

    def unload_assembly(self, function_id: str) -> bool:
        """Unload a function. False when the id was not loaded, which is no error.

        A call of it that runs in another thread is allowed to finish; new ones are refused.
        """
        self._require_open()
        try:
            entry = self._entries.get(function_id)
        except TypeError:
            return False
        if entry is None:
            return False
        with self._life_lock:
            if entry.life.state is not FunctionState.LOADED:
                return False
            entry.life.state = FunctionState.UNLOADING
        with self._lock:
            if self._calling:
                entry.life.state = FunctionState.LOADED
                self._require_idle()
            # Somebody may have replaced it meanwhile; what they loaded is not ours to unload.
            if self._entries.get(function_id) is entry:
                self._forget(function_id)
            return True

    @property
    def functions(self) -> FunctionRegistry:
        """The loaded functions, a live mapping by id."""
        return self._registry

    # ---------------------------------------------------------------- capabilities

    def load_capability(
        self,
        name: str,
        assembly: Buffer | AssemblyPath | Assembly | None = None,
        *,
        dependencies: Iterable[Buffer | AssemblyPath | Assembly] | AssemblyPath = (),
    ) -> None:
        """Load assemblies that every function loaded later may refer to and shares with others.

        One that is loaded under the name is unloaded first; functions that use it keep it. What
        the functions share is its statics too: it is for code that they may all trust.

        Args:
            name: 1..1,024 bytes of UTF-8 without NUL. ``"json"`` and ``"http"`` come with the
                package (:func:`~dotnet_wasm_host.capability_assembly` has what to compile
                against) and need no assembly.
            assembly: a ``.dll`` as bytes, path or compiler output.
            dependencies: assemblies that belong to it, or a folder of them; functions may refer
                to these as well.

        Raises:
            ValueError: no assembly, and the package has none of this name.
            AssemblyLoadError: .NET refused the assembly, or the image lacks what it needs.
        """
        check_name(name, "capability name")
        if assembly is None:
            assembly = capability_assembly(name)
            self._image.require(BUILT_IN[name][1], name)
        source = read_source(name, assembly, dependencies, None, self._image.assembly_names)
        with self._entered():
            if name in self._capabilities:
                self._forget_capability(name)
            _, guest = self._run_load(source, lambda: self._give_capability(name, source))
            if guest is self._guest:
                self._capabilities[name] = source
            else:  # work in the background broke it
                self._restore_capability(name, source)

    def unload_capability(self, name: str) -> bool:
        """Unload a capability. False when it was not loaded."""
        with self._entered():
            if name not in self._capabilities:
                return False
            self._forget_capability(name)
            return True

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Names of the loaded capabilities."""
        return tuple(self._capabilities)

    # ---------------------------------------------------------------- the instance

    @property
    def image(self) -> RuntimeImage:
        """What the runtime starts from."""
        return self._image

    @property
    def memory(self) -> Memory:
        """Linear memory of the present instance; take it again after a crash or recycle."""
        self._require_open()
        return self._guest.host.memory

    def snapshot(self, name: str | None = None) -> RuntimeImage:
        """Freeze the runtime, functions included, into an image.

        Instances of it start with these functions loaded and with their statics as they are
        now. ``Random.Shared`` is seeded anew in each; the seeds of ``GetHashCode`` are not, once
        the runtime has used them, because tables inside were filled with them. Files, open
        streams and unread input are not part of it.
        """
        with self._entered():
            for entry in self._entries.values():
                self._handle(entry)
            if self._guest.pending:
                raise DotnetHostError(
                    f"{len(self._guest.pending)} calls wait in the runtime; a snapshot is taken "
                    "when none does"
                )
            self._run(lambda: self._guest.rest())  # noqa: PLW0108 - it may be replaced before
            if any(entry.handle is None for entry in self._entries.values()):
                raise DotnetHostError(
                    "finalizers or other work in the background broke the instance, so there is "
                    "nothing to freeze; the functions are loaded again when they are called"
                )
            frozen = [_freeze(entry) for entry in self._entries.values()]
            return self._image.freeze(self._guest, frozen, tuple(self._capabilities), name)

    def recycle(self) -> None:
        """Replace the instance by a fresh one now. Functions stay loaded, statics start afresh."""
        with self._entered():
            self._replace()

    def stats(self) -> RuntimeStats:
        """Counters and sizes."""
        with self._entered():
            heap = self._run(self._guest.heap_bytes)
            return RuntimeStats(
                linear_memory_bytes=self._guest.host.memory.size,
                gc_heap_bytes=heap,
                loads=self._loads,
                unloads=self._unloads,
                invocations=self._invocations,
                failed_invocations=self._failed,
                recycles=self._recycles,
                leaked_bytes_estimate=self._leaked,
            )

    @property
    def recycles(self) -> int:
        """Times the instance was replaced; as in :meth:`stats`, without asking the guest."""
        return self._recycles

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._closed

    def close(self) -> None:
        """Unload everything and free the instance. Waits for a running call. Idempotent."""
        with self._lock:
            if self._closed:
                return
            if self._calling:
                raise DotnetHostError("a runtime cannot be closed from within its own call")
            self._closed = True
            for function_id in self._registry:
                self._drop(function_id)
            self._let_go(self._guest, RuntimeClosed("the runtime was closed while the call waited"))
            if self._own_functions is not None:
                self._own_functions.close()
            if self._http is not None:
                self._http.close()
            del self._guest  # a closed runtime may be kept, its tens of megabytes not

    def disown(self) -> None:
        """See :class:`~dotnet_wasm_host.forks.Forks`. The engine lets the memory be."""
        self._lock, self._life_lock = threading.RLock(), threading.Lock()
        self._calling = False
        self._closed = self._disowned = True
        for function_id in tuple(self._entries):
            self._drop(function_id)

    def __enter__(self) -> Self:
        self._require_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._closed:
            warnings.warn(f"{self!r} was never closed", ResourceWarning, source=self, stacklevel=2)
            self._closed = True
            self._guest.close()
            if self._own_functions is not None:
                self._own_functions.close()
            if self._http is not None:
                self._http.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._registry)} functions"
        return f"<Runtime on {self._image.name!r}: {state}>"

    # ---------------------------------------------------------------- calling the guest

    def _begin(self, entry: _Entry, payload: Buffer, timeout: float | None) -> bytes | PendingCall:
        handle = entry.handle
        if handle is None or self._calling:
            return self._invoke_loading(entry, payload, timeout)
        seconds = self._limits.timeout if timeout is None else _check_timeout(timeout)
        guest = self._guest
        started = 0.0
        self._invocations += 1  # also tells cancel() one call from the next
        self._calling = True
        try:
            if seconds is not None:
                started = time.monotonic()
                guest.host.instance.set_deadline(seconds)
            result = guest.invoke(entry.function.function_id, handle, payload)
        except BaseException as error:
            self._failed += 1
            if is_crash(error):
                entry.crashes += 1
            raise
        finally:
            self._calling = False
            if seconds is not None:
                guest.host.instance.set_deadline(None)
            if guest.broken:
                self._replace()
        if type(result) is PendingCall:
            result.outcome.add_done_callback(partial(self._count, entry))
            if seconds is not None:
                result.set_timeout(seconds, started, self._limits.cancellation_grace)
                guest.watch(result)
        return result

    def _invoke_covered(
        self,
        function_id: str,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation,
    ) -> bytes:
        call = _CoveredCall(self)
        with cancellation.covering(call):
            result = self._begin(self._entry(function_id), payload, timeout)
            if type(result) is not PendingCall:
                return result
            call.waits_as(result)
            result.unwanted |= cancellation.cancelled
            return self._wait_for(result)

    def interrupt(self, interruption: Interruption, waiting: PendingCall | None) -> None:
        """Stop a call of a cancellation: where it waits, or else where it runs."""
        if waiting is not None:
            self.withdraw(waiting)
        self._interrupt(interruption)

    def runs(self, call: PendingCall) -> bool:
        """True if the guest's code that runs now works for a call that waited."""
        return self._calling and self._guest.running_call is call

    def runs_alone(self, call: PendingCall) -> bool:
        """True if it runs, and to stop it would cost nobody else anything."""
        return self.runs(call) and len(self._guest.pending) == 1

    def _call(self, entry: _Entry, payload: Buffer) -> bytes:
        result = self._begin(entry, payload, None)
        return result if isinstance(result, bytes) else self._wait_for(result)

    def _invoke_together(self, function_id: str, payloads: Iterable[Buffer]) -> list[bytes]:
        """Begin all calls of an asynchronous function, then wait for them."""
        begun: list[bytes | PendingCall] = []
        try:
            for payload in payloads:
                begun.append(self._begin(self._entry(function_id), payload, None))  # noqa: PERF401
            return [r if isinstance(r, bytes) else self._wait_for(r) for r in begun]
        except BaseException:
            for call in begun:
                if not isinstance(call, bytes) and not call.outcome.done():
                    self.withdraw(call)  # nobody will ask for it
            raise

    # ---------------------------------------------------------------- calls that wait

    def begin(
        self,
        function_id: str,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None,
    ) -> bytes | PendingCall:
        """Like :meth:`invoke`, but a call that waits is handed out. For the pool.

        Somebody must :meth:`attend` until it has an outcome. ``cancellation`` is heeded until
        it waits; afterwards :meth:`withdraw` it.
        """
        with self._lock:
            if cancellation is None:
                return self._begin(self._entry(function_id), payload, timeout)
            with cancellation.covering(_CoveredCall(self)):
                return self._begin(self._entry(function_id), payload, timeout)

    def withdraw(self, call: PendingCall) -> None:
        """Cancel the token of a call that waits, from any thread and without waiting."""
        call.unwanted = True
        guest = getattr(self, "_guest", None)  # gone once the runtime is closed
        if guest is not None:
            guest.host.arrivals.post(lambda: guest.cancel(call))

    def attend(self) -> float | None:
        """Let the guest do what is due for calls that wait.

        Seconds until there is more to do; ``None`` if only a ring of :attr:`bell` can tell.
        """
        with self._lock:
            if self._closed or not (self._guest.pending or self._guest.host.arrivals.waiting):
                return None
            return self._pump()

    @property
    def calls_waiting(self) -> int:
        """Calls of asynchronous functions that have begun and wait."""
        guest = getattr(self, "_guest", None)  # gone once the runtime is closed
        return 0 if guest is None else len(guest.pending)

    def _count(self, entry: _Entry, outcome: Future[bytes]) -> None:
        """A call that waited has ended."""
        error = outcome.exception()
        self._failed += error is not None
        if is_crash(error):
            entry.crashes += 1
        elif error is None or isinstance(error, InvocationError):
            entry.crashes = 0

    def _wait_for(self, call: PendingCall) -> bytes:
        """Pump until a call has an outcome. Others may enter while nothing is due."""
        guest = self._guest
        try:
            while not call.outcome.done():
                if call.unwanted:
                    raise InvocationCancelled("the call was cancelled while it waited")
                rung = self.bell.rung
                due = self._pump()
                if call.outcome.done():
                    break
                self._lock.release()
                try:
                    self.bell.wait(rung, None if due is None else max(0.0, due))
                finally:
                    self._lock.acquire()
            return call.outcome.result()
        except BaseException:
            if not call.outcome.done():  # interrupted: nobody will ask for the outcome
                self._run(lambda: guest.cancel(call), max(self._limits.cancellation_grace, 0.01))
            raise

    def _pump(self) -> float | None:
        """Let the guest do what is due. Seconds until there is more, ``None`` for no time soon."""
        guest = self._guest
        seconds = self._longest(guest)
        self._operations += 1
        self._calling = True
        try:
            if seconds is not None:
                guest.host.instance.set_deadline(seconds)
            guest.pump()
        except Exception as error:  # noqa: BLE001 - the calls that wait are told
            self._blame(guest, error)
        finally:
            self._calling = False
            if seconds is not None:
                guest.host.instance.set_deadline(None)
            if guest.broken or (not guest.pending and (self._worn or guest.abandoned)):
                self._replace()
        due = self._guest.next_due()
        return None if due is None else due - time.monotonic()

    def _longest(self, guest: Guest) -> float | None:
        """Seconds that the guest may run on, whichever of the calls that wait it works for."""
        stops = [c.stop_at for c in guest.pending.values() if c.stop_at is not None]
        if not stops:
            return self._limits.timeout
        # Whoever comes late to an overdue call still has to cancel it and to look for its end.
        return max(min(stops) - time.monotonic(), _SHORTEST_STEP)

    def _blame(self, guest: Guest, error: BaseException) -> None:
        """The instance died outside of any begun call: say so to the call that did it."""
        call = guest.running_call
        if isinstance(error, InvocationTimeout):
            now = time.monotonic()
            for overdue in guest.pending.values():
                if overdue.cancel_at is not None and overdue.cancel_at <= now:
                    overdue.fail(error)
        if call is None and len(guest.pending) == 1:
            (call,) = guest.pending.values()
        if call is not None:
            call.fail(error)
        elif not guest.pending:
            _log.warning("background work of the guest failed: %s", str(error))

    def _let_go(self, guest: Guest, error: DotnetHostError | None = None) -> None:
        """Close an instance and tell those that wait in it."""
        pending, guest.pending = guest.pending, {}
        guest.close()
        for call in pending.values():
            call.fail(
                error or InstanceLost(call.function_id, "another call broke it, or it was replaced")
            )
        if pending:
            self.bell.ring()

    def _invoke_loading(
        self, entry: _Entry, payload: Buffer, timeout: float | None
    ) -> bytes | PendingCall:
        """The first call of a function in a fresh instance, and the first after a crash."""
        self._require_idle()
        seconds = self._limits.timeout if timeout is None else _check_timeout(timeout)
        start = time.monotonic()
        try:
            self._handle(entry, seconds)
        except BaseException:
            self._invocations += 1
            self._failed += 1
            raise
        if seconds is not None:
            # A reload is a part of the call. It has taken less than all of its time.
            seconds = max(seconds - (time.monotonic() - start), 0.001)
        try:
            result = self._begin(entry, payload, seconds)
        except InvocationError:
            entry.crashes = 0  # it failed without killing its instance
            raise
        if type(result) is not PendingCall:
            entry.crashes = 0
        return result

    def _invoke_batch(self, function_id: str, batch: list[bytes]) -> list[bytes]:
        # Looked up for each batch: the payloads' iterator may have changed what is loaded.
        entry = self._entry(function_id)
        self._require_idle()
        handle = self._handle(entry)
        results: list[bytes] = []
        while len(results) < len(batch):
            some, error = self._invoke_some(function_id, handle, batch[len(results) :])
            self._invocations += len(some)
            if error is not None:
                self._invocations += 1
                self._failed += 1
                if is_crash(error):
                    entry.crashes += 1
                try:
                    raise error
                finally:
                    del error  # its traceback holds this frame
            results += some
        entry.crashes = 0
        return results

    def _invoke_some(
        self, function_id: str, handle: int, payloads: list[bytes]
    ) -> tuple[list[bytes], BaseException | None]:
        try:
            return self._run(lambda: self._guest.invoke_many(function_id, handle, payloads))
        except BaseException as error:  # noqa: BLE001 - counted, then raised
            return [], error

    def _run(self, operation: Callable[[], T], timeout: float | None = None) -> T:
        """Carry out a guest operation other than invoke, within a deadline."""
        if self._guest.broken:
            self._replace()
        guest, seconds = self._guest, self._limits.timeout if timeout is None else timeout
        self._operations += 1
        self._calling = True
        try:
            if seconds is not None:
                guest.host.instance.set_deadline(seconds)
            return operation()
        finally:
            self._calling = False
            if seconds is not None:
                guest.host.instance.set_deadline(None)
            if guest.broken:
                self._replace()

    @contextmanager
    def _entered(self) -> Iterator[None]:
        with self._lock:
            self._require_open()
            self._require_idle()
            yield

    def _require_open(self) -> None:
        if self._closed:
            raise RuntimeClosed(
                "the runtime belongs to the process that this one was forked from; make a new one"
                if self._disowned
                else "the runtime is closed; make a new one"
            )

    def _require_idle(self) -> None:
        if self._calling:
            raise DotnetHostError(
                "the runtime is in the middle of a call on this thread (a host function, stream, "
                "clock or random source of it called back into it); use another Runtime, or a "
                "RuntimePool"
            )

    def _start(self) -> Guest:
        guest = self._image.start(self._limits, self._wasi, self._lock, self._services)
        method = weakref.WeakMethod(self._heap_call)
        guest.host.guard = lambda export, argument: (call := method()) and call(export, argument)
        return guest

    def _heap_call(self, export: str, argument: int) -> int:
        """A user's malloc or free: code of the guest like any other, with the same deadline."""
        if self._calling:  # a host function of a call, whose deadline holds
            return self._guest.host.call(export, argument)
        return self._run(lambda: self._guest.heap_call(export, argument))

    def _replace(self) -> None:
        """Throw the instance away and take a fresh one; functions load at their next call."""
        # In this order: a Ctrl-C in between leaves a broken guest, which whoever comes replaces.
        for entry in self._entries.values():
            entry.handle = None
        old, self._guest = self._guest, self._start()
        self._let_go(old)
        self._worn = False
        self._recycles += 1
        self._leaked = 0
        wanted, self._capabilities = self._capabilities, {}
        for name in self._image.capabilities:
            if name not in wanted:
                self._unload(None, partial(self._guest.unload_capability, name))
        for name, source in wanted.items():
            self._restore_capability(name, source)

    def _restore_capability(self, name: str, source: FunctionSource | None) -> None:
        if source is not None:
            try:
                self._run(lambda: self._give_capability(name, source))
            except DotnetHostError as error:
                # It is not among the loaded ones now, should this have killed the instance again.
                _log.warning("capability %r could not be loaded again: %s", name, str(error))
                return
        self._capabilities[name] = source

    # ---------------------------------------------------------------- bookkeeping

    def _entry(self, function_id: str) -> _Entry:
        try:
            entry = self._entries[function_id]
        except (KeyError, TypeError):
            self._require_open()
            raise FunctionNotLoaded(function_id) from None
        if not entry.function.is_alive:
            raise FunctionNotLoaded(function_id, "is being unloaded")
        return entry

    def _invoke_generation(
        self, function: LoadedFunction, payload: Buffer, timeout: float | None
    ) -> bytes:
        with self._lock:
            self._require_open()
            entry = self._entries.get(function.function_id)
            if entry is None or entry.function is not function or not function.is_alive:
                raise FunctionNotLoaded(
                    function.function_id,
                    f"generation {function.generation} is no longer loaded",
                )
            result = self._begin(entry, payload, timeout)
            return self._wait_for(result) if type(result) is PendingCall else result

    def _handle(self, entry: _Entry, timeout: float | None = None) -> int:
        """The function's handle, after loading it into a fresh instance if need be."""
        if entry.handle is None:
            limit, function_id = self._limits.crash_limit, entry.function.function_id
            if limit is not None and entry.crashes >= limit:
                raise FunctionSuspended(function_id, entry.crashes)
            if self._guest.broken:
                self._replace()
            if entry.source is None:
                entry.handle = entry.frozen
            else:
                self._load_again(entry, function_id, entry.source, timeout)
        assert entry.handle is not None
        return entry.handle

    def _load_again(
        self, entry: _Entry, function_id: str, source: FunctionSource, timeout: float | None
    ) -> None:
        try:
            _, entry.handle = self._load(function_id, source, timeout)
        except AssemblyLoadError:
            self._drop(function_id)
            raise
        except CRASHES:
            entry.crashes += 1
            raise
        if entry.handle is None:
            entry.crashes += 1
            raise InstanceLost(function_id, "what it does in the background when it is loaded")

    def _load(
        self, function_id: str, source: FunctionSource, timeout: float | None = None
    ) -> tuple[LoadReport, int | None]:
        """Load a function. No handle if the instance was replaced right afterwards."""
        report, guest = self._run_load(
            source,
            lambda: self._give_function(function_id, source),
            timeout,
        )
        return report, report.handle if guest is self._guest else None

    def _give_function(self, function_id: str, source: FunctionSource) -> LoadReport:
        self._add_base_library(function_id, source)
        return self._guest.load(function_id, source.image, source.dependencies, source.handler_type)

    def _give_capability(self, name: str, source: FunctionSource) -> None:
        self._add_base_library(name, source)
        self._guest.load_capability(name, source.image, source.dependencies)

    def _add_base_library(self, wanted_by: str, source: FunctionSource) -> None:
        library = self._image.base_library
        if library is not None:
            own = [source.image, *(content for _, content in source.dependencies)]
            self._guest.add_base_library(wanted_by, own, library)

    def _run_load(
        self, source: FunctionSource, operation: Callable[[], T], timeout: float | None = None
    ) -> tuple[T, Guest]:
        """Carry out a load, and say in which guest.

        One that fails leaves as much behind as one that was unloaded.
        """
        try:
            return self._run(lambda: (operation(), self._guest), timeout)
        except AssemblyLoadError:
            self._count_leak(source)
            raise

    def _register(
        self, function_id: str, source: FunctionSource, report: LoadReport, handle: int | None
    ) -> LoadedFunction:
        function = self._add(
            FrozenFunction(
                function_id=function_id,
                handle=report.handle,
                handler_type=report.handler_type,
                assembly_name=report.assembly_name,
                assembly_sha256=hashlib.sha256(source.image).hexdigest(),
                size=len(source.image),
                loaded_at=report.loaded_at,
                is_async=report.is_async,
            ),
            source,
        )
        self._entries[function_id].handle = handle
        return function

    def _add(self, frozen: FrozenFunction, source: FunctionSource | None) -> LoadedFunction:
        life = FunctionLife()
        function = self._table.describe(frozen, life, self._invoke_generation)
        self._entries[frozen.function_id] = _Entry(
            function, life, frozen.handle, source, None if source else frozen.handle
        )
        self._table.add(function)
        return function

    def _forget(self, function_id: str) -> bool:
        """Unload on both sides; False if there was nothing."""
        entry = self._entries.get(function_id)
        if entry is None:
            return False
        handle = entry.handle
        self._drop(function_id)
        self._unloads += 1
        if handle is not None:
            self._unload(entry.source, lambda: self._guest.unload(function_id))
        return True

    def _unload(self, source: FunctionSource | None, operation: Callable[[], object]) -> None:
        """Unload from the guest, whatever the Unloading handlers of the context do."""
        guest = self._guest
        try:
            self._run(operation)
        except DotnetHostError as error:
            # The dispatcher forgets a function before it unloads the context.
            _log.warning("an Unloading handler failed: %s", str(error))
        if self._guest is guest:
            self._count_leak(source)

    def _forget_capability(self, name: str) -> None:
        source = self._capabilities.pop(name)
        self._unload(source, lambda: self._guest.unload_capability(name))

    def _count_leak(self, source: FunctionSource | None) -> None:
        self._leaked += source.leak if source else LEAK_PER_UNLOAD
        if self._leaked > self._limits.leaked_bytes:
            if self._guest.pending:
                self._worn = True
            else:
                self._replace()

    def _drop(self, function_id: str) -> None:
        self._entries.pop(function_id).life.state = FunctionState.UNLOADED
        self._table.remove(function_id)

    def _require_room(self, function_id: str) -> None:
        limit = self._limits.function_count
        if function_id not in self._entries and len(self._entries) >= limit:
            raise LimitExceeded(f"{limit} functions are loaded, as many as function_count allows")


@final
class _CoveredCall:
    """A call that a :class:`Cancellation` covers."""

    __slots__ = ("_pending", "_runtime")

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pending: PendingCall | None = None

    def waits_as(self, pending: PendingCall) -> None:
        """It has begun, and waits in the guest from now on."""
        self._pending = pending

    def interrupt(self, interruption: Interruption) -> None:
        """See :class:`~dotnet_wasm_host.cancellation.Covered`."""
        self._runtime.interrupt(interruption, self._pending)

    def runs(self) -> bool:
        """See :class:`~dotnet_wasm_host.cancellation.Covered`."""
        # Until it waits, it holds the runtime: nothing else can run.
        return self._pending is None or self._runtime.runs(self._pending)


def _check_stack(image: RuntimeImage, limits: Limits) -> None:
    given, wanted = image.engine.stack_bytes, limits.stack_bytes
    if wanted is not None and given != wanted:
        raise ValueError(
            f"the image belongs to an engine with {given} bytes of stack, not {wanted}: load it "
            f"with RuntimeImage.load(..., stack_bytes={wanted}), or leave stack_bytes out"
        )


def _check_timeout(seconds: float) -> float:
    if not isinstance(seconds, (int, float)):
        raise MarshallingTypeError(f"timeout is seconds, not {type(seconds).__name__}")
    if not seconds > 0:
        raise MarshallingError(f"timeout is {seconds}; give seconds above zero, or None")
    return min(seconds, LONGEST_TIMEOUT)


def _freeze(entry: _Entry) -> FrozenFunction:
    function = entry.function
    assert entry.handle is not None
    return FrozenFunction(
        function_id=function.function_id,
        handle=entry.handle,
        handler_type=function.handler_type,
        assembly_name=function.assembly_name,
        assembly_sha256=function.assembly_sha256,
        size=function.size,
        loaded_at=function.loaded_at,
        is_async=function.is_async,
    )
