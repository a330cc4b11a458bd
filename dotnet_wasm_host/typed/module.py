"""A module of C#: what is compiled or loaded, as an object of Python."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import itertools
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.assembly import Assembly
from dotnet_wasm_host.errors import MarshallingError, MarshallingTypeError
from dotnet_wasm_host.pool.pool import RuntimePool
from dotnet_wasm_host.roslyn import CompilerOptions, CSharpCompiler
from dotnet_wasm_host.runtime import Runtime
from dotnet_wasm_host.typed.building import ShapeBuilder, Unsupported
from dotnet_wasm_host.typed.dispatcher import dispatcher_source
from dotnet_wasm_host.typed.functions import FunctionMaker, refuse
from dotnet_wasm_host.typed.metadata import TypeReader
from dotnet_wasm_host.typed.overloads import overloaded
from dotnet_wasm_host.typed.signatures import Function, Refused, read_functions
from dotnet_wasm_host.typed.streams import streamed
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from typing_extensions import Self

    from dotnet_wasm_host.typed.documentation import Documentation
    from dotnet_wasm_host.typed.metadata import TypeDefinition

__all__ = ["CSharpModule", "Description", "check_host", "make_module"]

#: The class that the compiler puts around members without one; ``MemberSource.ClassName``.
_MEMBERS = "Functions"
_SUPPORT = "MinimalRuntime.Typed"
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
            "make one, "
            "or leave it out"
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
    functions = [f for f in description.functions if isinstance(f, Function)]
    if not functions:
        refused = [f for f in description.functions if isinstance(f, Refused)]
        raise MarshallingError(
            f"{refused[0].name}() cannot be called: {refused[0].reason}; write a public static "
            "method "
            "that has parameters and results of other types"
            if refused
            else "expected a public static method, found none; write 'public static' before it"
        )
    assembly = description.assembly
    support = Assembly(_SUPPORT, ArtifactStore.locate().read(f"guest/{_SUPPORT}.dll"))
    dependencies: list[Assembly | bytes] = [assembly, support, *description.library.values()]
    dispatcher = CSharpCompiler.load().compile(
        {"Dispatcher.g.cs": dispatcher_source(functions)},
        assembly_name=f"Typed_{hashlib.sha256(assembly.data).hexdigest()[:12]}",
        references=dependencies,
        options=CompilerOptions(implicit_usings=False, pdb=False),
        timeout=timeout,
    )
    host = runtime if runtime is not None else _make_host(functions, own)
    function_id = f"{assembly.name}-{next(_numbers)}"
    try:
        host.load_assembly(function_id, dispatcher, dependencies=dependencies)
        return _assemble(description, host, function_id, owned=runtime is None)
    except BaseException:
        if runtime is None:
            host.close()
        raise


def _make_host(functions: Iterable[Function], given: dict[str, Any]) -> Runtime | RuntimePool:
    """A runtime of its own; to await takes a pool, of one place so that statics are one."""
    if any(function.is_async for function in functions):
        return RuntimePool(size=1, **given)
    return Runtime(**given)


class CSharpModule(Uncopyable):
    """Methods of C# as functions of Python; made by :func:`~dotnet_wasm_host.csharp`.

    Public static methods are its attributes, and so are the classes that stand for records and
    enums, and static classes with methods of theirs. If there is exactly one method, the module
    can be called. Use it as a context manager, or call :meth:`close`; a module that is
    forgotten closes itself.
    """

    _instead_of_copying: ClassVar[str] = "share it, between threads too"

    def __init__(self, assembly: Assembly, host: Runtime | RuntimePool, function_id: str) -> None:
        self._assembly = assembly
        self._host = host
        self._function_id = function_id
        self._types: dict[str, Any] = {}
        self._end: weakref.finalize[..., Any] | None = None

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what C# has
            """Call the method, if there is exactly one."""

    def add_types(self, types: Mapping[str, Any]) -> None:
        """Types by full name, for ``module[...]``."""
        self._types.update(types)

    @property
    def assembly(self) -> Assembly:
        """What was compiled."""
        return self._assembly

    @property
    def runtime(self) -> Runtime | RuntimePool:
        """Where it runs."""
        return self._host

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._end is None or not self._end.alive

    def close(self) -> None:
        """Unload it; a runtime of its own is closed, a borrowed one stays. Idempotent."""
        if self._end is not None:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what C# has
        known = ", ".join(n for n in vars(self) if not n.startswith("_"))
        raise AttributeError(f"expected one of {known}, found {name!r}", name=name, obj=self)

    def __getitem__(self, full_name: str) -> Any:  # noqa: ANN401 - what C# has
        """A type by its full name, ``"Namespace.Type"``. KeyError if nothing of it is to be had."""
        try:
            return self._types[full_name]
        except KeyError:
            known = ", ".join(sorted(self._types))
            raise KeyError(f"expected one of {known}, found {full_name!r}") from None

    def __repr__(self) -> str:
        known = ", ".join(n for n in vars(self) if not n.startswith("_"))
        return f"<CSharpModule {self._assembly.name}: {known}>"


class CSharpType:
    """A static class of C#: its methods are attributes."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __repr__(self) -> str:
        return f"<C# class {self.__name__}>"


class Description:
    """What of an assembly can be called from Python."""

    def __init__(
        self, assembly: Assembly, library: Mapping[str, bytes], documentation: Documentation
    ) -> None:
        self.assembly: Assembly = assembly
        self.library: Mapping[str, bytes] = library
        self.documentation: Documentation = documentation
        self.module: str = assembly.name
        reader = TypeReader(assembly.data)
        self.shapes: ShapeBuilder = ShapeBuilder(
            [reader, *map(TypeReader, library.values())], self.module
        )
        self.types: list[TypeDefinition] = [
            t for t in reader.types.values() if t.is_visible and not t.generic_count
        ]
        self.functions: list[Function | Refused] = [
            function
            for of in self.types
            if not of.is_enum
            for function in read_functions(of, self.shapes)
        ]
        for of in self.types:
            self._name(of)
        for of, cls in self.shapes.classes.items():
            cls.__doc__ = documentation.of_type(of.path) or cls.__doc__
        self.bases: dict[str, str] = {
            _runtime_name(t.full_name): _base(t) for t in reader.types.values()
        }

    def _name(self, of: TypeDefinition) -> None:
        """Make the class of a record or enum, which a user may want without a method."""
        if not of.is_static:
            try:
                self.shapes.build(("T", of))
            except Unsupported:
                return


def _base(of: TypeDefinition) -> str:
    base = of.reader.base_type(of)
    return _runtime_name(of.base if base is None else base.full_name)


def _dotted(of: TypeDefinition) -> str:
    return ".".join(of.path)


def _runtime_name(name: str) -> str:
    """A name as ``Type.FullName`` has it."""
    return name.replace("/", "+")


def _assemble(
    description: Description, host: Runtime | RuntimePool, function_id: str, *, owned: bool
) -> CSharpModule:
    maker = FunctionMaker(
        host.invoke,
        _waiting(host),
        function_id,
        description.shapes.enum_names(),
        description.bases,
        description.module,
    )
    streams = owned or not isinstance(host, RuntimePool)
    made = _make_functions(description, maker, streams=streams)
    callables = [call for named in made.values() for call in named.values()]
    cls: type[CSharpModule] = CSharpModule
    if len(callables) == 1:
        body = {"__call__": staticmethod(callables[0]), "__doc__": callables[0].__doc__}
        cls = type("CSharpModule", (CSharpModule,), body)
    module = cls(description.assembly, host, function_id)
    if len(callables) == 1:
        vars(module)["__signature__"] = inspect.signature(callables[0])
        vars(module)["__wrapped__"] = callables[0]
    _fill(module, made, description.shapes.classes)
    module._end = weakref.finalize(module, _end, host, function_id, owned)
    maker.keep(module)
    return module


def _waiting(host: Runtime | RuntimePool) -> Callable[[str, bytes], Awaitable[bytes]]:
    """``invoke`` for those who await it."""
    if isinstance(host, RuntimePool):
        return host.invoke_async

    async def wait(function_id: str, payload: bytes) -> bytes:
        return await asyncio.to_thread(host.invoke, function_id, payload)

    return wait


def _make_functions(
    description: Description, maker: FunctionMaker, *, streams: bool
) -> dict[TypeDefinition, dict[str, Callable[..., Any]]]:
    named: dict[TypeDefinition, dict[str, list[tuple[Function, Callable[..., Any]]]]] = {}
    refused: dict[TypeDefinition, dict[str, Callable[..., Any]]] = {}
    index, module = 0, description.module
    for function in description.functions:
        if isinstance(function, Refused):
            call = refuse(function, module)
            refused.setdefault(function.owner, {}).setdefault(function.name, call)
            continue
        names = [argument.csharp_name for argument in function.arguments]
        text = description.documentation.of_method(function.owner.path, function.name, names)
        parts = [maker.make(index + n, part, text) for n, part in enumerate(function.entries)]
        index += len(parts)
        entry = (function, parts[0])
        if function.stream and streams:
            entry = (function, streamed(*parts, asynchronous=function.asynchronous))
        elif function.stream:
            reason = "a stream stays in one instance, and a pool may have several; give a Runtime"
            entry = (function, refuse(Refused(function.owner, function.name, reason), module))
        named.setdefault(function.owner, {}).setdefault(function.name, []).append(entry)
    made: dict[TypeDefinition, dict[str, Callable[..., Any]]] = {
        of: {
            name: entries[0][1] if len(entries) == 1 else overloaded(entries)
            for name, entries in functions.items()
        }
        for of, functions in named.items()
    }
    for of, calls in refused.items():
        for name, call in calls.items():
            made.setdefault(of, {}).setdefault(name, call)
    return made


def _fill(
    module: CSharpModule,
    made: Mapping[TypeDefinition, Mapping[str, Callable[..., Any]]],
    classes: Mapping[TypeDefinition, type],
) -> None:
    """Give a module its attributes. What has a meaning for the module itself is left out."""
    names = vars(module)
    reserved = frozenset(dir(CSharpModule))
    members = [of for of in made if of.path == (_MEMBERS,)]
    for of in members:
        names.update({n: call for n, call in made[of].items() if n not in reserved})
    for of, cls in classes.items():
        if of.name not in reserved:
            names.setdefault(of.name, cls)
    loose: dict[str, Any] = {}
    types: dict[TypeDefinition, Any] = dict(classes)
    for of, functions in made.items():
        holder = types.setdefault(of, CSharpType(of.name))
        for name, call in functions.items():
            if not hasattr(holder, name):
                setattr(holder, name, staticmethod(call) if isinstance(holder, type) else call)
            if of not in members:
                loose[name] = None if name in loose else call
        if of not in members and of.name not in reserved:
            names.setdefault(of.name, holder)
    module.add_types({_dotted(of): holder for of, holder in types.items()})
    # A method that only one class has needs no class before it.
    names.update(
        {n: c for n, c in loose.items() if c is not None and n not in reserved | names.keys()}
    )


def _end(host: Runtime | RuntimePool, function_id: str, owned: bool) -> None:  # noqa: FBT001
    if owned:
        host.close()
    elif not host.closed:
        host.unload_assembly(function_id)
