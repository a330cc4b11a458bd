"""A session: cells of C# that keep what the ones before have declared."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.abi import MalformedRecord, RecordReader, pack_fields
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.errors import DotnetHostError, MarshallingTypeError
from dotnet_wasm_host.images.image import RuntimeImage, derive_image, frozen_of
from dotnet_wasm_host.notebook.sharing import declare
from dotnet_wasm_host.options import MIB, Limits, WasiOptions
from dotnet_wasm_host.programs.directives import read_directives
from dotnet_wasm_host.programs.packages import package_resolver
from dotnet_wasm_host.programs.program import find_packages, read_references
from dotnet_wasm_host.roslyn.compiler import framework_names
from dotnet_wasm_host.runtime import Runtime
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Self

    from dotnet_wasm_host.assembly import DependencySource
    from dotnet_wasm_host.engines.base import Engine
    from dotnet_wasm_host.nuget.resolving import PackageSources
    from dotnet_wasm_host.options import HttpPolicy

__all__ = ["CSharpSession", "Cell", "CellError"]

_FUNCTION = "session"
_LIMITS = Limits(memory_bytes=1024 * MIB, payload_bytes=512 * MIB, result_bytes=256 * MIB)
#: Cells run while the image is made, so that a user's first one is warm.
_WARM_UP = (
    'record Row(string Name, int Number); var rows = new[] { new Row("a", 1) };',
    "rows.Select(r => r.Number).Sum()",
    'await Task.Delay(1); Console.WriteLine("x"); rows',
)


class CellError(DotnetHostError, ValueError):
    """A cell does not compile; ``errors`` are what the compiler says, one a line.

    Attributes:
        errors: the lines.
    """

    def __init__(self, errors: tuple[str, ...]) -> None:
        self.errors: tuple[str, ...] = errors
        super().__init__("\n".join(errors))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errors,)


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell gave.

    Attributes:
        value: of its last expression, as JSON has it, or bytes; ``None`` without one.
        text: the same as C# prints it; ``""`` without one.
        output: what it printed.
    """

    value: Any
    text: str
    output: str


@final
class CSharpSession(Uncopyable):
    """Runs cells of C#, each of which sees what the ones before have declared.

    >>> from dotnet_wasm_host.notebook import CSharpSession
    >>> with CSharpSession() as session:
    ...     _ = session.run("var x = 20;")
    ...     session.run("x + 1").value
    21

    Args:
        package_sources: where packages of ``#:package`` lines may come from.
        allow_packages: ids of packages that may be used; ``None`` for all.
        references: assemblies that cells use.
        timeout: seconds that a cell may take; a cell that takes longer ends the session's state.
        http: what ``HttpClient`` may reach; nothing without it.
    """

    def __init__(
        self,
        *,
        package_sources: PackageSources = (),
        allow_packages: Iterable[str] | None = None,
        references: DependencySource = (),
        timeout: float | None = None,
        http: HttpPolicy | None = None,
    ) -> None:
        self._resolver = package_resolver(package_sources, allow_packages=allow_packages)
        self._timeout = timeout
        self._output = io.BytesIO()
        self._count = 0
        wasi = WasiOptions(stdout=self._output, stderr=self._output)
        self._runtime = Runtime(_image(get_engine(None)), limits=_LIMITS, wasi=wasi, http=http)
        try:
            self._refer(read_references(references))
        except BaseException:
            self._runtime.close()
            raise

    def run(self, code: str, *, share: Mapping[str, object] | None = None) -> Cell:
        """Run a cell.

        Args:
            code: C#, with ``#:package`` lines if it likes.
            share: variables that the cell gets, and those after it.

        Raises:
            CellError: it does not compile; nothing of it was declared.
            InvocationError: it threw; what it had declared stays.
            PackageError: a package is not to be had.
            MarshallingError: a value cannot be shared.
        """
        if not isinstance(code, str):
            raise MarshallingTypeError(f"a cell is C# text, not {type(code).__name__}; give text")
        self._count += 1
        file = f"cell {self._count}"
        read = read_directives(file, code)
        wanted = list(read.packages)
        if wanted:
            self._refer(find_packages(wanted, self._resolver).libraries)
        for name, value in (share or {}).items():
            self._run(f"shared {name}", declare(name, value))
        return self._run(file, read.text)

    def _run(self, file: str, text: str) -> Cell:
        self._output.seek(0)
        self._output.truncate()
        answer = self._ask(b"C", file.encode(), text.encode(errors="replace"))
        kind, rest = answer[:1], answer[1:]
        if kind == b"E":
            raise CellError(tuple(rest.decode(errors="replace").split("\n")))
        if kind == b"B":
            return Cell(rest, f"byte[{len(rest)}]", self.output)
        if kind != b"V":
            return Cell(None, "", self.output)
        try:
            shown = RecordReader(rest).text()
            data = rest[4 + int.from_bytes(rest[:4], "little") :]
            return Cell(json.loads(data) if data else None, shown, self.output)
        except (MalformedRecord, ValueError, RecursionError) as error:
            raise DotnetHostError(
                f"the session's answer is malformed: {error}; start another session"
            ) from error

    @property
    def output(self) -> str:
        """What the last cell printed, also if it threw."""
        return self._output.getvalue().decode(errors="replace")

    def is_complete(self, code: str) -> bool:
        """Whether text is a cell, or one whose end is missing."""
        return self._ask(b"I", code.encode(errors="replace")) == b"\1"

    def complete(self, code: str, position: int) -> list[str]:
        """Names that can stand at a position of a cell, which may begin with what stands there."""
        request = b"K" + pack_fields(position, code.encode(errors="replace"))
        found = self._runtime.invoke(_FUNCTION, request, timeout=self._timeout)
        return found.decode(errors="replace").split("\n") if found else []

    def close(self) -> None:
        """End the session. Idempotent."""
        self._runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refer(self, libraries: Mapping[str, bytes]) -> None:
        for name, image in libraries.items():
            if "/" not in name:
                self._ask(b"R", image)

    def _ask(self, command: bytes, *fields: bytes) -> bytes:
        request = command + pack_fields(*fields)
        return self._runtime.invoke(_FUNCTION, request, timeout=self._timeout)


@cache
def _image(engine: Engine) -> RuntimeImage:
    return derive_image(RuntimeImage.load("full", engine=engine), _FUNCTION, _make_image)


def _make_image(base: RuntimeImage) -> RuntimeImage:
    store = ArtifactStore.locate()
    roslyn = [store.read(name) for name in store.names("roslyn/")]
    session = store.read("guest/MinimalRuntime.Session.dll")
    names = framework_names(store, frozen_of(base).assembly_names)
    wasi = WasiOptions(stdout=io.BytesIO(), stderr=io.BytesIO())
    with Runtime(base, limits=_LIMITS, wasi=wasi) as runtime:
        runtime.load_assembly(_FUNCTION, session, dependencies=roslyn)
        for _ in range(2):
            runtime.invoke(_FUNCTION, b"F" + pack_fields("\n".join(names).encode()))
            for text in _WARM_UP:
                runtime.invoke(_FUNCTION, b"C" + pack_fields(b"warm up", text.encode()))
            # Its cells are not to be seen, what they made warm is.
            runtime.invoke(_FUNCTION, b"Z")
        runtime.invoke(_FUNCTION, b"F" + pack_fields("\n".join(names).encode()))
        return runtime.snapshot(_FUNCTION)
