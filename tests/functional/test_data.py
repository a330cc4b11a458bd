"""JSON, XML and collections."""

from __future__ import annotations

import heapq
import json
import uuid
import xml.etree.ElementTree as ET
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from tests.functional.conftest import Conversation

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=20,
)


@settings(max_examples=80)
@given(value=json_values)
def test_any_json_survives_the_document_model(ask: Conversation, value: object) -> None:
    answer = json.loads(ask.raw("data", "JsonNodes", json.dumps(value).encode()))

    assert answer == [value, True]


def test_objects_are_read_and_written_by_reflection(ask: Conversation) -> None:
    order: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "who": "Ada Lövelace 😀",
        "status": "open",
        "lines": [
            {"article": "pen", "quantity": 2, "price": 1.25},
            {"article": "ink", "quantity": 1, "price": 3.1},
        ],
        "measures": {"a": [1.5, 2]},
        "payment": {"$type": "transfer", "iban": "DE00", "at": "2026-01-01T00:00:00+02:00"},
        "blob": "AAEC",
        "unknown": [1, {"z": None}],
    }
    answer = json.loads(ask.raw("data", "JsonOrders", json.dumps(order).encode()))

    total = sum(line["quantity"] * line["price"] for line in order["lines"])
    assert answer == {
        **order,
        "status": "paid",
        "lines": order["lines"][::-1],
        "measures": {"a": [1.5, 2], "total": [total]},
    }


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"{", "open JSON object"),
        (b'{"status": "lost"}', "status"),
        (b'{"id": 5}', "id"),
        (b'{"payment": {"$type": "cash"}}', "cash"),
        (b'{"payment": {"$type": "transfer"}}', "iban"),
        (b'{"lines": [1]}', "lines[0]"),
    ],
)
def test_json_that_does_not_fit_says_where(ask: Conversation, document: bytes, reason: str) -> None:
    with pytest.raises(dwh.InvocationError, match=r"System\.Text\.Json\.JsonException") as caught:
        ask.raw("data", "JsonOrders", document)

    assert reason in caught.value.dotnet_message


@settings(max_examples=50)
@given(numbers=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=40))
def test_collections_agree_with_python(ask: Conversation, numbers: list[int]) -> None:
    # Twice each, so that every sum of the doubles stays an int of 32 bits.
    numbers = [n % 2**20 for n in numbers]
    answer = ask("data", "Collections", numbers)

    last_index = {n: i for i, n in enumerate(numbers)}
    linked: list[int] = []
    for index, number in enumerate(numbers):
        linked.insert(len(linked) if index % 2 else 0, number)
    half = set(numbers[: len(numbers) // 2])
    assert answer["Sorted"] == [[n, last_index[n]] for n in sorted(last_index)]
    assert answer["Counts"] == {str(n): c for n, c in Counter(numbers).items()}
    assert answer["Drained"] == heapq.nsmallest(len(numbers), numbers)
    assert answer["Concurrent"] == len(set(numbers))
    assert answer["Linked"] == linked
    assert answer["Stack"] == numbers[::-1]
    assert answer["Queue"] == numbers
    assert answer["Union"] == len(set(numbers))
    assert answer["Difference"] == sorted(set(numbers) - half)
    assert answer["Immutable"] == sorted(set(numbers) - {numbers[0]})
    assert answer["Untouched"] == len(set(numbers))
    assert answer["Frozen"] == 2 * sum(set(numbers))
    assert answer["Bits"] == len({n & 63 for n in numbers})
    assert answer["Search"] is True


def test_xml_is_read_in_four_ways_and_written(ask: Conversation) -> None:
    root = ET.Element("catalogue", year="1984")
    for isbn, title in (("1", "Zebra"), ("2", "A & é < 😀"), ("3", "Mice")):
        book = ET.SubElement(root, "book", isbn=isbn)
        ET.SubElement(book, "title").text = title
    answer = ask("data", "Xml", ET.tostring(root, "unicode"))

    titles = [book.findtext("title", "") for book in root]
    assert answer["Titles"] == sorted(titles)
    assert answer["ByPath"] == [titles[1]]
    assert answer["Serialized"] == ["1", "2", "3"]
    assert answer["Year"] == 1984
    assert answer["Elements"] == sum(1 for _ in root.iter())
    written = ET.fromstring(answer["Written"])
    assert [b.findtext("title") for b in written.iter("book")] == titles
    note = written.find("{urn:extra}note")
    assert note is not None
    assert (note.text, note.get("lang")) == ("a < b & c", "en")


def test_malformed_xml_says_where(ask: Conversation) -> None:
    with pytest.raises(dwh.InvocationError, match="XmlException") as caught:
        ask("data", "Xml", "<catalogue>\n<book></catalogue>")

    assert "line 2" in caught.value.dotnet_message.lower()
