"""C# as a language: what people write every day gives what C# says it gives."""

from __future__ import annotations

import math
from collections import Counter
from itertools import accumulate, chain, islice, pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from tests.functional.conftest import Conversation

words = st.lists(st.text("abcdefgh", min_size=1, max_size=8), min_size=1, max_size=20)


@settings(max_examples=30)
@given(texts=words)
def test_linq_queries_agree_with_python(ask: Conversation, texts: list[str]) -> None:
    answer = ask("language", "Linq", texts)

    by_length = sorted(set(map(len, texts)), reverse=True)
    assert answer["ByLength"] == [
        {"Length": n, "Words": sorted(t for t in texts if len(t) == n)} for n in by_length
    ]
    assert answer["Distinct"] == len(set(texts))
    assert answer["Pairs"] == [f"{a}-{b}" for a, b in pairwise(texts)]
    assert answer["Chunks"] == [texts[i : i + 3] for i in range(0, len(texts), 3)]
    assert answer["Letters"] == Counter(chain.from_iterable(texts))
    assert answer["Longest"] == max(texts, key=len)
    assert answer["Joined"] == sum(len(a) == len(b) for a in texts for b in texts)
    assert answer["Running"] == list(accumulate(map(len, texts), initial=0))
    assert answer["Total"] == sum(map(len, texts))
    assert answer["Any"] is any(len(t) > 5 for t in texts)
    assert answer["Except"] == sorted(set(texts) - {"the", "and"})


def test_generics_are_instantiated_for_each_type(ask: Conversation) -> None:
    numbers = [3, 1, 2, 5, -7]
    answer = ask("language", "Generics", numbers)

    assert answer["Int"] == sum(numbers)
    assert answer["Double"] == sum(n + 0.5 for n in numbers)
    assert int(answer["Big"]) == sum(n << 70 for n in numbers)
    assert answer["Sorted"] == sorted(numbers)
    assert answer["Covariant"] == 2
    assert answer["Contravariant"] < 0
    assert (answer["PerInt"], answer["PerString"]) == (2, 1)
    assert answer["Default"] == [True, True, True]
    assert "List`1[Programs.Tree`1[System.Decimal]]" in answer["Nested"]


def test_records_are_values(ask: Conversation) -> None:
    answer = ask("language", "Records", {"name": "Ada", "age": 36})

    assert answer == {
        "Text": "Person { Name = Ada, Age = 36, Initial = A }",
        "Equal": True,
        "SameHash": True,
        "Older": True,
        "Deconstructed": "Ada:37",
        "Subtype": "Employee { Name = Ada, Age = 36, Initial = A, Company = ACME }",
        "SubtypeEqual": False,
        "Sum": "Point { X = 4, Y = 6 }",
        "Initial": "A",
    }


def test_patterns_match_in_order(ask: Conversation) -> None:
    cases = {
        (): "empty",
        (-1,): "one negative",
        (0,): "zero",
        (1,): "one",
        (1, 2, 9): "from 1 to 9",
        (101, 2): "starts big",
        (-101, -101): "starts big",
        (5, 1, 1, 5): "framed 2",
        (1, 2, 3, 4, 5): "long",
        (1, 2, 3, 4, 5, 6, 7): "other",
        (2, 3): "other",
    }
    assert ask("language", "Patterns", [list(c) for c in cases]) == list(cases.values())


def test_iterators_run_when_asked_and_clean_up_when_left(ask: Conversation) -> None:
    answer = ask("language", "Iterators", 12)

    def fibonacci() -> list[int]:
        a, b, numbers = 0, 1, list[int]()
        for _ in range(12):
            numbers.append(a)
            a, b = b, a + b
        return numbers

    primes = (n for n in range(2, 100) if all(n % d for d in range(2, n)))
    assert answer["Taken"] == fibonacci()
    assert answer["Events"] == ["made", "begun", "ended"]
    assert answer["Primes"] == list(islice(primes, 12))


def test_members_of_every_kind(ask: Conversation) -> None:
    answer = ask("language", "Members", 5)

    assert answer == {
        "Closures": [0, 5, 10],
        "Events": [6, 10],
        "Factorial": math.factorial(5),
        "Overflow": "overflow",
        "Wrapped": 2**31 - 1 + 5 - 2**32,
        "Greetings": ["Hello Sir", "Oi you"],
        "Determinant": (5 * 2) ** 2,
        "Tuple": True,
        "Ternary": "middle",
        "Goto": "54321",
        "Named": "21default",
    }


def test_async_code_that_need_not_wait_completes(ask: Conversation) -> None:
    answer = ask("async", "Completing", 6)

    assert answer == {
        "Squares": [n * n for n in range(6)],
        "Streamed": list(range(6)),
        "Received": sum(range(6)),
        "Caught": "thrown after await",
        "Source": "set",
        "Flowed": "flowed",
        "Disposed": "open, closed",
        "Cancelled": True,
    }


@pytest.mark.parametrize("how", ["thread", "monitor", "semaphore", "event"])
def test_waiting_for_another_thread_is_refused_by_dotnet(ask: Conversation, how: str) -> None:
    # The guest has one thread: nothing that it waits for could ever come about.
    with pytest.raises(dwh.InvocationError) as caught:
        ask.raw("async", "Blocking", how.encode(), timeout=10)

    assert caught.value.dotnet_type == "System.PlatformNotSupportedException"
    assert ask.raw("async", "Blocking", b"still there") == b"still there"


@pytest.mark.parametrize("how", ["delay", "yield"])
def test_what_a_wait_is_for_runs_during_it(ask: Conversation, how: str) -> None:
    ask.raw("async", "Blocking", how.encode(), timeout=10)


def test_a_task_that_has_not_begun_runs_where_it_is_waited_for(ask: Conversation) -> None:
    assert ask.raw("async", "Blocking", b"run", timeout=10) == b"\x01"


def test_reflection_finds_makes_and_calls(ask: Conversation) -> None:
    answer = ask("reflection", "Reflections", 2.5)

    assert answer == {
        "Properties": ["Double Area"],
        "Methods": ["Same", "Scale"],
        "Label": "shape 3",
        "Area": 2.5**2,
        "Scaled": "7.5cm",
        "Secret": 42,
        "Generic": "kept",
        "ListType": "System.Collections.Generic.List`1[Programs.Shape]",
        "Count": 1,
        "Wrapped": "System.Reflection.TargetException",
        "Contract": True,
        "Parameters": ["side"],
    }


@pytest.mark.parametrize("number", [0, 1, 7, 12])
def test_code_made_at_run_time_runs(ask: Conversation, number: int) -> None:
    answer = ask("reflection", "Building", number)

    assert answer == {
        "Factorial": math.factorial(number),
        "Quoted": 25 + number,
        "Text": "Add",
        "Bag": 2 * number,
        "Keys": ["Value", "Double"],
        "DynamicText": "late LATE",
        "DynamicSum": number + 0.5,
        "Unbound": "unbound",
        "Emitted": number + 1,
    }


def test_statics_and_fields_live_from_call_to_call(
    runtime: dwh.Runtime, moody: dwh.Assembly
) -> None:
    runtime.load_assembly("f", moody)

    assert [runtime.invoke("f", b"count") for _ in range(5)] == [b"1", b"2", b"3", b"4", b"5"]
    assert runtime.invoke("f", b"instances") == b"1 of 1"


def test_each_load_has_statics_of_its_own(runtime: dwh.Runtime, moody: dwh.Assembly) -> None:
    runtime.load_assembly("f", moody)
    runtime.load_assembly("g", moody)

    runtime.invoke_many("f", [b"count"] * 9)

    assert runtime.invoke("f", b"count") == b"10"
    assert runtime.invoke("g", b"count") == b"1"
