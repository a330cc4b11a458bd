"""One instance together with everything it imports."""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import GuestOutOfMemory, MemoryAccessError, RuntimeClosed
from dotnet_wasm_host.imports.arrivals import Arrivals
from dotnet_wasm_host.imports.cxx_exceptions import CxxException, CxxExceptions
from dotnet_wasm_host.imports.emscripten import Clocks, Heap
from dotnet_wasm_host.imports.gate import Gate
from dotnet_wasm_host.imports.guest_log import GuestLog
from dotnet_wasm_host.imports.host_calls import HostCalls
from dotnet_wasm_host.imports.host_work import HostWork
from dotnet_wasm_host.imports.mono import Mono
from dotnet_wasm_host.imports.output import CallOutput
from dotnet_wasm_host.imports.services import HostServices, InteropState
from dotnet_wasm_host.imports.waits import Waits
from dotnet_wasm_host.memory import Memory

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from dotnet_wasm_host.engines.base import GuestFunction, HostFunction, Instance, Number
    from dotnet_wasm_host.imports.base import Caller, ImportGroup
    from dotnet_wasm_host.imports.files.filesystem import FileSystem
    from dotnet_wasm_host.imports.javascript.interop import Interop
    from dotnet_wasm_host.options import Limits, WasiOptions

__all__ = ["CxxException", "Host"]

_NO_SERVICES = HostServices()
_NOTHING_BOUND = InteropState()


def _nobody() -> None:
    return None


def _ring(host: Host) -> None:
    # What arrives late finds that the instance is gone.
    with contextlib.suppress(ReferenceError, RuntimeClosed):
        host.instance.wake()


@final
class Host:
    """The host's side of one instance: its memory, its files, its imports.

    Attributes:
        memory: its linear memory.
        work: what the host does for it.
        heap: growth of that memory, and whether it was refused.
        mono: what the runtime has scheduled.
        output: what the present call has printed.
        arrivals: what other threads have brought for the guest.
        calls: calls of host functions.
        waits: what it waits for in the middle of a call.
        proxy: this object, weakly.
    """

    def __init__(
        self,
        instance: Instance,
        limits: Limits,
        wasi: WasiOptions,
        lock: threading.RLock | None = None,
        services: HostServices = _NO_SERVICES,
        interop: InteropState = _NOTHING_BOUND,
        *,
        speaker: Callable[[], str | None] = _nobody,
        guard: Callable[[str, int], int | None] | None = None,
    ) -> None:
        self._instance: Instance | None = instance
        self._options = wasi
        self._exports: dict[str, GuestFunction] = {}
        # What belongs to this object must not keep it alive: an instance is tens of megabytes
        # and goes with its last reference, not with the next garbage collection.
        host: Host = weakref.proxy(self)
        self.proxy: Host = host
        self.memory: Memory = Memory(
            instance.memory,
            owner=instance,
            malloc=lambda size: host.heap_call("malloc", size),
            free=lambda block: host.heap_call("free", block),
            lock=lock,
        )
        self.work: HostWork = HostWork(
            limits.host_work,
            limits.memory_bytes // 2,
            lambda: host.instance.look_up(),  # noqa: PLW0108
        )
        self._import_caller = _ImportCaller(
            host, self.memory.metered(self.work.charge_copy), self.work
        )
        caller: Caller = weakref.proxy(self._import_caller)
        self._limits = limits
        self._files: FileSystem | None = None
        self._deferred: Mapping[str, HostFunction] | None = None
        self.output: CallOutput = CallOutput(limits.output_bytes, self.work)
        self._guard = guard
        self.heap: Heap = Heap(instance.memory, limits.memory_bytes)
        self.mono: Mono = Mono(caller, self.output)
        self.arrivals: Arrivals = Arrivals(services.wake, lambda: _ring(host))
        self.calls: HostCalls = HostCalls(
            instance.memory, services.functions, self.arrivals, self.work
        )
        self._speaker = speaker
        self._services = services
        self._interop_state = interop
        self._interop: Interop | None = None
        self.waits: Waits = Waits(
            caller,
            self.arrivals,
            lambda seconds: host.instance.sleep(seconds),  # noqa: PLW0108
            lambda: host.awaits_answers,
        )
        # A bound method would refer to this object itself.
        instance.attach(lambda: host.functions())  # noqa: PLW0108

    @property
    def _caller(self) -> Caller:
        return weakref.proxy(self._import_caller)  # type: ignore[no-any-return]

    @property
    def instance(self) -> Instance:
        """The engine's instance."""
        if self._instance is None:
            raise RuntimeClosed("the instance is closed; make a new Runtime")
        return self._instance

    @property
    def filesystem(self) -> FileSystem:
        """The guest's files and streams, made when they are first needed."""
        if self._files is None:
            from dotnet_wasm_host.imports import operating_system

            self._files = operating_system.make_filesystem(
                self._options,
                self._limits,
                self.work,
                self.output,
                self._speaker,
            )
        return self._files

    @property
    def interop(self) -> Interop:
        """What ``[JSImport]`` reaches, made when it is first needed."""
        if self._interop is None:
            from dotnet_wasm_host.imports.javascript.interop import Interop

            self._interop = Interop(
                self._caller, self._services.javascript, self.arrivals, self._interop_state
            )
        return self._interop

    @property
    def interop_state(self) -> InteropState:
        """What an image of this instance must know of bound functions."""
        return self._interop_state if self._interop is None else self._interop.state

    @property
    def awaits_answers(self) -> bool:
        """Whether something will arrive that the guest has asked for."""
        pending = self._interop is not None and self._interop.pending > 0
        return pending or self.calls.are_awaited or self.arrivals.waiting

    def begin_call(self, waiting: int) -> None:
        """A new call of the guest beside those that wait: what it prints and costs counts anew."""
        self.output.begin()
        self.work.begin(waiting)

    def functions(self) -> Mapping[str, HostFunction]:
        """Everything the guest imports, by name."""
        caller, host = self._caller, self.proxy
        groups: tuple[ImportGroup, ...] = (
            Clocks(self._options.clock),
            CxxExceptions(caller),
            self.heap,
            Gate(
                self.mono,
                self.calls,
                GuestLog(caller, self.output, self._speaker),
                self.waits,
                lambda *arguments: host.interop.invoke_import(*arguments),  # noqa: PLW0108
            ),
            self.mono,
        )
        functions = _Functions(lambda: host.deferred_functions)
        for group in groups:
            functions.update(group.functions())
        functions["__syscall_getcwd"] = lambda *arguments: host.getcwd(*arguments)  # noqa: PLW0108
        return functions

    @property
    def deferred_functions(self) -> Mapping[str, HostFunction]:
        """Operating system and interop, made when the guest first calls one of them."""
        if self._deferred is None:
            from dotnet_wasm_host.imports import operating_system

            system = operating_system.system_functions(self._caller, self.filesystem, self._options)
            self._deferred = {**system, **self.interop.functions()}
        return self._deferred

    def getcwd(self, buffer: int, size: int) -> int:
        """The system call; .NET makes it whenever it loads an assembly."""
        if self._deferred is None and size > 1:
            # Nobody has ever asked for a file, so nobody has moved.
            with contextlib.suppress(MemoryAccessError):
                self.memory.write(buffer, b"/\0")
                return 2
        return int(self.deferred_functions["__syscall_getcwd"](buffer, size) or 0)

    def call(self, export: str, *arguments: int) -> int:
        """Call an exported function of the guest; 0 if it has no result."""
        function = self._exports.get(export)
        if function is None:
            function = self._exports[export] = self.instance.function(export)
        return function(*arguments)

    def heap_call(self, export: str, argument: int) -> int:
        """``malloc`` or ``free`` for a user of the memory; 0 if it fails."""
        if self._guard is None:
            return self.call(export, argument)
        return self._guard(export, argument) or 0

    def renew(self) -> None:
        """Give an instance of an image what the image cannot hold: environment, arguments."""
        for name, value in self._options.env.items():
            key, text = self._place(name), self._place(value)
            self.call("mono_wasm_setenv", key, text)
            self.call("free", key)
            self.call("free", text)
        if self._options.args:
            self.set_arguments(self._options.args)

    def set_arguments(self, arguments: Sequence[str]) -> None:
        """What ``Environment.GetCommandLineArgs`` gives after the program's name."""
        arguments = ("dotnet", *arguments)
        # The guest keeps the pointers, so these are never freed.
        pointers = [self._place(argument) for argument in arguments]
        array = self._allocate(4 * len(pointers))
        for index, pointer in enumerate(pointers):
            self.memory.write_u32(array + 4 * index, pointer)
        self.call("mono_wasm_set_main_args", len(arguments), array)

    def _place(self, text: str) -> int:
        """Address of a copy in the guest's heap, with NUL behind it."""
        data = text.encode() + b"\0"
        pointer = self._allocate(len(data))
        self.memory.write(pointer, data)
        return pointer

    def _allocate(self, size: int) -> int:
        """Without the guard: there is no guest yet."""
        pointer = self.call("malloc", size)
        if pointer == 0:
            raise GuestOutOfMemory(
                f"expected room for {size} bytes of arguments and environment in the guest's "
                "heap, found none; give it more memory or less of these"
            )
        return pointer

    def close(self) -> None:
        """Write out what the guest printed last and let the instance go."""
        try:
            if self._files is not None:
                self._files.flush()
        finally:
            self.arrivals.close()
            self.calls.close()
            if self._interop is not None:
                self._interop.close()
            if self._files is not None:
                self._files.close_host()
            self.memory.close()
            self._import_caller.memory.close()
            self._exports.clear()
            if self._instance is not None:
                self._instance.close()
                self._instance = None


@final
class _ImportCaller:
    """What import groups see of the host; see :class:`~dotnet_wasm_host.imports.base.Caller`."""

    __slots__ = ("__weakref__", "call", "memory", "work")

    def __init__(self, host: Host, memory: Memory, work: HostWork) -> None:
        self.memory = memory
        self.work = work
        self.call = lambda export, *arguments: host.call(export, *arguments)  # noqa: PLW0108


class _Functions(dict[str, "HostFunction"]):
    """Functions by import name; what it does not hold is looked up when it is called."""

    def __init__(self, others: Callable[[], Mapping[str, HostFunction]]) -> None:
        super().__init__()
        self._others = others

    def __missing__(self, name: str) -> HostFunction:
        others = self._others

        def look_up(*arguments: Number) -> Number | None:
            return others()[name](*arguments)

        return look_up
