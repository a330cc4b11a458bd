"""An assembly, loaded with a dispatcher for its methods, becomes a module."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import itertools
import weakref
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.assembly import Assembly
from dotnet_wasm_host.columns.builtin_errors import typed_error
from dotnet_wasm_host.columns.functions import HostedKernel, PortableKernel
from dotnet_wasm_host.errors import CompilationError, MarshallingError, MarshallingTypeError
from dotnet_wasm_host.pool.pool import RuntimePool
from dotnet_wasm_host.pool.travelling import pool_options
from dotnet_wasm_host.roslyn import CompilerOptions, CSharpCompiler
from dotnet_wasm_host.runtime import Runtime
from dotnet_wasm_host.runtime.cancellation import Cancellation
from dotnet_wasm_host.runtime.observing import observer
from dotnet_wasm_host.typed.callables import CallableTable
from dotnet_wasm_host.typed.column_methods import add_columns
from dotnet_wasm_host.typed.dispatcher import blame, dispatcher_source
from dotnet_wasm_host.typed.functions import FunctionMaker, refuse
from dotnet_wasm_host.typed.installing import install_members, install_statics
from dotnet_wasm_host.typed.module import CSharpModule, CSharpType
from dotnet_wasm_host.typed.objects import ObjectTable
from dotnet_wasm_host.typed.overloads import overloaded
from dotnet_wasm_host.typed.shapes import Delegate, has_handles
from dotnet_wasm_host.typed.signatures import Function, Refused, Role
from dotnet_wasm_host.typed.spreading import spread
from dotnet_wasm_host.typed.streams import streamed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from dotnet_wasm_host.columns.methods import ColumnMethod
    from dotnet_wasm_host.imports.host_functions import HostFunctions
    from dotnet_wasm_host.typed.definitions import TypeDefinition
    from dotnet_wasm_host.typed.description import Description
    from dotnet_wasm_host.typed.statics import Statics

__all__ = ["check_host", "compile_dispatcher", "dispatcher_name", "make_module", "support_of"]

#: The class that the compiler puts around members without one; ``MemberSource.ClassName``.
_MEMBERS = "Functions"
_SUPPORT = "MinimalRuntime.Typed"
#: Members that the compiler refuses are left out; that may show it others.
_ATTEMPTS = 3
_numbers = itertools.count(1)


def check_host(runtime: Runtime | RuntimePool | None, own: dict[str, Any]) -> dict[str, Any]:
    """Options of a runtime of its own; MarshallingTypeError if there are both."""
    given = {name: value for name, value in own.items() if value is not None}
    if runtime is not None and given:
        raise MarshallingTypeError(
            f"expected either a runtime or {', '.join(given)}, found both; give these to the "
            "runtime when you make it"
        )
    if runtime is not None and not isinstance(runtime, (Runtime, RuntimePool)):
        raise MarshallingTypeError(
            f"expected runtime as a Runtime or a RuntimePool, found {type(runtime).__name__}; "
            "make one, or leave it out"
        )
    return given


def make_module(
    description: Description,
    runtime: Runtime | RuntimePool | None,
    own: dict[str, Any],
    *,
    timeout: float | None = None,
) -> CSharpModule:
    """Load an assembly with a dispatcher for its methods.

    Args:
        description: what can be called.
        runtime: where; ``None`` for a runtime of its own.
        own: options of that.
        timeout: seconds the compilation of the dispatcher may take.
    """
    assembly = description.assembly
    compiled = _compile(description, timeout)
    functions = [f for f in description.functions if isinstance(f, Function)]
    if compiled is None:
        refused = [f for f in description.functions if isinstance(f, Refused)]
        raise MarshallingError(
            f"{refused[0].name}() cannot be called: {refused[0].reason}; write a public static "
            "method that has parameters and results of other types"
            if refused
            else "expected a public static method, found none; write 'public static' before it"
        )
    dispatcher, dependencies = compiled
    host = runtime if runtime is not None else _make_host(functions, own)
    function_id = f"{assembly.name}-{next(_numbers)}"
    try:
        host.load_assembly(function_id, dispatcher, dependencies=dependencies)
        kernels = _Kernels(description, None if _travels(runtime, own) else host, function_id, own)
        return _assemble(description, host, function_id, kernels, owned=runtime is None)
    except BaseException:
        if runtime is None:
            host.close()
        raise


def _compile(
    description: Description, timeout: float | None
) -> tuple[Assembly, list[Assembly | bytes]] | None:
    """The dispatcher; without what the compiler refuses to call. ``None`` if that is everything."""
    for attempt in range(_ATTEMPTS):
        functions = [f for f in description.functions if isinstance(f, Function)]
        if not functions and not description.has_columns:
            return None
        source = dispatcher_source(functions, description.shapes.objects.values())
        try:
            return compile_dispatcher(description, source, timeout=timeout)
        except CompilationError as error:
            blamed = blame(source, functions, error.diagnostics)
            if attempt == _ATTEMPTS - 1 or not blamed:
                raise
            description.refuse(blamed)
    raise AssertionError


def compile_dispatcher(
    description: Description,
    source: str,
    *,
    timeout: float | None = None,
    cancellation: Cancellation | None = None,
) -> tuple[Assembly, list[Assembly | bytes]]:
    """What is between bytes and these methods, and the assemblies that it needs.

    Args:
        description: of the assembly that has the methods.
        source: of ``dispatcher_source``.
        timeout: seconds the compilation may take.
        cancellation: stops it from another thread.
    """
    dependencies = support_of(description)
    dispatcher = CSharpCompiler.load().compile(
        {"Dispatcher.g.cs": source},
        assembly_name=dispatcher_name(description, source),
        references=dependencies,
        options=CompilerOptions(implicit_usings=False, pdb=False),
        timeout=timeout,
        cancellation=cancellation,
    )
    return dispatcher, dependencies


def support_of(description: Description) -> list[Assembly | bytes]:
    """The assemblies that a dispatcher needs: the one with the methods, ours, what they use."""
    support = Assembly(_SUPPORT, ArtifactStore.locate().read(f"guest/{_SUPPORT}.dll"))
    return [description.assembly, support, *description.library.values()]


def dispatcher_name(description: Description, source: str) -> str:
    """The assembly that this source becomes, for these methods: a name for each."""
    digest = hashlib.sha256(description.assembly.data)
    digest.update(source.encode())
    return f"Typed_{digest.hexdigest()[:12]}"


def _make_host(functions: Iterable[Function], given: dict[str, Any]) -> Runtime | RuntimePool:
    """A runtime of its own; to await takes a pool, of one place so that statics are one."""
    if any(function.is_async for function in functions):
        return RuntimePool(size=1, **given)
    return Runtime(**given)


def _travels(runtime: Runtime | RuntimePool | None, own: Mapping[str, Any]) -> bool:
    """Whether other processes can have what a module runs with."""
    if runtime is not None:
        return False
    given = {"limits": None, "wasi": None, "http": None, "host_functions": None, **own}
    try:
        pool_options("full", **given)
    except MarshallingTypeError:
        return False
    return True


class _Kernels:
    """Makes kernels for the methods of a module.

    Args:
        description: the module's.
        host: where they run; ``None`` for wherever they are called.
        function_id: the module's.
        own: options of runtimes that are none of the host's.
    """

    def __init__(
        self,
        description: Description,
        host: Runtime | RuntimePool | None,
        function_id: str,
        own: Mapping[str, Any],
    ) -> None:
        self._source, self._host, self._own = description.column_source, host, own
        self._function_id = function_id
        #: Kernels of the host, by the id that they are loaded under.
        self.hosted: dict[str, HostedKernel] = {}

    def make(self, method: ColumnMethod) -> PortableKernel | HostedKernel:
        """The kernel of a method, which is compiled when it is called."""
        source = self._source(method)
        if self._host is None:
            return PortableKernel(source, self._own)
        function_id = f"{self._function_id}-columns-{len(self.hosted)}"
        made = self.hosted[function_id] = HostedKernel(source, self._host, function_id)
        return made


def _assemble(
    description: Description,
    host: Runtime | RuntimePool,
    function_id: str,
    kernels: _Kernels,
    *,
    owned: bool,
) -> CSharpModule:
    table = _table(description, host, function_id)
    maker = FunctionMaker(
        host.invoke,
        _waiting(host),
        function_id,
        (*description.shapes.enum_names(), *description.shapes.object_names()),
        description.bases,
        description.module,
        table,
    )
    lent = _lend(description, maker, table)
    stays = owned or not isinstance(host, RuntimePool)
    made = _make_functions(description, maker, stays=stays)
    for of, named in made.items():
        calls = {name: call for (role, name), call in named.items() if role is Role.STATIC}
        add_columns(of, calls, description.column_methods, kernels.make, description.module)
    callables = [
        call for named in made.values() for (role, _), call in named.items() if role is Role.STATIC
    ]
    cls: type[CSharpModule] = CSharpModule
    if len(callables) == 1:
        body = {"__call__": staticmethod(callables[0]), "__doc__": callables[0].__doc__}
        cls = type("CSharpModule", (CSharpModule,), body)
    statics: Statics = {}
    for of, named in made.items():
        if of.path == (_MEMBERS,):
            install_statics(statics, named)
    module = cls(description.assembly, host, function_id, statics)
    if len(callables) == 1:
        vars(module)["__signature__"] = inspect.signature(callables[0])
        vars(module)["__wrapped__"] = callables[0]
    module._objects = table
    module._callables = lent
    for of, shape in description.shapes.objects.items():
        is_delegate = isinstance(shape, Delegate)
        install_members(shape.cls, made.get(of, {}), table, is_delegate=is_delegate)
    _fill(module, made, description.shapes.classes)
    if len(callables) == 1:
        vars(module).setdefault("columns", vars(callables[0])["columns"])
    for kernel in kernels.hosted.values():
        kernel.keep(module)
    loaded = (function_id, *kernels.hosted)
    loops = None if lent is None else lent.loops
    module._end = weakref.finalize(module, _end, host, loaded, owned, loops)
    maker.keep(module)
    return module


def _lend(
    description: Description, maker: FunctionMaker, table: ObjectTable | None
) -> CallableTable | None:
    delegates = [s for s in description.shapes.objects.values() if isinstance(s, Delegate)]
    if not delegates or table is None:
        return None
    lent = CallableTable(table.delegates)
    maker.lend(lent, delegates)
    return lent


def _table(
    description: Description, host: Runtime | RuntimePool, function_id: str
) -> ObjectTable | None:
    if not description.shapes.objects:
        return None
    invoke, wait, bases = host.invoke, _waiting(host), description.bases
    return ObjectTable(
        lambda payload: invoke(function_id, payload),
        lambda payload: wait(function_id, payload),
        lambda error, method: typed_error(error, method, bases),
    )


def _waiting(host: Runtime | RuntimePool) -> Callable[[str, bytes], Awaitable[bytes]]:
    """``invoke`` for those who await it."""
    if isinstance(host, RuntimePool):
        return host.invoke_async

    async def wait(function_id: str, payload: bytes) -> bytes:
        cancellation = Cancellation()
        try:
            return await asyncio.to_thread(
                host.invoke, function_id, payload, cancellation=cancellation
            )
        except asyncio.CancelledError:
            # The thread would wait for an answer that nobody takes.
            cancellation.cancel()
            raise

    return wait


_Made = dict[tuple[Role, str], "Callable[..., Any]"]


def _make_functions(
    description: Description, maker: FunctionMaker, *, stays: bool
) -> dict[TypeDefinition, _Made]:
    """Functions by the type that has them, their roles and names.

    Args:
        description: what can be called.
        maker: makes functions.
        stays: whether all calls go to one instance, where streams and objects are.
    """
    named: dict[TypeDefinition, dict[tuple[Role, str], list[Any]]] = {}
    refused: dict[TypeDefinition, _Made] = {}
    index, module = 0, description.module
    for function in description.functions:
        key = function.role, function.name
        if isinstance(function, Refused):
            call = refuse(function, module)
            refused.setdefault(function.owner, {}).setdefault(key, call)
            continue
        parts = [
            _observed(maker.make(index + n, part, _documented(description, function)))
            for n, part in enumerate(function.entries)
        ]
        index += len(parts)
        entry = (function, parts[0])
        if not stays and (function.stream or _has_objects(function)):
            reason = (
                "a stream or an object stays in one instance, and a pool may have several; give "
                "a Runtime"
            )
            entry = (function, refuse(Refused(function.owner, function.name, reason), module))
        elif function.stream:
            entry = (function, streamed(*parts, asynchronous=function.asynchronous))
        named.setdefault(function.owner, {}).setdefault(key, []).append(entry)
    made: dict[TypeDefinition, _Made] = {
        of: {
            key: _one(*entries[0]) if len(entries) == 1 else overloaded(entries)
            for key, entries in functions.items()
        }
        for of, functions in named.items()
    }
    for of, calls in refused.items():
        for key, call in calls.items():
            made.setdefault(of, {}).setdefault(key, call)
    return made


def _observed(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same, for whoever is told of calls: they have the name of the method."""
    told = observer()
    return call if told is None else told.named(call.__qualname__, call)


def _one(function: Function, call: Callable[..., Any]) -> Callable[..., Any]:
    is_spread = bool(function.given) and function.given[-1].is_params
    return spread(function, call) if is_spread else call


def _has_objects(function: Function) -> bool:
    shapes = [argument.shape for argument in function.arguments]
    return any(map(has_handles, shapes if function.result is None else [*shapes, function.result]))


def _documented(description: Description, function: Function) -> str:
    path = function.owner.path
    if function.role in {Role.STATIC, Role.METHOD, Role.CONSTRUCTOR}:
        names = [a.csharp_name for a in function.arguments if a.csharp_name != "self"]
        name = "#ctor" if function.role is Role.CONSTRUCTOR else function.name
        return description.documentation.of_method(path, name, names)
    return description.documentation.of_member(path, function.name)


def _fill(
    module: CSharpModule,
    made: Mapping[TypeDefinition, _Made],
    classes: Mapping[TypeDefinition, type],
) -> None:
    """Give a module its attributes. What has a meaning for the module itself is left out."""
    names = vars(module)
    reserved = frozenset(dir(CSharpModule))
    methods = {
        of: {name: call for (role, name), call in calls.items() if role is Role.STATIC}
        for of, calls in made.items()
    }
    members = [of for of in made if of.path == (_MEMBERS,)]
    for of in members:
        names.update({n: call for n, call in methods[of].items() if n not in reserved})
    for of, cls in classes.items():
        if of.name not in reserved:
            names.setdefault(of.name, cls)
    loose: dict[str, Any] = {}
    types: dict[TypeDefinition, Any] = dict(classes)
    for of, functions in methods.items():
        holder = types.setdefault(of, CSharpType(of.name))
        if isinstance(holder, CSharpType):
            install_statics(holder.statics, made[of])
        for name, call in functions.items():
            if name not in vars(holder):
                setattr(holder, name, staticmethod(call) if isinstance(holder, type) else call)
            if of not in members:
                loose[name] = None if name in loose else call
        if of not in members and of.name not in reserved:
            names.setdefault(of.name, holder)
    module.add_types({".".join(of.path): holder for of, holder in types.items()})
    # A method that only one class has needs no class before it.
    names.update(
        {n: c for n, c in loose.items() if c is not None and n not in reserved | names.keys()}
    )


def _end(
    host: Runtime | RuntimePool,
    loaded: Iterable[str],
    owned: bool,  # noqa: FBT001
    loops: HostFunctions | None,
) -> None:
    if loops is not None:
        loops.close()
    if owned:
        host.close()
    elif not host.closed:
        for function_id in loaded:
            host.unload_assembly(function_id)
