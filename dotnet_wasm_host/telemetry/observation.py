"""Spans and metrics of calls.

The names are those of OpenTelemetry's semantic conventions for functions as a service, where these
have one: https://opentelemetry.io/docs/specs/semconv/faas/
"""

from __future__ import annotations

import functools
import inspect
import operator
import threading
import time
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, final

from opentelemetry import context, trace
from opentelemetry.metrics import Observation

from dotnet_wasm_host.errors import InvocationError, InvocationTimeout
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.runtime.forks import Forks
from dotnet_wasm_host.runtime.observing import Figures, ObservedCall, Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter
    from opentelemetry.trace import Tracer

    _Callback = Callable[[CallbackOptions], Iterable[Observation]]

__all__ = ["Telemetry"]

#: Seconds. From 5 ms on they are those of the conventions; a warm call takes some 10 us.
_BUCKETS = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
#: Characters of an error's message in the status of a span; the exception's event has all of it.
_SHOWN = 200
#: None of the causes that the conventions have a name for: HTTP, timers, storage, messages.
_TRIGGER = {"faas.trigger": "other"}
T = TypeVar("T")


@final
class Telemetry(Observer):
    """What becomes of calls and instances with OpenTelemetry.

    Args:
        tracer: makes spans.
        meter: makes instruments.
    """

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self._tracer = tracer
        self._hosts: weakref.WeakKeyDictionary[Any, Callable[[Any], Figures]] = (
            weakref.WeakKeyDictionary()
        )
        self._lock = threading.Lock()
        self._gone = Figures()
        self._durations = meter.create_histogram(
            "faas.invoke_duration", "s", "Duration of calls, waiting for a place included",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )  # fmt: skip
        self._starts = meter.create_histogram(
            "faas.init_duration", "s", "Duration of starts of instances",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )  # fmt: skip
        self._invocations = meter.create_counter(
            "faas.invocations", "{invocation}", "Calls that succeeded"
        )
        self._errors = meter.create_counter("faas.errors", "{error}", "Calls that failed")
        self._timeouts = meter.create_counter(
            "faas.timeouts", "{timeout}", "Calls that failed because they overran their deadline"
        )
        self._cold_starts = meter.create_counter(
            "faas.coldstarts", "{coldstart}", "Calls that had to start an instance"
        )
        self._observe_hosts(meter)
        _forks.watch(self, Telemetry._after_fork_in_child)

    @override
    def begin(self, function_id: str) -> ObservedCall:
        return _Call(self, self._tracer, _method.get() or function_id)

    @override
    def started(self, seconds: float) -> None:
        self._starts.record(seconds, _TRIGGER)
        call = _running.get()
        if call is not None:
            call.is_cold = True

    @override
    def named(self, name: str, function: Callable[..., T]) -> Callable[..., T]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as it is
                token = _method.set(name)
                try:
                    return await function(*args, **kwargs)
                finally:
                    _method.reset(token)

            made: Any = call_async
            return made  # type: ignore[no-any-return]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> T:  # noqa: ANN401 - as it is
            token = _method.set(name)
            try:
                return function(*args, **kwargs)
            finally:
                _method.reset(token)

        return call

    def count(self, call: _Call, seconds: float, error: BaseException | None, results: int) -> None:
        """A call has ended."""
        attributes: dict[str, str] = {"faas.invoked_name": call.name, **_TRIGGER}
        if call.is_cold:
            self._cold_starts.add(1, attributes)
        if error is None:
            self._invocations.add(results, attributes)
        else:
            # Not the exception's type in .NET: a guest has as many of them as it likes.
            attributes["error.type"] = type(error).__name__
            self._errors.add(1, attributes)
            if isinstance(error, InvocationTimeout):
                self._timeouts.add(1, attributes)
        self._durations.record(seconds, attributes)

    # ---------------------------------------------------------------- runtimes and pools

    @override
    def watch(self, host: T, figures: Callable[[T], Figures]) -> None:
        with self._lock:
            self._hosts[host] = figures

    @override
    def ignore(self, host: object) -> None:
        with self._lock:
            self._hosts.pop(host, None)

    @override
    def forget(self, host: object) -> None:
        with self._lock:
            figures = self._hosts.pop(host, None)
        if figures is None:
            return
        last = figures(host)
        with self._lock:
            self._gone = Figures(
                recycles=self._gone.recycles + last.recycles,
                host_work=self._gone.host_work + last.host_work,
            )

    def _after_fork_in_child(self) -> None:
        """Runtimes and pools belong to the parent, and a thread of it may hold the lock."""
        self._lock = threading.Lock()
        self._hosts = weakref.WeakKeyDictionary()

    def _sum(self, read: Callable[[Figures], int]) -> int:
        with self._lock:
            hosts, gone = list(self._hosts.items()), self._gone
        return read(gone) + sum(read(figures(host)) for host, figures in hosts)

    def _observe_hosts(self, meter: Meter) -> None:
        def read(name: str, attributes: Mapping[str, str] | None = None) -> _Callback:
            figure = operator.attrgetter(name)
            return lambda _: (Observation(self._sum(figure), attributes),)

        states = ("running", "waiting")
        meter.create_observable_up_down_counter(
            "dotnet_wasm_host.calls",
            [read(state, {"dotnet_wasm_host.call.state": state}) for state in states],
            "{call}",
            "Calls that run, and that wait for a place",
        )
        for name, field, unit, description in (
            ("instances", "instances", "{instance}", "WebAssembly instances"),
            ("functions.suspended", "suspended", "{function}", "Functions that crashed too often"),
            ("linear_memory", "linear_memory_bytes", "By", "Linear memory of idle instances"),
            ("jit.methods", "jit_methods", "{method}", "Methods with machine code"),
            ("jit.code", "jit_code_bytes", "By", "WebAssembly that was compiled for them"),
        ):
            meter.create_observable_up_down_counter(
                f"dotnet_wasm_host.{name}", [read(field)], unit, description
            )
        for name, unit, description in (
            ("recycles", "{recycle}", "Instances that were replaced"),
            ("host_work", "{unit}", "What guests have cost of the budget Limits.host_work"),
        ):
            meter.create_observable_counter(
                f"dotnet_wasm_host.{name}", [read(name)], unit, description
            )


@final
class _Call(ObservedCall):
    """A call that runs, as a span of the context in which it began."""

    __slots__ = ("_attached", "_counts", "_outer", "_own", "_span", "_started", "is_cold", "name")

    def __init__(self, counts: Telemetry, tracer: Tracer, name: str) -> None:
        self.name = name
        self.is_cold = False
        self._counts = counts
        self._span = tracer.start_span(
            f"invoke {name}", attributes={"faas.invoked_name": name, **_TRIGGER}
        )
        self._attached = context.attach(trace.set_span_in_context(self._span))
        self._outer = _running.set(self)
        self._own = _method.set(None)  # calls of its host functions have other names
        self._started = time.perf_counter()

    @override
    def end(self, error: BaseException | None, results: int = 1) -> None:
        self._counts.count(self, time.perf_counter() - self._started, error, results)
        span = self._span
        if span.is_recording():
            span.set_attribute("faas.coldstart", self.is_cold)
            if error is not None:
                kind = type(error).__name__
                if isinstance(error, InvocationError):
                    kind = error.dotnet_type
                span.set_attribute("error.type", kind)
                span.record_exception(error)
                text = f"{type(error).__name__}: {error}"[:_SHOWN]
                span.set_status(trace.Status(trace.StatusCode.ERROR, text))
        _method.reset(self._own)
        _running.reset(self._outer)
        context.detach(self._attached)
        span.end()


#: The call that this context makes, and the method whose name the next one has.
_running: ContextVar[_Call | None] = ContextVar("dotnet_wasm_host call", default=None)
_method: ContextVar[str | None] = ContextVar("dotnet_wasm_host method", default=None)
_forks: Forks[Telemetry] = Forks()
