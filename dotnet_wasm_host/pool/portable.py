"""A .NET function as a Python callable that travels between processes."""

from __future__ import annotations

import atexit
import hashlib
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.assembly import MalformedImage, identify, read_assembly, read_dependencies
from dotnet_wasm_host.errors import AssemblyLoadError, FunctionNotLoaded
from dotnet_wasm_host.options import Limits
from dotnet_wasm_host.pool.pool import RuntimePool

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from dotnet_wasm_host.assembly import AssemblySource, DependencySource

__all__ = ["DotnetFunction"]

#: Functions that a process keeps loaded; the one that was loaded first goes first.
MOST_LOADED = 256


@final
class DotnetFunction:
    """A function that can be pickled: bytes in, bytes out, in whichever process it is called.

    It carries its assembly. A process loads it at the first call and keeps it for the next ones,
    so it can be mapped over data by any engine that pickles callables: Dask, joblib, Ray,
    ``concurrent.futures``. Calls may come from several threads; they run in parallel.

    ::

        greet = dwh.DotnetFunction(dwh.compile_csharp(source))
        greet(b"Ada")
        dask_client.map(greet, payloads)

    Two functions with the same assembly, dependencies, handler and options are equal, and
    share what is loaded. Statics live as long as a worker thread's runtime keeps the function:
    do not count on them.

    Args:
        assembly: as for :meth:`Runtime.load_assembly`; read here and now.
        dependencies: the same.
        handler_type: full name of the handler, if there are several.
        image: name of the image to run on; built where it is called, if it is not there yet.
        limits: memory, time and sizes of each runtime.

    Raises:
        AssemblyLoadError: it is no .NET assembly or cannot be read. Whatever else can be wrong
            with it shows at the first call, as the errors of :meth:`Runtime.load_assembly`.
    """

    def __init__(
        self,
        assembly: AssemblySource,
        *,
        dependencies: DependencySource = (),
        handler_type: str | None = None,
        image: str = "full",
        limits: Limits | None = None,
    ) -> None:
        try:
            content = read_assembly(assembly)
            name = identify(content).name
            needed = tuple(read_dependencies(dependencies).values())
        except MalformedImage as error:
            raise AssemblyLoadError(
                "DotnetFunction",
                "System.BadImageFormatException",
                f"not a .NET assembly: {error}; give a .dll of .NET",
            ) from error
        except OSError as error:
            raise AssemblyLoadError(
                "DotnetFunction",
                "System.IO.FileNotFoundException",
                f"cannot be read: {error}; give the path of a .dll",
            ) from error
        self._assembly = content
        self._dependencies = needed
        self._handler_type = handler_type
        self._image = image
        self._limits = limits if limits is not None else Limits()
        self._function_id = f"{name} {self._digest()}"

    @property
    def function_id(self) -> str:
        """Assembly name and a digest of all that makes the function what it is."""
        return self._function_id

    def __call__(self, payload: Buffer = b"", *, timeout: float | None = None) -> bytes:
        """Call it here. See :meth:`Runtime.invoke` for the errors."""
        pool = _pools.pool(self._image, self._limits)
        while True:
            if self._function_id not in pool.functions:
                _pools.load(pool, self._function_id, self._load)
            try:
                return pool.invoke(self._function_id, payload, timeout=timeout)
            except FunctionNotLoaded:
                continue  # another thread loaded so many that this one had to go

    @staticmethod
    def release() -> None:
        """Close the runtimes that calls in this process have opened; a later call opens anew."""
        _pools.close()

    def _load(self, pool: RuntimePool) -> None:
        pool.load_assembly(
            self._function_id,
            self._assembly,
            dependencies=self._dependencies,
            handler_type=self._handler_type,
        )

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for part in (self._assembly, *self._dependencies):
            digest.update(hashlib.sha256(part).digest())
        digest.update(repr((self._handler_type, self._image, self._limits)).encode())
        return digest.hexdigest()[:32]

    def __reduce__(self) -> tuple[object, ...]:
        return _remake, (
            self._assembly,
            self._dependencies,
            self._handler_type,
            self._image,
            self._limits,
        )

    def __dask_tokenize__(self) -> str:
        """Dask's name for the value: equal functions are computed once."""
        return self._function_id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DotnetFunction):
            return NotImplemented
        return self._function_id == other._function_id

    def __hash__(self) -> int:
        return hash(self._function_id)

    def __repr__(self) -> str:
        return f"<DotnetFunction {self._function_id}>"


def _remake(
    assembly: bytes,
    dependencies: tuple[bytes, ...],
    handler_type: str | None,
    image: str,
    limits: Limits,
) -> DotnetFunction:
    return DotnetFunction(
        assembly,
        dependencies=dependencies,
        handler_type=handler_type,
        image=image,
        limits=limits,
    )


@final
class _LocalPools:
    """The runtimes of this process, one pool for each image and limits.

    Engines unpickle a function for every task and drop it afterwards, so what is loaded cannot
    belong to the function object.
    """

    def __init__(self) -> None:
        self._forget()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def pool(self, image: str, limits: Limits) -> RuntimePool:
        pool = self._pools.get((image, limits))
        if pool is None:
            with self._lock:
                pool = self._pools.get((image, limits))
                if pool is None:
                    pool = self._pools[image, limits] = RuntimePool(image, limits=limits)
        return pool

    def load(
        self, pool: RuntimePool, function_id: str, load: Callable[[RuntimePool], None]
    ) -> None:
        with self._lock:
            if function_id in pool.functions:
                return
            load(pool)
            self._loaded[function_id] = pool
            if len(self._loaded) > MOST_LOADED:
                oldest, its_pool = self._loaded.popitem(last=False)
                its_pool.unload_assembly(oldest)

    def close(self) -> None:
        with self._lock:
            pools = list(self._pools.values())
            self._pools.clear()
            self._loaded.clear()
        for pool in pools:
            pool.close()

    def _forget(self) -> None:
        """Start empty; also in the child of a fork, which cannot use its parent's runtimes."""
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, Limits], RuntimePool] = {}
        self._loaded: OrderedDict[str, RuntimePool] = OrderedDict()


_pools = _LocalPools()
