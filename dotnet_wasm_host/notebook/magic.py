"""The magics ``%%csharp`` and ``%csharp_packages``. Needs IPython, which a notebook has."""

from __future__ import annotations

import argparse
import atexit
import html
import shlex
import sys
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import DotnetHostError, InvocationError
from dotnet_wasm_host.notebook.session import CellError, CSharpSession

if TYPE_CHECKING:
    from typing_extensions import Self

    from dotnet_wasm_host.notebook.session import Cell

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

#: How images begin that a notebook can show: PNG, JPEG.
_IMAGES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_MAX_ROWS = 100


class _Usage(Exception):
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:  # noqa: ANN401 - never returns
        raise _Usage(f"{message}\n{self.format_usage()}")


class _Magic:
    """The session of a shell."""

    def __init__(self, shell: Any) -> None:  # noqa: ANN401 - IPython has no types here
        self._shell = shell
        self._session: CSharpSession | None = None
        self._options: dict[str, Any] = {}
        self._parser = _Parser(prog="%%csharp", add_help=False)
        self._parser.add_argument("--share", default="", help="names of Python, with commas")
        self._parser.add_argument("--out", "-o", default="", help="name that gets the value")
        self._parser.add_argument("--reset", action="store_true", help="start afresh")
        self._parser.add_argument("--timeout", type=float, default=None)

    @property
    def session(self) -> CSharpSession:
        """The session, started when it is needed."""
        if self._session is None:
            self._session = CSharpSession(**self._options)
        return self._session

    def csharp(self, line: str, cell: str | None = None) -> Any:  # noqa: ANN401 - what C# gave
        """Run a cell of C#; ``--share x,y`` gives it variables, ``--out z`` takes its value."""
        try:
            if cell is None:
                return self._show(self.session.run(line))
            options = self._parser.parse_args(shlex.split(line))
            if options.reset or options.timeout is not None:
                self.close()
                self._options["timeout"] = options.timeout
            shared = {name: self._variable(name) for name in _names(options.share)}
            done = self.session.run(cell, share=shared)
        except _Usage as usage:
            print(f"UsageError: {usage}", file=sys.stderr)
        except CellError as error:
            print("\n".join(error.errors), file=sys.stderr)
        except InvocationError as error:
            self._print()
            said = f"{error.dotnet_type}: {error.dotnet_message}\n{error.stack_trace}"
            print(said.rstrip(), file=sys.stderr)
        except DotnetHostError as error:
            self._print()
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        else:
            if options.out:
                self._shell.user_ns[options.out] = done.value
            return self._show(done)
        return None

    def packages(self, line: str) -> None:
        """Say where packages come from: folders, feeds, NuGet.Config. The session starts afresh."""
        self.close()
        self._options["package_sources"] = shlex.split(line)

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _variable(self, name: str) -> object:
        if name not in self._shell.user_ns:
            raise _Usage(f"--share: there is no variable {name!r}")
        value: object = self._shell.user_ns[name]
        return value

    def _print(self) -> None:
        if self._session is not None:
            print(self._session.output, end="")

    def _show(self, cell: Cell) -> Any:  # noqa: ANN401
        print(cell.output, end="")
        value = cell.value
        if isinstance(value, bytes):
            for start, kind in _IMAGES.items():
                if value.startswith(start):
                    return _Image(value, kind)
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            return _Table(table(value), value)
        return cell.text if value is None and cell.text else value


class _Image(bytes):
    """Bytes for Python, a picture for a notebook."""

    _mime: str

    def __new__(cls, data: bytes, mime: str) -> Self:
        made = super().__new__(cls, data)
        made._mime = mime
        return made

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        return {self._mime: bytes(self), "text/plain": f"<image of {len(self)} bytes>"}


class _Table(list[Any]):
    """Rows: a list for Python, a table for a notebook."""

    def __init__(self, markup: str, rows: list[Any]) -> None:
        super().__init__(rows)
        self._markup = markup

    def _repr_html_(self) -> str:
        return self._markup


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a table of HTML; text is escaped, for it is a guest's."""
    columns = list(dict.fromkeys(str(column) for row in rows for column in row))
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    shown = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_text(row.get(c)))}</td>" for c in columns) + "</tr>"
        for row in rows[:_MAX_ROWS]
    )
    more = len(rows) - _MAX_ROWS
    note = f"<caption>{more} more rows</caption>" if more > 0 else ""
    return f"<table>{note}<thead><tr>{head}</tr></thead><tbody>{shown}</tbody></table>"


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def load_ipython_extension(ipython: Any) -> None:  # noqa: ANN401 - IPython has no types here
    """``%load_ext dotnet_wasm_host``: the magics ``%%csharp`` and ``%csharp_packages``."""
    magic = _Magic(ipython)
    ipython.register_magic_function(magic.csharp, "line_cell", "csharp")
    ipython.register_magic_function(magic.packages, "line", "csharp_packages")
    ipython.dotnet_wasm_host = magic
    atexit.register(magic.close)


def unload_ipython_extension(ipython: Any) -> None:  # noqa: ANN401
    """``%unload_ext dotnet_wasm_host``: end the session."""
    ipython.dotnet_wasm_host.close()
