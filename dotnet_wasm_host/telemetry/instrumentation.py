"""``instrument``: OpenTelemetry is told of calls, or not any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import ExtraNotInstalled
from dotnet_wasm_host.runtime.observing import observe

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["instrument", "uninstrument"]

_SCOPE = "dotnet_wasm_host"


def instrument(
    *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> None:
    """Tell OpenTelemetry of the calls of every runtime and pool that is made from now on.

    Until then, and for those made before, nothing is measured and calls cost nothing more.
    ``docs/telemetry.md`` lists spans and metrics. Called again, it replaces the providers for
    what is made later.

    Args:
        tracer_provider: where spans go; by default to what the application has set.
        meter_provider: where metrics go; likewise.

    Raises:
        ExtraNotInstalled: the extra ``telemetry`` is not installed.
    """
    try:
        from opentelemetry import metrics, trace
    except ModuleNotFoundError as error:
        raise ExtraNotInstalled("spans and metrics need OpenTelemetry", "telemetry") from error
    from importlib.metadata import version

    from dotnet_wasm_host.telemetry.observation import Telemetry

    own = version("dotnet-wasm-host")
    tracer = trace.get_tracer(_SCOPE, own, tracer_provider)
    observe(Telemetry(tracer, metrics.get_meter(_SCOPE, own, meter_provider)))


def uninstrument() -> None:
    """Tell OpenTelemetry nothing of runtimes and pools that are made from now on."""
    observe(None)
