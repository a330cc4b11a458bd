"""The seam between this library and a WebAssembly engine.

An engine compiles modules and instantiates them in pairs: a *memory module* (exports one
memory, filled by its data section) and a *code module* (imports that memory as
``env.memory``). Everything above talks to an engine through these Protocols only.

Values cross the seam as Python numbers: i32 as 0..2**32-1 (the engine masks what it is
given), i64 signed, f32 and f64 as float.

Host functions may raise. The exception unwinds the WebAssembly frames and comes out of the
guest call that was running, unchanged: this is how the guest's C++ exceptions and its
``exit`` work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CodeLinker",
    "CompiledModule",
    "Engine",
    "GuestFunction",
    "HostFunction",
    "Instance",
    "Interruption",
    "LinearMemory",
]

Number = int | float
HostFunction = Callable[..., "Number | None"]
GuestFunction = Callable[..., int]
#: Asked in the thread that runs the guest: what to raise there, ``None`` to let it go on.
Interruption = Callable[[], "BaseException | None"]


class LinearMemory(Protocol):
    """One linear memory. ``address`` and ``size`` change only inside :meth:`grow`."""

    @property
    def address(self) -> int:
        """Host address of the memory's byte 0."""

    @property
    def size(self) -> int:
        """Current size in bytes."""

    def grow(self, pages: int) -> bool:
        """Grow by ``pages`` of 64 KiB. False, and nothing changed, where a limit forbids it."""


class CodeLinker(Protocol):
    """Adds code to an instance that exists. Its owner calls it from one thread at a time."""

    @property
    def table_size(self) -> int:
        """Entries of the instance's function table."""

    def grow_table(self, entries: int) -> int:
        """Add empty entries to the function table. Returns the index of the first one.

        ValueError if the engine has no room for them.
        """

    def link(self, module: CompiledModule) -> None:
        """Instantiate a further module on the instance's memory and function table.

        Whatever it imports is named ``env``: ``memory``, ``__indirect_function_table``, and
        functions that the code module exports. Its element segments fill the table. It lives
        as long as the instance does.

        Raises:
            ValueError: an import is something else, or of another type.
            GuestTrap: an element segment is not inside of the table.
        """


class Instance(Protocol):
    """One code module instantiated on one memory."""

    @property
    def memory(self) -> LinearMemory:
        """The memory it runs on."""

    def attach(self, provide: Callable[[], Mapping[str, HostFunction]]) -> None:
        """Give the instance its host functions, by import name. Before the first call.

        ``provide`` is called when the guest first calls one of them: many instances answer a
        call or two and never do.
        """

    def function(self, name: str) -> GuestFunction:
        """The exported function ``name``; call it with numbers. KeyError if there is none.

        A call raises what a host function raised, ``GuestTrap`` for a trap and
        ``InvocationTimeout`` for an overrun deadline. After any of the three the instance's
        stack pointer is not unwound; unless the caller restores it, discard the instance.
        """

    def bind(self, name: str, *arguments: int) -> Callable[[], None]:
        """Like :meth:`function`, with i32 arguments fixed once and the result dropped."""

    @property
    def code_linker(self) -> CodeLinker | None:
        """Adds code to the instance. ``None`` where the engine gives no access to tables."""

    def globals(self) -> dict[str, int]:
        """Values of the exported mutable i32 globals."""

    def set_globals(self, values: Mapping[str, int]) -> None:
        """Set exported mutable i32 globals."""

    def set_deadline(self, seconds: float | None) -> None:
        """Interrupt guest code that runs past ``seconds`` from now; ``None`` for never."""

    def interrupt(self, interruption: Interruption) -> None:
        """Ask ``interruption`` soon, in the thread that runs the guest, whether to stop it.

        What it returns is raised out of the guest call that runs. If none runs, the next one
        asks. From any thread. An engine that cannot stop a guest anywhere asks where the guest
        calls a host function.
        """

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass in the thread that runs the guest, or less.

        It ends early at :meth:`wake` and raises what :meth:`look_up` raises.
        """

    def wake(self) -> None:
        """End the :meth:`sleep` that goes on, or the next one. From any thread."""

    def look_up(self) -> None:
        """Raise what stops the guest, if anything does: a deadline or an interruption.

        In the thread that runs it. The engine calls this while the guest runs; host functions
        that work for long call it themselves.
        """

    def close(self) -> None:
        """Free everything native. Idempotent."""


class CompiledModule(Protocol):
    """Machine code for one module, for one engine."""

    @property
    def imports(self) -> Sequence[str]:
        """Names of the imported functions, in module order."""

    def serialize(self) -> bytes:
        """Bytes for :meth:`Engine.load`; valid for the same :attr:`Engine.fingerprint`."""


@runtime_checkable
class Engine(Protocol):
    """A WebAssembly engine. Thread-safe; make one and share it."""

    @property
    def name(self) -> str:
        """``"wasmtime"``, for example."""

    @property
    def version(self) -> str:
        """Version of the engine's package."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever serialized modules stop being valid: version, settings, CPU."""

    @property
    def stack_bytes(self) -> int | None:
        """Stack of the calling thread that guest code may use; ``None`` if it is not limited."""

    def __hash__(self) -> int:
        """By identity: images are kept for each engine."""

    def compile(self, wasm: bytes) -> CompiledModule:
        """Compile a module. ValueError if it is not valid WebAssembly."""

    def validate(self, wasm: bytes) -> None:
        """ValueError if a module is not valid WebAssembly. Compiles nothing."""

    def load(self, path: Path) -> CompiledModule:
        """Map a file of :meth:`CompiledModule.serialize`.

        The file is trusted native code: the caller verified it.
        """

    def instantiate(
        self, code: CompiledModule, memory: CompiledModule, *, memory_limit: int
    ) -> Instance:
        """Instantiate ``memory``, then ``code`` on it. ``memory_limit`` is in bytes."""
