"""What a handler throws arrives as data: type, message, stack trace, inner exceptions."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from tests.functional.conftest import Conversation


def thrown(ask: Conversation, command: str) -> dwh.InvocationError:
    """The error of a command to ``Thrower``, after which the function still works."""
    with pytest.raises(dwh.InvocationError) as caught:
        ask.raw("exceptions", "Thrower", command.encode())
    assert type(caught.value) is dwh.InvocationError
    assert ask.raw("exceptions", "Thrower", b"echo") == b"echo"
    return caught.value


def inner_chain(error: dwh.InvocationError) -> list[dwh.InvocationError]:
    """The error and its inner ones, outermost first."""
    chain = []
    link: dwh.InvocationError | None = error
    while link is not None:
        chain.append(link)
        link = link.inner
    return chain


def test_an_exception_has_type_message_and_stack_trace(ask: Conversation) -> None:
    error = thrown(ask, "simple")

    assert error.function_id == "exceptions/Thrower"
    assert error.dotnet_type == "System.ArgumentException"
    assert error.dotnet_message == "a bad argument (Parameter 'name')"
    assert error.stack_trace.lstrip().startswith("at Programs.Thrower.Execute(")
    assert error.inner is None
    assert str(error) == (
        "System.ArgumentException in function 'exceptions/Thrower': "
        "a bad argument (Parameter 'name')"
    )


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception notes came with Python 3.11")
def test_tracebacks_show_the_dotnet_stack_trace(ask: Conversation) -> None:
    text = "".join(traceback.format_exception(thrown(ask, "inner")))

    assert text.count("at Programs.Thrower.Wrap(Int32 depth)") >= 4
    assert "direct cause of the following exception" in text


def test_inner_exceptions_are_a_chain_and_the_cause(ask: Conversation) -> None:
    chain = inner_chain(thrown(ask, "inner"))

    assert [e.dotnet_message for e in chain] == ["depth 3", "depth 2", "depth 1", "the deepest"]
    assert chain[-1].dotnet_type == "Programs.CustomException"
    assert [e.__cause__ for e in chain] == [*chain[1:], None]


def test_an_aggregate_tells_of_all_and_keeps_the_first(ask: Conversation) -> None:
    error = thrown(ask, "aggregate")

    assert error.dotnet_type == "System.AggregateException"
    assert error.dotnet_message == "several (first) (second)"
    assert error.inner is not None
    assert error.inner.dotnet_type == "System.FormatException"


def test_awaiting_unwraps_and_result_does_not(ask: Conversation) -> None:
    assert thrown(ask, "whenall").dotnet_type == "System.FormatException"
    wrapped = thrown(ask, "result")
    assert [e.dotnet_type for e in inner_chain(wrapped)] == [
        "System.AggregateException",
        "Programs.CustomException",
    ]


def test_messages_keep_every_character_but_lone_surrogates(ask: Conversation) -> None:
    assert thrown(ask, "custom").dotnet_message == "Grüße, 世界 😀 \0 \ufffd"


def test_an_exception_that_throws_when_it_is_read_is_still_reported(ask: Conversation) -> None:
    error = thrown(ask, "hostile")
    assert error.dotnet_type == "Programs.HostileException"
    assert "System.InvalidOperationException" in error.dotnet_message

    outer = thrown(ask, "hostile inner")
    assert outer.dotnet_message == "outer"
    assert outer.inner is not None
    assert outer.inner.dotnet_type == "Programs.HostileException"


def test_an_exception_without_a_message_still_makes_a_sentence(ask: Conversation) -> None:
    for command, kind in (
        ("null message", "Programs.NullMessageException"),
        ("empty message", "System.Exception"),
    ):
        error = thrown(ask, command)
        assert error.dotnet_type == kind
        assert error.dotnet_message == ""
        assert kind in str(error)
        assert not str(error).rstrip().endswith(":")


def test_a_huge_message_is_cut_and_says_so(ask: Conversation) -> None:
    message = thrown(ask, "long message").dotnet_message

    assert 10_000 < len(message) < 100_000
    assert message.endswith("...")
    assert set(message.removesuffix("...")) == {"x"}


@pytest.mark.parametrize("command", ["deep", "cycle"])
def test_an_endless_chain_is_cut(ask: Conversation, command: str) -> None:
    chain = inner_chain(thrown(ask, command))

    assert 2 <= len(chain) <= 64


def test_a_failing_static_initialiser_fails_every_time(ask: Conversation) -> None:
    for _ in range(2):
        outer, cause = inner_chain(thrown(ask, "static"))
        assert outer.dotnet_type == "System.TypeInitializationException"
        assert "'Programs.Broken'" in outer.dotnet_message
        assert cause.dotnet_type == "System.FormatException"
        assert "not a number" in cause.dotnet_message


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("null reference", "System.NullReferenceException"),
        ("divide", "System.DivideByZeroException"),
        ("index", "System.IndexOutOfRangeException"),
        ("cast", "System.InvalidCastException"),
        ("overflow", "System.OverflowException"),
        ("missing method", "System.MissingMethodException"),
        ("out of memory", "System.OutOfMemoryException"),
    ],
)
def test_what_the_runtime_itself_throws(ask: Conversation, command: str, kind: str) -> None:
    error = thrown(ask, command)

    assert error.dotnet_type == kind
    assert error.dotnet_message


def test_a_captured_exception_keeps_where_it_came_from(ask: Conversation) -> None:
    error = thrown(ask, "rethrown")

    assert error.dotnet_message == "the deepest"
    assert "Wrap" in error.stack_trace
    assert "End of stack trace from previous location" in error.stack_trace


def test_reflection_wraps_what_was_thrown(ask: Conversation) -> None:
    outer, cause = inner_chain(thrown(ask, "reflected"))

    assert outer.dotnet_type == "System.Reflection.TargetInvocationException"
    assert cause.dotnet_message == "the deepest"


def test_filters_finally_and_using_run_in_order(ask: Conversation) -> None:
    order = ask.raw("exceptions", "Thrower", b"handled").decode().split(",")

    assert order == ["filter depth 1", "finally", "caught", "using", "disposed"]


def test_a_thousand_exceptions_in_a_row_leave_nothing_behind(
    ask: Conversation,
) -> None:
    before = ask.runtime.stats()
    for _ in range(1000):
        with pytest.raises(dwh.InvocationError):
            ask.raw("exceptions", "Thrower", b"inner")

    after = ask.runtime.stats()
    assert after.failed_invocations - before.failed_invocations == 1000
    assert after.recycles == before.recycles
    assert after.linear_memory_bytes - before.linear_memory_bytes < 16 << 20
