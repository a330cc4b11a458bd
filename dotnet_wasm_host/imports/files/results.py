"""What a host import returns when it fails.

A guest's pointers are hostile: one that leads out of linear memory must come back as EFAULT, or
as a trap where the C signature has no room for an error, never as a Python error of ours.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from dotnet_wasm_host.errors import GuestTrap, MarshallingError, MemoryAccessError
from dotnet_wasm_host.imports.files.paths import PATH_MAX
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.memory import Memory

__all__ = ["read_path", "syscall", "trapping", "wasi_call"]

P = ParamSpec("P")
R = TypeVar("R")


def wasi_call(function: Callable[P, int]) -> Callable[P, int]:
    """A WASI function: failures come back as a positive errno."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return function(*args, **kwargs)
        except FileSystemError as error:
            return int(error.errno)
        except MemoryAccessError:
            return int(Errno.EFAULT)

    return call


def syscall(function: Callable[P, int]) -> Callable[P, int]:
    """A Linux system call: failures come back as a negative errno."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return function(*args, **kwargs)
        except FileSystemError as error:
            return -error.errno
        except MemoryAccessError:
            return -Errno.EFAULT

    return call


def trapping(function: Callable[P, R]) -> Callable[P, R]:
    """A function without an errno: a bad pointer is what it would be inside WebAssembly."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (MemoryAccessError, MarshallingError) as error:
            raise GuestTrap(f"out of bounds memory access ({error})") from None

    return call


def read_path(memory: Memory, ptr: int) -> bytes:
    """The path at ``ptr``. EFAULT for null, ENAMETOOLONG if it has no NUL within PATH_MAX."""
    if ptr == 0:
        raise FileSystemError(Errno.EFAULT)
    try:
        return memory.read_c_string(ptr, PATH_MAX)
    except MarshallingError:
        ends_early = memory.size - ptr < PATH_MAX
        raise FileSystemError(Errno.EFAULT if ends_early else Errno.ENAMETOOLONG) from None
