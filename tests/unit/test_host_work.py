"""The meter of what the host does on behalf of a guest."""

from __future__ import annotations

import itertools
import pickle
import time

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.imports.files.volume import FREE_NODES, NODE_BYTES, Directory, Volume
from dotnet_wasm_host.imports.files.wasi_errno import FileSystemError
from dotnet_wasm_host.imports.host_functions import HostFunctions
from dotnet_wasm_host.imports.host_work import ITEM, PORTION, STRETCH, HostWork
from tests.unit.fake_guest import FakeGuest


def test_a_call_may_cost_its_budget_and_not_a_unit_more() -> None:
    work = HostWork(1000, 1000)
    work.charge(1000)
    with pytest.raises(dwh.LimitExceeded, match="host_work=1000") as caught:
        work.charge(1)
    assert caught.value.limit == "host_work"
    assert work.stopped
    assert pickle.loads(pickle.dumps(caught.value)).limit == "host_work"


def test_the_next_call_has_the_whole_budget_again() -> None:
    work = HostWork(1000, 1000)
    work.charge(900)
    work.begin()
    work.charge(1000)
    assert not work.stopped
    assert work.total == 1900


def test_items_cost_more_than_bytes() -> None:
    work = HostWork(10 * ITEM, 0)
    work.charge_items(10)
    with pytest.raises(dwh.LimitExceeded):
        work.charge_items(1)


@pytest.mark.parametrize("step", [1 << 16, PORTION, 10 * PORTION])
def test_what_stops_the_guest_is_looked_up_once_a_portion(step: int) -> None:
    looks: list[int] = []
    work = HostWork(100 * PORTION, 0, lambda: looks.append(work.spent))
    while work.spent + step <= work.budget:
        work.charge(step)
    assert len(looks) >= work.budget // (PORTION + step) - 1
    assert max(b - a for a, b in itertools.pairwise(looks)) <= PORTION + step
    assert not work.stopped


def test_a_deadline_that_is_found_marks_the_guest_as_stopped() -> None:
    def look_up() -> None:
        raise TimeoutError

    work = HostWork(100 * PORTION, 0, look_up)
    with pytest.raises(TimeoutError):
        work.charge(PORTION + 1)
    assert work.stopped


def test_a_thread_that_works_long_rests_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now, rests = [100.0], []

    def rest(seconds: float) -> None:
        rests.append(now[0])
        now[0] += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "sleep", rest)
    work = HostWork(1000 * PORTION, 0)
    for _ in range(100):
        work.charge(PORTION + 1)
        now[0] += STRETCH / 4
    assert rests[0] == 100.0
    assert 20 <= len(rests) <= 25
    assert min(b - a for a, b in itertools.pairwise(rests)) > STRETCH


def test_a_copy_costs_its_bytes_and_an_item() -> None:
    work = HostWork(1000 + ITEM, 0)
    work.charge_copy(1000)
    with pytest.raises(dwh.LimitExceeded):
        work.charge(1)


def test_calls_that_wait_share_what_is_left_of_their_budgets() -> None:
    work = HostWork(1000, 0)
    work.charge(400)  # the first call; it waits
    work.begin(waiting=1)
    assert work.allowance == 1600
    work.charge(1600)
    work.begin(waiting=2)
    assert work.allowance == 1000


def test_budgets_of_calls_that_ended_do_not_pile_up() -> None:
    work = HostWork(1000, 0)
    for _ in range(100):
        work.begin(waiting=1)
    assert work.allowance == 2000
    work.begin()
    assert work.allowance == 1000


def test_what_is_kept_has_a_limit_and_stays_charged() -> None:
    work = HostWork(1 << 30, 1000)
    work.keep(600)
    work.begin()
    assert not work.try_keep(401)
    with pytest.raises(dwh.LimitExceeded, match="keeps 600 and was asked for 401") as caught:
        work.keep(401)
    assert caught.value.limit == "host_work"
    work.drop(600)
    work.keep(1000)
    assert work.kept == 1000


def test_a_metered_memory_charges_before_it_copies() -> None:
    guest = FakeGuest()
    charged: list[int] = []
    memory = guest.memory.metered(charged.append)
    memory.write(64, b"x" * 100)
    assert memory.read(64, 100) == b"x" * 100
    memory.view(64, 7)
    assert charged == [100, 100, 7]

    def refuse(_: int) -> None:
        raise dwh.LimitExceeded("enough", limit="host_work")

    with pytest.raises(dwh.LimitExceeded):
        guest.memory.metered(refuse).write(64, b"y" * 100)
    assert guest.memory.read(64, 100) == b"x" * 100


def test_empty_files_count_from_the_1025th_on() -> None:
    volume = Volume(lambda: 0, 10 * NODE_BYTES)
    root = Directory(volume, 0o755)
    for number in range(FREE_NODES - 1):
        root.create_file(b"%d" % number, 0o644)
    assert volume.used == 0
    for number in range(10):
        root.create_file(b"more %d" % number, 0o644)
    assert volume.available == 0
    with pytest.raises(FileSystemError):
        root.create_file(b"one too many", 0o644)
    assert len(volume.nodes) == FREE_NODES + 10
    for name in [entry.name for entry in root.entries(2, 10_000)]:
        root.remove(name)
    assert (volume.used, len(volume.nodes)) == (0, 1)


def test_a_call_of_a_host_function_may_end_inside_another_ones_beginning() -> None:
    functions = HostFunctions({"f": lambda argument: argument})
    with functions._lock:  # as when ending one future runs callbacks of this thread
        share = functions.lend(100)
        future = share.begin(functions.by_utf16["f".encode("utf-16-le")], b"x")
        functions._let_go(share, 0)
    assert future.result(10) == b"x"
    functions.close()
