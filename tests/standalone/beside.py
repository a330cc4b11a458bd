"""A pytest plugin: what functional tests ask a Runtime is asked of a standalone module, too.

Both have the whole base library; answers have to be the same bytes, errors of the same type and
with the same message. ``test_functional_suite.py`` says which tests that is for.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import dotnet_wasm_host as dwh
from tests.functional.conftest import FOLDER, SHARED, Conversation
from tests.standalone.hosts import PlainHost, PlainHosts

#: ``load_assembly`` takes the first handler of an assembly; this one forwards to the one that the
#: payload begins with.
FORWARD = """
using System; using System.Text; using System.Threading; using System.Threading.Tasks;
public sealed class Forward : MinimalRuntime.IAsyncFunctionHandler {
    public async ValueTask<byte[]> ExecuteAsync(
        ReadOnlyMemory<byte> input, CancellationToken cancellation)
    {
        var end = input.Span.IndexOf((byte)'\\n');
        var name = Encoding.UTF8.GetString(input.Span[..end]);
        var handler = Activator.CreateInstance(typeof(Forward).Assembly.GetType(name, true)!);
        var payload = input[(end + 1)..];
        return handler is MinimalRuntime.IAsyncFunctionHandler waiting
            ? await waiting.ExecuteAsync(payload, cancellation)
            : ((MinimalRuntime.IFunctionHandler)handler!).Execute(payload.Span);
    }
}
"""
asked = 0
different: list[str] = []
programs: set[str] = set()


@cache
def _standalone() -> PlainHost:
    module = dwh.build_wasm(image="full")
    return PlainHosts().started(module.data)


@cache
def _load(program: str) -> PlainHost:
    files = {"Forward.cs": FORWARD}
    for file in (SHARED, f"{program}.cs"):
        files[file] = (FOLDER / file).read_text("utf-8")
    host = _standalone()
    assert host.load(program, dwh.compile_csharp(files).data) == 0, host.last_error()
    return host


_alone = Conversation.raw


def _beside(
    conversation: Conversation, program: str, handler: str, payload: bytes = b"", **options: Any
) -> bytes:
    global asked  # noqa: PLW0603 - of a session of pytest
    host = _load(program)
    status, answer = host.invoke(program, f"Programs.{handler}\n".encode() + payload)
    asked += 1
    programs.add(program)
    try:
        expected = _alone(conversation, program, handler, payload, **options)
    except dwh.InvocationError as error:
        _compare(program, handler, (status, host.last_error()), 1, error)
        raise
    _compare(program, handler, (status, answer), 0, expected)
    return expected


def _compare(program: str, handler: str, found: object, status: int, expected: object) -> None:
    if isinstance(expected, dwh.InvocationError):
        expected = (expected.dotnet_type, expected.dotnet_message)
    if found != (status, expected):
        different.append(f"{program}/{handler}: {found!r:.200}, not {(status, expected)!r:.200}")


def pytest_configure() -> None:
    Conversation.raw = _beside  # type: ignore[method-assign,assignment]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in different:
        terminalreporter.write_line(line)
    terminalreporter.write_line(
        f"beside: {asked} compared, {len(different)} different; "
        f"programs: {' '.join(sorted(programs))}"
    )
