"""Errors as HTTP answers: problem details (RFC 9457)."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from dotnet_wasm_host.columns.builtin_errors import (
    InvocationIndexError,
    InvocationKeyError,
    InvocationNotImplementedError,
    InvocationOverflowError,
    InvocationValueError,
    InvocationZeroDivisionError,
)
from dotnet_wasm_host.errors import (
    ArtifactError,
    AssemblyLoadError,
    CompilationError,
    DotnetHostError,
    EngineUnavailable,
    FunctionNotLoaded,
    FunctionSuspended,
    GuestOutOfMemory,
    GuestTerminated,
    GuestTrap,
    HandlerNotFound,
    HostFunctionMissing,
    HttpPolicyError,
    InstanceLost,
    InvocationCancelled,
    InvocationError,
    InvocationTimeout,
    LimitExceeded,
    MarshallingError,
    RuntimeClosed,
    TooManyCalls,
)
from dotnet_wasm_host.packages.errors import PackageError
from dotnet_wasm_host.typed.codecs import AnswerDamaged
from dotnet_wasm_host.typed.json_reading import ArgumentNotValid
from dotnet_wasm_host.typed.methods import MethodNotFound
from dotnet_wasm_host.worker.bodies import BodyTimeout, BodyTooLarge, Disconnected, TooManyBodies
from dotnet_wasm_host.worker.compilations import CompilationTooLong
from dotnet_wasm_host.worker.security import Forbidden, Unauthorized
from dotnet_wasm_host.worker.store import PreconditionFailed, StoreError, TooManyFunctions

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PROBLEM_JSON", "Problem", "UnsupportedType", "problem_of"]

_log = logging.getLogger(__name__)
PROBLEM_JSON = "application/problem+json"


class UnsupportedType(DotnetHostError):
    """The body is of a media type that the route does not take."""


#: What .NET says about arguments, rather than about itself.
_REFUSALS: tuple[type[DotnetHostError], ...] = (
    InvocationValueError,
    InvocationKeyError,
    InvocationIndexError,
    InvocationZeroDivisionError,
    InvocationOverflowError,
)
#: How an ``ArgumentException`` names its parameter.
_PARAMETER = re.compile(r"\(Parameter '([^']+)'\)")
#: Error to status, the name in the problem's type, and title. The first that matches counts.
_KINDS: tuple[tuple[type[DotnetHostError], int, str, str], ...] = (
    (FunctionNotLoaded, 404, "function-not-found", "No such function"),
    (FunctionSuspended, 503, "function-suspended", "The function crashed too often"),
    (AnswerDamaged, 500, "function-failed", "The function's result is damaged"),
    (ArgumentNotValid, 422, "argument-not-valid", "An argument is not valid"),
    (MethodNotFound, 404, "method-not-found", "No such method"),
    (InvocationNotImplementedError, 501, "not-implemented", "The method is not implemented"),
    *((each, 422, "function-refused", "The method refused its arguments") for each in _REFUSALS),
    (InvocationCancelled, 503, "call-cancelled", "The call was stopped"),
    (InvocationError, 500, "function-failed", "The function threw an exception"),
    (HostFunctionMissing, 500, "function-failed", "The function called what is not there"),
    (HttpPolicyError, 500, "function-failed", "The function asked for what it may not reach"),
    (InstanceLost, 503, "instance-lost", "The call lost its instance to another one"),
    (InvocationTimeout, 504, "function-timeout", "The function took too long"),
    (GuestOutOfMemory, 500, "function-out-of-memory", "The function ran out of memory"),
    (GuestTerminated, 500, "function-terminated", "The function ended its runtime"),
    (GuestTrap, 500, "function-trapped", "The function crashed its runtime"),
    (TooManyCalls, 429, "too-many-calls", "Too many calls"),
    (CompilationError, 422, "compilation-failed", "The C# source does not compile"),
    (CompilationTooLong, 422, "compilation-too-long", "The C# source takes too long to compile"),
    (PackageError, 422, "package-not-usable", "A package cannot be had or used"),
    (HandlerNotFound, 422, "handler-not-found", "The assembly has no handler"),
    (AssemblyLoadError, 422, "assembly-not-loadable", "The assembly cannot be loaded"),
    (MarshallingError, 400, "bad-request", "The request cannot be understood"),
    (BodyTooLarge, 413, "body-too-large", "The body is too large"),
    (BodyTimeout, 408, "body-timeout", "The body came too slowly"),
    (TooManyBodies, 503, "out-of-memory", "The worker has no memory left for this request"),
    # Nobody gets this; it is for the access log, where nginx writes the same.
    (Disconnected, 499, "client-left", "The client left"),
    (Unauthorized, 401, "unauthorized", "A token is needed"),
    (Forbidden, 403, "forbidden", "Not for this origin"),
    (PreconditionFailed, 412, "precondition-failed", "Another version is deployed"),
    (UnsupportedType, 415, "unsupported-type", "The media type is not supported"),
    (TooManyFunctions, 507, "too-many-functions", "No room for another function"),
    (LimitExceeded, 500, "limit-exceeded", "A limit was exceeded"),
    (RuntimeClosed, 503, "shutting-down", "The worker is shutting down"),
    (StoreError, 503, "store-unavailable", "The store is not available"),
    (ArtifactError, 503, "runtime-unavailable", "The .NET runtime is not available"),
    (EngineUnavailable, 503, "runtime-unavailable", "The .NET runtime is not available"),
    (DotnetHostError, 500, "internal-error", "The worker failed"),
)


#: The names of problems of the worker itself. Their messages have paths and settings in them,
#: which are for the log and no business of callers.
_OWN = frozenset({"store-unavailable", "runtime-unavailable", "internal-error"})


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, for a program and for a person."""

    status: int
    kind: str
    title: str
    detail: str
    more: Mapping[str, object]
    headers: Mapping[str, str]

    def response(self) -> Response:
        """As ``application/problem+json``."""
        body = {
            "type": f"urn:dotnet-wasm-host:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }
        content = json.dumps(body, ensure_ascii=True).encode()
        return Response(content, self.status, dict(self.headers), PROBLEM_JSON)


def problem_of(
    error: DotnetHostError, *, stack_traces: bool = False, retry_after: int = 1
) -> Problem:
    """What to tell about an error. Traces only where they are asked for."""
    status, kind, title = next(
        (status, kind, title) for class_, status, kind, title in _KINDS if isinstance(error, class_)
    )
    headers: dict[str, str] = {}
    if status in (429, 503):
        headers["retry-after"] = str(retry_after)
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="dotnet-wasm-host"'
    if isinstance(error, BodyTimeout):
        # After this its rest may come or not. That of one that is too large is on its way, and
        # closing then would reset the connection before the client has seen the answer.
        headers["connection"] = "close"
    detail = str(error)
    if kind in _OWN and not stack_traces:
        _log.error("a request failed: %s: %s", type(error).__name__, error)
        detail = "The worker's log says why."
    return Problem(status, kind, title, detail, _members(error, stack_traces), headers)


def _members(error: DotnetHostError, stack_traces: bool) -> dict[str, object]:  # noqa: FBT001
    members: dict[str, object] = {}
    if isinstance(error, InvocationError):
        members["dotnet_type"] = error.dotnet_type
        members["dotnet_message"] = error.dotnet_message
        named = _PARAMETER.search(error.dotnet_message)
        if named is not None and isinstance(error, InvocationValueError):
            members["parameter"] = named[1]
        if stack_traces:
            members["stack_trace"] = error.stack_trace
            if error.inner is not None:
                members["inner"] = _members(error.inner, stack_traces)
    elif isinstance(error, AssemblyLoadError):
        members["dotnet_type"] = error.dotnet_type
        if stack_traces:
            members["stack_trace"] = error.stack_trace
    elif isinstance(error, GuestTerminated):
        members["exit_code"] = error.exit_code
    elif isinstance(error, GuestTrap) and stack_traces:
        members["wasm_backtrace"] = error.wasm_backtrace
    else:
        members = _of_request(error)
    return members


def _of_request(error: DotnetHostError) -> dict[str, object]:
    """What is wrong with what the caller sent."""
    if isinstance(error, ArgumentNotValid):
        return {"parameter": error.parameter, "expected": error.expected, "given": error.given}
    if isinstance(error, MethodNotFound):
        return {"methods": list(error.methods)}
    if isinstance(error, CompilationError):
        diagnostics = [
            {
                "id": diagnostic.id,
                "severity": diagnostic.severity,
                "message": diagnostic.message,
                "line": diagnostic.line,
                "column": diagnostic.column,
            }
            for diagnostic in error.diagnostics
        ]
        return {"diagnostics": diagnostics}
    return {}
