"""Every error this library raises, in one tree.

::

    DotnetHostError
     |- ArtifactError
     |- DescriptorError       (ValueError)
     |- EngineUnavailable     (ImportError)
     |- AssemblyLoadError     (ValueError)
     |   `- HandlerNotFound
     |- CompilationError      (ValueError)
     |- FunctionNotLoaded     (KeyError)
     |- InvocationError
     |   `- MissingApi
     |- InvocationTimeout     (TimeoutError)
     |- InvocationCancelled
     |- FunctionSuspended
     |- GuestOutOfMemory      (MemoryError)
     |- GuestTerminated
     |- GuestTrap
     |- InstanceLost
     |- HostFunctionMissing   (LookupError)
     |- LimitExceeded         (ValueError)
     |   `- TooManyCalls
     |- StandaloneBuildError  (ValueError)
     |- HttpPolicyError       (PermissionError)
     |- ExtraNotInstalled     (ImportError)
     |- VersionMismatch       (RuntimeError)
     |- StackTooSmall
     |- ThreadOccupied
     |- RuntimeClosed         (ValueError)
     |- MemoryAccessError     (IndexError)
     `- MarshallingError      (ValueError)
         |- MarshallingTypeError  (TypeError)
         |- MarshallingOverflowError  (OverflowError)
         `- StaleObject          (ReferenceError)

Each class is also the built-in exception it means, so ``except KeyError`` and
``except TimeoutError`` keep working. ``str(error)`` is one readable sentence; what a
program may want to look at is an attribute. A .NET stack trace is the attribute
``stack_trace`` and, on Python 3.11 and newer, an exception note that tracebacks show.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.diagnostic import Diagnostic

__all__ = [
    "ArtifactError", "AssemblyLoadError", "CompilationError", "DescriptorError",
    "DotnetHostError", "EngineUnavailable", "ExtraNotInstalled", "FunctionNotLoaded",
    "FunctionSuspended", "GuestOutOfMemory", "GuestTerminated", "GuestTrap", "HandlerNotFound",
    "HostFunctionMissing", "HttpPolicyError", "InstanceLost", "InvocationCancelled",
    "InvocationError", "InvocationTimeout", "LimitExceeded", "MarshallingError",
    "MarshallingOverflowError", "MarshallingTypeError", "MemoryAccessError", "MissingApi",
    "RuntimeClosed", "StackTooSmall", "StaleObject", "StandaloneBuildError", "ThreadOccupied",
    "TooManyCalls", "VersionMismatch",
]  # fmt: skip

# C0 but for tab and line feed, DEL, C1; and what turns the direction of text (UAX 9).
_CONTROLS = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (
        *(code for code in range(0x20) if chr(code) not in "\t\n"),
        *range(0x7F, 0xA0),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    )
}


def escape_controls(text: str) -> str:
    """What a guest says, as it may be shown: a terminal obeys control characters."""
    return text if text.isprintable() else text.replace("\r\n", "\n").translate(_CONTROLS)


class DotnetHostError(Exception):
    """Base of every error raised by dotnet_wasm_host."""

    def __str__(self) -> str:
        """The message. Attributes have what a guest said as it said it, control characters too."""
        # Not that of KeyError, which would show the repr of the message.
        return escape_controls(Exception.__str__(self))

    def _attach_note(self, note: str) -> None:
        # Exception notes exist since Python 3.11; on 3.10 the attributes carry the same text.
        add_note = getattr(self, "add_note", None)
        if add_note is not None and note:
            add_note(escape_controls(note))


class ArtifactError(DotnetHostError):
    """A runtime artifact is missing, damaged or of a build this version does not know.

    The message says which file, what was expected of it and what to run.
    """


class DescriptorError(DotnetHostError, ValueError):
    """A descriptor or substitution file for the trimmer cannot be read, or names nothing there is.

    The message says which file and what in it.
    """


class EngineUnavailable(DotnetHostError, ImportError):
    """The WebAssembly engine is not installed or does not exist for this Python."""


class StandaloneBuildError(DotnetHostError, ValueError):
    """What was asked for cannot be a standalone module; nothing was written."""


class ExtraNotInstalled(DotnetHostError, ImportError):
    """Something needs a package that only an extra of this one installs.

    Attributes:
        extra: its name, as in ``pip install dotnet-wasm-host[http]``.
    """

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        self._what = what
        super().__init__(f"{what}: pip install dotnet-wasm-host[{extra}]")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._what, self.extra)


class AssemblyLoadError(DotnetHostError, ValueError):
    """.NET refused an assembly, or its handler could not be made.

    Attributes:
        function_id: the id that was being loaded; it is not loaded now.
        dotnet_type: full name of the .NET exception, for example
            ``System.BadImageFormatException``.
        reason: what .NET said.
        stack_trace: .NET stack trace where user code ran (constructors), else ``""``.
    """

    def __init__(
        self, function_id: str, dotnet_type: str, reason: str, stack_trace: str = ""
    ) -> None:
        self.function_id = function_id
        self.dotnet_type = dotnet_type
        self.reason = reason
        self.stack_trace = stack_trace
        super().__init__(f"{function_id!r} could not be loaded: {reason}")
        self._attach_note(stack_trace)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.function_id, self.dotnet_type, self.reason, self.stack_trace)


class HandlerNotFound(AssemblyLoadError):
    """The assembly loads but has no usable ``MinimalRuntime.IFunctionHandler``."""


class CompilationError(DotnetHostError, ValueError):
    """C# source did not compile. ``diagnostics`` has every error and warning."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        errors = [d for d in self.diagnostics if d.severity == "error"]
        first = str(errors[0]) if errors else "no diagnostics were given"
        more = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
        super().__init__(f"{first}{more}")
        self._attach_note("\n".join(map(str, errors[1:])))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.diagnostics,)


class FunctionNotLoaded(DotnetHostError, KeyError):
    """No function of this id (or of this generation of it) is loaded."""

    def __init__(self, function_id: str, detail: str = "is not loaded; load it first") -> None:
        self.function_id = function_id
        self.detail = detail
        super().__init__(f"function {function_id!r} {detail}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.function_id, self.detail)


class InvocationError(DotnetHostError):
    """A .NET exception escaped the handler.

    Attributes:
        function_id: the function that threw.
        dotnet_type: full name of the exception type, ``System.ArgumentException``.
        dotnet_message: its ``Message``.
        stack_trace: its ``StackTrace`` (innermost frame first), ``""`` if it has none.
        inner: the ``InnerException`` as another :class:`InvocationError`, or ``None``.
        advice: what is missing or what to do, where .NET does not say it; else ``""``.
        row: of the columns that a method was called for, counted from 0; ``None`` if it was not
            called for rows, or for many at once.
    """

    def __init__(
        self,
        function_id: str,
        dotnet_type: str,
        dotnet_message: str,
        stack_trace: str = "",
        inner: InvocationError | None = None,
        advice: str = "",
        row: int | None = None,
    ) -> None:
        self.function_id = function_id
        self.advice = advice
        self.row = row
        self.dotnet_type = dotnet_type
        self.dotnet_message = dotnet_message
        self.stack_trace = stack_trace
        self.inner = inner
        said = f": {dotnet_message}" if dotnet_message.strip() else ", without a message"
        said += f" ({advice})" if advice else ""
        where = "" if row is None else f", row {row}"
        super().__init__(f"{dotnet_type} in function {function_id!r}{where}{said}")
        self._attach_note(stack_trace)
        self.__cause__: BaseException | None = inner

    def __reduce__(self) -> tuple[object, ...]:
        facts = (self.function_id, self.dotnet_type, self.dotnet_message)
        return type(self), (*facts, self.stack_trace, self.inner, self.advice, self.row)


class MissingApi(InvocationError):
    """A function needs a part of the base library that its trimmed image does not have.

    The .NET exception that said so is in the attributes of :class:`InvocationError`.

    Attributes:
        api: the type, member or assembly; several with "or" in between where .NET did not say
            which of them it was.
        image: name of the image.
        found_in: name of the smallest built-in image that has it.
        fatal: .NET could not throw an exception and ended; the instance was replaced.
    """

    def __init__(
        self, error: InvocationError, api: str, image: str, found_in: str, *, fatal: bool = False
    ) -> None:
        super().__init__(
            error.function_id, error.dotnet_type, error.dotnet_message, error.stack_trace,
            error.inner,
        )  # fmt: skip
        self.api: str = api
        self.image: str = image
        self.found_in: str = found_in
        self.fatal: bool = fatal
        needs = missing_api_sentence(api, image, found_in)
        self.args: tuple[Any, ...] = (f"function {error.function_id!r} {needs}",)

    def __reduce__(self) -> tuple[object, ...]:
        error = InvocationError(
            self.function_id, self.dotnet_type, self.dotnet_message, self.stack_trace, self.inner
        )
        arguments = (error, self.api, self.image, self.found_in)
        return partial(type(self), fatal=self.fatal), arguments


def missing_api_sentence(api: str, image: str, found_in: str) -> str:
    """What to do about a missing API, for behind a name."""
    return f"needs {api}, which image {image!r} does not have; use Runtime(image={found_in!r})"


class InvocationTimeout(DotnetHostError, TimeoutError):
    """The call overran its deadline; the instance was discarded and replaced."""


class InvocationCancelled(DotnetHostError):
    """Somebody cancelled the call; the instance was discarded and replaced if it had begun."""


class FunctionSuspended(DotnetHostError):
    """The function killed its instance too many times in a row; load it again to call it again.

    Attributes:
        function_id: the function.
        crashes: how many times in a row; ``Limits.crash_limit`` says how many are too many.
    """

    def __init__(self, function_id: str, crashes: int) -> None:
        self.function_id = function_id
        self.crashes = crashes
        super().__init__(
            f"function {function_id!r} killed its instance {crashes} times in a row and is not "
            "called any more; load it again when it is mended (Limits.crash_limit)"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.function_id, self.crashes)


class VersionMismatch(DotnetHostError, RuntimeError):
    """A function was pickled by another version of this package; raised when it is called."""


class StackTooSmall(DotnetHostError):
    """The calling thread's stack is smaller than what guest code may use.

    Attributes:
        stack_bytes: size of the thread's stack.
        needed_bytes: what a thread that calls guests needs.
    """

    def __init__(self, stack_bytes: int, needed_bytes: int) -> None:
        self.stack_bytes = stack_bytes
        self.needed_bytes = needed_bytes
        super().__init__(
            f"this thread has {stack_bytes} bytes of stack and needs {needed_bytes} to call a "
            f"guest: start it after threading.stack_size({needed_bytes}), or give the runtime "
            "less with Limits(stack_bytes=...)"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.stack_bytes, self.needed_bytes)


class ThreadOccupied(DotnetHostError):
    """Another greenlet of the calling thread is inside of a guest.

    Greenlets share a thread and its stack. gevent's take turns; others are refused.
    """

    def __init__(self) -> None:
        super().__init__(
            "expected no other greenlet of this thread to be inside of a guest, found one that "
            "switched in a host function; let one call end before the next begins, or run them in "
            "threads of the operating system"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), ()


class GuestOutOfMemory(DotnetHostError, MemoryError):
    """The guest died because its linear memory limit left no room.

    Attributes:
        survived: it did not die, there was only no room for a payload.
    """

    survived = False


class GuestTerminated(DotnetHostError):
    """The guest ended itself: ``Environment.Exit``, ``Environment.FailFast`` or ``abort``.

    Attributes:
        exit_code: the code given to ``exit``; 134 (128 + SIGABRT) for ``abort``.
        is_exit: whether it asked for its end, as ``Environment.Exit`` does; otherwise .NET gave up.
    """

    def __init__(self, exit_code: int, message: str | None = None, *, is_exit: bool = True) -> None:
        self.exit_code = exit_code
        self.is_exit = is_exit
        self._message = message
        super().__init__(message or f"the guest terminated itself with exit code {exit_code}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.exit_code, self._message), {"is_exit": self.is_exit}


class GuestTrap(DotnetHostError):
    """WebAssembly trapped: stack overflow, access out of bounds, unreachable code.

    Attributes:
        trap_message: the engine's own words.
        wasm_backtrace: WebAssembly frames, innermost first, one a line.
    """

    def __init__(self, trap_message: str, wasm_backtrace: str = "") -> None:
        self.trap_message = trap_message
        self.wasm_backtrace = wasm_backtrace
        super().__init__(f"the guest trapped: {trap_message}")
        self._attach_note(wasm_backtrace)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.trap_message, self.wasm_backtrace)


class InstanceLost(DotnetHostError):
    """The call waited in an instance that another call broke, or that was replaced or closed.

    Attributes:
        cause: what happened to the instance, in words.
    """

    def __init__(self, function_id: str, cause: str) -> None:
        self.function_id = function_id
        self.cause = cause
        super().__init__(f"{function_id!r} waited in an instance that is gone: {cause}; call again")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.function_id, self.cause)


class HostFunctionMissing(DotnetHostError, LookupError):
    """The guest called a host function that the runtime was not given."""


#: What a guest dies of by its own doing.
CRASHES = (InvocationTimeout, GuestOutOfMemory, GuestTerminated, GuestTrap)


def is_crash(error: BaseException | None) -> bool:
    """True if the guest died, and of its own doing."""
    if isinstance(error, MissingApi):
        return error.fatal
    return isinstance(error, CRASHES) and not getattr(error, "survived", False)


class LimitExceeded(DotnetHostError, ValueError):
    """Something is larger than ``Limits`` allows, or than this process has room for.

    Attributes:
        limit: the field of :class:`~dotnet_wasm_host.Limits` (or argument of the pool) that says
            how much is allowed, for example ``"host_work"``; ``""`` if none does.
    """

    def __init__(self, message: str, *, limit: str = "") -> None:
        self.limit = limit
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return partial(type(self), limit=self.limit), self.args


class TooManyCalls(LimitExceeded):
    """As many calls wait in a pool as may wait; try again later."""


class HttpPolicyError(DotnetHostError, PermissionError):
    """The runtime's ``HttpPolicy`` refuses a request of the guest, or what came back."""


class RuntimeClosed(DotnetHostError, ValueError):
    """The runtime was closed; make a new one."""


class MemoryAccessError(DotnetHostError, IndexError):
    """A pointer and length do not lie inside linear memory.

    Attributes:
        ptr: address asked for, in bytes from the start of linear memory.
        length: number of bytes asked for.
        memory_size: size of linear memory at that moment, in bytes.
    """

    def __init__(self, ptr: int, length: int, memory_size: int, reason: str | None = None) -> None:
        self.ptr = ptr
        self.length = length
        self.memory_size = memory_size
        self._reason = reason
        super().__init__(
            reason
            or f"{length} bytes at address {ptr:#x} are outside the {memory_size} bytes "
            "of linear memory; check the pointer and the length"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.ptr, self.length, self.memory_size, self._reason)


class MarshallingError(DotnetHostError, ValueError):
    """A value does not fit the type or format it has to cross the boundary in."""


class MarshallingTypeError(MarshallingError, TypeError):
    """A value of the wrong Python type was given where bytes, text or a number must be."""


class MarshallingOverflowError(MarshallingError, OverflowError):
    """A number is outside of the range of the type it has to cross the boundary in."""


class StaleObject(MarshallingError, ReferenceError):
    """An object of C# is gone, because the instance that had it was replaced."""
