"""The functions of a runtime: collectible AssemblyLoadContext semantics on the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import FunctionNotLoaded, MarshallingError, MarshallingTypeError
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    from datetime import datetime

    from typing_extensions import Buffer

    from dotnet_wasm_host.images.state import FrozenFunction

    InvokeGeneration = Callable[["LoadedFunction", Buffer, float | None], bytes]

__all__ = [
    "DescribedFunction",
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
        raise MarshallingTypeError(f"a {what} is a string, not {type(name).__name__}; give one")
    if not name:
        raise MarshallingError(f"a {what} cannot be empty; give one or more characters")
    if "\0" in name:
        raise MarshallingError(f"{what} {name[:80]!r} holds NUL; leave that out")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise MarshallingError(
            f"{what} {name[:80]!r} cannot be UTF-8: lone surrogate at index {error.start}; "
            "replace that"
        ) from None
    if size > MAX_ID_BYTES:
        raise MarshallingError(
            f"{what} {name[:40]!r}... has {size} bytes of UTF-8; give at most {MAX_ID_BYTES}"
        )
    return name


@dataclass(slots=True)
class FunctionLife:
    """The one part of a loaded function that changes; its runtime holds on to it."""

    state: FunctionState = FunctionState.LOADED


class DescribedFunction:
    """What is known of a loaded function. It stays readable after the function was unloaded."""

    __slots__ = ("_facts",)

    def __init__(self, facts: FrozenFunction | DescribedFunction) -> None:
        # Also those of a function that was loaded elsewhere.
        self._facts: FrozenFunction = (
            facts._facts if isinstance(facts, DescribedFunction) else facts  # noqa: SLF001
        )

    @property
    def function_id(self) -> str:
        """The id it has, or will have once it is served."""
        return self._facts.function_id

    @property
    def loaded_at(self) -> datetime:
        """When the guest loaded it, UTC, by the guest's clock."""
        return self._facts.loaded_at

    @property
    def is_async(self) -> bool:
        """Whether its handler is an ``IAsyncFunctionHandler``."""
        return self._facts.is_async

    @property
    def handler_type(self) -> str:
        """Full name of the .NET type that handles calls."""
        return self._facts.handler_type

    @property
    def assembly_name(self) -> str:
        """Simple name of its assembly."""
        return self._facts.assembly_name

    @property
    def assembly_sha256(self) -> str:
        """SHA-256 of the assembly file, in hex."""
        return self._facts.assembly_sha256

    @property
    def size(self) -> int:
        """Size of the assembly file in bytes, without dependencies."""
        return self._facts.size

    @property
    def unresolved(self) -> tuple[str, ...]:
        """Assemblies that its dependencies refer to and that are nowhere.

        It runs as long as it does not reach code that needs one.
        """
        return self._facts.unresolved


@final
class LoadedFunction(DescribedFunction, Uncopyable):
    """One generation of a function, as ``load_assembly`` returned it.

    It stays readable after the function was unloaded or replaced; calling it then raises
    :class:`~dotnet_wasm_host.FunctionNotLoaded`.
    """

    __slots__ = ("_generation", "_invoke", "_life")

    def __init__(
        self,
        facts: FrozenFunction | DescribedFunction,
        generation: int,
        life: FunctionLife,
        invoke: InvokeGeneration,
    ) -> None:
        super().__init__(facts)
        self._generation = generation
        self._life = life
        self._invoke = invoke

    @property
    def generation(self) -> int:
        """1 for the first load of this id, one more for each one after."""
        return self._generation

    @property
    def state(self) -> FunctionState:
        """Where it is in its life."""
        return self._life.state

    @property
    def is_alive(self) -> bool:
        """True while it can be called."""
        return self._life.state is FunctionState.LOADED

    def invoke(self, payload: Buffer = b"", *, timeout: float | None = None) -> bytes:
        """Call this generation. FunctionNotLoaded once it was unloaded or replaced."""
        return self._invoke(self, payload, timeout)

    __call__ = invoke

    def __repr__(self) -> str:
        return (
            f"<LoadedFunction {self.function_id!r} generation {self._generation} "
            f"({self.handler_type}), {self.state.value}>"
        )


class FunctionTable:
    """What a registry shows; only the runtime or pool that owns it writes to it."""

    def __init__(self) -> None:
        self.functions: dict[str, LoadedFunction] = {}
        self._generations: dict[str, int] = {}

    def describe(
        self,
        facts: FrozenFunction | DescribedFunction,
        life: FunctionLife,
        invoke: InvokeGeneration,
    ) -> LoadedFunction:
        """The next generation of a function. Nobody sees it before :meth:`add`."""
        generation = self._generations.get(facts.function_id, 0) + 1
        return LoadedFunction(facts, generation, life, invoke)

    def add(self, function: LoadedFunction) -> None:
        """A function was loaded."""
        self.functions[function.function_id] = function
        self._generations[function.function_id] = function.generation

    def remove(self, function_id: str) -> None:
        """A function was unloaded."""
        self.functions.pop(function_id, None)


@final
class FunctionRegistry(Uncopyable, Mapping[str, LoadedFunction]):
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
