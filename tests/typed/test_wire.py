"""Every type there and back, with values of any kind; and answers that are no results."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import string
import tracemalloc
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh
from dotnet_wasm_host.assembly import Assembly
from dotnet_wasm_host.typed.description import Description
from dotnet_wasm_host.typed.documentation import Documentation
from dotnet_wasm_host.typed.functions import FunctionMaker
from dotnet_wasm_host.typed.signatures import Function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
I32 = st.integers(-(2**31), 2**31 - 1)
NAIVE = st.datetimes()
#: Far enough from the ends for any offset.
EARLY, LATE = dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1)  # noqa: DTZ001
OFFSETS = st.integers(-840, 840).map(lambda m: dt.timezone(dt.timedelta(minutes=m)))
MOMENTS = st.datetimes(EARLY, LATE, timezones=OFFSETS)
FINITE = st.floats(allow_nan=False)
SINGLE = st.floats(width=32, allow_nan=False)
#: More than 19 days short of what 64 bits of ticks hold.
SPANS = st.timedeltas(dt.timedelta(days=-10_000_000), dt.timedelta(days=10_000_000))
DECIMALS = st.builds(
    lambda digits, scale, sign: Decimal((sign, tuple(map(int, str(digits))), -scale)),
    st.integers(0, 2**96 - 1), st.integers(0, 28), st.integers(0, 1),
)  # fmt: skip


def integers(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    return (
        st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if signed
        else st.integers(0, 2**bits - 1)
    )


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


POINTS = st.fixed_dictionaries({"X": I32, "Y": FINITE, "Name": optional(TEXT)})
TREES = st.recursive(
    st.fixed_dictionaries({"V": I32, "Kids": st.just([])}),
    lambda inner: st.fixed_dictionaries({"V": I32, "Kids": st.lists(inner, max_size=3)}),
)
#: C#'s type, and values for it.
TYPES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "sbyte": integers(8),
    "byte": integers(8, signed=False),
    "short": integers(16),
    "ushort": integers(16, signed=False),
    "int": I32,
    "uint": integers(32, signed=False),
    "long": integers(64),
    "ulong": integers(64, signed=False),
    "nint": I32,
    "nuint": integers(32, signed=False),
    "Int128": integers(128),
    "UInt128": integers(128, signed=False),
    "Half": st.floats(width=16, allow_nan=False),
    "float": SINGLE,
    "double": FINITE,
    "char": st.characters(max_codepoint=0xFFFF),
    "string": optional(TEXT),
    "decimal": DECIMALS,
    "Guid": st.uuids(),
    "DateTime": NAIVE,
    "DateTimeOffset": MOMENTS,
    "DateOnly": st.dates(),
    "TimeOnly": st.times(),
    "TimeSpan": SPANS,
    "System.Numerics.BigInteger": st.integers(),
    "int?": optional(I32),
    "DateTime?": optional(NAIVE),
    "decimal?": optional(DECIMALS),
    "(int, string)": st.tuples(I32, optional(TEXT)),
    "(int, (bool, string), double)": st.tuples(I32, st.tuples(st.booleans(), TEXT), FINITE),
    "(int, string)?": optional(st.tuples(I32, TEXT)),
    "KeyValuePair<string, int>": st.tuples(TEXT, I32),
    "byte[]": optional(st.binary(max_size=50)),
    "int[]": optional(st.lists(I32, max_size=20)),
    "double[]": st.lists(FINITE, max_size=20),
    "bool[]": st.lists(st.booleans(), max_size=20),
    "char[]": st.lists(st.characters(max_codepoint=0xFFFF), max_size=20),
    "string[]": optional(st.lists(optional(TEXT), max_size=5)),
    "Guid[]": st.lists(st.uuids(), max_size=5),
    "Half[]": st.lists(st.floats(width=16, allow_nan=False), max_size=5),
    "int[][]": st.lists(optional(st.lists(I32, max_size=4)), max_size=5),
    "int?[]": st.lists(optional(I32), max_size=5),
    "(int, double)[]": st.lists(st.tuples(I32, FINITE), max_size=5),
    "List<int>": optional(st.lists(I32, max_size=20)),
    "List<string>": optional(st.lists(TEXT, max_size=5)),
    "List<List<byte>>": st.lists(st.lists(integers(8, signed=False), max_size=4), max_size=4),
    "IReadOnlyList<string>": st.lists(TEXT, max_size=5),
    "IList<decimal>": st.lists(DECIMALS, max_size=5),
    "Queue<int>": st.lists(I32, max_size=5),
    "LinkedList<string>": st.lists(TEXT, max_size=5),
    "HashSet<int>": optional(st.sets(I32, max_size=5)),
    "HashSet<string>": st.sets(TEXT, max_size=5),
    "ISet<(int, string)>": st.sets(st.tuples(I32, TEXT), max_size=5),
    "Dictionary<string, int>": optional(st.dictionaries(TEXT, I32, max_size=5)),
    "Dictionary<(int, bool), List<string>>": st.dictionaries(
        st.tuples(I32, st.booleans()), st.lists(TEXT, max_size=3), max_size=5
    ),
    "IReadOnlyDictionary<Guid, double?>": st.dictionaries(
        st.uuids(), optional(FINITE), max_size=5
    ),
    "SortedDictionary<int, string>": st.dictionaries(I32, TEXT, max_size=5),
    "Point": POINTS,
    "Point?": optional(POINTS),
    "List<Point>": st.lists(optional(POINTS), max_size=4),
    "Dictionary<string, Point>": st.dictionaries(TEXT, POINTS, max_size=4),
    "Mixed": st.fixed_dictionaries(
        {"A": integers(8, signed=False), "B": optional(TEXT), "C": optional(I32), "D": POINTS,
         "E": optional(st.lists(FINITE, max_size=3)), "F": st.uuids()}
    ),
    "Tree": TREES,
    "Color": st.sampled_from([0, 5, 1 << 40]),
}  # fmt: skip
SPAN_TYPES = ["ReadOnlySpan<double>", "Span<double>", "ReadOnlyMemory<double>", "Memory<double>"]
DECLARED = """
public record Point(int X, double Y, string? Name);
public record struct Mixed(byte A, string? B, int? C, Point D, double[]? E, Guid F);
public record Tree(int V, List<Tree> Kids);
public enum Color : long { None, Some = 5, Much = 1L << 40 }
"""


def name_of(type_: str) -> str:
    return "Echo" + str(([*TYPES, *SPAN_TYPES]).index(type_))


def source() -> str:
    echoes = [f"public static {t} {name_of(t)}({t} value) => value;" for t in (*TYPES, *SPAN_TYPES)]
    return "#nullable disable\n" + DECLARED + "\n".join(echoes)


@pytest.fixture(scope="module")
def m() -> Iterator[Any]:
    with dwh.csharp(source()) as module:
        yield module


def plain(value: Any) -> Any:
    """Records as the dicts they were made of."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


@pytest.mark.parametrize("type_", TYPES)
@settings(max_examples=25)
@given(data=st.data())
def test_values_come_back_as_they_were(m: Any, type_: str, data: st.DataObject) -> None:
    value = data.draw(TYPES[type_])
    echoed = getattr(m, name_of(type_))(value)
    assert plain(echoed) == value
    if isinstance(value, (float, Decimal)):
        assert str(echoed) == str(value)  # the sign of zero, zeros at the end
    # What came out goes in.
    assert getattr(m, name_of(type_))(echoed) == echoed


@pytest.mark.parametrize("type_", SPAN_TYPES)
@given(values=st.lists(st.floats(), max_size=50))
def test_spans_come_back_as_they_were(m: Any, type_: str, values: list[float]) -> None:
    echo = getattr(m, name_of(type_))
    for echoed in (echo(values), echo(echo(values))):
        assert len(echoed) == len(values)
        assert all(
            a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(echoed, values, strict=True)
        )


def test_signed_zero_and_not_a_number_survive(m: Any) -> None:
    for type_ in ("double", "float", "Half"):
        echo = getattr(m, name_of(type_))
        assert math.isnan(echo(math.nan))
        assert math.copysign(1, echo(-0.0)) == -1
    assert str(getattr(m, name_of("decimal"))(Decimal("-0.00"))) == "-0.00"


@given(value=st.datetimes(EARLY, LATE, timezones=OFFSETS))
def test_aware_times_are_the_same_moment(m: Any, value: dt.datetime) -> None:
    echoed = getattr(m, name_of("DateTime"))(value)
    assert echoed == value
    assert echoed.tzinfo is dt.timezone.utc
    echoed = getattr(m, name_of("DateTimeOffset"))(value)
    assert echoed.utcoffset() == value.utcoffset()


# -------------------------------------------------------------------- answers of a hostile guest


@pytest.fixture(scope="module")
def liar(m: Any) -> Callable[[str, bytes], Any]:
    """Calls an echo whose guest answers with the given bytes."""
    description = Description(m.assembly, {}, Documentation())
    answers: list[bytes] = []
    maker = FunctionMaker(
        lambda _, __: answers[-1], nobody, "liar", description.shapes.enum_names(), {}, "liar"
    )
    calls = {
        function.name: maker.make(index, function)
        for index, function in enumerate(
            f for f in description.functions if isinstance(f, Function)
        )
    }

    def answer(type_: str, data: bytes) -> Any:
        answers.append(data)
        return calls[name_of(type_)](good(type_))

    return answer


async def nobody(_: str, __: bytes) -> bytes:
    raise AssertionError


def good(type_: str) -> Any:
    """Some value that can be given."""
    if type_ in SPAN_TYPES:
        return []
    simple = {"bool": True, "char": "x", "decimal": 1, "Tree": {"V": 1, "Kids": []}}
    return simple.get(type_) if type_ in simple else SAMPLES[type_]


SAMPLES: dict[str, Any] = {
    **{t: [] for t in TYPES},
    **dict.fromkeys(t for t in TYPES if t.endswith("?") or t in {"string", "byte[]"}),
    **dict.fromkeys(["sbyte", "byte", "short", "ushort", "int", "uint", "long", "ulong"], 0),
    **dict.fromkeys(["nint", "nuint", "Int128", "UInt128", "Half", "float", "double", "Color"], 0),
    "System.Numerics.BigInteger": 0,
    **{t: {} for t in TYPES if "Dictionary<" in t},
    "Guid": UUID(int=0),
    "DateTime": EARLY,
    "DateTimeOffset": dt.datetime(1, 1, 1, tzinfo=dt.timezone.utc),
    "DateOnly": dt.date(1, 1, 1),
    "TimeOnly": dt.time(0),
    "TimeSpan": dt.timedelta(0),
    "(int, string)": (1, ""),
    "(int, (bool, string), double)": (1, (True, ""), 0.0),
    "KeyValuePair<string, int>": ("", 1),
    "Point": None,
    "Mixed": {"A": 1, "B": None, "C": None, "D": None, "E": None,
              "F": UUID(int=0)},
}  # fmt: skip


@pytest.mark.parametrize("type_", [*TYPES, *SPAN_TYPES])
@settings(max_examples=30)
@given(data=st.binary(max_size=60))
def test_any_answer_is_a_value_or_an_error(
    liar: Callable[[str, bytes], Any], type_: str, data: bytes
) -> None:
    try:
        liar(type_, data)
    except dwh.MarshallingError as error:
        assert "expected the bytes of its result" in str(error)


HUGE = (2**31 - 1).to_bytes(4, "little")


@pytest.mark.parametrize(
    "type_", [t for t in (*TYPES, *SPAN_TYPES) if "[]" in t or "<" in t or t == "string"]
)
def test_lengths_are_checked_before_anything_is_made(
    liar: Callable[[str, bytes], Any], type_: str
) -> None:
    tracemalloc.start()
    try:
        for lead in (b"", b"\1\0\0\0", b"\xff" * 4):
            for tail in (b"", b"\0" * 64):
                with contextlib.suppress(dwh.MarshallingError):
                    liar(type_, lead + HUGE + tail)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("type_", ["List<Point>", "int[][]", "Dictionary<string, Point>"])
def test_what_is_made_of_an_answer_is_bounded(
    liar: Callable[[str, bytes], Any], type_: str
) -> None:
    count = 5_000_000
    answer = count.to_bytes(4, "little") + b"\0" * (9 * count)
    tracemalloc.start()
    try:
        with pytest.raises(dwh.LimitExceeded, match="the objects of a result") as caught:
            liar(type_, answer)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.limit == "result_bytes"
    assert peak < 1 << 20


def test_an_answer_may_not_be_deep(liar: Callable[[str, bytes], Any]) -> None:
    deep = (b"\1" + b"\0" * 4 + b"\1\0\0\0") * 3_000
    with pytest.raises(dwh.MarshallingError, match="values too deep"):
        liar("Tree", deep)


def test_an_answer_may_not_go_on(liar: Callable[[str, bytes], Any]) -> None:
    assert liar("string", b"\1\0\0\0x") == "x"
    with pytest.raises(dwh.MarshallingError, match="more than the result"):
        liar("string", b"\1\0\0\0xy")
    with pytest.raises(dwh.MarshallingError):
        liar("int", b"\1\0\0\0\0")


@given(text=st.text(string.printable, max_size=200))
@settings(max_examples=10)
def test_any_text_is_compiled_or_refused(text: str) -> None:
    """Text becomes a module or an error of the compiler, never something else."""
    with contextlib.suppress(dwh.CompilationError, dwh.MarshallingError):
        dwh.csharp(text).close()


def test_the_assembly_can_be_kept(m: Any) -> None:
    assert isinstance(m.assembly, Assembly)
