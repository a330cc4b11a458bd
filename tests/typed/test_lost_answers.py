"""Answers that Python does not have to their end: what .NET holds for them is let go at once."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.typed import unpacking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = """
public class Thing;
public record Pair(Thing Thing, string Text);
public record Chain(Thing Thing, Chain? Next);
static Thing? kept;
public static List<Thing> Many(int n) => Enumerable.Range(0, n).Select(_ => new Thing()).ToList();
public static List<Pair> Bad() => [new(new(), "good"), new(new(), "\\ud800")];
public static (List<Thing>, string) TupleOfBad() => (Many(9), "\\ud800");
public static void Out(out List<Thing> things, out string text) {
    things = Many(9); text = "\\ud800";
}
public static Chain Deep(int n) {
    Chain? chain = null;
    for (var i = 0; i < n; i++) { chain = new(new(), chain); }
    return chain!;
}
public static IEnumerable<Pair> Stream() => Bad();
public static Thing Keep() => kept = new();
public static string Give(int n, Action<List<Thing>> take) {
    try { take(Many(n)); return "taken"; } catch (Exception e) { return e.GetType().Name; }
}
"""
LATE = """
public class Thing;
public static async Task<List<Thing>> Many(int n) {
    await Task.Yield();
    return Enumerable.Range(0, n).Select(_ => new Thing()).ToList();
}
public static async Task<(Thing, string)> Bad() { await Task.Yield(); return (new(), "\\ud800"); }
static int ended;
public static int Ended() => ended;
public static async IAsyncEnumerable<Thing> Stream() {
    try { await Task.Yield(); yield return new(); } finally { ended++; }
}
"""


@pytest.fixture(scope="module")
def m() -> Iterator[Any]:
    with (
        dwh.Runtime(limits=dwh.Limits(result_bytes=1 << 16)) as runtime,
        dwh.csharp(SOURCE, runtime=runtime) as module,
    ):
        yield module


def _waiting(m: Any) -> int:
    """How much is to be let go with the next call."""
    return len(m._objects.released)


def _is_let_go(m: Any) -> bool:
    """Nothing waits to be let go, and nothing is held."""
    gc.collect()
    waits = _waiting(m)
    return not waits and m.held_objects == 0


def test_an_answer_that_is_too_large_leaves_no_object(m: Any) -> None:
    with pytest.raises(dwh.LimitExceeded):
        m.Many(20_000)
    assert _is_let_go(m)


@pytest.mark.parametrize("name", ["Bad", "TupleOfBad", "Out"])
def test_an_answer_that_cannot_be_written_leaves_no_object(m: Any, name: str) -> None:
    with pytest.raises(dwh.InvocationError, match="Unable to translate"):
        getattr(m, name)()
    assert _is_let_go(m)


def test_an_answer_that_is_too_deep_leaves_no_object(m: Any) -> None:
    with pytest.raises(dwh.InvocationError, match="100 deep"):
        m.Deep(101)
    assert _is_let_go(m)


def test_an_item_of_a_stream_that_cannot_be_written_leaves_no_object(m: Any) -> None:
    items = m.Stream()
    first = next(items)
    with pytest.raises(dwh.InvocationError):
        next(items)
    assert m.held_objects == 1
    del first, items
    gc.collect()
    assert m.held_objects == 0


def test_objects_that_python_has_already_stay(m: Any) -> None:
    things, kept = m.Many(3), m.Keep()
    with pytest.raises(dwh.LimitExceeded):
        m.Many(20_000)
    assert m.held_objects == 4
    del things, kept
    assert _is_let_go(m) or m.held_objects == 0


def test_an_answer_that_cannot_be_read_leaves_no_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_OBJECT_BYTES", 100_000)
    with dwh.csharp(SOURCE) as m:
        things = m.Many(9)
        with pytest.raises(dwh.LimitExceeded):
            m.Many(2000)
        assert not _waiting(m)
        assert m.held_objects == 9
        # What a callable cannot be given goes when its call has ended.
        given: list[Any] = []
        assert m.Give(3, given.extend) == "taken"
        assert m.Give(2000, given.extend) == "HostFunctionException"
        assert len(given) == 3
        assert m.held_objects == 12
        del things
        given.clear()
        assert m.held_objects == 0


def test_an_answer_that_is_interrupted_leaves_no_object(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(unpacking, "_OBJECT_BYTES", 100_000)
    monkeypatch.setattr(unpacking, "_many", interrupt)
    with dwh.csharp(SOURCE) as m:
        with pytest.raises(KeyboardInterrupt):
            m.Many(2000)
        assert m.held_objects == 0


async def _raises(call: Callable[[], Any], *kinds: type[BaseException]) -> None:
    with pytest.raises(kinds):
        await call()


def test_an_answer_that_was_awaited_leaves_no_object() -> None:
    async def run(m: Any) -> None:
        await _raises(lambda: m.Many(20_000), dwh.LimitExceeded)
        assert not _waiting(m)
        await _raises(m.Bad, dwh.InvocationError)
        things = await m.Many(2)
        assert m.held_objects == 2
        del things
        assert m.held_objects == 0

    for borrowed in (False, True):
        limits = dwh.Limits(result_bytes=1 << 16)
        if not borrowed:
            with dwh.csharp(LATE, limits=limits) as m:
                asyncio.run(run(m))
            continue
        with dwh.Runtime(limits=limits) as runtime, dwh.csharp(LATE, runtime=runtime) as m:
            asyncio.run(run(m))


def test_an_await_that_is_cancelled_when_all_is_done_leaves_no_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def too_late(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        call(*args, **kwargs)
        raise asyncio.CancelledError

    with dwh.Runtime() as runtime, dwh.csharp(LATE, runtime=runtime) as m:
        monkeypatch.setattr(asyncio, "to_thread", too_late)
        asyncio.run(_raises(lambda: m.Many(5), asyncio.CancelledError))
        # A loop may not be held up by a call, so it goes with the next one.
        assert m.held_objects == 0


def test_a_stream_whose_beginning_is_cancelled_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = asyncio.to_thread
    calls = 0

    async def first_too_late(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        result = await usual(call, *args, **kwargs)
        if calls == 2:
            raise asyncio.CancelledError
        return result

    async def run(m: Any) -> None:
        stream = m.Stream()
        await _raises(lambda: anext(stream), asyncio.CancelledError)
        assert calls == 3

    with dwh.Runtime() as runtime, dwh.csharp(LATE, runtime=runtime) as m:
        monkeypatch.setattr(asyncio, "to_thread", first_too_late)
        asyncio.run(run(m))
        # The first item had been made: its finally ran.
        assert m.Ended() == 1
        assert m.held_objects == 0


def test_a_stream_that_nobody_asks_ends() -> None:
    source = """
    static int open;
    public static int Open() => open;
    public class Items : IEnumerable<int>, IEnumerator<int> {
        public Items() => open++;
        public IEnumerator<int> GetEnumerator() => this;
        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => this;
        public int Current => 1;
        object System.Collections.IEnumerator.Current => 1;
        public bool MoveNext() => true;
        public void Reset() {}
        public void Dispose() => open--;
    }
    public static IEnumerable<int> Begin() => new Items();
    """
    with dwh.csharp(source) as m:
        items = m.Begin()
        assert m.Open() == 1
        del items
        gc.collect()
        assert m.Open() == 0
