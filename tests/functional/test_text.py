"""Text: encodings, strings and regular expressions, compared with Python's."""

from __future__ import annotations

import base64
import html
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from tests.functional.conftest import Conversation

UNICODE = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-16BE": "utf-16-be", "utf-32": "utf-32-le"}


@settings(max_examples=60)
@given(text=st.text(max_size=50))
@example(text="aé€😀\0\ufeff")
def test_encodings_agree_with_python(ask: Conversation, text: str) -> None:
    answer = ask("text", "Encodings", text)

    for name, codec in UNICODE.items():
        assert bytes.fromhex(answer[name]["Bytes"]) == text.encode(codec)
        assert answer[name]["Text"] == text
    units = (c if c < "\x80" else "?" * (len(c.encode("utf-16-le")) // 2) for c in text)
    assert answer["us-ascii"]["Text"] == "".join(units)
    if max(text, default="") < "\u0100":
        assert bytes.fromhex(answer["iso-8859-1"]["Bytes"]) == text.encode("latin-1")
        assert answer["iso-8859-1"]["Text"] == text


plain = st.text("abc ", max_size=6)


@st.composite
def edits(draw: st.DrawFn) -> tuple[list[list[Any]], str]:
    """Steps that a StringBuilder takes, and the text they end with."""
    steps: list[list[Any]] = []
    text = ""
    for _ in range(draw(st.integers(0, 15))):
        match draw(st.sampled_from(["append", "insert", "remove", "replace", "clear"])):
            case "append":
                piece = draw(plain)
                steps.append(["append", piece])
                text += piece
            case "insert":
                at, piece = draw(st.integers(0, len(text))), draw(plain)
                steps.append(["insert", at, piece])
                text = text[:at] + piece + text[at:]
            case "remove":
                at = draw(st.integers(0, len(text)))
                count = draw(st.integers(0, len(text) - at))
                steps.append(["remove", at, count])
                text = text[:at] + text[at + count :]
            case "replace":
                old, new = draw(plain.filter(bool)), draw(plain)
                steps.append(["replace", old, new])
                text = text.replace(old, new)
            case _:
                steps.append(["clear"])
                text = ""
    return steps, text


@settings(max_examples=60)
@given(work=edits())
def test_a_string_builder_edits_like_slices(
    ask: Conversation, work: tuple[list[list[Any]], str]
) -> None:
    steps, text = work

    assert ask("text", "Builder", steps) == {"Text": text, "Length": len(text)}


@pytest.mark.parametrize(
    "text", ["", " banana 😀 <é>&\"' ", "Grüße  aus\tÄgypten", "ananas", "日本 語"]
)
def test_string_members(ask: Conversation, text: str) -> None:
    answer = ask("text", "Strings", text)

    units = len(text.encode("utf-16-le")) // 2
    assert answer["Split"] == text.split(" ")
    assert answer["Trimmed"] == text.strip(" ")
    assert answer["Reversed"] == text[::-1]
    assert answer["Runes"] == [ord(c) for c in text]
    assert answer["Utf16"] == units
    assert answer["Padded"] == "." * (40 - units) + text
    assert answer["Index"] == text.find("an")
    assert answer["Replaced"] == text.replace("a", "<>")
    assert answer["Base64"] == base64.b64encode(text.encode()).decode()
    assert answer["Hex"] == text.encode().hex().upper()
    assert answer["Escaped"] == quote(text, safe="")
    assert html.unescape(answer["Html"]) == text
    assert "<" not in answer["Html"]
    assert answer["IsLetter"] == [c.isalpha() for c in text]
    assert answer["Raw"] == f'{{"text": "{units}"}}'


@settings(max_examples=80)
@given(
    pattern=st.sampled_from(
        [
            r"a+b",
            r"(a|b)*c",
            r"(\d+)-(\w+)?",
            r"\b\w",
            r"[^ab]+",
            r"a*",
            r"(a)(b)?c{1,2}?",
            r"^a|c$",
            r"(?:ab)+?",
            r"a.c",
            r"(?i)A-",
            r"\s*",
        ]
    ),
    text=st.text("abc1- ", max_size=25),
)
def test_regular_expressions_match_as_in_python(ask: Conversation, pattern: str, text: str) -> None:
    answers = ask("text", "RegexMatches", {"pattern": pattern, "text": text})

    matches = list(re.finditer(pattern, text))
    expected = {
        "Matches": [[m.group(), *m.groups()] for m in matches],
        "Starts": [m.start() for m in matches],
        "Replaced": re.sub(pattern, lambda m: f"[{m.group()}]", text),
    }
    backtracking, compiled, automaton = answers
    assert backtracking == expected
    assert compiled == expected
    assert automaton["Starts"] == expected["Starts"]
    assert automaton["Replaced"] == expected["Replaced"]


def test_a_regex_limit_of_its_own_is_an_exception(ask: Conversation) -> None:
    with pytest.raises(dwh.InvocationError) as caught:
        ask.raw("text", "Catastrophe", b"!" + b"a" * 40 + b"b", timeout=30)

    assert caught.value.dotnet_type == "System.Text.RegularExpressions.RegexMatchTimeoutException"


def test_catastrophic_backtracking_ends_at_the_deadline(ask: Conversation) -> None:
    assert ask.raw("text", "Catastrophe", b"a" * 40) == b"\1"
    recycles = ask.runtime.stats().recycles

    with pytest.raises(dwh.InvocationTimeout):
        ask.raw("text", "Catastrophe", b"a" * 60 + b"b", timeout=0.2)

    assert ask.raw("text", "Catastrophe", b"a" * 40) == b"\1"
    assert ask.runtime.stats().recycles == recycles + 1
