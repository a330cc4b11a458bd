"""A .NET function as a Python callable that travels between processes."""

from __future__ import annotations

import atexit
import hashlib
import os
import pickle
import sys
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeAlias, final

from dotnet_wasm_host.assembly import MalformedImage, identify, read_assembly, read_dependencies
from dotnet_wasm_host.errors import AssemblyLoadError, FunctionNotLoaded, VersionMismatch
from dotnet_wasm_host.pool.carriers import Carried, PartMissing, carry, pickling_engine
from dotnet_wasm_host.pool.contents import read_contents, register_reducer, write_contents
from dotnet_wasm_host.pool.pool import RuntimePool
from dotnet_wasm_host.pool.travelling import PoolOptions, pool_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Buffer

    from dotnet_wasm_host.assembly import AssemblySource, DependencySource
    from dotnet_wasm_host.options import HttpPolicy, Limits, WasiOptions

__all__ = ["DotnetFunction", "MismatchedFunction"]

#: Functions that a process keeps loaded; the one that was loaded first goes first.
MOST_LOADED = 256

_Content: TypeAlias = "tuple[bytes, ...] | str | Carried"


@final
class DotnetFunction:
    """A function that can be pickled: bytes in, bytes out, in whichever process it is called.

    It carries its assembly. A process loads it at the first call and keeps it for the next ones,
    so it can be mapped over data by any engine that pickles callables: Dask, joblib, Ray, Spark,
    ``concurrent.futures``. With these, assemblies travel once to a worker; what goes with a task
    has a few hundred bytes. Calls may come from several threads; they run in parallel.

    ::

        greet = dwh.DotnetFunction(dwh.compile_csharp(source))
        greet(b"Ada")
        dask_client.map(greet, payloads)

    Two functions with the same assembly, dependencies, handler and options are equal, and
    share what is loaded. Statics live as long as a worker thread's runtime keeps the function:
    do not count on them.

    ``ray.remote(greet.__call__)`` is a remote function of Ray.

    Args:
        assembly: as for :meth:`Runtime.load_assembly`; read here and now.
        dependencies: the same, packages of :func:`resolve_packages` included.
        handler_type: full name of the handler, if there are several.
        image: name of the image to run on; built where it is called, if it is not there yet.
        limits: memory, time and sizes of each runtime.
        wasi: arguments, environment, files and output; host directories are those of the machine
            where it is called. Streams, clocks and sources of entropy do not travel.
        http: what it may ask for, without ``tls``.
        host_functions: functions by the name that C# uses, as ``"module:name"`` or as a function
            that can be imported so. They are imported where it is called.

    Raises:
        MarshallingTypeError: an option belongs to this process and cannot travel.
        VersionMismatch: at a call: another version of this package has pickled it.
        AssemblyLoadError: it is no .NET assembly or cannot be read; at a call: its assemblies did
            not come to this worker. Whatever else can be wrong with it shows at the first call,
            as the errors of :meth:`Runtime.load_assembly`.
    """

    def __init__(
        self,
        assembly: AssemblySource,
        *,
        dependencies: DependencySource = (),
        handler_type: str | None = None,
        image: str = "full",
        limits: Limits | None = None,
        wasi: WasiOptions | None = None,
        http: HttpPolicy | None = None,
        host_functions: Mapping[str, str | Callable[[bytes], Any]] | None = None,
    ) -> None:
        options = pool_options(image, limits, wasi, http, host_functions)
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
        digest = _digest((content, *needed), handler_type, options)
        self._begin(f"{name} {digest}", (content, *needed), handler_type, options)

    def _begin(
        self,
        function_id: str,
        content: _Content,
        handler_type: str | None,
        options: PoolOptions,
    ) -> None:
        self._function_id = function_id
        #: The assembly and its dependencies, a file of this machine with them, or what an engine
        #: of a cluster has.
        self._content: _Content = content
        self._digests: tuple[str, ...] = ()
        self._handler_type, self._options = handler_type, options
        # Ray takes functions, not bound methods.
        vars(self)["__call__"] = _function_of(self)

    @property
    def function_id(self) -> str:
        """Assembly name and a digest of all that makes the function what it is."""
        return self._function_id

    def __call__(self, payload: Buffer = b"", *, timeout: float | None = None) -> bytes:
        """Call it here. See :meth:`Runtime.invoke` for the errors."""
        pool = _pools.pool(self._options)
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
        assembly, *dependencies = self._read()
        pool.load_assembly(
            self._function_id,
            assembly,
            dependencies=dependencies,
            handler_type=self._handler_type,
        )

    def _read(self) -> tuple[bytes, ...]:
        """The assembly and its dependencies. AssemblyLoadError if its file is not there."""
        if isinstance(self._content, str):
            content, where = read_contents(self._content), self._content
        elif isinstance(self._content, Carried):
            try:
                content, where = self._content.read(), f"what {self._content.engine} carried"
            except PartMissing as error:
                raise AssemblyLoadError(
                    self._function_id, "System.IO.FileNotFoundException", str(error)
                ) from error
        else:
            return self._content
        if not self._function_id.endswith(_digest(content, self._handler_type, self._options)):
            raise AssemblyLoadError(
                self._function_id,
                "System.BadImageFormatException",
                f"{where} has changed since the function was pickled; send it again",
            )
        return content

    def __reduce__(self) -> tuple[object, ...]:
        """With all that it needs, if no engine carries that once for all.

        Its id is not computed again for each task of a cluster.
        """
        register_reducer(DotnetFunction, DotnetFunction._reduce_here)
        if isinstance(self._content, Carried) and self._content.engine == pickling_engine():
            return self._reduced(self._content)
        if not pickling_engine():
            return self._reduced(self._read())
        parts = self._read()
        if not self._digests:
            self._digests = tuple(hashlib.sha256(part).hexdigest() for part in parts)
        return self._reduced(carry(self._digests, parts) or parts)

    def _reduce_here(self) -> tuple[object, ...]:
        """For processes of this machine: with the name of a file that has what it needs."""
        if not isinstance(self._content, str):
            return self._reduced(write_contents(self._function_id, self._read()))
        return self._reduced(self._content)

    def _reduced(self, content: _Content) -> tuple[object, ...]:
        # Plain values only, so that another version can read the first of them.
        plain = ("", *content) if isinstance(content, Carried) else content
        rest = pickle.dumps((self._handler_type, self._options), protocol=5)
        return _remake, (_version(), self._function_id, plain, rest)

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


def _digest(parts: tuple[bytes, ...], handler_type: str | None, options: PoolOptions) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    digest.update(repr((handler_type, options.key)).encode())
    return digest.hexdigest()[:32]


def _function_of(function: DotnetFunction) -> Callable[..., bytes]:
    def call(payload: Buffer = b"", *, timeout: float | None = None) -> bytes:
        return function(payload, timeout=timeout)

    call.__doc__ = function.__doc__
    return call


def _version() -> str:
    return str(sys.modules["dotnet_wasm_host"].__version__)


def _remake(version: str, *state: Any) -> DotnetFunction | MismatchedFunction:  # noqa: ANN401
    """What was pickled. State of another version is not looked at."""
    if version != _version():
        return MismatchedFunction(version)
    function_id, content, rest = state
    if content[0] == "":
        content = Carried(*content[1:])
    # As trusted as the pickle that it is a part of.
    handler_type, options = pickle.loads(rest)  # noqa: S301
    made = DotnetFunction.__new__(DotnetFunction)
    made._begin(function_id, content, handler_type, options)
    return made


@final
class MismatchedFunction:
    """What a function of another version becomes: its call raises :class:`VersionMismatch`.

    Not when it is unpickled, where engines have no good place for an error.
    """

    def __init__(self, version: str) -> None:
        self._version = version

    def __call__(self, *_: object, **__: object) -> bytes:
        """Raise."""
        raise VersionMismatch(
            f"expected a function pickled by dotnet-wasm-host {_version()}, which is installed "
            f"here, found one of {self._version}; install the same version on the driver and all "
            "workers"
        )


@final
class _LocalPools:
    """The runtimes of this process, one pool for each set of options.

    Engines unpickle a function for every task and drop it afterwards, so what is loaded cannot
    belong to the function object.
    """

    def __init__(self) -> None:
        self._forget()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def pool(self, options: PoolOptions) -> RuntimePool:
        key = options.key
        pool = self._pools.get(key)
        if pool is None:
            with self._lock:
                pool = self._pools.get(key)
                if pool is None:
                    pool = self._pools[key] = RuntimePool(**options.arguments())
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
        self._pools: dict[str, RuntimePool] = {}
        self._loaded: OrderedDict[str, RuntimePool] = OrderedDict()


_pools = _LocalPools()
