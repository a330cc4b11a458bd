"""``string.Normalize``, which .NET leaves to ICU: against Python's ``unicodedata``."""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
FORMS: tuple[Form, ...] = ("NFC", "NFD", "NFKC", "NFKD")
#: Form as a letter, then text in UTF-8; with a capital letter, each character for itself.
SOURCE = """
public sealed class Normalizer : IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var form = (char)input[0] switch {
            'C' => NormalizationForm.FormC, 'D' => NormalizationForm.FormD,
            'c' => NormalizationForm.FormKC, _ => NormalizationForm.FormKD,
        };
        var text = Encoding.UTF8.GetString(input[2..]);
        switch ((char)input[1]) {
            case 'n': return Encoding.UTF8.GetBytes(text.Normalize(form));
            case 'i': return [text.IsNormalized(form) ? (byte)1 : (byte)0];
            case 's':
                var written = new char[text.AsSpan().GetNormalizedLength(form)];
                var fits = text.AsSpan().TryNormalize(written, out var length, form);
                var small = text.AsSpan().TryNormalize(new char[written.Length - 1], out _, form);
                return Encoding.UTF8.GetBytes($"{fits} {small} {new string(written, 0, length)}");
            default:
                var all = new StringBuilder();
                foreach (var rune in text.EnumerateRunes())
                    all.Append(rune.ToString().Normalize(form)).Append('\\n');
                return Encoding.UTF8.GetBytes(all.ToString());
        }
    }
}
"""
LETTERS = dict(zip(FORMS, "CDck", strict=True))
#: Every character that Python's version of Unicode has; what is assigned never changes.
ASSIGNED = [
    chr(point)
    for point in range(sys.maxunicode + 1)
    if unicodedata.category(chr(point)) not in {"Cn", "Cs", "Cc", "Co"}
]


@pytest.fixture(scope="module")
def normalizer() -> Iterator[dwh.LoadedFunction]:
    with dwh.Runtime() as runtime:
        yield runtime.load_csharp("using System.Text;" + SOURCE)


@pytest.mark.parametrize("form", FORMS)
def test_every_character_as_unicode_has_it(normalizer: dwh.LoadedFunction, form: Form) -> None:
    changing = [
        c for c in ASSIGNED if any(unicodedata.normalize(each, c) != c for each in FORMS)
    ] + ASSIGNED[::97]
    answer = normalizer(f"{LETTERS[form]}*{''.join(changing)}".encode()).decode()
    expected = [unicodedata.normalize(form, c) for c in changing]
    assert answer.split("\n")[:-1] == expected


#: Where the rules meet: starters, marks of several classes, Hangul, what is excluded.
PARTS = st.sampled_from("aAeoq\u017fsﬁ Åẹ́̀́̈ͅ가각한각ᆧಾಿௌาΩ韓豈ﾊﾟ️𝅗𝅥𝆑𑂚𑂙‍ﷺ½²")


@settings(max_examples=200, deadline=None)
@given(text=st.text(PARTS | st.sampled_from(ASSIGNED), max_size=40))
def test_texts_as_python_does(normalizer: dwh.LoadedFunction, text: str) -> None:
    for form, letter in LETTERS.items():
        expected = unicodedata.normalize(form, text)
        assert normalizer(f"{letter}n{text}".encode()).decode() == expected
        is_normalized = normalizer(f"{letter}i{text}".encode()) == b"\1"
        assert is_normalized == (text == expected)


def test_spans(normalizer: dwh.LoadedFunction) -> None:
    assert normalizer("Csxa\u0301".encode()).decode() == "True False xá"
    assert normalizer("Dsxá".encode()).decode() == "True False xa\u0301"


def test_a_long_run_of_marks_is_sorted_at_once() -> None:
    text = "a" + "\u0301\u0323" * 50_000
    with dwh.Runtime() as runtime:
        function = runtime.load_csharp("using System.Text;" + SOURCE)
        answer = function.invoke(f"Dn{text}".encode(), timeout=30).decode()
    assert answer == "a" + "\u0323" * 50_000 + "\u0301" * 50_000


def test_what_is_no_text_is_refused() -> None:
    done = dwh.run_csharp("""
        foreach (var form in new[] { 0, 1, 2, 5, 6 })
            try { Console.Write("\\uD800x\\u0301".Normalize((System.Text.NormalizationForm)form)); }
            catch (ArgumentException e) { Console.Write(e.ParamName + ";"); }
    """)
    assert done.stdout == "normalizationForm;strInput;strInput;strInput;strInput;"


def test_ascii_stays_the_same_object() -> None:
    done = dwh.run_csharp("""
        var text = new string('a', 3); var other = "é";
        Console.Write(ReferenceEquals(text, text.Normalize()));
        Console.Write(ReferenceEquals(other, other.Normalize()));
    """)
    assert done.stdout == "TrueTrue"
