"""Spans and metrics of calls, as the SDK of OpenTelemetry has them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import dotnet_wasm_host as dwh
from dotnet_wasm_host.runtime import observing

SOURCE = """
using System; using System.Text; using System.Threading.Tasks;
public sealed class Handler : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var text = Encoding.UTF8.GetString(input);
        while (text == "loop") { }
        if (text == "exit") Environment.Exit(3);
        if (text == "throw") throw new InvalidOperationException("thrown");
        if (text == "host") return MinimalRuntime.Host.Call("ask", input);
        return input.ToArray();
    }
}
"""


@dataclass
class Told:
    """What OpenTelemetry was told."""

    tracers: TracerProvider = field(default_factory=TracerProvider)
    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meters = MeterProvider([self.reader])
        dwh.instrument(tracer_provider=self.tracers, meter_provider=self.meters)

    def names(self) -> list[str]:
        return [span.name for span in self.spans.get_finished_spans()]

    def last(self) -> ReadableSpan:
        return self.spans.get_finished_spans()[-1]

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def total(self, name: str, **attributes: object) -> float:
        """The sum of a metric over all attributes, or those with these values."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        total = 0.0
        for point in self.points(name):
            if wanted.items() <= dict(point.attributes).items():
                total += point.count if hasattr(point, "count") else point.value
        return total


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    dwh.uninstrument()
    made.tracers.shutdown()
    made.meters.shutdown()


@pytest.fixture(scope="session")
def handler() -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE)


#: Each way to call a function once, by where it runs.
CALLS: dict[type[Any], dict[str, Callable[[Any], object]]] = {
    dwh.Runtime: {
        "invoke": lambda host: host.invoke("f", b"x"),
        "cancellation": lambda host: host.invoke("f", b"x", cancellation=dwh.Cancellation()),
        "invoke_many": lambda host: host.invoke_many("f", [b"x"]),
        "generation": lambda host: host.functions["f"].invoke(b"x"),
    },
    dwh.RuntimePool: {
        "invoke": lambda host: host.invoke("f", b"x"),
        "generation": lambda host: host.functions["f"].invoke(b"x"),
        "invoke_now": lambda host: host.invoke_now("f", b"x"),
        "invoke_async": lambda host: asyncio.run(host.invoke_async("f", b"x")),
    },
}


@pytest.mark.parametrize(
    ("host", "way"), [(host, way) for host, ways in CALLS.items() for way in ways]
)
def test_each_way_to_call_is_a_span_and_is_counted(
    told: Told, handler: dwh.Assembly, host: type[Any], way: str
) -> None:
    tracer = told.tracers.get_tracer("test")
    with host() as made, tracer.start_as_current_span("above") as above:
        made.load_assembly("f", handler)
        CALLS[host][way](made)
    span, _ = told.spans.get_finished_spans()
    assert span.name == "invoke f"
    assert span.attributes is not None
    assert span.attributes["faas.invoked_name"] == "f"
    assert span.status.is_ok
    assert span.parent is not None
    assert span.parent.span_id == above.get_span_context().span_id
    assert told.total("faas.invocations", faas__invoked_name="f") == 1
    assert told.total("faas.invoke_duration") == 1
    assert told.total("faas.errors") == 0
    assert told.total("faas.init_duration") >= 1


def test_failures_say_what_they_are(told: Told, handler: dwh.Assembly) -> None:
    limits = dwh.Limits(timeout=0.3, crash_limit=2)
    with dwh.Runtime(limits=limits) as runtime:
        runtime.load_assembly("f", handler)
        for payload, error in (
            (b"throw", dwh.InvocationError),
            (b"loop", dwh.InvocationTimeout),
            (b"exit", dwh.GuestTerminated),
            (b"x", dwh.FunctionSuspended),
        ):
            with pytest.raises(error):
                runtime.invoke("f", payload)
        assert told.total("dotnet_wasm_host.functions.suspended") == 1
        assert told.total("dotnet_wasm_host.recycles") == 2
    kinds = [dict(s.attributes or {})["error.type"] for s in told.spans.get_finished_spans()]
    assert kinds == [
        "System.InvalidOperationException",
        "InvocationTimeout",
        "GuestTerminated",
        "FunctionSuspended",
    ]
    thrown = told.spans.get_finished_spans()[0]
    assert thrown.status.status_code is trace.StatusCode.ERROR
    assert [event.name for event in thrown.events] == ["exception"]
    assert told.total("faas.errors") == 4
    assert told.total("faas.errors", error__type="InvocationError") == 1
    assert told.total("faas.timeouts") == 1
    assert told.total("faas.invocations") == 0
    # What runtimes have counted stays when they are closed.
    assert told.total("dotnet_wasm_host.recycles") == 2
    assert told.total("dotnet_wasm_host.functions.suspended") == 0


def test_calls_that_start_an_instance_are_cold(told: Told, handler: dwh.Assembly) -> None:
    with dwh.RuntimePool(size=1) as pool:
        pool.load_assembly("f", handler)
        for _ in range(2):
            pool.invoke("f", b"x")
    cold = [dict(s.attributes or {})["faas.coldstart"] for s in told.spans.get_finished_spans()]
    assert cold == [True, False]
    assert told.total("faas.coldstarts") == 1


def test_many_results_are_many_invocations(told: Told, handler: dwh.Assembly) -> None:
    with dwh.Runtime() as runtime:
        runtime.load_assembly("f", handler)
        runtime.invoke_many("f", [b"x"] * 5)
    assert told.total("faas.invocations") == 5
    assert told.names() == ["invoke f"]


def test_what_a_call_makes_the_host_do_is_below_it(told: Told, handler: dwh.Assembly) -> None:
    tracer = told.tracers.get_tracer("test")

    def ask(_: bytes) -> bytes:
        with tracer.start_as_current_span("asked"):
            return b"abc"

    with dwh.RuntimePool(size=1, host_functions={"ask": ask}) as pool:
        pool.load_assembly("f", handler)
        assert asyncio.run(pool.invoke_async("f", b"host")) == b"abc"
    asked, call = told.spans.get_finished_spans()
    assert (asked.name, call.name) == ("asked", "invoke f")
    assert asked.parent is not None
    assert call.context is not None
    assert asked.parent.span_id == call.context.span_id


def test_typed_calls_have_the_names_of_their_methods(told: Told) -> None:
    source = """
        public static int Add(int a, int b) => a + b;
        public static int Add(int a) => a;
        public static int Fails() => throw new System.FormatException("no");
        public static IEnumerable<int> Numbers() { yield return 0; yield return 1; }
    """
    module = dwh.csharp(source)
    assert module.Add(1, 2) == 3
    assert module.Add(1) == 1
    with pytest.raises(ValueError, match="no"):
        module.Fails()
    assert list(module.Numbers()) == [0, 1]
    module.close()
    names = told.names()
    assert names[:3] == ["invoke Functions.Add", "invoke Functions.Add", "invoke Functions.Fails"]
    assert set(names[3:]) == {"invoke Functions.Numbers"}
    assert told.total("faas.errors", faas__invoked_name="Functions.Fails") == 1


def test_typed_calls_that_are_awaited_have_them_too(told: Told) -> None:
    source = """
        public static async Task<int> Later(int a) { await Task.Delay(1); return a; }
        public static async Task<int> Fails() { await Task.Delay(1); throw new Exception("no"); }
    """
    module = dwh.csharp(source)

    async def main() -> None:
        assert [*await asyncio.gather(module.Later(1), module.Later(2))] == [1, 2]
        with pytest.raises(dwh.InvocationError):
            await module.Fails()

    asyncio.run(main())
    module.close()
    assert told.names() == ["invoke Functions.Later"] * 2 + ["invoke Functions.Fails"]
    assert all(span.parent is None for span in told.spans.get_finished_spans())


def test_calls_of_a_host_function_have_their_own_names(told: Told, handler: dwh.Assembly) -> None:
    with dwh.Runtime() as other:
        other.load_assembly("inner", handler)
        with dwh.Runtime(host_functions={"ask": lambda data: other.invoke("inner", data)}) as outer:
            module = dwh.csharp(
                'public static int F() => MinimalRuntime.Host.Call("ask", new byte[3]).Length;',
                runtime=outer,
            )
            assert module.F() == 3
            module.close()
    inner, call = told.spans.get_finished_spans()
    assert (inner.name, call.name) == ("invoke inner", "invoke Functions.F")


def test_pools_are_measured(told: Told, handler: dwh.Assembly) -> None:
    with dwh.RuntimePool(size=2, host_functions={"ask": bytes.upper}) as pool:
        pool.load_assembly("f", handler)
        assert pool.invoke("f", b"host") == b"HOST"
        assert told.total("dotnet_wasm_host.instances") == pool.stats().runtimes == 1
        assert told.total("dotnet_wasm_host.linear_memory") > 1 << 20
        assert told.total("dotnet_wasm_host.host_work") == pool.stats().host_work > 0
        states = {
            dict(p.attributes)["dotnet_wasm_host.call.state"]
            for p in told.points("dotnet_wasm_host.calls")
        }
        assert states == {"running", "waiting"}
        worked = pool.stats().host_work
    assert told.total("dotnet_wasm_host.instances") == 0
    assert told.total("dotnet_wasm_host.host_work") >= worked


def test_nobody_is_told_who_did_not_ask() -> None:
    assert observing.observer() is None
    with dwh.Runtime() as runtime:
        # The very function that carries calls out, with nothing around it.
        assert runtime._begin == runtime._calls.begin
    program = (
        "import sys, dotnet_wasm_host as dwh; dwh.Runtime().close(); dwh.RuntimePool; "
        "print('opentelemetry' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_what_was_made_before_is_not_told_of(told: Told, handler: dwh.Assembly) -> None:
    dwh.uninstrument()
    with dwh.Runtime() as runtime:
        dwh.instrument(tracer_provider=told.tracers, meter_provider=told.meters)
        runtime.load_assembly("f", handler)
        runtime.invoke("f", b"x")
    assert not told.names()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(dwh.ExtraNotInstalled, match=r"dotnet-wasm-host\[telemetry\]"):
        dwh.instrument()
