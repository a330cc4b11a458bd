"""OpenTelemetry spans around calls, if its API package is installed."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dotnet_wasm_host.worker.exchanges import EXCHANGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from starlette.types import Scope

    #: Wraps one call.
    Trace = Callable[[Scope, str], AbstractContextManager[None]]

__all__ = ["make_trace"]

#: How long after its calls have begun an application may set up OpenTelemetry unnoticed.
LOOK_SECONDS = 0.5


def make_trace() -> Trace | None:
    """A span for each call: a child of the framework's, or of the one in the caller's headers.

    What becomes of spans is the application's business: it sets up OpenTelemetry's SDK, or they
    go nowhere.
    """
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.trace") is None:
        return None
    from opentelemetry import propagate, trace

    tracer = trace.get_tracer("dotnet_wasm_host.worker")
    nothing = nullcontext()
    next_look = 0.0

    def traced(scope: Scope, function_id: str) -> AbstractContextManager[None]:
        nonlocal next_look
        # Without an SDK spans would be made and dropped, at several times the cost of a call. To
        # ask for the provider reads the environment each time, as long as there is none.
        now = time.monotonic()
        if now < next_look:
            return nothing
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            next_look = now + LOOK_SECONDS
            return nothing
        return span_of(scope, function_id)

    @contextmanager
    def span_of(scope: Scope, function_id: str) -> Iterator[None]:
        # FastAPI and its instrumentations may have made a span for the request, which is then
        # what the caller's span has for a child.
        parent, kind = None, trace.SpanKind.INTERNAL
        if not trace.get_current_span().get_span_context().is_valid:
            headers = {
                key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
            }
            parent, kind = propagate.extract(headers), trace.SpanKind.SERVER
        with tracer.start_as_current_span(
            f"invoke {function_id}",
            context=parent,
            kind=kind,
            attributes={"faas.invoked_name": function_id, "url.path": scope["path"]},
        ) as span:
            context = span.get_span_context()
            if context.is_valid:
                scope[EXCHANGE].trace = trace.format_trace_id(context.trace_id)
            yield

    return traced
