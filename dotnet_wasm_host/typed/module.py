"""``csharp``: C# as an object of Python."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.assembly import Assembly, MalformedImage, read_dependencies
from dotnet_wasm_host.errors import MarshallingError, MarshallingTypeError
from dotnet_wasm_host.pool.pool import RuntimePool
from dotnet_wasm_host.programs.directives import read_files
from dotnet_wasm_host.roslyn import CompilerOptions, CSharpCompiler
from dotnet_wasm_host.runtime import Runtime
from dotnet_wasm_host.typed.building import ShapeBuilder, Unsupported
from dotnet_wasm_host.typed.dispatcher import dispatcher_source
from dotnet_wasm_host.typed.functions import FunctionMaker, refuse
from dotnet_wasm_host.typed.metadata import TypeDefinition, TypeReader
from dotnet_wasm_host.typed.signatures import Function, Refused, read_functions
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from typing_extensions import Self

    from dotnet_wasm_host.assembly import DependencySource
    from dotnet_wasm_host.options import HttpPolicy, Limits, WasiOptions

__all__ = ["CSharpModule", "csharp"]

#: The class that the compiler puts around members without one; ``MemberSource.ClassName``.
_MEMBERS = "Functions"
_SUPPORT = "MinimalRuntime.Typed"
_numbers = itertools.count(1)


def csharp(
    source: str | Mapping[str, str],
    *,
    runtime: Runtime | RuntimePool | None = None,
    references: DependencySource = (),
    limits: Limits | None = None,
    wasi: WasiOptions | None = None,
    host_functions: Mapping[str, Callable[[bytes], Any]] | None = None,
    http: HttpPolicy | None = None,
    timeout: float | None = None,
) -> CSharpModule:
    """Compile C# and call its methods with values.

    >>> import dotnet_wasm_host as dwh
    >>> add = dwh.csharp("public static int Add(int a, int b) => a + b;")
    >>> add(1, 2)
    3

    Public static methods are attributes of what comes back; if there is exactly one, it can be
    called itself. Methods need no class around them. ``docs/typed.md`` says which types of C#
    are which of Python.

    Args:
        source: one file's text, or file names with their texts.
        runtime: where it runs; without one the module has a runtime of its own, which ends with
            it.
        references: assemblies it uses: a file, a folder, a ``.nupkg``, or a list of these and of
            assemblies as values.
        limits: of a runtime of its own, as for :class:`~dotnet_wasm_host.Runtime`.
        wasi: likewise.
        host_functions: likewise.
        http: likewise.
        timeout: seconds the compilation may take.

    Raises:
        CompilationError: the source has errors.
        MarshallingError: no method can be called, or an argument is not what it should be.
    """
    given = {"limits": limits, "wasi": wasi, "host_functions": host_functions, "http": http}
    given = {name: value for name, value in given.items() if value is not None}
    if runtime is not None and given:
        raise MarshallingTypeError(
            f"expected either a runtime or {', '.join(given)}, found both; give these to the "
            "runtime when you make it"
        )
    if runtime is not None and not isinstance(runtime, (Runtime, RuntimePool)):
        raise MarshallingTypeError(
            f"runtime is a Runtime or a RuntimePool, not {type(runtime).__name__}"
        )
    compiler = CSharpCompiler.load()
    library = _read_references(references)
    files = read_files(source, CompilerOptions(members=True, documentation=True))
    request = compiler.request(
        files.texts, references=list(library.values()), options=files.options
    )
    answer = compiler.answer(request, timeout=timeout)
    assembly = Assembly(request.assembly_name, answer.image, answer.diagnostics)
    description = _Description(assembly, library)
    functions = [f for f in description.functions if isinstance(f, Function)]
    if not functions:
        refused = [f for f in description.functions if isinstance(f, Refused)]
        raise MarshallingError(
            f"{refused[0].name}() cannot be called: {refused[0].reason}"
            if refused
            else "expected a public static method, found none; write 'public static' before it"
        )
    support = Assembly(_SUPPORT, ArtifactStore.locate().read(f"guest/{_SUPPORT}.dll"))
    dependencies: list[Assembly | bytes] = [assembly, support, *library.values()]
    dispatcher = compiler.compile(
        {"Dispatcher.g.cs": dispatcher_source(functions)},
        assembly_name=f"Typed_{hashlib.sha256(assembly.data).hexdigest()[:12]}",
        references=dependencies,
        options=CompilerOptions(implicit_usings=False, pdb=False),
        timeout=timeout,
    )
    host = runtime if runtime is not None else Runtime(**given)  # type: ignore[arg-type]
    function_id = f"{assembly.name}-{next(_numbers)}"
    try:
        host.load_assembly(function_id, dispatcher, dependencies=dependencies)
        return _assemble(description, host, function_id, owned=runtime is None)
    except BaseException:
        if runtime is None:
            host.close()
        raise


class CSharpModule(Uncopyable):
    """Methods of C# as functions of Python; made by :func:`csharp`.

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
        self._end: weakref.finalize[..., Any] | None = None

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what C# has
            """Call the method, if there is exactly one."""

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

    def __repr__(self) -> str:
        known = ", ".join(n for n in vars(self) if not n.startswith("_"))
        return f"<CSharpModule {self._assembly.name}: {known}>"


class CSharpType:
    """A static class of C#: its methods are attributes."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __repr__(self) -> str:
        return f"<C# class {self.__name__}>"


class _Description:
    """What of an assembly can be called from Python."""

    def __init__(self, assembly: Assembly, library: Mapping[str, bytes]) -> None:
        self.assembly = assembly
        self.module = assembly.name
        reader = TypeReader(assembly.data)
        self.shapes = ShapeBuilder([reader, *map(TypeReader, library.values())], self.module)
        self.types = [t for t in reader.types.values() if t.is_visible and not t.generic_count]
        self.functions = [
            function
            for of in self.types
            if not of.is_enum
            for function in read_functions(of, self.shapes)
        ]
        for of in self.types:
            self._name(of)
        self.bases = {_runtime_name(t.full_name): _base(t) for t in reader.types.values()}

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


def _runtime_name(name: str) -> str:
    """A name as ``Type.FullName`` has it."""
    return name.replace("/", "+")


def _assemble(
    description: _Description, host: Runtime | RuntimePool, function_id: str, *, owned: bool
) -> CSharpModule:
    maker = FunctionMaker(
        host.invoke,
        function_id,
        description.shapes.enum_names(),
        description.bases,
        description.module,
    )
    made = _make_functions(description.functions, maker, description.module)
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


def _make_functions(
    functions: Iterable[Function | Refused], maker: FunctionMaker, module: str
) -> dict[TypeDefinition, dict[str, Callable[..., Any]]]:
    made: dict[TypeDefinition, dict[str, Callable[..., Any]]] = {}
    index = 0
    for function in functions:
        named = made.setdefault(function.owner, {})
        if isinstance(function, Function):
            call = maker.make(index, function)
            index += 1
        else:
            call = refuse(function, module)
        named.setdefault(function.name, call)
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
    for of, functions in made.items():
        if of in members:
            continue
        holder: Any = classes.get(of)
        if holder is None:
            holder = names.setdefault(of.name, CSharpType(of.name))
        for name, call in functions.items():
            if not hasattr(holder, name):
                setattr(holder, name, staticmethod(call) if isinstance(holder, type) else call)
            loose[name] = None if name in loose else call
    # A method that only one class has needs no class before it.
    names.update(
        {n: c for n, c in loose.items() if c is not None and n not in reserved | names.keys()}
    )


def _end(host: Runtime | RuntimePool, function_id: str, owned: bool) -> None:  # noqa: FBT001
    if owned:
        host.close()
    elif not host.closed:
        host.unload_assembly(function_id)


def _read_references(references: DependencySource) -> dict[str, bytes]:
    try:
        return read_dependencies(references)
    except MalformedImage as error:
        raise MarshallingError(f"a reference is not a .NET assembly: {error}") from error
    except OSError as error:
        raise MarshallingError(f"a reference cannot be read: {error}") from error
