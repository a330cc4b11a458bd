"""What a program left behind: ``subprocess`` knows the shape."""

from __future__ import annotations

import subprocess
from typing import Any

from dotnet_wasm_host.errors import DotnetHostError

__all__ = ["CompletedProgram", "ProgramFailed"]


class CompletedProgram(subprocess.CompletedProcess[Any]):
    """A program that has ended.

    Attributes:
        args: the arguments it was given.
        returncode: what ``Main`` returned, ``Environment.ExitCode`` or the code of
            ``Environment.Exit``; 134 for an exception that nothing caught (as on Linux, 128 +
            SIGABRT), 139 for a trap such as a stack overflow, 137 if it was stopped: by its
            timeout, for want of memory or at a limit.
        stdout, stderr: what it printed, text or bytes.
        exception: why it ended if it did not return: an :class:`~dotnet_wasm_host.InvocationError`
            for a .NET exception, :class:`~dotnet_wasm_host.InvocationTimeout`, ...; else ``None``.
    """

    def __init__(
        self,
        args: Any,  # noqa: ANN401 - as subprocess has it
        returncode: int,
        stdout: Any = None,  # noqa: ANN401
        stderr: Any = None,  # noqa: ANN401
        exception: DotnetHostError | None = None,
    ) -> None:
        super().__init__(args, returncode, stdout, stderr)
        self.exception = exception

    def check_returncode(self) -> None:
        """Raise :class:`ProgramFailed` unless the exit code is 0."""
        if self.returncode:
            raise ProgramFailed(self) from self.exception


class ProgramFailed(DotnetHostError, subprocess.CalledProcessError):
    """A program ended with an exit code that is not 0, and ``check=True`` was asked for.

    Attributes:
        returncode, cmd, stdout, stderr: as ``subprocess.CalledProcessError`` has them.
        completed: the :class:`CompletedProgram`.
    """

    def __init__(self, completed: CompletedProgram) -> None:
        self.completed = completed
        subprocess.CalledProcessError.__init__(
            self, completed.returncode, completed.args, completed.stdout, completed.stderr
        )
        self.args: tuple[Any, ...] = (completed,)

    def __str__(self) -> str:
        why = f": {self.completed.exception}" if self.completed.exception else ""
        return f"the program ended with exit code {self.returncode}{why}"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.completed,)
