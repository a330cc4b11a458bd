"""A guest that dies takes nothing with it: the call raises, the rest goes on."""

from __future__ import annotations

import io
import logging
import time
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import CompiledSources

DEATHS: dict[str, type[dwh.DotnetHostError]] = {
    "exit 3": dwh.GuestTerminated,
    "failfast the end": dwh.GuestTerminated,
    "overflow": dwh.GuestTerminated,
    "wild": dwh.GuestTrap,
    "loop": dwh.InvocationTimeout,
}


@pytest.fixture
def guests(image: dwh.RuntimeImage, moody: dwh.Assembly) -> Iterator[dwh.Runtime]:
    """A runtime with a function that is going to die, and a bystander."""
    # Mono prints a frame a line when the stack overflows.
    with dwh.Runtime(image, wasi=dwh.WasiOptions(stderr=io.BytesIO())) as runtime:
        runtime.load_assembly("victim", moody)
        runtime.load_assembly("bystander", moody)
        runtime.invoke_many("bystander", [b"count"] * 3)
        yield runtime


def die(runtime: dwh.Runtime, command: str) -> dwh.DotnetHostError:
    """Make the victim die, and get what the caller sees of it."""
    timeout = 0.1 if command == "loop" else 30
    with pytest.raises(DEATHS[command]) as caught:
        runtime.invoke("victim", command.encode(), timeout=timeout)
    assert type(caught.value) is DEATHS[command]
    return caught.value


@pytest.mark.parametrize("command", DEATHS)
def test_after_a_death_all_functions_live_on(guests: dwh.Runtime, command: str) -> None:
    handles = dict(guests.functions)

    die(guests, command)

    assert dict(guests.functions) == handles
    assert all(f.is_alive and f.generation == 1 for f in handles.values())
    assert handles["victim"].invoke(b"echo again") == b"again"
    # Statics start afresh, for all of them: there is one instance.
    assert handles["bystander"].invoke(b"count") == b"1"
    assert guests.stats().recycles == 1
    assert guests.stats().failed_invocations == 1


@pytest.mark.parametrize("command", DEATHS)
def test_death_after_death(guests: dwh.Runtime, command: str) -> None:
    for count in range(1, 6):
        die(guests, command)
        assert guests.stats().recycles == count

    assert guests.invoke("victim", b"count") == b"1"


@pytest.mark.parametrize("code", [0, 1, 3, 255, -1, 2**31 - 1])
def test_an_exit_code_is_passed_on(guests: dwh.Runtime, code: int) -> None:
    with pytest.raises(dwh.GuestTerminated, match=str(code)) as caught:
        guests.invoke("victim", f"exit {code}".encode())

    assert caught.value.exit_code == code


def test_failfast_passes_its_message_on(
    guests: dwh.Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = die(guests, "failfast the end")

    assert isinstance(error, dwh.GuestTerminated)
    assert error.exit_code == 134
    assert "the end" in caplog.text
    assert "the end" in str(error)


def test_a_stack_overflow_says_what_it_was(guests: dwh.Runtime) -> None:
    assert "stack" in str(die(guests, "overflow")).lower()


def test_a_trap_says_what_happened_and_where(guests: dwh.Runtime) -> None:
    error = die(guests, "wild")

    assert isinstance(error, dwh.GuestTrap)
    assert "out of bounds" in error.trap_message
    assert error.trap_message in str(error)
    assert error.wasm_backtrace.lstrip().startswith("at function")


def test_a_deadline_holds_for_each_call(guests: dwh.Runtime) -> None:
    start = time.monotonic()
    error = die(guests, "loop")
    elapsed = time.monotonic() - start

    assert isinstance(error, TimeoutError)
    assert "deadline" in str(error)
    assert 0.09 < elapsed < 20
    assert guests.invoke("victim", b"sleep 300", timeout=None) == b"300"
    with pytest.raises(dwh.InvocationTimeout):
        guests.invoke("victim", b"sleep 300", timeout=0.05)
    with pytest.raises(dwh.InvocationTimeout):
        guests.functions["victim"].invoke(b"sleep 300", timeout=0.05)
    assert guests.invoke("victim", b"count", timeout=1e9) == b"1"


def test_a_runtime_has_a_deadline_of_its_own(image: dwh.RuntimeImage, moody: dwh.Assembly) -> None:
    with dwh.Runtime(image, limits=dwh.Limits(timeout=0.2)) as runtime:
        runtime.load_assembly("f", moody)
        for _ in range(2):
            with pytest.raises(dwh.InvocationTimeout):
                runtime.invoke("f", b"loop")
        with pytest.raises(dwh.InvocationTimeout):
            runtime.invoke_many("f", [b"count", b"loop", b"count"])
        assert runtime.invoke("f", b"sleep 600", timeout=30) == b"600"
        # The time between calls does not count.
        time.sleep(0.3)
        assert runtime.invoke("f", b"echo x") == b"x"


def test_every_timeout_replaces_the_instance(
    image: dwh.RuntimeImage, compiled: CompiledSources
) -> None:
    # A deadline may also pass while the host copies a large result, and so strike when it gives
    # the payload's memory back. The guest is not unwound then: the instance must go as well.
    slow = compiled("""
        using System; using System.Diagnostics;
        public class Slow : MinimalRuntime.IFunctionHandler {
            private readonly byte[] large = new byte[60_000_000];
            public byte[] Execute(ReadOnlySpan<byte> input) {
                var watch = Stopwatch.StartNew();
                while (watch.ElapsedMilliseconds < input[0]) { }
                return large;
            }
        }""")
    large_enough_to_need_memory = bytes(70_000)
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("f", slow)
        timeouts = 0
        for milliseconds in [*range(1, 9)] * 5 + [200]:
            payload = bytes([milliseconds]) + large_enough_to_need_memory
            try:
                runtime.invoke("f", payload, timeout=0.001 * (milliseconds % 5 + 1))
            except dwh.InvocationTimeout:
                timeouts += 1
            assert runtime.stats().recycles == timeouts

        assert timeouts > 0
        assert len(runtime.invoke("f", b"\0" + large_enough_to_need_memory)) == 60_000_000


def test_running_out_of_managed_memory_is_an_exception(
    image: dwh.RuntimeImage, moody: dwh.Assembly
) -> None:
    with dwh.Runtime(image, limits=dwh.Limits(memory_bytes=96 << 20)) as runtime:
        runtime.load_assembly("f", moody)
        for command in (b"exhaust", b"bytes 500000000", b"native"):
            with pytest.raises(dwh.DotnetHostError) as caught:
                runtime.invoke("f", command, timeout=60)
            error = caught.value
            assert isinstance(error, (dwh.InvocationError, dwh.GuestOutOfMemory))
            if isinstance(error, dwh.InvocationError):
                assert error.dotnet_type == "System.OutOfMemoryException"
            assert runtime.memory.size <= 96 << 20

        assert runtime.invoke("f", b"echo alive") == b"alive"


def test_memory_that_is_no_longer_used_is_used_again(
    image: dwh.RuntimeImage, moody: dwh.Assembly
) -> None:
    with dwh.Runtime(image, limits=dwh.Limits(memory_bytes=160 << 20)) as runtime:
        runtime.load_assembly("f", moody)
        for _ in range(10):
            assert len(runtime.invoke("f", b"bytes 30000000")) == 30_000_000

        assert runtime.stats().recycles == 0


# ---------------------------------------------------------------- constructors


def constructor(body: str) -> str:
    """A handler with this constructor, which answers "made"."""
    return f"""
        using System; using System.Security.Cryptography;
        public sealed class Made : MinimalRuntime.IFunctionHandler {{
            public Made() {{ {body} }}
            public byte[] Execute(ReadOnlySpan<byte> input) => "made"u8.ToArray();
        }}"""


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("Environment.Exit(4);", dwh.GuestTerminated),
        ('Environment.FailFast("x");', dwh.GuestTerminated),
        ("while (true) { }", dwh.InvocationTimeout),
        (
            "System.Runtime.InteropServices.Marshal.WriteInt32((IntPtr)0x7fffff00, 1);",
            dwh.GuestTrap,
        ),
    ],
)
def test_a_constructor_that_kills_the_guest_is_a_failed_load(
    image: dwh.RuntimeImage,
    compiled: CompiledSources,
    moody: dwh.Assembly,
    body: str,
    error: type[Exception],
) -> None:
    with dwh.Runtime(image, limits=dwh.Limits(timeout=0.5)) as runtime:
        runtime.load_assembly("bystander", moody)
        runtime.load_assembly("f", moody)

        with pytest.raises(error):
            runtime.load_assembly("f", compiled(constructor(body)))

        assert list(runtime.functions) == ["bystander"]
        assert runtime.invoke("bystander", b"count") == b"1"
        assert runtime.stats().recycles == 1
        assert runtime.load_assembly("f", moody).generation >= 2


def test_a_function_that_cannot_be_made_again_is_dropped(
    image: dwh.RuntimeImage, compiled: CompiledSources, moody: dwh.Assembly
) -> None:
    # Its constructor depends on the outside world, here on what random numbers it gets.
    numbers = bytearray(b"\0")
    picky = compiled(
        constructor('if (RandomNumberGenerator.GetBytes(1)[0] != 0) throw new Exception("no");')
    )
    options = dwh.WasiOptions(random=lambda count: bytes(numbers) * count)
    with dwh.Runtime(image, wasi=options) as runtime:
        function = runtime.load_assembly("picky", picky)
        runtime.load_assembly("bystander", moody)
        assert runtime.invoke("picky") == b"made"

        numbers[0] = 1
        runtime.recycle()

        with pytest.raises(dwh.AssemblyLoadError, match="no") as caught:
            runtime.invoke("picky")
        assert caught.value.function_id == "picky"
        assert not function.is_alive
        assert list(runtime.functions) == ["bystander"]
        with pytest.raises(dwh.FunctionNotLoaded):
            runtime.invoke("picky")
        assert runtime.invoke("bystander", b"count") == b"1"

        numbers[0] = 0
        assert runtime.load_assembly("picky", picky).generation == 2
        assert runtime.invoke("picky") == b"made"
