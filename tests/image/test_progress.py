"""The first use takes seconds, and says so to whoever waits for it."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from dotnet_wasm_host.images.progress import announce

LOGGER = "dotnet_wasm_host.images"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    announce("compiling .NET ...")
    assert terminal.getvalue() == "dotnet_wasm_host: compiling .NET ...\n"


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_nothing_is_written_elsewhere(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    announce("compiling .NET ...")
    assert stream is None or not stream.getvalue()


def test_whoever_listens_to_the_log_gets_it_there_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    announce("compiling 5 % of .NET ...")
    assert [record.getMessage() for record in caplog.records] == ["compiling 5 % of .NET ..."]
    assert not terminal.getvalue()
