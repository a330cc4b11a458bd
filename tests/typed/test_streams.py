"""Results that come one after the other."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = """
public record Point(int X);
static int made, ended;
public static int Made() => made;
public static int Ended() => ended;
public static IEnumerable<int> Count(int start) {
    try { while (true) { made++; yield return start++; } } finally { ended++; }
}
public static IEnumerable<string?> Fails() {
    yield return "a"; yield return null; throw new FormatException("x");
}
public static IEnumerable<Point> Points() => new[] { new Point(1), new Point(2) };
public static IEnumerable<int> Never() => throw new FormatException("at once");
public static int Sum(IEnumerable<int> xs) => xs.Sum();
"""
LATE = """
using System.Runtime.CompilerServices;
static int ended;
public static int Ended() => ended;
public static async IAsyncEnumerable<int> Late(
    int n, [EnumeratorCancellation] CancellationToken token = default) {
    try { for (var i = 0; i < n; i++) { await Task.Delay(1, token); yield return i; } }
    finally { ended++; }
}
public static IEnumerable<int> Now() => [1, 2];
public static async IAsyncEnumerable<int> Fails() {
    await Task.Yield(); yield return 1; throw new FormatException("x");
}
"""


@pytest.fixture(scope="module")
def m() -> Iterator[Any]:
    with dwh.csharp(SOURCE) as module:
        yield module


def test_csharp_goes_on_when_python_asks(m: Any) -> None:
    before = m.Made()
    numbers = m.Count(5)
    assert m.Made() == before
    assert next(numbers) == 5
    assert m.Made() == before + 1
    assert list(itertools.islice(numbers, 3)) == [6, 7, 8]
    assert m.Made() == before + 4


def test_a_closed_iterator_ends_the_stream(m: Any) -> None:
    before = m.Ended()
    numbers = m.Count(1)
    next(numbers)
    numbers.close()
    assert m.Ended() == before + 1


def test_streams_run_beside_each_other(m: Any) -> None:
    first, second = m.Count(0), m.Count(100)
    assert [next(first), next(second), next(first), next(second)] == [0, 100, 1, 101]
    assert list(m.Points()) == [m.Point(1), m.Point(2)]
    assert m.Sum(m.Count(i).__next__() for i in (1, 2)) == 3


def test_a_stream_may_fail(m: Any) -> None:
    values = m.Fails()
    assert [next(values), next(values)] == ["a", None]
    with pytest.raises(ValueError, match="x"):
        next(values)
    assert list(values) == []
    with pytest.raises(ValueError, match="at once"):
        m.Never()
    with pytest.raises(TypeError, match="'start': expected int"):
        m.Count("x")


def test_a_stream_ends_with_its_instance() -> None:
    with dwh.Runtime() as runtime, dwh.csharp(SOURCE, runtime=runtime) as m:
        numbers = m.Count(1)
        next(numbers)
        runtime.recycle()
        with pytest.raises(
            dwh.InvocationError, match="the instance in which it began was replaced"
        ):
            next(numbers)


def test_a_borrowed_pool_has_no_streams() -> None:
    with dwh.RuntimePool(size=1) as pool, dwh.csharp(SOURCE, runtime=pool) as m:
        with pytest.raises(dwh.MarshallingTypeError, match="give a Runtime"):
            m.Count(1)
        assert m.Sum([1]) == 1


def test_a_stream_that_does_not_begin_says_why() -> None:
    async def first(stream: AsyncIterator[str]) -> None:
        await anext(stream)

    with dwh.csharp(LATE) as m:
        assert m.Ended() == 0
    with pytest.raises(dwh.MarshallingTypeError, match="parameter 'n': expected int"):
        asyncio.run(first(m.Late("x")))


def test_asynchronous_streams() -> None:
    async def all_kinds(m: Any) -> None:
        assert [x async for x in m.Late(5)] == [0, 1, 2, 3, 4]
        assert list(m.Now()) == [1, 2]
        ended = m.Ended()
        stream = m.Late(1_000)
        assert await anext_(stream) == 0
        await stream.aclose()
        assert m.Ended() == ended + 1
        with pytest.raises(ValueError, match="x"):
            [x async for x in m.Fails()]
        many = await asyncio.gather(*(collect(m.Late(3)) for _ in range(5)))
        assert many == [[0, 1, 2]] * 5

    async def collect(stream: AsyncIterator[int]) -> list[int]:
        return [x async for x in stream]

    async def anext_(stream: AsyncIterator[int]) -> int:
        return await stream.__anext__()

    with dwh.csharp(LATE) as m:
        m.Ended()  # starts the instance
        asyncio.run(all_kinds(m))
        assert str(inspect.signature(m.Late)).endswith("collections.abc.AsyncIterator[int]")
