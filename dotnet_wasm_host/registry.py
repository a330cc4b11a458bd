"""The functions of a runtime: collectible AssemblyLoadContext semantics on the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import FunctionNotLoaded, MarshallingError, MarshallingTypeError

if TYPE_CHECKING:
    from datetime import datetime

    from typing_extensions import Buffer

__all__ = [
    "FunctionLife",
    "FunctionRegistry",
    "FunctionState",
    "FunctionTable",
    "LoadedFunction",
    "check_name",
]

#: Longest function id, in bytes of UTF-8.
MAX_ID_BYTES = 1024


class FunctionState(Enum):
    """Where a function is in its life. It only moves downwards."""

    #: Callable.
    LOADED = "loaded"
    #: Unload was asked for; a call that runs may finish, new ones are refused.
    UNLOADING = "unloading"
    #: Gone. A new load of the same id is a new generation.
    UNLOADED = "unloaded"


def check_name(name: str, what: str = "function id") -> str:
    """A function's id, or a capability's name, if it can be one.

    Raises:
        MarshallingTypeError: not a string.
        MarshallingError: empty, longer than 1,024 bytes of UTF-8, holds NUL or a lone surrogate.
    """
    if not isinstance(name, str):
        raise MarshallingTypeError(f"a {what} is a string, not {type(name).__name__}")
    if not name:
        raise MarshallingError(f"a {what} cannot be empty")
    if "\0" in name:
        raise MarshallingError(f"{what} {name[:80]!r} holds NUL")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise MarshallingError(
            f"{what} {name[:80]!r} cannot be UTF-8: lone surrogate at index {error.start}"
        ) from None
    if size > MAX_ID_BYTES:
        raise MarshallingError(
            f"{what} {name[:40]!r}... has {size} bytes of UTF-8; {MAX_ID_BYTES} is the most"
        )
    return name


@dataclass(slots=True)
class FunctionLife:
    """The one part of a loaded function that changes; its runtime holds on to it."""

    state: FunctionState = FunctionState.LOADED


@final
class LoadedFunction:
    """One generation of a function, as ``load_assembly`` returned it.

    It stays readable after the function was unloaded or replaced; calling it then raises
    :class:`~dotnet_wasm_host.FunctionNotLoaded`.
    """

    __slots__ = ("_assembly_name", "_assembly_sha256", "_function_id", "_generation",
                 "_handler_type", "_invoke", "_is_async", "_life", "_loaded_at",
                 "_size")  # fmt: skip

    def __init__(
        self,
        *,
        function_id: str,
        generation: int,
        loaded_at: datetime,
        handler_type: str,
        assembly_name: str,
        assembly_sha256: str,
        size: int,
        is_async: bool,
        life: FunctionLife,
        invoke: Callable[[LoadedFunction, Buffer, float | None], bytes],
    ) -> None:
        self._function_id = function_id
        self._generation = generation
        self._loaded_at = loaded_at
        self._handler_type = handler_type
        self._assembly_name = assembly_name
        self._assembly_sha256 = assembly_sha256
        self._size = size
        self._is_async = is_async
        self._life = life
        self._invoke = invoke

    @property
    def function_id(self) -> str:
        """The id it was loaded under."""
        return self._function_id

    @property
    def generation(self) -> int:
        """1 for the first load of this id, one more for each one after."""
        return self._generation

    @property
    def loaded_at(self) -> datetime:
        """When the guest loaded it, UTC, by the guest's clock."""
        return self._loaded_at

    @property
    def state(self) -> FunctionState:
        """Where it is in its life."""
        return self._life.state

    @property
    def is_async(self) -> bool:
        """Whether its handler is an ``IAsyncFunctionHandler``."""
        return self._is_async

    @property
    def is_alive(self) -> bool:
        """True while it can be called."""
        return self._life.state is FunctionState.LOADED

    @property
    def handler_type(self) -> str:
        """Full name of the .NET type that handles calls."""
        return self._handler_type

    @property
    def assembly_name(self) -> str:
        """Simple name of its assembly."""
        return self._assembly_name

    @property
    def assembly_sha256(self) -> str:
        """SHA-256 of the assembly file, in hex."""
        return self._assembly_sha256

    @property
    def size(self) -> int:
        """Size of the assembly file in bytes, without dependencies."""
        return self._size

    def invoke(self, payload: Buffer = b"", *, timeout: float | None = None) -> bytes:
        """Call this generation. FunctionNotLoaded once it was unloaded or replaced."""
        return self._invoke(self, payload, timeout)

    def __repr__(self) -> str:
        return (
            f"<LoadedFunction {self._function_id!r} generation {self._generation} "
            f"({self._handler_type}), {self.state.value}>"
        )


class FunctionTable:
    """What a registry shows; only the runtime that owns it writes to it."""

    def __init__(self) -> None:
        self.functions: dict[str, LoadedFunction] = {}
        self._generations: dict[str, int] = {}

    def next_generation(self, function_id: str) -> int:
        """Generation of the load that comes next."""
        return self._generations.get(function_id, 0) + 1

    def add(self, function: LoadedFunction) -> None:
        """A function was loaded."""
        self.functions[function.function_id] = function
        self._generations[function.function_id] = function.generation

    def remove(self, function_id: str) -> None:
        """A function was unloaded."""
        self.functions.pop(function_id, None)


@final
class FunctionRegistry(Mapping[str, LoadedFunction]):
    """The loaded functions by id: a live, read-only mapping in order of loading."""

    __slots__ = ("_table",)

    def __init__(self, table: FunctionTable) -> None:
        self._table = table

    def __getitem__(self, function_id: str) -> LoadedFunction:
        try:
            return self._table.functions[function_id]
        except (KeyError, TypeError):
            raise FunctionNotLoaded(function_id) from None

    def __iter__(self) -> Iterator[str]:
        # A copy: loading from another thread must not break a loop over the registry.
        return iter(tuple(self._table.functions))

    def __len__(self) -> int:
        return len(self._table.functions)

    def list_functions(self) -> tuple[str, ...]:
        """Ids of the loaded functions, in order of loading."""
        return tuple(self._table.functions)

    def loaded_at(self, function_id: str) -> datetime:
        """When the function was loaded, UTC."""
        return self[function_id].loaded_at

    def __repr__(self) -> str:
        return f"<FunctionRegistry {list(self._table.functions)}>"
