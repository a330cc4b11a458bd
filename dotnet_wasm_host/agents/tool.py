"""The tool: what a model wrote is run, with limits, and nothing of the host is in reach."""

from __future__ import annotations

import base64
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.errors import (
    CompilationError,
    DotnetHostError,
    InvocationError,
    MarshallingError,
    MarshallingTypeError,
)
from dotnet_wasm_host.options import MIB, Limits, WasiOptions, require_type
from dotnet_wasm_host.programs.running import run_csharp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dotnet_wasm_host.nuget.resolving import PackageSources
    from dotnet_wasm_host.options import HttpPolicy

__all__ = ["CSharpTool", "ToolLimits"]

#: Where a program finds its files, and leaves others; it starts there.
FOLDER = "/work"


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """What one run may use.

    Args:
        timeout: seconds for packages, compiling and running together.
        memory_bytes: memory of .NET.
        output_bytes: what is kept of each of stdout and stderr; the rest is cut off.
        files_bytes: all files together, those that were given and those that it writes.
        file_count: files that are given back.
    """

    timeout: float = 30.0
    memory_bytes: int = 512 * MIB
    output_bytes: int = 256 << 10
    files_bytes: int = 16 * MIB
    file_count: int = 100

    def __post_init__(self) -> None:
        for name in ("timeout", "memory_bytes", "output_bytes", "files_bytes", "file_count"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise ValueError(f"{name} is {value!r}; give a number above zero")


@final
class CSharpTool:
    r"""Runs C# programs that a model wrote. Call it from any thread; calls share nothing.

    >>> from dotnet_wasm_host.agents import CSharpTool
    >>> tool = CSharpTool()
    >>> tool("Console.WriteLine(6 * 7);")["stdout"]
    '42\n'

    Args:
        limits: what one run may use.
        package_sources: where NuGet packages may come from; none can be used without.
        allow_packages: ids of packages that may be used, dependencies included; ``None`` for all.
        http: what ``HttpClient`` may reach; nothing without it.
    """

    name = "run_csharp"
    description = (
        "Compile and run a C# 12 program on .NET 10 in a sandbox without network, and get its "
        "output. Top-level statements and the usual usings; args, Console.In and files in the "
        "current directory are what you give, and files that the program writes there come back. "
        "There is one thread; async code works. Each call starts afresh."
    )

    def __init__(
        self,
        *,
        limits: ToolLimits | None = None,
        package_sources: PackageSources = (),
        allow_packages: Iterable[str] | None = None,
        http: HttpPolicy | None = None,
    ) -> None:
        require_type("limits", limits, ToolLimits)
        self._limits = limits if limits is not None else ToolLimits()
        self._package_sources = package_sources
        self._allow_packages = None if allow_packages is None else tuple(allow_packages)
        self._http = http

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of what a call takes, for frameworks that want one."""
        texts = {"type": "array", "items": {"type": "string"}}
        properties: dict[str, Any] = {
            "code": {"type": "string", "description": "The program."},
            "args": {**texts, "description": "Its arguments."},
            "stdin": {"type": "string", "description": "What it reads from Console.In."},
            "files": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Files in its current directory: relative path to text.",
            },
        }
        if self._package_sources not in ((), []):
            properties["packages"] = {**texts, "description": "NuGet packages: Name@Version."}
        return {"type": "object", "properties": properties, "required": ["code"]}

    def __call__(
        self,
        code: str,
        args: Iterable[str] = (),
        stdin: str = "",
        files: Mapping[str, str | bytes] | None = None,
        packages: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Run a program. What a program does wrong is in the answer; nothing is raised for it.

        Args:
            code: the program.
            args: its arguments.
            stdin: what it reads from ``Console.In``.
            files: files in its current directory, relative path to text or bytes.
            packages: NuGet packages that it uses.

        Returns:
            ``exit_code`` (``None`` if it did not run), ``stdout``, ``stderr``, ``files`` that it
            wrote or changed (text, or ``{"base64": ...}``), and ``errors``: what the compiler says,
            or why it ended.

        Raises:
            MarshallingError: an argument is not what it should be.
        """
        with tempfile.TemporaryDirectory(prefix="dotnet-wasm-host-") as name:
            folder = Path(name)
            given = self._put(folder, files)
            try:
                answer = self._run(code, args, stdin, packages, folder)
            except CompilationError as error:
                return _answer(errors=[str(d) for d in error.diagnostics if d.severity == "error"])
            except MarshallingError:
                raise
            except DotnetHostError as error:
                return _answer(errors=[str(error)])
            answer["files"] = dict(self._take(folder, given))
            return answer

    def _run(
        self,
        code: str,
        args: Iterable[str],
        stdin: str,
        packages: Iterable[str],
        folder: Path,
    ) -> dict[str, Any]:
        limits = self._limits
        done = run_csharp(
            _in_folder(code),
            args,
            input=stdin,
            packages=packages,
            package_sources=self._package_sources,
            allow_packages=self._allow_packages,
            timeout=limits.timeout,
            http=self._http,
            limits=Limits(
                memory_bytes=limits.memory_bytes,
                files_bytes=limits.files_bytes,
                # What it prints is held until it ends.
                host_work=64 * MIB + 8 * limits.files_bytes,
            ),
            wasi=WasiOptions(directories={FOLDER: (folder, False)}, env={"HOME": FOLDER}),
        )
        return _answer(
            exit_code=done.returncode,
            stdout=self._cut(done.stdout),
            stderr=self._cut(done.stderr),
            errors=[] if done.exception is None else [_reason(done.exception)],
        )

    def _cut(self, text: str) -> str:
        limit = self._limits.output_bytes
        if len(text) <= limit:
            return text
        return f"{text[:limit]}\n... ({len(text) - limit} more characters)"

    def _put(self, folder: Path, files: Mapping[str, str | bytes] | None) -> dict[str, bytes]:
        """Write the files that are given. MarshallingError for what is no file of the folder."""
        if files is None:
            return {}
        if not isinstance(files, Mapping):
            raise MarshallingTypeError(
                f"files are a dict of relative paths and texts, not {type(files).__name__}; give "
                "one"
            )
        given: dict[str, bytes] = {}
        for name, content in files.items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts:
                raise MarshallingError(
                    "files: expected a path inside of the current directory, found "
                    f"{name!r:.80}; give a relative path"
                )
            data = content.encode() if isinstance(content, str) else bytes(content)
            given[str(path)] = data
        if sum(map(len, given.values())) > self._limits.files_bytes:
            raise MarshallingError(
                f"files: expected at most {self._limits.files_bytes} bytes, found more; give fewer"
            )
        for name, data in given.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return given

    def _take(self, folder: Path, given: Mapping[str, bytes]) -> Iterator[tuple[str, Any]]:
        """Files that were written or changed. Links are left alone: they may lead anywhere."""
        left, count = self._limits.files_bytes, 0
        for parent, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                relative = path.relative_to(folder).as_posix()
                content = _read(path, left)
                if content is None or given.get(relative) == content:
                    continue
                left -= len(content)
                count += 1
                if count > self._limits.file_count:
                    return
                yield relative, _portable(content)


def _in_folder(code: str) -> dict[str, str]:
    """The program, and a module initializer that starts it in its folder."""
    if not isinstance(code, str):
        raise MarshallingTypeError(f"code is C# text, not {type(code).__name__}; give text")
    start = (
        "internal static class __StartFolder { [System.Runtime.CompilerServices.ModuleInitializer] "
        f'internal static void Enter() => System.IO.Directory.SetCurrentDirectory("{FOLDER}"); }}'
    )
    return {"program.cs": code, "StartFolder.g.cs": start}


def _answer(
    exit_code: int | None = None,
    stdout: str = "",
    stderr: str = "",
    errors: Iterable[str] = (),
) -> dict[str, Any]:
    return {
        "exit_code": exit_code,
        "stdout": stdout,
        "stderr": stderr,
        "errors": list(errors),
        "files": {},
    }


def _reason(error: DotnetHostError) -> str:
    if isinstance(error, InvocationError):
        return f"{error.dotnet_type}: {error.dotnet_message}\n{error.stack_trace}".rstrip()
    return str(error)


def _read(path: Path, limit: int) -> bytes | None:
    """A regular file of at most so many bytes; ``None`` for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_size > limit:
            return None
        return file.read(limit)


def _portable(content: bytes) -> Any:  # noqa: ANN401 - what JSON can have
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
