"""Deployed functions as the API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

if TYPE_CHECKING:
    from dotnet_wasm_host.worker.served_functions import ServedFunction
    from dotnet_wasm_host.worker.service import FunctionService
    from dotnet_wasm_host.worker.store import FunctionRecord

__all__ = ["FunctionDescription", "FunctionList", "describe_deployed", "describe_served"]


class Latency(BaseModel):
    """Time of the last calls (up to 256) in this process, waiting included. Milliseconds."""

    p50: float
    p99: float


class FunctionDescription(BaseModel):
    """A deployed function. ``running`` to ``latency_ms`` are of the process that answers.

    One of kind ``typed`` has no handler: its ``methods`` are called, with JSON.
    """

    function_id: str
    sha256: str
    size: int
    assembly_name: str
    handler_type: str
    kind: Literal["bytes", "typed"]
    methods: list[str]
    has_source: bool
    timeout: float
    concurrency: int
    deployed_at: str
    running: int = 0
    waiting: int = 0
    calls: int = 0
    failures: int = 0
    latency_ms: Latency | None = None


class FunctionList(BaseModel):
    """Every function that is deployed, by id."""

    functions: list[FunctionDescription]


def describe_deployed(service: FunctionService, record: FunctionRecord) -> FunctionDescription:
    """What was deployed."""
    served, options = service.find(record.function_id), service.options
    methods = served.methods if served is not None else None
    return FunctionDescription(
        function_id=record.function_id,
        sha256=record.sha256,
        size=record.size,
        assembly_name=record.assembly_name,
        handler_type=record.handler_type,
        kind="typed" if record.is_typed else "bytes",
        methods=methods.names if methods is not None else [],
        has_source=served is not None and served.has_source,
        timeout=record.timeout or options.timeout,
        concurrency=record.concurrency or options.concurrency,
        deployed_at=record.deployed_at.isoformat(timespec="milliseconds"),
    )


def describe_served(service: FunctionService, served: ServedFunction) -> FunctionDescription:
    """What was deployed and how it does here."""
    description = describe_deployed(service, served.record)
    description.running, description.waiting = service.load_of(served.record.function_id)
    description.calls, description.failures = served.calls, served.failures
    recent = sorted(served.recent)
    if recent:
        description.latency_ms = Latency(
            p50=round(recent[len(recent) // 2] * 1e3, 3),
            p99=round(recent[len(recent) * 99 // 100] * 1e3, 3),
        )
    return description
