from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from dotnet_wasm_host.errors import RuntimeClosed, TooManyCalls
from dotnet_wasm_host.pool.slots import FairSlots, Ticket


def wait_until(condition: object, seconds: float = 10.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.001)


class Recorded(Ticket):
    """Writes down what it is told."""

    def __init__(self, key: str, order: list[str] | None = None) -> None:
        super().__init__(key)
        self.order = order if order is not None else []
        self.refusal: BaseException | None = None

    def grant(self) -> None:
        self.order.append(self.key)

    def refuse(self, error: BaseException) -> None:
        self.refusal = error


def ask(slots: FairSlots, key: str, order: list[str] | None = None) -> Recorded:
    ticket = Recorded(key, order)
    slots.request(ticket)
    return ticket


def test_places_are_given_at_once_while_there_are_any() -> None:
    slots = FairSlots(2, max_waiting=10)
    first = slots.acquire("a")
    slots.acquire("a")
    assert (slots.taken, slots.waiting) == (2, 0)
    assert slots.load("a") == (2, 0)
    slots.release(first)
    assert slots.taken == 1


def test_waiting_keys_take_turns() -> None:
    slots = FairSlots(1, max_waiting=100)
    ticket: Ticket | None = slots.acquire("flood")
    order: list[str] = []
    for _ in range(5):
        ask(slots, "flood", order)
    ask(slots, "quiet", order)
    ask(slots, "other", order)
    assert slots.waiting == 7
    while ticket is not None:
        ticket = slots.hand_over(ticket)
        if ticket is not None:
            ticket.grant()
    assert order == ["flood", "quiet", "other", "flood", "flood", "flood", "flood"]
    assert (slots.taken, slots.waiting) == (0, 0)


def test_a_key_at_its_limit_waits_although_there_are_places() -> None:
    slots = FairSlots(3, max_waiting=100)
    slots.limit("flood", 1)
    order: list[str] = []
    first = ask(slots, "flood", order)
    second = ask(slots, "flood", order)
    ask(slots, "quiet", order)
    assert (order, slots.taken, slots.waiting) == (["flood", "quiet"], 2, 1)
    assert slots.load("flood") == (1, 1)
    slots.release(first)
    assert (order, slots.load("flood")) == (["flood", "quiet", "flood"], (1, 0))
    slots.release(second)
    assert (slots.taken, slots.waiting) == (1, 0)


def test_limits_are_lowered_and_raised_while_calls_wait() -> None:
    slots = FairSlots(3, max_waiting=100)
    order: list[str] = []
    running = [ask(slots, "a", order) for _ in range(3)]
    ask(slots, "a", order)
    slots.limit("a", 1)
    for ticket in running[:2]:
        assert slots.hand_over(ticket) is None
    assert slots.load("a") == (1, 1)
    ask(slots, "b", order)
    slots.limit("a", 2)
    assert (order, slots.load("a")) == (["a", "a", "a", "b", "a"], (2, 0))
    ask(slots, "a", order)
    assert slots.load("a") == (2, 1)
    slots.limit("b", 1)
    slots.limit("a", None)
    slots.release(running[2])
    assert slots.load("a") == (2, 0)


def test_a_blocked_thread_gets_the_released_place() -> None:
    slots = FairSlots(1, max_waiting=10)
    first = slots.acquire("a")
    got: list[Ticket] = []
    thread = threading.Thread(target=lambda: got.append(slots.acquire("b")))
    thread.start()
    wait_until(lambda: slots.waiting == 1)
    assert not got
    slots.release(first)
    thread.join(10)
    assert [ticket.key for ticket in got] == ["b"]
    slots.release(got[0])
    assert slots.taken == 0


def test_too_many_waiting_are_refused() -> None:
    slots = FairSlots(1, max_waiting=2)
    slots.acquire("a")
    for _ in range(2):
        ask(slots, "a")
    with pytest.raises(TooManyCalls, match="max_waiting"):
        ask(slots, "b")
    with pytest.raises(TooManyCalls):
        slots.acquire("b")
    assert slots.waiting == 2


def test_too_many_waiting_of_one_key_are_refused_and_of_others_not() -> None:
    slots = FairSlots(1, max_waiting=10, max_waiting_per_key=2)
    slots.acquire("a")
    for _ in range(2):
        ask(slots, "a")
    with pytest.raises(TooManyCalls, match=r"2 calls of 'a'.*max_waiting_per_function"):
        ask(slots, "a")
    ask(slots, "b")
    assert slots.waiting == 3


def test_a_cancelled_ticket_is_passed_over() -> None:
    slots = FairSlots(1, max_waiting=10)
    running = slots.acquire("a")
    order: list[str] = []
    first = ask(slots, "b", order)
    ask(slots, "c", order)
    assert slots.cancel(first)
    assert not slots.withdraw(first)
    assert slots.waiting == 1
    slots.release(running)
    assert order == ["c"]


def test_cancelling_what_was_granted_gives_the_place_back() -> None:
    slots = FairSlots(1, max_waiting=10)
    ticket = ask(slots, "a")
    assert slots.taken == 1
    assert not slots.withdraw(ticket)
    assert slots.taken == 1
    assert not slots.cancel(ticket)
    assert slots.taken == 0


def test_close_refuses_who_waits_and_waits_for_who_runs() -> None:
    slots = FairSlots(1, max_waiting=10)
    running = slots.acquire("a")
    waiting = ask(slots, "b")
    closer = threading.Thread(target=slots.close)
    closer.start()
    wait_until(lambda: waiting.refusal is not None)
    assert isinstance(waiting.refusal, RuntimeClosed)
    assert closer.is_alive()
    slots.release(running)
    closer.join(10)
    assert not closer.is_alive()
    with pytest.raises(RuntimeClosed):
        slots.acquire("c")


@pytest.mark.parametrize("limit", [None, 2])
def test_never_more_than_allowed_at_once(limit: int | None) -> None:
    slots = FairSlots(3, max_waiting=1000)
    for key in range(4):
        slots.limit(str(key), limit)
    lock = threading.Lock()
    running: Counter[str] = Counter()
    most = most_of_a_key = 0

    def work(key: str) -> None:
        nonlocal most, most_of_a_key
        for _ in range(50):
            ticket = slots.acquire(key)
            with lock:
                running[key] += 1
                most = max(most, running.total())
                most_of_a_key = max(most_of_a_key, running[key])
            time.sleep(0)
            with lock:
                running[key] -= 1
            slots.release(ticket)

    threads = [threading.Thread(target=work, args=(str(n % 4),)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 3
    assert most_of_a_key <= (limit or 3)
    assert (slots.taken, slots.waiting) == (0, 0)
