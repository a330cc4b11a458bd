"""What the wasmtime engine needs of wasmtime, whichever way it is reached.

:mod:`~dotnet_wasm_host.engines.wasmtime.raw` has it from the C API, and
:mod:`~dotnet_wasm_host.engines.wasmtime.public` from the Python package's documented classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dotnet_wasm_host.engines.base import CodeLinker, GuestFunction, HostFunction
    from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeInstance

__all__ = [
    "FRAMES",
    "Binding",
    "Exports",
    "Linker",
    "Module",
    "NativeError",
    "NativeMemory",
    "Owner",
    "Signature",
    "Stop",
    "Store",
]


#: Frames of a trap that are kept: deep recursion has tens of thousands, all alike.
FRAMES = 32


class NativeError(Exception):
    """wasmtime refused to do something, in its own words."""


class Stop(NamedTuple):
    """Why a call came back without a result.

    Attributes:
        message: of wasmtime.
        trap: a trap, not an error of wasmtime's.
        interrupted: a trap because the deadline was reached.
        frames: what the guest was doing, the innermost first: index of a function in its module
            and offset in bytes into its body. At most :data:`FRAMES`.
    """

    message: str
    trap: bool = False
    interrupted: bool = False
    frames: Sequence[tuple[int, int]] = ()


class Signature(NamedTuple):
    """Type of a function; value types by their names in the text format: ``i32``."""

    params: tuple[str, ...]
    results: tuple[str, ...]


class Owner(Protocol):
    """Has something native, which goes when the last reference does."""

    def leak(self) -> None:
        """Let the native object live on without its Python owner, where that can be done."""


class Module(Owner, Protocol):
    """A compiled module."""

    @property
    def imports(self) -> Sequence[str]:
        """Names of the imported functions, in module order."""

    def serialize(self) -> bytes:
        """What :meth:`Binding.load` reads. NativeError."""

    def link(self, functions: Sequence[HostFunction]) -> Linker:
        """The module with its imported functions, in module order. NativeError."""


class Store(Owner, Protocol):
    """Where an instance and its memory are; it is supervised from the start."""

    def memory(self, module: Module) -> NativeMemory:
        """The memory of a new instance of a memory module. NativeError."""

    def set_deadline(self, instance: WasmtimeInstance, seconds: float | None) -> None:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.set_deadline`."""


class NativeMemory(Protocol):
    """Linear memory. wasmtime reserves its address range, so it never moves."""

    def grow(self, pages: int) -> bool:
        """Grow it. False if that failed."""

    def extent(self) -> tuple[int, int]:
        """Address in this process, and size in bytes."""


class Linker(Owner, Protocol):
    """A module with its imported functions."""

    def instantiate(
        self, store: Store, memory: NativeMemory, failure: Callable[[Stop], BaseException]
    ) -> Exports:
        """A new instance on a memory of the same store. One thread at a time.

        NativeError; ``failure`` says what to raise if a start function ends in a trap.
        """


class Exports(Protocol):
    """What an instance exports.

    The instance that owns this is an argument: a reference back would be a cycle, and keep
    a gigabyte of address space until the garbage collector comes.
    """

    def function(self, instance: WasmtimeInstance, name: str) -> GuestFunction:
        """A callable for an exported function."""

    def bind(
        self, instance: WasmtimeInstance, name: str, arguments: Sequence[int]
    ) -> Callable[[], None]:
        """A callable for an exported function with fixed arguments."""

    def code_linker(
        self, memory: NativeMemory, failure: Callable[[Stop], BaseException]
    ) -> CodeLinker | None:
        """See :attr:`dotnet_wasm_host.engines.base.Instance.code_linker`.

        ``failure`` says what to raise if an instantiation ends in a trap.
        """

    def globals(self) -> dict[str, int]:
        """Exported i32 globals."""

    def set_global(self, name: str, value: int) -> None:
        """Set an exported i32 global. KeyError if there is none of this name."""


class Binding(Owner, Protocol):
    """wasmtime, reached in one of the two ways."""

    name: str

    def compile(self, wasm: bytes) -> Module:
        """Compile a module. NativeError."""

    def load(self, path: Path) -> Module:
        """Map a serialized module from a file. NativeError."""

    def store(self) -> Store:
        """A new store."""

    def alert(self) -> None:
        """Have guests look at their interruptions as soon as can be."""

    def guests_run(self) -> bool:
        """True while a thread is inside of a guest."""

    def start_afresh(self) -> None:
        """This is the child of a fork now: no thread of the parent's exists."""
