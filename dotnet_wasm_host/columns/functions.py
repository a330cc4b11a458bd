"""A method of C# as a function over columns."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, final

from dotnet_wasm_host.columns.builtin_errors import typed_error
from dotnet_wasm_host.columns.kernels import HANDLER
from dotnet_wasm_host.columns.plain import ConstantColumn
from dotnet_wasm_host.columns.tables import library_of, table_of
from dotnet_wasm_host.columns.wire import pack_rows, read_answer
from dotnet_wasm_host.errors import (
    DotnetHostError,
    ExtraNotInstalled,
    InvocationError,
    MarshallingError,
    MarshallingTypeError,
)
from dotnet_wasm_host.pool.cpus import usable_cpus
from dotnet_wasm_host.pool.pool import RuntimePool
from dotnet_wasm_host.pool.portable import DotnetFunction, MismatchedFunction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dotnet_wasm_host.columns.methods import ColumnMethod
    from dotnet_wasm_host.columns.sources import ColumnSource
    from dotnet_wasm_host.columns.tables import Table
    from dotnet_wasm_host.columns.wire import Answer, Column
    from dotnet_wasm_host.runtime import Runtime

__all__ = ["ColumnFunction", "ColumnKernel", "HostedKernel", "PortableKernel"]

#: The guest's exception that says the row of another one.
ROW_ERROR = "MinimalRuntime.Columns.RowError"
#: Rows that go to C# at once: few enough for the caches of a CPU, many enough to forget the call.
CHUNK_ROWS = 65_536
#: Bytes of a payload that is halved.
_LARGE_PAYLOAD = 16 << 20


class ColumnKernel(Protocol):
    """The kernel of a method, somewhere."""

    @property
    def method(self) -> ColumnMethod:
        """The method."""

    @property
    def bases(self) -> Mapping[str, str]:
        """Base class by name, of the module's exceptions."""

    @property
    def parallel(self) -> int:
        """Calls that may run at a time."""

    def call(self, payload: bytes, timeout: float | None) -> bytes:
        """Call it."""


@final
class PortableKernel:
    """A kernel that any process can run: compiled once, and pickled with what it needs.

    Args:
        source: what it is made of.
        options: of the runtimes, as for :class:`DotnetFunction`.
    """

    def __init__(self, source: ColumnSource, options: Mapping[str, Any]) -> None:
        self.method, self.bases = source.method, dict(source.bases)
        self._source, self._options = source, dict(options)
        self._lock = threading.Lock()
        self._function: DotnetFunction | None = None

    @property
    def parallel(self) -> int:
        """As many as there are CPUs, which is what the pool of a process has."""
        return usable_cpus()

    @property
    def function(self) -> DotnetFunction:
        """The compiled kernel."""
        with self._lock:
            if self._function is None:
                self._function = DotnetFunction(
                    self._source.compile(),
                    dependencies=self._source.dependencies(),
                    handler_type=HANDLER,
                    **self._options,
                )
            return self._function

    def call(self, payload: bytes, timeout: float | None) -> bytes:
        """Call it in a runtime of this process."""
        return self.function(payload, timeout=timeout)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PortableKernel):
            return NotImplemented
        return self is other or self.function == other.function

    def __hash__(self) -> int:
        return hash(self.function)

    def __reduce__(self) -> tuple[object, ...]:
        # What another version can read is the function alone.
        return _kernel, (self.function, pickle.dumps((self.method, self.bases), protocol=5))


def _kernel(
    function: DotnetFunction | MismatchedFunction, rest: bytes
) -> PortableKernel | MismatchedFunction:
    if isinstance(function, MismatchedFunction):
        return function
    made = PortableKernel.__new__(PortableKernel)
    made.method, made.bases = pickle.loads(rest)  # noqa: S301 - as trusted as what it is a part of
    made._function, made._lock = function, threading.Lock()  # noqa: SLF001 - its own
    return made


@final
class HostedKernel:
    """A kernel in a runtime or a pool that somebody has; it stays in this process.

    Args:
        source: what it is made of.
        host: where.
        function_id: the id that it is loaded under, when it is called first.
    """

    def __init__(self, source: ColumnSource, host: Runtime | RuntimePool, function_id: str) -> None:
        self.method, self.bases = source.method, dict(source.bases)
        self._source = source
        self._host, self._function_id = host, function_id
        self._lock, self._loaded = threading.Lock(), False
        self._kept: object = None

    def keep(self, module: object) -> None:
        """Keep alive what ends the host."""
        self._kept = module

    @property
    def parallel(self) -> int:
        """The places of a pool."""
        host = self._host
        return host.stats().size if isinstance(host, RuntimePool) else 1

    def call(self, payload: bytes, timeout: float | None) -> bytes:
        """Call it."""
        with self._lock:
            if not self._loaded:
                self._host.load_assembly(
                    self._function_id,
                    self._source.compile(),
                    dependencies=self._source.dependencies(),
                    handler_type=HANDLER,
                )
                self._loaded = True
        return self._host.invoke(self._function_id, payload, timeout=timeout)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(
            "columns of a module with runtime= or host functions stay in their process; to pickle "
            "them, give their options to csharp() instead of a runtime"
        )


@final
class ColumnFunction:
    """A method of C# over columns; ``module.Method.columns``, where ``module`` is of ``csharp``.

    It takes a table and gives the same kind of table with one more column: a dict of arrays, a
    structured array of NumPy, a ``DataFrame`` of pandas or Polars, a ``Table`` or ``RecordBatch``
    of Arrow, or an iterator of these. Parameters get the columns of their names. A method of plain
    values is called for each row; one that takes ``ReadOnlySpan<T>`` gets many rows at once, and
    fills a ``Span<T>`` or returns an array. ``docs/data.md`` says which types of columns there are.

    It can be pickled, and is called in whichever process it comes to.

    ::

        m = dwh.csharp("public static double Score(double a, double b) => a * 2 + b;")
        m.Score.columns({"a": a, "b": b})["Score"]
    """

    def __init__(self, kernel: ColumnKernel) -> None:
        self._kernel, self._method = kernel, kernel.method
        self.__name__ = self._method.name
        self.__qualname__ = f"{self._method.name}.columns"

    @property
    def method(self) -> ColumnMethod:
        """What is known of the method."""
        return self._method

    @property
    def schema(self) -> Any:  # noqa: ANN401 - pyarrow has no types of its own
        """The column that it makes, as ``pyarrow.Schema``; needs the extra ``arrow``."""
        return self.schema_with(None)

    def schema_with(self, schema: Any, *, output: str | None = None) -> Any:  # noqa: ANN401
        """The schema of a table of ``schema`` with the column that it makes.

        Args:
            schema: a ``pyarrow.Schema``; ``None`` for no other columns.
            output: name of the column, the method's if not given.
        """
        try:
            from dotnet_wasm_host.columns.arrow_arrays import arrow_field, arrow_schema
        except ImportError as error:
            raise ExtraNotInstalled("a schema of Arrow needs pyarrow", "arrow") from error
        name = self._method.name if output is None else output
        if schema is None:
            return arrow_schema(self._method, name)
        field, index = arrow_field(self._method, name), schema.get_field_index(name)
        return schema.append(field) if index < 0 else schema.set(index, field)

    def __call__(
        self,
        table: Any,  # noqa: ANN401 - of many kinds
        /,
        *,
        output: str | None = None,
        columns: Mapping[str, Any] | None = None,
        chunk_rows: int | None = None,
        timeout: float | None = None,
        **constants: Any,  # noqa: ANN401 - as the method's parameters
    ) -> Any:  # noqa: ANN401 - as the table
        """The table with the column of results.

        Args:
            table: the rows; an iterator of tables gives an iterator, which computes when asked.
            output: name of the new column, the method's if not given.
            columns: names of columns by the names of parameters, where they differ.
            chunk_rows: rows that go to C# at once, 65,536 if not given.
            timeout: seconds that each of these calls may take; by default the runtimes' limit.
            constants: values of parameters that get none of the columns.

        Raises:
            MarshallingTypeError, MarshallingOverflowError, MarshallingError: a column is not there
                or not of the parameter's type, or a value is none of it; the message has its row.
            InvocationError: the method threw; ``row`` says where if it was called for one row.
            InvocationTimeout, GuestTrap and others: as for :class:`Runtime.invoke`.
        """
        if chunk_rows is not None and not 1 <= chunk_rows < 1 << 31:
            raise ValueError(f"chunk_rows is {chunk_rows}; give 1 to 2,147,483,647")
        size = CHUNK_ROWS if chunk_rows is None else chunk_rows
        name = self._method.name if output is None else output

        def apply(table: Any) -> Any:  # noqa: ANN401
            return self._apply(table_of(table), name, columns or {}, constants, size, timeout)

        if library_of(table, "RecordBatchReader") == "pyarrow":
            import pyarrow as pa

            schema = self.schema_with(table.schema, output=name)
            return pa.RecordBatchReader.from_batches(schema, map(apply, table))
        if isinstance(table, Iterator):
            return map(apply, table)
        return apply(table)

    def _apply(
        self,
        table: Table,
        name: str,
        names: Mapping[str, Any],
        constants: Mapping[str, Any],
        size: int,
        timeout: float | None,
    ) -> Any:  # noqa: ANN401 - as the table
        columns = self._columns(table, names, constants)
        result = table.result(self._method)
        chunks = [(start, min(start + size, table.rows)) for start in range(0, table.rows, size)]

        def compute(chunk: tuple[int, int]) -> list[tuple[int, Answer]]:
            return self._compute(columns, *chunk, timeout)

        for answers in _in_order(compute, chunks, self._kernel.parallel):
            for start, answer in answers:
                result.add(start, answer)
        return table.with_column(name, result.finish())

    def _columns(
        self, table: Table, names: Mapping[str, Any], constants: Mapping[str, Any]
    ) -> list[Column]:
        method = self._method
        known = {parameter.name for parameter in method.parameters}
        if strange := sorted({*names, *constants} - known):
            raise MarshallingTypeError(
                f"{method.name}(): expected the parameters {', '.join(sorted(known)) or 'none'}, "
                f"found {', '.join(strange)}; name them as C# does"
            )
        there, found = table.names(), list[Any]()
        for parameter in method.parameters:
            column = names.get(parameter.name, parameter.name)
            if parameter.name in constants:
                found.append(ConstantColumn(method.name, parameter, constants[parameter.name]))
            elif column in there:
                if not parameter.is_span and method.has_spans:
                    raise MarshallingTypeError(
                        f"{method.name}(): parameter {parameter.name!r} takes one value for all "
                        f"rows; give it as {parameter.name}=..., or make it a ReadOnlySpan"
                    )
                found.append(table.column(method.name, parameter, column))
            elif parameter.default and parameter.name not in names:
                found.append(ConstantColumn(method.name, parameter, parameter.default[0]))
            else:
                raise MarshallingTypeError(
                    f"{method.name}(): expected a column {column!r}, found "
                    f"{', '.join(map(repr, there)) or 'none'}; give the name of yours with "
                    f"columns={{{parameter.name!r}: ...}}"
                )
        return found

    def _compute(
        self, columns: Sequence[Column], start: int, stop: int, timeout: float | None
    ) -> list[tuple[int, Answer]]:
        """Results of some rows, in the calling thread."""
        rows = stop - start
        parts = [column.part(start, stop) for column in columns]
        size = sum(memoryview(block).nbytes for part in parts for block in part.blocks)
        if size > _LARGE_PAYLOAD and rows > 1:
            middle = start + rows // 2
            return [
                *self._compute(columns, start, middle, timeout),
                *self._compute(columns, middle, stop, timeout),
            ]
        try:
            data = self._kernel.call(pack_rows(rows, parts), timeout)
        except InvocationError as error:
            failure = self._failure(error, start, stop)
            raise failure from failure.__cause__
        except DotnetHostError as error:
            error._attach_note(_rows(start, stop))  # noqa: SLF001 - of this package
            raise
        try:
            return [(start, read_answer(data, rows, self._method.result))]
        except MarshallingError as error:
            error._attach_note(_rows(start, stop))  # noqa: SLF001
            raise

    def _failure(self, error: InvocationError, start: int, stop: int) -> DotnetHostError:
        row = None
        if error.dotnet_type == ROW_ERROR and error.inner is not None:
            at = error.dotnet_message
            row = start + int(at) if at.isdecimal() and int(at) < stop - start else None
            error = error.inner
        made = typed_error(error, self._method.name, self._kernel.bases, row)
        if row is None:
            made._attach_note(_rows(start, stop))  # noqa: SLF001
        return made

    def __dask_tokenize__(self) -> object:
        """Dask's name for the value, without pickling it."""
        kernel = self._kernel
        return kernel.function.function_id if isinstance(kernel, PortableKernel) else id(kernel)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ColumnFunction):
            return NotImplemented
        return self._kernel == other._kernel

    def __hash__(self) -> int:
        return hash(self._kernel)

    def __reduce__(self) -> tuple[object, ...]:
        return _columns, (self._kernel,)

    def __repr__(self) -> str:
        given = ", ".join(p.name for p in self._method.parameters)
        return f"<ColumnFunction {self._method.name}({given})>"


def _columns(kernel: ColumnKernel | MismatchedFunction) -> ColumnFunction | MismatchedFunction:
    return kernel if isinstance(kernel, MismatchedFunction) else ColumnFunction(kernel)


def _rows(start: int, stop: int) -> str:
    return f"rows {start} to {stop - 1} of the table"


def _in_order(
    compute: Callable[[tuple[int, int]], list[tuple[int, Answer]]],
    chunks: Sequence[tuple[int, int]],
    parallel: int,
) -> Iterator[list[tuple[int, Answer]]]:
    """Results of chunks as they come one behind the other; computed in threads."""
    if parallel == 1 or len(chunks) < 2:
        yield from map(compute, chunks)
        return
    from collections import deque
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(parallel, thread_name_prefix="dotnet-columns") as threads:
        # A few in advance, so that no thread waits, and payloads do not pile up.
        ahead = deque(threads.submit(compute, chunk) for chunk in chunks[: 2 * parallel])
        rest = iter(chunks[2 * parallel :])
        try:
            while ahead:
                answers = ahead.popleft().result()
                if (following := next(rest, None)) is not None:
                    ahead.append(threads.submit(compute, following))
                yield answers
        finally:
            for future in ahead:
                future.cancel()
