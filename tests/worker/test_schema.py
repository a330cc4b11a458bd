"""The API is what its OpenAPI description says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.types import Receive, Scope, Send

from dotnet_wasm_host.options import Limits
from dotnet_wasm_host.worker import WorkerOptions, create_app

APP = create_app(WorkerOptions(limits=Limits(timeout=5.0), access_log=False))


async def without_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """The app as if it were mounted: it would be started and ended for each request otherwise."""
    if scope["type"] != "lifespan":
        await APP(scope, receive, send)
        return
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})


# Bytes that are no archive: what is in one is beyond a schema.
schemathesis.serializer.alias("application/zip", "application/octet-stream")
schema = schemathesis.openapi.from_asgi("/openapi.json", without_lifespan)


@pytest.fixture(scope="module", autouse=True)
def closed_at_the_end() -> Iterator[None]:
    yield
    APP.state.worker.close()


# Which bytes are an assembly is beyond a schema: well-formed requests may be refused. (A parameter,
# because pytest leaves the operation out of the ids of tests that have none of pytest's own.)
@pytest.mark.parametrize("excluded", [[positive_data_acceptance]], ids=["every check but one"])
@schema.parametrize()
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
def test_answers_are_as_described(case: schemathesis.Case[Any], excluded: list[Any]) -> None:
    case.call_and_validate(excluded_checks=excluded)
