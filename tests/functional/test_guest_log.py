"""What functions say, as log records."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.functional.conftest import Programs

LOGGER = "dotnet_wasm_host.guest"


@pytest.fixture(scope="module")
def speaking(image: dwh.RuntimeImage, programs: Programs) -> Iterator[dwh.Runtime]:
    logged = dwh.WasiOptions(stdout="logging", stderr="logging")
    limits = dwh.Limits(output_bytes=1_000_000)
    with dwh.Runtime(image, limits=limits, wasi=logged) as runtime:
        runtime.load_assembly("speaker", programs["calling"], handler_type="Programs.Speaking")
        yield runtime


def said(
    speaking: dwh.Runtime, caplog: pytest.LogCaptureFixture, what: bytes
) -> list[logging.LogRecord]:
    caplog.clear()
    with caplog.at_level(1, LOGGER):
        speaking.invoke("speaker", what)
    records = [record for record in caplog.records if record.name == LOGGER]
    assert {vars(record)["function_id"] for record in records} == {"speaker"}
    return records


def lines(records: list[logging.LogRecord]) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in records]


def test_the_console(speaking: dwh.Runtime, caplog: pytest.LogCaptureFixture) -> None:
    assert lines(said(speaking, caplog, b"console")) == [
        ("INFO", "out"), ("WARNING", "err"), ("INFO", "later"),
    ]  # fmt: skip


def test_trace_and_debug(speaking: dwh.Runtime, caplog: pytest.LogCaptureFixture) -> None:
    assert lines(said(speaking, caplog, b"debug")) == [
        ("DEBUG", "trace ü"), ("WARNING", "warned 3"), ("ERROR", "failed"), ("DEBUG", "in pieces"),
    ]  # fmt: skip


def test_levels(speaking: dwh.Runtime, caplog: pytest.LogCaptureFixture) -> None:
    records = said(speaking, caplog, b"levels")
    assert [record.levelno for record in records] == [5, 10, 20, 30, 40, 50]
    assert [record.getMessage() for record in records] == [
        "trace", "debug", "information", "warning", "error", "critical",
    ]  # fmt: skip


def test_values_have_names(speaking: dwh.Runtime, caplog: pytest.LogCaptureFixture) -> None:
    (record,) = said(speaking, caplog, b"values")
    assert record.getMessage() == ("user 3 Zoë %s took 0.50 s, True {literal} (null) {Missing}")
    more: dict[str, Any] = vars(record)
    assert more["fields"] == {
        "Id": 3, "Name": "Zoë %s", "Seconds": 0.5, "Ok": True, "Nothing": None, "Missing": None,
    }  # fmt: skip
    assert more["template"].startswith("user {Id} {Name} took {Seconds:F2} s")


def test_exceptions(speaking: dwh.Runtime, caplog: pytest.LogCaptureFixture) -> None:
    (record,) = said(speaking, caplog, b"exception")
    assert lines([record]) == [("ERROR", "while nothing")]
    text = logging.Formatter().format(record)
    assert "System.InvalidOperationException: thrown" in text
    assert "Speaking" in text


def test_a_level_that_is_off_costs_no_record(
    speaking: dwh.Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    with caplog.at_level(logging.ERROR, LOGGER):
        speaking.invoke("speaker", b"levels")
    assert [record.levelname for record in caplog.records] == ["ERROR", "CRITICAL"]


def test_a_flood_ends_the_call(speaking: dwh.Runtime, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.CRITICAL, LOGGER),
        pytest.raises(dwh.LimitExceeded, match="output_bytes"),
    ):
        speaking.invoke("speaker", b"flood")
    assert lines(said(speaking, caplog, b"console"))[0] == ("INFO", "out")


def test_debug_is_kept_in_code_that_is_not_optimised(
    image: dwh.RuntimeImage, caplog: pytest.LogCaptureFixture
) -> None:
    source = """
        using System; using System.Diagnostics;
        public sealed class D : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) {
                Debug.WriteLine("debug"); Trace.WriteLine("trace"); return [];
            }
        }"""
    with dwh.Runtime(image) as runtime, caplog.at_level(logging.DEBUG, LOGGER):
        for optimize in (True, False):
            runtime.load_assembly("d", dwh.compile_csharp(source, optimize=optimize))
            runtime.invoke("d")
    assert [record.getMessage() for record in caplog.records if record.name == LOGGER] == [
        "trace", "debug", "trace",
    ]  # fmt: skip
