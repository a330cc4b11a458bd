"""What .NET reports, and what guests die of, as errors of this library."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import (
    AssemblyLoadError,
    GuestOutOfMemory,
    GuestTerminated,
    GuestTrap,
    InvocationCancelled,
    InvocationError,
    InvocationTimeout,
    MissingApi,
    missing_api_sentence,
)
from dotnet_wasm_host.guest.error_advice import advice_on
from dotnet_wasm_host.imports.host import CxxException

if TYPE_CHECKING:
    from dotnet_wasm_host.abi import RemoteException
    from dotnet_wasm_host.base_library.missing_api import MissingApiAdvice, MissingPart
    from dotnet_wasm_host.errors import DotnetHostError
    from dotnet_wasm_host.guest.library_use import LibraryUse
    from dotnet_wasm_host.guest.pending import PendingCall
    from dotnet_wasm_host.imports.host import Host

__all__ = ["ErrorTranslator"]

_JS_EXCEPTION = "System.Runtime.InteropServices.JavaScript.JSException"
#: How Mono ends when it finds what it took for impossible.
_ASSERTION = "* Assertion"
_UNRESOLVED = "System.TypeLoadException"
_HOST_FUNCTION_EXCEPTION = "MinimalRuntime.HostFunctionException"
#: How .NET says that it stopped because it was asked to.
_CANCELLED = frozenset(
    {"System.OperationCanceledException", "System.Threading.Tasks.TaskCanceledException"}
)


@final
class ErrorTranslator:
    """Makes the error that a user gets.

    Args:
        host: what else is known of the guest: what it printed, what it was refused.
        advice: what to say where a trimmed image lacks something; ``None`` for images that do not.
        needs: what functions need of the base library.
    """

    __slots__ = ("_advice", "_host", "_needs")

    def __init__(self, host: Host, advice: MissingApiAdvice | None, needs: LibraryUse) -> None:
        self._host = host
        self._advice = advice
        self._needs = needs

    def of_death(self, error: BaseException, function_id: str | None) -> BaseException:
        """What to raise after ``error`` unwound the guest while a function ran."""
        heap = self._host.heap
        if isinstance(error, CxxException):
            return GuestTrap("a C++ exception was thrown and never caught")
        if isinstance(error, (GuestTerminated, GuestTrap)) and heap.refused:
            return GuestOutOfMemory(
                f"the guest ran out of its {heap.limit} bytes of linear memory and died"
            )
        cause = self._host.output.cause_of_death()
        if isinstance(error, GuestTerminated) and cause:
            explained = self._explain_end(function_id or "", cause)
            return explained or GuestTerminated(
                error.exit_code,
                f"the guest ended with exit code {error.exit_code}: {cause}",
                is_exit=error.is_exit and not self._host.output.is_fatal(error.exit_code),
            )
        return error

    def _explain_end(self, function_id: str, cause: str) -> DotnetHostError | None:
        """What Mono asserts about when it meets what a trimmed image does not have."""
        loading = self._needs.loading
        missing = self._explain(loading or function_id) if _ASSERTION in cause else None
        if missing is None:
            return None
        if loading:
            needs = missing_api_sentence(missing.api, missing.image, missing.found_in)
            return AssemblyLoadError(loading, _UNRESOLVED, f"it {needs}")
        error = InvocationError(function_id, _UNRESOLVED, f".NET ended: {cause}", "")
        return MissingApi(error, missing.api, missing.image, missing.found_in, fatal=True)

    def of_call(
        self, function_id: str, thrown: RemoteException, cause: BaseException | None
    ) -> BaseException:
        """What to raise for an exception that escaped a handler.

        ``cause`` is what a host function raised, if that is behind it.
        """
        if cause is not None and thrown.type_name == _HOST_FUNCTION_EXCEPTION:
            return cause
        error = _invocation_error(function_id, thrown, advice_on(thrown))
        if cause is not None:
            error.__cause__ = cause
        root = error
        while root.inner is not None:
            root = root.inner
        if root.dotnet_type == _JS_EXCEPTION:
            # What was raised here, before .NET made exceptions of it.
            error.__cause__ = self._host.interop.raised(root.dotnet_message) or error.__cause__
        missing = self._missing(function_id, thrown)
        return MissingApi(error, missing.api, missing.image, missing.found_in) if missing else error

    def of_load(
        self, function_id: str, thrown: RemoteException, *, constructing: bool
    ) -> AssemblyLoadError:
        """What to raise for an assembly that .NET refused, or whose handler's constructor threw."""
        reason = thrown.message or thrown.type_name
        if constructing:
            advice = advice_on(thrown)
            reason = f"its constructor threw {self.sentence(thrown)}"
            reason += f" ({advice})" if advice else ""
        missing = self._missing(function_id, thrown)
        if missing:
            needs = missing_api_sentence(missing.api, missing.image, missing.found_in)
            reason = f"it {needs}"
        return AssemblyLoadError(function_id, thrown.type_name, reason, thrown.stack_trace)

    def of_wait(self, call: PendingCall, error: BaseException) -> BaseException:
        """What to raise for a call that waited and ended in ``error``."""
        if (
            call.cancelled
            and isinstance(error, InvocationError)
            and error.dotnet_type in _CANCELLED
        ):
            stopped = self.of_stop(call, "ended when its token was cancelled")
            stopped.__cause__ = error
            return stopped
        return error

    def of_stop(self, call: PendingCall, how: str) -> InvocationTimeout | InvocationCancelled:
        """What to raise for a call that waited and was asked to stop."""
        if call.unwanted:
            return InvocationCancelled(
                f"{call.function_id!r} was cancelled while it waited and {how}"
            )
        limit = "" if call.timeout is None else f" of {call.timeout:g} s"
        return InvocationTimeout(f"{call.function_id!r} ran past its deadline{limit} and {how}")

    def sentence(self, thrown: RemoteException) -> str:
        """The exception and the one at the root of it, which usually says more."""
        root = thrown
        while root.inner is not None:
            root = root.inner
        said = f"{thrown.type_name}: {thrown.message}"
        return said if root is thrown else f"{said} ({root.type_name}: {root.message})"

    def _missing(self, function_id: str, thrown: RemoteException) -> MissingPart | None:
        if self._advice is None:
            return None
        if self._advice.is_vague(thrown):
            return self._explain(function_id)
        needs = self._needs
        wanted, own = needs.wanted.get(function_id, ()), needs.own.get(function_id, ())
        return self._advice.find(thrown, wanted, own)

    def _explain(self, function_id: str) -> MissingPart | None:
        own = self._needs.own.get(function_id)
        if self._advice is None or own is None:
            return None
        explained = self._needs.explained
        if function_id not in explained:
            explained[function_id] = self._advice.explain(own, self._needs.added)
        return explained[function_id]


def _invocation_error(
    function_id: str, thrown: RemoteException, advice: str = ""
) -> InvocationError:
    inner = _invocation_error(function_id, thrown.inner) if thrown.inner else None
    return InvocationError(
        function_id, thrown.type_name, thrown.message, thrown.stack_trace, inner, advice
    )
