from __future__ import annotations

import platform
import sys
import threading

import pytest

from dotnet_wasm_host.engines.wasmer.stack_room import StackRoom

MIB = 1024 * 1024
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"},
    reason="the stack pointer is looked up on Linux only",
)


def in_thread_of(stack: int, room: StackRoom) -> tuple[int | None, int, int]:
    found: list[tuple[int | None, int, int]] = []
    before = threading.stack_size(stack)
    try:
        thread = threading.Thread(
            target=lambda: found.append((room.size, room.left(), room.reserve))
        )
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    return found[0]


def left_below(room: StackRoom, levels: int) -> int:
    if levels == 0:
        return room.left()
    # Through C: since Python 3.11 its own calls take none of the thread's stack.
    return next(map(left_below, [room], [levels - 1]))


def test_it_shrinks_with_the_depth_of_calls() -> None:
    room = StackRoom()
    assert room.size is not None
    lefts = [left_below(room, levels) for levels in (0, 10, 100)]
    assert room.size > lefts[0] > lefts[1] > lefts[2] > 0
    assert abs(left_below(room, 0) - lefts[0]) < 4096


def test_every_thread_has_its_own() -> None:
    room = StackRoom()
    for size in (MIB, 32 * MIB):
        given, left, reserve = in_thread_of(size, room)
        assert given is not None
        # A stack that glibc kept of a thread before, if it is not more than four times as large.
        assert size <= given <= 4 * size + MIB
        assert given - MIB < left < given
        assert reserve == min(MIB, given // 4)


def test_where_nobody_can_tell_there_is_always_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    room = StackRoom()
    assert room.size is None
    assert room.left() > room.reserve == 0
