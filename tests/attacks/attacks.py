"""What a hostile function does, and what its caller gets."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import dotnet_wasm_host as dwh
from tests.native_leaks import private_bytes

MIB = 1 << 20
LIMITS = dwh.Limits(
    timeout=0.5, memory_bytes=128 * MIB, result_bytes=8 * MIB, output_bytes=MIB,
    files_bytes=8 * MIB, crash_limit=None,
)  # fmt: skip
#: Where strings that a guest has once are passed a thousand times.
ROOMY = replace(LIMITS, memory_bytes=256 * MIB)
#: A crash of the guest is dealt with in milliseconds; the rest is .NET doing what it was asked.
#: Machines that run tests are busy with other things, too.
PATIENCE = 30.0
FINE = "-"
STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        what: for the table.
        errors: what the caller may get; empty where the call itself ends well.
        command: what the function is asked to do.
        run: instead of one call of ``command``.
        may_end: the call may also end well: it is cheap enough to be done, or the function gets
            an exception that it can catch.
        program: the C# file in this folder, whose handler has that name.
        limits: of the runtime.
    """

    what: str
    errors: tuple[type[Exception], ...]
    command: str = ""
    run: Callable[[dwh.Runtime], object] | None = field(default=None, compare=False)
    may_end: bool = False
    program: str = "Attacker"
    limits: dwh.Limits = LIMITS

    @property
    def timeout(self) -> float | None:
        """Where something else than the deadline ends it, a slow machine may take its time."""
        other_end = self.errors and dwh.InvocationTimeout not in self.errors
        return PATIENCE if other_end else self.limits.timeout


@dataclass(frozen=True)
class Outcome:
    """What came of an attack.

    Attributes:
        error: class of the error and, of a .NET exception, its type; ``-`` if there was none.
        seconds: how long the caller waited.
        next_call: the next call of the same function was answered.
        bystander: another function of the runtime was, too.
        linear_bytes: linear memory of the instance after it.
        cpu_seconds: processor time of the whole process meanwhile, the guest's own included.
        peak_bytes: the most memory that the process had meanwhile, compared with before; 0 where
            nobody can tell.
        grown_bytes: private memory of the process when the instance is gone, compared with
            before there was one.
    """

    error: str
    seconds: float
    next_call: bool
    bystander: bool
    linear_bytes: int
    cpu_seconds: float
    peak_bytes: int
    grown_bytes: int = 0


def _crash_often(runtime: dwh.Runtime) -> None:
    error: Exception = AssertionError("it did not crash")
    for _ in range(1000):
        try:
            runtime.invoke("attacker", b"marshal", timeout=PATIENCE)
        except dwh.GuestTrap as crash:
            error = crash.with_traceback(None)
    raise error


def _unload_during_a_call(runtime: dwh.Runtime) -> None:
    answers: list[bytes] = []
    function = runtime.functions["attacker"]
    call = threading.Thread(target=lambda: answers.append(function.invoke(b"sleep")))
    call.start()
    while not runtime._current.calling and call.is_alive():
        time.sleep(0.001)
    runtime.unload_assembly("attacker")
    call.join()
    assert answers == [b"fine"]


def _cancel(runtime: dwh.Runtime) -> None:
    threading.Timer(0.1, runtime.cancel).start()
    runtime.invoke("attacker", b"loop")


TIMEOUT, TRAP = (dwh.InvocationTimeout,), (dwh.GuestTrap,)
THREW, TERMINATED = (dwh.InvocationError,), (dwh.GuestTerminated,)
NO_MEMORY = (dwh.InvocationError, dwh.GuestOutOfMemory)
TOO_MUCH = (dwh.LimitExceeded,)
DEATH = (dwh.GuestTerminated, dwh.GuestTrap, dwh.InvocationTimeout)


def _host(what: str, command: str) -> Attack:
    """An attack that has the host work."""
    errors = (dwh.LimitExceeded, dwh.InvocationTimeout)
    return Attack(what, errors, command, may_end=True, program="HostWork", limits=ROOMY)


ATTACKS: Mapping[str, Attack] = {
    a.command or a.what: a
    for a in (
        Attack("endless loop in IL", TIMEOUT, "loop"),
        Attack("regular expression that backtracks", TIMEOUT, "regex"),
        Attack("endless loop of caught exceptions", TIMEOUT, "catch loop"),
        Attack("endless loop in `finally`", TIMEOUT, "finally loop"),
        Attack("waiting for what never comes", (*TIMEOUT, *THREW), "deadlock"),
        Attack("endless loop, cancelled after 0.1 s", (dwh.InvocationCancelled,), run=_cancel),
        Attack("deep recursion", TERMINATED, "recursion"),
        Attack("deep recursion through native code", DEATH, "reflection"),
        Attack("allocation bomb, managed", NO_MEMORY, "objects"),
        Attack("allocation bomb, native", NO_MEMORY, "native"),
        Attack("string of maximal length", NO_MEMORY, "string"),
        Attack("array of maximal length", NO_MEMORY, "array"),
        Attack("array of more than maximal length", NO_MEMORY, "arrays"),
        Attack("wild pointer through `Marshal`", TRAP, "marshal"),
        Attack("writing all over memory through pointers", DEATH, "unsafe"),
        Attack("object reference made of a number with `Unsafe`", DEATH, "references"),
        Attack("`Environment.Exit`", TERMINATED, "exit"),
        Attack("`Environment.FailFast`", TERMINATED, "failfast"),
        Attack("exception in a static constructor", THREW, "cctor throws"),
        Attack("endless static constructor", TIMEOUT, "cctor loops"),
        Attack("exception in a finalizer", (), "finalizer throws"),
        Attack("endless finalizer", (), "finalizer loops"),
        Attack("exception that throws in `Message` and `ToString`", THREW, "message throws"),
        Attack("exception with a message of 12 million characters", THREW, "huge message"),
        Attack("chain of 20,000 inner exceptions", THREW, "long chain"),
        Attack("result of 40 MB", TOO_MUCH, "result"),
        Attack("output without end", TOO_MUCH, "output"),
        Attack("files without end", THREW, "files"),
        Attack("a thousand threads", THREW, "threads"),
        Attack("20,000 work items", (), "work items"),
        Attack("endless work item", (), "work loops"),
        Attack("work items that queue two more each", (), "work breeds"),
        Attack("2,000 timers of a millisecond", (), "timers"),
        Attack("unloading during a call", (), run=_unload_during_a_call),
        Attack("1,000 crashes in a row", TRAP, run=_crash_often),
        _host("70 calls of a host function with a name of 40 MB", "names 20000000 70"),
        _host("1,000 arguments, all the same string of 80 MB", "strings 40000000 1000"),
        _host("an array of 1,000 times the same string of 40 MB", "stringarray 20000000 1000"),
        _host("an array of 3 million slots", "array 3000000"),
        _host("60 arrays of 60 arrays, 6 deep", "nested 6 60"),
        _host("40 properties of 20 MB that the host keeps", "properties 10000000 40"),
        _host("a million host objects", "objects 1000000"),
        _host("a million bound functions", "bind 1000000"),
        _host("a million lines in one write", "lines 1000000"),
        _host("4,000 calls of 1 MB that wait for a thread", "begin 1000000 4000 wait"),
        replace(_host("a log record that is none", "record"), errors=TRAP, may_end=False),
        _host("a trace of a million messages", "trace 1000000"),
        _host("90 MB of entropy", "entropy 90000000"),
        _host("65,000 empty files", "empty 65000"),
        _host("folders in folders, 5,000 deep", "deep 5000"),
        _host("links to links, looked up 100,000 times", "links 100000"),
        _host("lists of a folder of 1,000 files, 10,000 times", "list 1000 10000"),
    )
}
PROGRAMS: Mapping[str, Path] = {
    "Attacker": Path(__file__).with_name("attacks.cs"),
    "HostWork": Path(__file__).with_name("host_work.cs"),
}


@contextmanager
def logging_to_nowhere() -> Iterator[None]:
    """With logging on at INFO: what a log costs is a part of what an attack costs."""
    logger = logging.getLogger("dotnet_wasm_host")
    before = logger.level, logger.propagate
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        handler = logging.StreamHandler(nowhere)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            yield
        finally:
            logger.setLevel(before[0])
            logger.propagate = before[1]
            logger.removeHandler(handler)


@contextmanager
def arena(image: dwh.RuntimeImage, assembly: dwh.Assembly, attack: Attack) -> Iterator[dwh.Runtime]:
    """A runtime with the attacker and a bystander."""
    ended = threading.Event()
    with dwh.Runtime(
        image,
        limits=attack.limits,
        wasi=dwh.WasiOptions(stdout="logging", stderr="logging"),
        host_functions={"wait": lambda _: ended.wait(PATIENCE) and b""},
        http=dwh.HttpPolicy(allowed_hosts=("localhost",)),
    ) as runtime:
        for function_id in ("bystander", "attacker"):
            runtime.load_assembly(function_id, assembly)
        runtime.invoke("attacker", timeout=PATIENCE)
        try:
            yield runtime
        finally:
            ended.set()


def carry_out(attack: Attack, image: dwh.RuntimeImage, assembly: dwh.Assembly) -> Outcome:
    """Attack in a runtime of its own, and look at what is left."""
    before = private_bytes()
    with logging_to_nowhere(), arena(image, assembly, attack) as runtime:
        outcome = _attack(attack, runtime, assembly)
    gc.collect()
    return replace(outcome, grown_bytes=private_bytes() - before)


def _attack(attack: Attack, runtime: dwh.Runtime, assembly: dwh.Assembly) -> Outcome:
    forget_peak()
    memory, cpu, start = peak_bytes(), time.process_time(), time.monotonic()
    error = FINE
    try:
        if attack.run is not None:
            attack.run(runtime)
        else:
            runtime.invoke("attacker", attack.command.encode(), timeout=attack.timeout)
    except Exception as raised:
        if not isinstance(raised, attack.errors):
            raise
        error = describe(raised)
        if attack.program == "HostWork" and isinstance(raised, dwh.LimitExceeded):
            assert raised.limit == "host_work"
    else:
        assert attack.may_end or not attack.errors, "nothing was raised"
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    memory = peak_bytes() - memory
    if "attacker" not in runtime.functions:
        runtime.load_assembly("attacker", assembly)
    next_call, bystander = (
        runtime.invoke(f, timeout=PATIENCE) == b"fine" for f in ("attacker", "bystander")
    )
    return Outcome(error, seconds, next_call, bystander, runtime.memory.size, cpu, memory)


def peak_bytes() -> int:
    """The most memory that the process has had since :func:`forget_peak`; 0 but on Linux."""
    if not STATUS.exists():
        return 0
    (line,) = [x for x in STATUS.read_text("utf-8").splitlines() if x.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    if CLEAR_REFS.exists():
        CLEAR_REFS.write_text("5", "utf-8")


def describe(error: Exception) -> str:
    """The error's class; for a .NET exception also its type."""
    name = type(error).__name__
    if isinstance(error, dwh.InvocationError):
        return f"{name} ({error.dotnet_type.removeprefix('System.')})"
    return name
