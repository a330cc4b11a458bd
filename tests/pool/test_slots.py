from __future__ import annotations

import threading
import time

import pytest

from dotnet_wasm_host.errors import LimitExceeded, RuntimeClosed
from dotnet_wasm_host.slots import FairSlots


def wait_until(condition: object, seconds: float = 10.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.001)


def no_refusal(error: BaseException) -> None:
    raise AssertionError(error)


def test_places_are_given_at_once_while_there_are_any() -> None:
    slots = FairSlots(2, max_waiting=10)
    slots.acquire("a")
    slots.acquire("a")
    assert (slots.taken, slots.waiting) == (2, 0)
    slots.release()
    assert slots.taken == 1


def test_waiting_keys_take_turns() -> None:
    slots = FairSlots(1, max_waiting=100)
    slots.acquire("flood")
    order: list[str] = []
    for _ in range(5):
        slots.request("flood", lambda: order.append("flood"), no_refusal)
    slots.request("quiet", lambda: order.append("quiet"), no_refusal)
    slots.request("other", lambda: order.append("other"), no_refusal)
    assert slots.waiting == 7
    for _ in range(7):
        slots.release()
    assert order == ["flood", "quiet", "other", "flood", "flood", "flood", "flood"]
    slots.release()
    assert (slots.taken, slots.waiting) == (0, 0)


def test_a_blocked_thread_gets_the_released_place() -> None:
    slots = FairSlots(1, max_waiting=10)
    slots.acquire("a")
    got = threading.Event()

    def work() -> None:
        slots.acquire("b")
        got.set()

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: slots.waiting == 1)
    assert not got.is_set()
    slots.release()
    assert got.wait(10)
    thread.join()
    slots.release()


def test_too_many_waiting_are_refused() -> None:
    slots = FairSlots(1, max_waiting=2)
    slots.acquire("a")
    for _ in range(2):
        slots.request("a", lambda: None, no_refusal)
    with pytest.raises(LimitExceeded, match="max_waiting"):
        slots.request("b", lambda: None, no_refusal)
    with pytest.raises(LimitExceeded):
        slots.acquire("b")
    assert slots.waiting == 2


def test_a_cancelled_ticket_is_passed_over() -> None:
    slots = FairSlots(1, max_waiting=10)
    slots.acquire("a")
    order: list[str] = []
    first = slots.request("b", lambda: order.append("first"), no_refusal)
    slots.request("c", lambda: order.append("second"), no_refusal)
    assert slots.cancel(first)
    assert slots.waiting == 1
    slots.release()
    assert order == ["second"]


def test_cancelling_what_was_granted_gives_the_place_back() -> None:
    slots = FairSlots(1, max_waiting=10)
    ticket = slots.request("a", lambda: None, no_refusal)
    assert slots.taken == 1
    assert not slots.cancel(ticket)
    assert slots.taken == 0


def test_close_refuses_who_waits_and_waits_for_who_runs() -> None:
    slots = FairSlots(1, max_waiting=10)
    slots.acquire("a")
    refused: list[BaseException] = []
    slots.request("b", lambda: None, refused.append)
    closer = threading.Thread(target=slots.close)
    closer.start()
    wait_until(lambda: len(refused) == 1)
    assert isinstance(refused[0], RuntimeClosed)
    assert closer.is_alive()
    slots.release()
    closer.join(10)
    assert not closer.is_alive()
    with pytest.raises(RuntimeClosed):
        slots.acquire("c")


def test_never_more_than_count_at_once() -> None:
    slots = FairSlots(3, max_waiting=1000)
    lock = threading.Lock()
    running = most = 0

    def work(key: str) -> None:
        nonlocal running, most
        for _ in range(50):
            slots.acquire(key)
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0)
            with lock:
                running -= 1
            slots.release()

    threads = [threading.Thread(target=work, args=(str(n % 4),)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 3
    assert (slots.taken, slots.waiting) == (0, 0)
