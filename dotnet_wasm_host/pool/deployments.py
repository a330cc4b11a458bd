"""Which generation of a function a pool serves."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import FunctionNotLoaded, InvocationError, is_crash
from dotnet_wasm_host.pool.quickness import Quickness
from dotnet_wasm_host.runtime.registry import (
    FunctionLife,
    FunctionRegistry,
    FunctionState,
    FunctionTable,
    LoadedFunction,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from dotnet_wasm_host.images.image import RuntimeImage
    from dotnet_wasm_host.runtime import Runtime
    from dotnet_wasm_host.runtime.lifetime import Lifetime

__all__ = ["Deployment", "Deployments", "Stock"]


@dataclass(slots=True, eq=False)
class Stock:
    """What calls of one function run in, where functions do not share their instances.

    Attributes:
        runtimes: instances with the function loaded that are free.
        image: what more of them start from; ``None`` if it has to be loaded into each.
    """

    runtimes: deque[Runtime] = field(default_factory=deque)
    image: RuntimeImage | None = None


@final
@dataclass(slots=True, eq=False)
class Deployment:
    """One generation of a function.

    Attributes:
        function: what users see of it.
        life: the part of that which changes.
        load: loads it into a runtime.
        stock: instances of its own.
        quickness: whether it may be called on an event loop.
        crashes: calls in a row, of all its instances, that killed theirs.
    """

    function: LoadedFunction
    life: FunctionLife
    load: Callable[[Runtime], LoadedFunction]
    stock: Stock
    quickness: Quickness = field(default_factory=Quickness)
    crashes: int = 0

    def count(self, error: BaseException | None) -> None:
        """A call has ended."""
        if is_crash(error):
            self.crashes += 1
        elif error is None or isinstance(error, InvocationError):
            self.crashes = 0


@final
class Deployments:
    """The functions of a pool.

    Args:
        lifetime: of the pool.
        invoke: calls one generation of a function.

    Attributes:
        registry: what users see of them.
        current: the generation of each id that calls get.
    """

    def __init__(
        self,
        lifetime: Lifetime,
        invoke: Callable[[LoadedFunction, Buffer, float | None], bytes],
    ) -> None:
        self._lifetime = lifetime
        self._invoke = invoke
        self._table = FunctionTable()
        self._lock = threading.Lock()
        self.registry: FunctionRegistry = FunctionRegistry(self._table)
        self.current: dict[str, Deployment] = {}

    def get(self, function_id: str) -> Deployment:
        """What is served under an id. FunctionNotLoaded if that is nothing."""
        try:
            return self.current[function_id]
        except (KeyError, TypeError):
            self._lifetime.require_open()
            raise FunctionNotLoaded(function_id) from None

    def describe(
        self, loaded: LoadedFunction, load: Callable[[Runtime], LoadedFunction], stock: Stock
    ) -> Deployment:
        """The next generation of a function. It is served after :meth:`serve`."""
        life = FunctionLife()
        function = self._table.describe(loaded, life, self._invoke)
        return Deployment(function, life, load, stock)

    def serve(self, deployment: Deployment) -> Deployment | None:
        """Have calls get this generation; the one that they got until now."""
        function = deployment.function
        with self._lock:
            old = self.current.get(function.function_id)
            self.current[function.function_id] = deployment
            self._table.add(function)
        return old

    def remove(self, function_id: str) -> Deployment | None:
        """Serve nothing under an id; what was served. TypeError if it can be no id."""
        with self._lock:
            deployment = self.current.pop(function_id, None)
            if deployment is not None:
                deployment.life.state = FunctionState.UNLOADING
                self._table.remove(function_id)
            return deployment

    def all(self) -> tuple[Deployment, ...]:
        """Everything that is served."""
        with self._lock:
            return tuple(self.current.values())

    def clear(self) -> None:
        """Serve nothing any more."""
        self.current.clear()
        for function_id in self.registry:
            self._table.remove(function_id)

    def after_fork_in_child(self) -> None:
        """Forget all deployments: their runtimes belong to the parent process."""
        self._lock = threading.Lock()
        for deployment in self.current.values():
            deployment.life.state = FunctionState.UNLOADED
        self.clear()
