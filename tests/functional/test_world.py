"""What the guest sees and says of the world: streams, arguments, environment, time."""

from __future__ import annotations

import io
import json
import logging
import random
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.functional.conftest import Programs

GUEST_LOGGER = "dotnet_wasm_host.guest"


@pytest.fixture
def tell(programs: Programs, image: dwh.RuntimeImage) -> Iterator[Callable[..., Any]]:
    """Ask a handler of ``world.cs`` in a fresh runtime with the given options."""
    runtimes = []

    def begin(handler: str, question: object = None, **options: Any) -> Any:
        logged = {"stdout": "logging", "stderr": "logging"}
        runtime = dwh.Runtime(image, wasi=dwh.WasiOptions(**{**logged, **options}))
        runtimes.append(runtime)
        runtime.load_assembly("f", programs["world"], handler_type=f"Programs.{handler}")
        return json.loads(runtime.invoke("f", json.dumps(question).encode(), timeout=30))

    yield begin
    for runtime in runtimes:
        runtime.close()


# ---------------------------------------------------------------- the runtime


def test_this_is_dotnet_10(tell: Callable[..., Any], image: dwh.RuntimeImage) -> None:
    machine = tell("Machine")

    assert machine["Version"] == "10.0.10" == image.manifest.dotnet_version
    assert machine["Framework"] == ".NET 10.0.10"
    assert machine["Identifier"] == "browser-wasm"
    assert machine["IsBrowser"] is True
    assert machine["Processors"] == 1
    assert machine["NewLine"] == "\n"
    assert machine["Pointer"] == 4
    assert machine["Directory"] == "/"
    assert machine["Threads"] == 1


def test_the_environment_is_what_was_given(
    tell: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "not for guests")
    variables = {"NAME": "välue", "EMPTY": "", "MULTI": "a\nb=c", "x": "1"}

    seen = tell("Machine", env=variables)["Variables"]

    assert {k: v for k, v in seen.items() if k in variables} == variables
    assert "SECRET_OF_THE_HOST" not in seen
    assert tell("Machine")["Variables"] == {}


def test_arguments_follow_the_program_name(tell: Callable[..., Any]) -> None:
    arguments = ["one", "two words", "", "ünï", "--flag=x"]

    program, *rest = tell("Machine", args=tuple(arguments))["Arguments"]

    assert program
    assert rest == arguments


def test_without_arguments_there_is_still_a_program_name(tell: Callable[..., Any]) -> None:
    assert len(tell("Machine")["Arguments"]) == 1


# ---------------------------------------------------------------- time


class SteppingClock:
    """Moves a millisecond at each look, so that nothing waits for ever."""

    def __init__(self, start: datetime) -> None:
        self.seconds = start.timestamp()
        self.looks = 0

    def time(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        self.looks += 1
        return 5_000.0 + self.looks / 1000


def test_the_clocks_are_injected(tell: Callable[..., Any]) -> None:
    moment = datetime(2031, 7, 8, 9, 10, 11, 250_000, tzinfo=timezone.utc)
    clock = SteppingClock(moment)

    answer = tell("Clocks", 5, clock=clock)

    text = "2031-07-08T09:10:11.250"
    assert answer["Now"] == text
    assert answer["Provider"] == 2031
    assert answer["Written"] == text
    assert answer["Offset"] == 0
    assert answer["Elapsed"] >= 5
    assert answer["TickCount"] >= 5_000_000
    assert clock.looks > 0


def test_the_clocks_are_the_real_ones_by_default(tell: Callable[..., Any]) -> None:
    before = datetime.now(timezone.utc)
    answer = tell("Clocks", 30)
    after = datetime.now(timezone.utc)

    now = datetime.fromisoformat(answer["Now"]).replace(tzinfo=timezone.utc)
    assert before.replace(microsecond=before.microsecond // 1000 * 1000) <= now <= after
    assert answer["Elapsed"] >= 29


def test_what_a_clock_raises_comes_out_of_the_call(tell: Callable[..., Any]) -> None:
    class Stopped(SteppingClock):
        def time(self) -> float:
            if self.looks > 10**9:
                return 0.0
            raise OSError("the clock has stopped")

    with pytest.raises(OSError, match="the clock has stopped"):
        tell("Clocks", 0, clock=Stopped(datetime(2030, 1, 1, tzinfo=timezone.utc)))


# ---------------------------------------------------------------- runs that can be repeated


class FixedClock:
    def time(self) -> float:
        return 1_900_000_000.25

    def monotonic(self) -> float:
        return 5_000.0


def test_with_a_fixed_clock_and_a_seed_two_runs_are_equal(tell: Callable[..., Any]) -> None:
    def run(seed: int) -> Any:
        return tell("Dice", clock=FixedClock(), random=random.Random(seed).randbytes)

    first, again, other = run(1), run(1), run(2)
    by_chance = tell("Dice"), tell("Dice")

    assert first == again
    assert datetime.fromtimestamp(1_900_000_000.25, timezone.utc).year == 2030
    assert first["Guid"][14] == "4"
    same = {key for key in first if first[key] == other[key]}
    # The C library names temporary files by the clock; an object's hash code is a count.
    assert same - {"Object"} == {"Now", "Ticks", "Order", "Temp"}
    same = {key for key in first if by_chance[0][key] == by_chance[1][key]}
    assert same - {"Object", "Ticks"} == {"Order"}


# ---------------------------------------------------------------- streams


def test_output_is_logged_line_by_line(
    tell: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, GUEST_LOGGER)
    steps = [
        ["line", "first"], ["out", "sec"], ["out", "ond\nthird\n"], ["error", "wrong"],
        ["line", "100 % s %d {}"], ["line", ""], ["line", "Grüße 😀"],
    ]  # fmt: skip

    assert tell("Printer", steps) == "printed"

    records = [r for r in caplog.records if r.name == GUEST_LOGGER]
    output = [r.getMessage() for r in records if r.levelno == logging.INFO]
    assert output == ["first", "second", "third", "100 % s %d {}", "", "Grüße 😀"]
    assert [r.getMessage() for r in records if r.levelno == logging.WARNING] == ["wrong"]
    assert [r.getMessage() for r in records].index("wrong") == 3


def test_an_unfinished_line_is_logged_when_the_runtime_closes(
    programs: Programs, image: dwh.RuntimeImage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, GUEST_LOGGER)
    with dwh.Runtime(image, wasi=dwh.WasiOptions(stdout="logging")) as runtime:
        runtime.load_assembly("f", programs["world"], handler_type="Programs.Printer")
        runtime.invoke("f", b'[["out", "no end"]]')
        assert caplog.messages == []

    assert caplog.messages == ["no end"]


def test_output_goes_to_given_streams_byte_by_byte(tell: Callable[..., Any]) -> None:
    out, error = io.BytesIO(), io.BytesIO()
    every_byte = bytes(range(256))
    steps = [["line", "é"], ["raw", every_byte.hex()], ["error", "wrong"], ["out", "end"]]

    tell("Printer", steps, stdout=out, stderr=error)

    assert out.getvalue() == "é\n".encode() + every_byte + b"end"
    assert error.getvalue() == b"wrong\n"
    assert not out.closed


def test_megabytes_of_output_arrive_complete(tell: Callable[..., Any]) -> None:
    out = io.BytesIO()

    tell("Printer", [["many", "x" * 99, 50_000]], stdout=out)

    assert out.getvalue() == (b"x" * 99 + b"\n") * 50_000


@pytest.mark.parametrize(
    "stdin",
    [
        "one\r\ntwö\nthree\nfour".encode(),
        io.BytesIO("one\r\ntwö\nthree\nfour".encode()),
    ],
    ids=["bytes", "stream"],
)
def test_standard_input_is_read_by_lines_and_to_its_end(
    tell: Callable[..., Any], stdin: bytes | io.BytesIO
) -> None:
    answer = tell("Reader", 2, stdin=stdin)

    assert answer == {"Lines": ["one", "twö"], "Rest": "three\nfour", "End": None}


def test_standard_input_is_empty_by_default(tell: Callable[..., Any]) -> None:
    assert tell("Reader", 1) == {"Lines": [None], "Rest": "", "End": None}
