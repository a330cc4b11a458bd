"""What every engine must do. A new engine takes part once it is in :mod:`tests.engines.kinds`."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from dotnet_wasm_host.engines.base import Engine, Instance
from dotnet_wasm_host.errors import (
    GuestTrap,
    InvocationTimeout,
    LimitExceeded,
    RuntimeClosed,
)
from tests.engines.kinds import ENGINES, assemble

if TYPE_CHECKING:
    from pathlib import Path

PAGE = 65536
MEMORY = '(module (memory (export "memory") 1 8) (data (i32.const 0) "image"))'
CODE = """
(module
  (import "env" "memory" (memory 1 8))
  (import "env" "host" (func $host (param i32 i64 f64) (result i32)))
  (import "env" "double" (func $double (result f64)))
  (import "env" "long" (func $long (result i64)))
  (import "env" "notify" (func $notify (param i32)))
  (import "env" "reenter" (func $reenter (param i32) (result i32)))
  (global $counter (mut i32) (i32.const 7))
  (export "counter" (global $counter))
  (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "load") (param i32) (result i32) local.get 0 i32.load)
  (func (export "call_host") (param i32) (result i32)
    local.get 0 i64.const -5000000000 f64.const 2.5 call $host)
  (func (export "call_double") (result i32) call $double f64.const 2 f64.mul i32.trunc_f64_s)
  (func (export "call_long") (result i32) call $long i64.const 32 i64.shr_s i32.wrap_i64)
  (func (export "store") (param i32 i32)
    local.get 0 local.get 1 i32.store  local.get 0 call $notify)
  (func (export "reenter") (param i32) (result i32) local.get 0 call $reenter i32.const 1 i32.add)
  (func (export "bump") global.get $counter i32.const 1 i32.add global.set $counter)
  (func (export "spin") (loop $again br $again))
  (func (export "spin_calling") (loop $again i32.const 0 call $notify br $again))
  (func $deep (export "recurse") (param i32) (result i32)
    local.get 0 i32.const 1 i32.add call $deep i32.const 1 i32.add)
  (func $deep_calling (export "recurse_calling") (param i32) (result i32)
    local.get 0 call $notify
    local.get 0 i32.const 1 i32.add call $deep_calling i32.const 1 i32.add)
  (func (export "crash") unreachable))
"""
CODE_IMPORTS = ("host", "double", "long", "notify", "reenter")


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]()


@pytest.fixture
def start(engine: Engine) -> Callable[..., Instance]:
    code, memory = (
        engine.compile(assemble(CODE)),
        engine.compile(assemble(MEMORY)),
    )

    def make(limit: int = 8 * PAGE, **functions: Any) -> Instance:
        instance = engine.instantiate(code, memory, memory_limit=limit)
        defaults = dict.fromkeys(code.imports, _unexpected)
        instance.attach(lambda: {**defaults, **functions})
        return instance

    return make


def _unexpected(*_: object) -> int:
    raise AssertionError("this host function must not be called")


Start = Callable[..., Instance]


def test_i32_results_come_back_unsigned_and_arguments_wrap(start: Start) -> None:
    add = start().function("add")
    assert add(2**32 - 1, 0) == 2**32 - 1
    assert add(-1, 2) == 1
    assert add(2**31, 2**31) == 0


def test_host_functions_get_unsigned_i32_signed_i64_and_float(start: Start) -> None:
    seen: list[tuple[object, ...]] = []

    def host(*arguments: object) -> int:
        seen.append(arguments)
        return -1

    instance = start(host=host)
    assert instance.function("call_host")(2**32 - 100) == 2**32 - 1
    assert seen == [(2**32 - 100, -5_000_000_000, 2.5)]


def test_host_results_of_every_type_arrive(start: Start) -> None:
    instance = start(double=lambda: 21.25, long=lambda: -3 << 32, notify=lambda _p: None)
    assert instance.function("call_double")() == 42
    assert instance.function("call_long")() == 2**32 - 3
    assert instance.function("store")(8, 1) == 0


def test_an_exception_of_a_host_function_comes_out_unchanged(start: Start) -> None:
    class Marker(BaseException):
        pass

    marker = Marker("kept")

    def host(*_: object) -> int:
        raise marker

    instance = start(host=host)
    with pytest.raises(Marker) as caught:
        instance.function("call_host")(1)
    assert caught.value is marker
    assert instance.function("add")(1, 2) == 3


def test_exceptions_cross_nested_calls_and_can_be_caught_between(start: Start) -> None:
    def reenter(depth: int) -> int:
        if depth == 0:
            raise KeyError("bottom")
        try:
            return inner(depth - 1)
        except KeyError:
            return 100

    instance = start(reenter=reenter)
    inner = instance.function("reenter")
    assert inner(3) == 103


def test_each_instance_reaches_its_own_host_functions(start: Start) -> None:
    def chain(calls: list[str]) -> None:
        """Instances of which each calls the next one in a host function, and then a last time."""
        first, second = start(), start()
        third = start(reenter=lambda _: _noted(calls, "third"))
        third_again = third.function("reenter")

        def in_second(_: int) -> int:
            calls.append("second")
            return third_again(0)

        second.attach(lambda: dict.fromkeys(CODE_IMPORTS, in_second))
        second_again = second.function("reenter")

        def in_first(depth: int) -> int:
            calls.append(f"first {depth}")
            if depth == 0:
                return second_again(0)
            return first_again(depth - 1)

        first.attach(lambda: dict.fromkeys(CODE_IMPORTS, in_first))
        first_again = first.function("reenter")
        for call in (first_again, third_again, second_again, first_again, first_again):
            call(1)

    one_turn = ["first 1", "first 0", "second", "third"]
    expected = [*one_turn, "third", "second", "third", *one_turn, *one_turn]
    for run in (_here, _in_thread, _here):
        calls: list[str] = []
        run(functools.partial(chain, calls))
        assert calls == expected


def _noted(calls: list[str], name: str) -> int:
    calls.append(name)
    return 0


def _here(work: Callable[[], object]) -> None:
    work()


def _in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_exceptions_of_two_threads_are_not_mixed_up(start: Start) -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        def host(*_: object) -> int:
            raise ValueError(number)

        call = start(host=host).function("call_host")
        for _ in range(300):
            try:
                call(1)
            except ValueError as error:
                if error.args != (number,):
                    failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize(
    ("export", "arguments", "message"),
    [
        ("crash", (), "unreachable"),
        ("load", (2**32 - 4,), "out of bounds"),
        ("recurse", (0,), "stack"),
    ],
)
def test_traps_are_typed_and_say_what_happened(
    start: Start, export: str, arguments: tuple[int, ...], message: str
) -> None:
    with pytest.raises(GuestTrap, match=message) as caught:
        start().function(export)(*arguments)
    assert "function" in caught.value.wasm_backtrace


def test_host_functions_have_stack_when_the_guest_has_none_left(start: Start) -> None:
    entered = left = 0

    def notify(depth: int) -> None:
        nonlocal entered, left
        entered += 1
        if depth % 100 == 0:
            climb(150)
        left += 1

    def climb(levels: int) -> None:
        if levels:
            climb(levels - 1)

    for _ in range(3):
        with pytest.raises(GuestTrap, match="stack"):
            start(notify=notify).function("recurse_calling")(0)
        # The guest's overflow was never inside of Python.
        assert entered == left > 1000


def test_a_deadline_stops_a_loop_and_does_not_outlive_it(start: Start) -> None:
    instance = start()
    instance.set_deadline(0.05)
    with pytest.raises(InvocationTimeout):
        instance.function("spin")()
    instance.set_deadline(None)
    assert instance.function("add")(1, 1) == 2


def test_a_deadline_of_one_instance_leaves_another_alone(start: Start) -> None:
    hurried, patient = start(), start()
    hurried.set_deadline(0.02)
    with pytest.raises(InvocationTimeout):
        hurried.function("spin")()
    assert patient.function("add")(1, 1) == 2


class Stopped(Exception):
    pass


def interrupt_soon(instance: Instance, interruption: Callable[[], BaseException | None]) -> None:
    threading.Timer(0.05, instance.interrupt, (interruption,)).start()


def test_an_interruption_stops_a_guest_and_does_not_outlive_it(start: Start) -> None:
    # At the latest where the guest calls the host: not every engine can do more.
    stopped = Stopped()
    instance = start(notify=lambda _p: time.sleep(0.001))
    interrupt_soon(instance, lambda: stopped)
    with pytest.raises(Stopped) as caught:
        instance.function("spin_calling")()
    assert caught.value is stopped
    assert instance.function("add")(1, 1) == 2


def test_an_interruption_is_asked_in_the_thread_of_the_guest_and_may_say_no(start: Start) -> None:
    threads: list[int] = []
    instance = start(notify=lambda _p: time.sleep(0.001))

    def no() -> None:
        threads.append(threading.get_ident())
        interrupt_soon(instance, Stopped)

    interrupt_soon(instance, no)
    with pytest.raises(Stopped):
        instance.function("spin_calling")()
    assert threads == [threading.get_ident()]


def test_an_interruption_of_one_instance_leaves_another_alone(start: Start) -> None:
    stopped, other = start(notify=lambda _p: None), start(notify=lambda _p: None)
    stopped.interrupt(Stopped)
    other.function("store")(0, 1)
    with pytest.raises(Stopped):
        stopped.function("spin_calling")()


def test_a_guest_that_never_calls_the_host_is_stopped(start: Start) -> None:
    instance = start()
    interrupt_soon(instance, Stopped)
    with pytest.raises(Stopped):
        instance.function("spin")()


def test_memory_starts_as_the_image_and_is_private(start: Start) -> None:
    first, second = start(notify=lambda _p: None), start()
    first.function("store")(0, 0x21)
    assert second.function("load")(0) == int.from_bytes(b"imag", "little")
    assert first.memory.address != second.memory.address


def test_growth_stops_at_the_limit(start: Start) -> None:
    memory = start(limit=3 * PAGE).memory
    assert memory.size == PAGE
    assert memory.grow(2)
    assert memory.size == 3 * PAGE
    assert not memory.grow(1)
    assert not memory.grow(-1)
    assert memory.size == 3 * PAGE


def test_an_image_larger_than_the_limit_is_refused(start: Start) -> None:
    with pytest.raises(LimitExceeded):
        start(limit=PAGE - 1)


def test_globals_can_be_read_and_set(start: Start) -> None:
    instance = start()
    assert instance.globals() == {"counter": 7}
    instance.function("bump")()
    assert instance.globals() == {"counter": 8}
    instance.set_globals({"counter": 2**32 - 2})
    instance.function("bump")()
    assert instance.globals() == {"counter": 2**32 - 1}


def test_bound_calls_repeat_with_the_same_arguments(start: Start) -> None:
    seen: list[int] = []
    instance = start(notify=seen.append)
    store = instance.bind("store", 16, 0x1234)
    store()
    store()
    assert seen == [16, 16]
    assert instance.function("load")(16) == 0x1234


def test_unknown_exports_are_key_errors(start: Start) -> None:
    instance = start()
    with pytest.raises(KeyError):
        instance.function("missing")
    with pytest.raises(KeyError):
        instance.bind("missing")


def test_a_closed_instance_refuses_calls_and_keeps_views_readable(start: Start) -> None:
    instance = start()
    add, bump = instance.function("add"), instance.bind("bump")
    instance.close()
    instance.close()
    with pytest.raises(RuntimeClosed):
        add(1, 2)
    with pytest.raises(RuntimeClosed):
        bump()


def test_a_host_function_may_close_its_own_instance(start: Start) -> None:
    instance: Instance = start(notify=lambda _p: instance.close())
    instance.function("store")(0, 1)
    with pytest.raises(RuntimeClosed):
        instance.function("add")(1, 1)


def test_serialized_modules_load_again(engine: Engine, tmp_path: Path) -> None:
    for name, text in (("code", CODE), ("memory", MEMORY)):
        (tmp_path / name).write_bytes(engine.compile(assemble(text)).serialize())
    instance = engine.instantiate(
        engine.load(tmp_path / "code"), engine.load(tmp_path / "memory"), memory_limit=PAGE
    )
    assert instance.function("add")(20, 22) == 42


def test_invalid_modules_are_value_errors(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a valid WebAssembly module"):
        engine.compile(b"\0asm\x01\0\0\0\xff")
    (tmp_path / "junk").write_bytes(b"junk" * 100)
    with pytest.raises(ValueError, match="was not compiled by this engine"):
        engine.load(tmp_path / "junk")


def test_the_fingerprint_is_stable(engine: Engine) -> None:
    assert engine.fingerprint == type(engine)().fingerprint
