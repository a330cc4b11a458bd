"""The runtime as users have it."""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.base_library.capabilities import BUILT_IN, capability_assembly
from dotnet_wasm_host.errors import AssemblyLoadError, DotnetHostError, RuntimeClosed
from dotnet_wasm_host.guest.pending import PendingCall
from dotnet_wasm_host.images.image import RuntimeImage, check_stack, frozen_of
from dotnet_wasm_host.options import (
    DEFAULT_LIMITS,
    Limits,
    WasiOptions,
    compiles_methods,
    require_type,
    with_output,
)
from dotnet_wasm_host.runtime.call_port import CallPort
from dotnet_wasm_host.runtime.calls import Calls
from dotnet_wasm_host.runtime.capabilities import Capabilities
from dotnet_wasm_host.runtime.current_guest import CurrentGuest
from dotnet_wasm_host.runtime.event_count import EventCount
from dotnet_wasm_host.runtime.forks import Forks
from dotnet_wasm_host.runtime.functions import Functions
from dotnet_wasm_host.runtime.lent_services import LentServices
from dotnet_wasm_host.runtime.lifetime import Lifetime
from dotnet_wasm_host.runtime.loading import Loader
from dotnet_wasm_host.runtime.observing import observed, observer, observing, timed
from dotnet_wasm_host.runtime.registry import (
    FunctionRegistry,
    FunctionState,
    LoadedFunction,
    check_name,
)
from dotnet_wasm_host.runtime.source_compiler import compile_source
from dotnet_wasm_host.runtime.waiting import WaitingCalls
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from typing_extensions import Buffer, Self, Unpack

    from dotnet_wasm_host.assembly import AssemblySource, DependencySource
    from dotnet_wasm_host.engines.base import Engine
    from dotnet_wasm_host.fetch.tenant import HttpTenant
    from dotnet_wasm_host.guest.function_source import FunctionSource
    from dotnet_wasm_host.imports.host_functions import HostFunctions
    from dotnet_wasm_host.jit.reports import JitMethod, JitReport
    from dotnet_wasm_host.memory import Memory
    from dotnet_wasm_host.options import CompileOptions, HttpPolicy
    from dotnet_wasm_host.runtime.cancellation import Cancellation
    from dotnet_wasm_host.runtime.compilation import Compilation
    from dotnet_wasm_host.runtime.stats import RuntimeStats

__all__ = ["Runtime"]

_forks: Forks[Runtime] = Forks()


@final
class Runtime(Uncopyable):
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
        jit: ``"auto"`` compiles methods that run often, in the background; ``"off"`` does not.
            Without it ``DOTNET_WASM_HOST_JIT`` decides, else it is off. An image that was loaded
            without it stays interpreted.

    Thread-safe: calls are carried out one after the other. Use it as a context manager, or
    call :meth:`close`; a runtime that is forgotten warns and is freed by the garbage collector.

    When the guest traps, exits, aborts or overruns its deadline, the call raises and the
    instance is replaced by a fresh one of the same image. The loaded functions stay loaded:
    each is loaded again at its next call, and its statics start afresh.
    """

    _instead_of_copying = (
        "make another Runtime of the same image, or give other processes a DotnetFunction, "
        "which can be pickled"
    )

    def __init__(
        self,
        image: str | RuntimeImage = "full",
        *,
        engine: str | Engine | None = None,
        limits: Limits | None = None,
        wasi: WasiOptions | None = None,
        host_functions: Mapping[str, Callable[[bytes], Any]] | HostFunctions | None = None,
        http: HttpPolicy | HttpTenant | None = None,
        jit: str | None = None,
    ) -> None:
        self._lifetime = Lifetime("runtime")
        self._lifetime.closed = True  # so that __del__ is right if the lines below raise
        require_type("limits", limits, Limits)
        require_type("wasi", wasi, WasiOptions)
        compiles = compiles_methods(jit)
        if isinstance(image, str):
            stack_bytes = None if limits is None else limits.stack_bytes
            image = RuntimeImage.load(image, engine=engine, stack_bytes=stack_bytes, jit=jit)
        elif engine is not None:
            raise ValueError("the image belongs to its engine already; leave engine out")
        self._image = image
        self._frozen = frozen_of(image)
        limits = limits if limits is not None else DEFAULT_LIMITS
        check_stack(image, limits)
        self._lock = threading.RLock()
        event_count = EventCount()
        self._services = LentServices(host_functions, http, event_count.notify, limits.memory_bytes)
        wasi = with_output(wasi, "inherit")
        start = partial(self._frozen.start, limits, wasi, self._lock, self._services.offered)
        self._observer = told = observer()
        self._current = CurrentGuest(timed(told, start), limits, event_count)
        loader = Loader(self._current, self._frozen.base_library)
        self._functions = Functions(self._current, loader, limits, self._lifetime)
        self._capabilities = Capabilities(self._current, loader, image.capabilities)
        self._current.tenants = (self._functions, self._capabilities)
        self._compilation: Compilation | None = None
        if compiles and self._frozen.method_entries:
            # Nobody who leaves it off pays for it.
            from dotnet_wasm_host.runtime.compilation import Compilation

            self._compilation = Compilation.of(self._frozen, self._current, self._lock)
            self._current.tenants = (self._compilation, *self._current.tenants)
        self._waiting = WaitingCalls(self._current, limits, self._lock, event_count)
        self._calls = Calls(self._current, self._functions, self._waiting, limits)
        # The hot path has no attribute look-ups that could be done once.
        self._entry = self._functions.entry
        self._begin = observed(told, self._calls.begin, self._waiting.wait_for)
        self._port = CallPort(
            self._functions, self._calls.begin, self._waiting, self._current, self._lock,
            event_count, self._compilation,
        )  # fmt: skip
        if told is not None:
            told.watch(self._port, CallPort.figures)
        for frozen in image.functions:
            self._functions.add_frozen(frozen, self._invoke_generation)
        self._lifetime.closed = False
        _forks.watch(self, Runtime._after_fork_in_child)

    # ---------------------------------------------------------------- functions

    def load_assembly(
        self,
        function_id: str,
        assembly: AssemblySource,
        *,
        dependencies: DependencySource = (),
        handler_type: str | None = None,
    ) -> LoadedFunction:
        """Load a function under an id; one that is loaded under it is unloaded first.

        Args:
            function_id: 1..1,024 bytes of UTF-8 without NUL.
            assembly: a ``.dll`` as bytes, path or compiler output.
            dependencies: assemblies that only this function sees: a file, a folder, a ``.nupkg``,
                or a list of these and of assemblies as values. Satellites of every culture in a
                folder's subfolders belong to it. An assembly of the base library among them is
                left out: those are shared.
            handler_type: full name of the handler; without it the first
                ``IFunctionHandler`` in metadata order is taken.

        Raises:
            MarshallingError: the id cannot be one.
            AssemblyLoadError: the bytes are no .NET assembly (then nothing has changed), or
                .NET refused it, or the handler's constructor threw (then the id is not loaded).
                Also: two different dependencies of one name, or none for something that the
                assembly refers to.
            HandlerNotFound: no usable handler; the id is not loaded.
            LimitExceeded: as many functions as ``Limits.function_count`` are loaded.
        """
        check_name(function_id)
        source = self._frozen.read_source(function_id, assembly, dependencies, handler_type)
        if self._frozen.api is not None:
            self._frozen.api.require(function_id, source.assemblies())
        with self._entered():
            try:
                source = self._resolved(function_id, source)
            except AssemblyLoadError:
                # As if .NET had refused it, which it would do at the first call.
                self._functions.refuse(function_id)
                raise
            return self._functions.load(function_id, source, self._invoke_generation)

    def load_csharp(
        self,
        source: str | Mapping[str, str],
        *,
        function_id: str | None = None,
        handler_type: str | None = None,
        references: DependencySource = (),
        **options: Unpack[CompileOptions],
    ) -> LoadedFunction:
        """Compile C# as :func:`~dotnet_wasm_host.compile_csharp` does, and load what it gives.

        Args:
            source: one file's text, or file names with their texts.
            function_id: the id to load it under; by default the name of its assembly, which is
                the same for the same source.
            handler_type: full name of the handler, if there are several.
            references: assemblies that the source uses. They are loaded with the function.
            options: of ``compile_csharp``. Packages are loaded with the function.

        Raises:
            CompilationError: the source has errors; what is loaded stays.
            InvocationTimeout: compiling took longer than ``timeout``.
            MarshallingError: a source, reference or option is not what it should be.
            AssemblyLoadError, HandlerNotFound, LimitExceeded: as from :meth:`load_assembly`.
        """
        if function_id is not None:
            check_name(function_id)
        self._lifetime.require_open()
        compiled = compile_source(source, references=references, **options)
        return self.load_assembly(
            compiled.assembly.name if function_id is None else function_id,
            compiled.assembly,
            dependencies=compiled.dependencies,
            handler_type=handler_type,
        )

    def _resolved(self, function_id: str, source: FunctionSource) -> FunctionSource:
        brought = self._capabilities.assembly_names()
        # What a published image has was asked above, by type.
        if brought is None or self._frozen.api is not None:
            return source
        library = self._frozen.base_library
        lacking = library.names if library is not None else frozenset[str]()
        return source.resolved(function_id, self._frozen.assembly_names | lacking | brought)

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
                with observing(self._observer, function_id):
                    return self._calls.invoke_covered(function_id, payload, timeout, cancellation)
            result = self._begin(self._entry(function_id), payload, timeout)
            return self._waiting.wait_for(result) if type(result) is PendingCall else result

    def cancel(self) -> bool:
        """Stop what the guest is doing: a call, loading, unloading. False if that is nothing.

        From any thread. Returns at once: the call raises :class:`InvocationCancelled` in its own
        thread within milliseconds, and the instance is replaced. While no code of the guest runs,
        the asynchronous calls that wait in it are cancelled by their tokens instead, and the
        instance stays. Calls that wait for their turn are not touched. To stop one particular
        call, give it a :class:`Cancellation`.
        """
        return self._calls.cancel() or self._waiting.withdraw_all()

    def invoke_many(self, function_id: str, payloads: Iterable[Buffer]) -> list[bytes]:
        """Call a function once for each payload; several calls cross to the guest together.

        Results come in order. The first error ends it, and the results before it are lost. With
        a ``Limits.timeout`` each payload is a call of its own, because each has the deadline.
        """
        with self._lock, observing(self._observer, function_id) as count:
            results = self._calls.invoke_many(function_id, payloads)
            count(len(results))
            return results

    def unload_assembly(self, function_id: str) -> bool:
        """Unload a function. False when the id was not loaded, which is no error.

        A call of it that runs in another thread is allowed to finish; new ones are refused.
        """
        self._lifetime.require_open()
        entry = self._functions.refuse_calls(function_id)
        if entry is None:
            return False
        with self._lock:
            if self._current.calling:
                entry.life.state = FunctionState.LOADED
                self._current.require_idle()
            self._functions.unload(entry)
            return True

    @property
    def functions(self) -> FunctionRegistry:
        """The loaded functions, a live mapping by id."""
        return self._functions.registry

    # ---------------------------------------------------------------- capabilities

    def load_capability(
        self,
        name: str,
        assembly: AssemblySource | None = None,
        *,
        dependencies: DependencySource = (),
    ) -> None:
        """Load assemblies that every function loaded later may refer to and shares with others.

        One that is loaded under the name is unloaded first; functions that use it keep it. What
        the functions share is its statics too: it is for code that they may all trust.

        Args:
            name: 1..1,024 bytes of UTF-8 without NUL. ``"cryptography"``, ``"http"`` and ``"json"``
                come with the package and need no assembly. To compile against them there is
                :func:`~dotnet_wasm_host.capability_assembly`.
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
            self._frozen.require(BUILT_IN[name][1], name)
        source = self._frozen.read_source(name, assembly, dependencies)
        with self._entered():
            self._capabilities.load(name, source)

    def unload_capability(self, name: str) -> bool:
        """Unload a capability. False when it was not loaded."""
        with self._entered():
            return self._capabilities.unload(name)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Names of the loaded capabilities."""
        return self._capabilities.names

    # ---------------------------------------------------------------- the instance

    @property
    def image(self) -> RuntimeImage:
        """What the runtime starts from."""
        return self._image

    @property
    def memory(self) -> Memory:
        """Linear memory of the present instance; take it again after a crash or recycle."""
        self._lifetime.require_open()
        return self._current.guest.host.memory

    def snapshot(self, name: str | None = None, *, jit: bool = False) -> RuntimeImage:
        """Freeze the runtime, functions included, into an image.

        Instances of it start with these functions loaded and with their statics as they are
        now. ``Random.Shared`` is seeded anew in each; the seeds of ``GetHashCode`` are not, once
        the runtime has used them, because tables inside were filled with them. Files, open
        streams and unread input are not part of it.

        With ``jit`` what has run often is compiled now, and instances of the image start with it
        (``jit="auto"``); without, that is done when the second one starts.
        """
        with self._entered():
            from dotnet_wasm_host.runtime.freezing import freeze

            return freeze(
                self._frozen, self._current, self._functions, self._capabilities, self._waiting,
                self._compilation, name, compile_now=jit,
            )  # fmt: skip

    def compile_hot_methods(self) -> JitReport:
        """Compile now what has run often, and wait for it. Does nothing with ``jit="off"``.

        With ``jit="auto"`` the same happens by itself, a little later and in the background.
        """
        from dotnet_wasm_host.jit.reports import JitReport

        with self._entered():
            compilation = self._compilation
        return JitReport() if compilation is None else compilation.compile_now()

    def hot_methods(self) -> tuple[JitMethod, ...]:
        """Methods that ran often and were compiled, or not and why; none with ``jit="off"``."""
        with self._entered():
            return () if self._compilation is None else self._compilation.describe()

    def recycle(self) -> None:
        """Replace the instance by a fresh one now. Functions stay loaded, statics start afresh."""
        with self._entered():
            self._current.replace()

    def stats(self) -> RuntimeStats:
        """Counters and sizes."""
        from dotnet_wasm_host.jit.reports import JitStats
        from dotnet_wasm_host.runtime.stats import RuntimeStats

        with self._entered():
            current = self._current
            heap = current.run(lambda guest: guest.heap_bytes())
            return RuntimeStats(
                linear_memory_bytes=current.guest.host.memory.size,
                gc_heap_bytes=heap,
                loads=self._functions.loads,
                unloads=self._functions.unloads,
                invocations=self._calls.invocations,
                failed_invocations=self._calls.failed,
                recycles=current.recycles,
                leaked_bytes_estimate=current.leaked,
                host_work=current.host_work,
                jit=JitStats() if self._compilation is None else self._compilation.stats,
            )

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._lifetime.closed

    def close(self) -> None:
        """Unload everything and free the instance. Waits for a running call. Idempotent."""
        with self._lock:
            if self._lifetime.closed:
                return
            if self._current.calling:
                raise DotnetHostError(
                    "a runtime cannot be closed from within its own call; close it when the call "
                    "has ended"
                )
            self._functions.drop_all()
            self._free()

    def _free(self) -> None:
        if self._observer is not None:
            self._observer.forget(self._port)
        self._lifetime.closed = True
        self._current.close(RuntimeClosed("the runtime was closed while the call waited"))
        self._services.close()

    def _after_fork_in_child(self) -> None:
        """Refuse calls from now on. The memory of the parent's guest stays untouched."""
        self._lock = self._port.lock = threading.RLock()
        self._current.calling = False
        self._lifetime.after_fork_in_child()
        self._functions.after_fork_in_child()

    def __enter__(self) -> Self:
        self._lifetime.require_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        lifetime = getattr(self, "_lifetime", None)  # not there if the arguments were refused
        if lifetime is not None and not lifetime.closed:
            warnings.warn(f"{self!r} was never closed", ResourceWarning, source=self, stacklevel=2)
            self._free()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self.functions)} functions"
        return f"<Runtime on {self._image.name!r}: {state}>"

    def _invoke_generation(
        self, function: LoadedFunction, payload: Buffer, timeout: float | None
    ) -> bytes:
        with self._lock:
            result = self._begin(self._functions.generation(function), payload, timeout)
            return self._waiting.wait_for(result) if type(result) is PendingCall else result

    @contextmanager
    def _entered(self) -> Iterator[None]:
        with self._lock:
            self._lifetime.require_open()
            self._current.require_idle()
            yield
