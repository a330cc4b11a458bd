"""Programs answer alike, output for output, on all of .NET and on what was trimmed for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.base_library.configurations import NO_TIME_ZONES
from dotnet_wasm_host.base_library.publishing import publish
from dotnet_wasm_host.trimming.reflection import Reflection
from tests.functional.conftest import FOLDER, SHARED
from tests.trimming.differential import NO_ANSWER, QUESTIONS, answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import CompiledSources

ROOT = Path(__file__).parents[2]
RECORDED: Mapping[str, Mapping[str, list[str]]] = json.loads(QUESTIONS.read_text("utf-8"))
#: Uses a serializer, and so little else that no other rule keeps what it needs.
ALONE = "tests/trimming/programs/ImmutableInterfaces.cs"
#: Programs of other folders, each with one handler, and what they are asked.
OTHERS: Mapping[str, tuple[bytes, ...]] = {
    "benchmarks/functions/echo.cs": (b"", b"payload"),
    "benchmarks/functions/fib.cs": (b"12",),
    "benchmarks/functions/json.cs": (
        b'[{"Id":7,"Customer":"a","Lines":[{"Product":"b","Count":2,"Price":1.5}]}]',
        b"[{]",
    ),
    "benchmarks/functions/regex.cs": (b"a.b@example.org, c@d, E@f.gh", b""),
    "benchmarks/functions/sieve.cs": (b"1000",),
    ALONE: (b"",),
    "tests/configurations/programs/common/toolbox.cs": (
        b"the cat and the dog and the bird",
        "Zoë 7 🐍 -12.5 \t x=y".encode() * 9,
    ),
}


#: What .NET is trimmed for at once: one program alone would be the sharper question, and trimming
#: takes far longer than asking.
GROUPS: tuple[tuple[str, ...], ...] = (
    ("data",),
    ("compression", "crypto", "numbers", "spans", "text"),
    ("async", "awaiting", "exceptions", "language", "reflection"),
    ("files", "world", *(name for name in OTHERS if name.startswith("benchmarks"))),
    ("tests/configurations/programs/common/toolbox.cs",),
    (ALONE,),
)


class Asked(NamedTuple):
    """A handler of a program, and what it is asked."""

    handler: str
    payloads: list[bytes]


def questions(program: str) -> list[Asked]:
    if program in OTHERS:
        return [Asked("", list(OTHERS[program]))]
    asked = RECORDED[program].items()
    return [Asked(handler, [text.encode("latin-1") for text in texts]) for handler, texts in asked]


def compile_program(compiled: CompiledSources, program: str) -> dwh.Assembly:
    if program in OTHERS:
        return compiled((ROOT / program).read_text("utf-8"))
    files = (SHARED, f"{program}.cs")
    return compiled({file: (FOLDER / file).read_text("utf-8") for file in files})


def compare(
    image: dwh.RuntimeImage, compiled: CompiledSources, programs: tuple[str, ...], folder: Path
) -> dict[str, Any]:
    """What differs if .NET was trimmed for some programs: question to the two answers."""
    assemblies = {program: compile_program(compiled, program) for program in programs}
    own, *others = (assembly.data for assembly in assemblies.values())
    (first, *_) = questions(programs[0])
    publish(
        own,
        folder,
        function_id="own",
        handler_type=first.handler,
        dependencies=tuple(others),
        features={NO_TIME_ZONES: False},
    )
    trimmed = dwh.RuntimeImage.open(folder)
    return {
        f"{program} {handler} {payload!r}": pair
        for program, assembly in assemblies.items()
        for handler, payloads in questions(program)
        for payload, *pair in zip(
            payloads,
            answers(image, assembly, handler, payloads),
            answers(trimmed, assembly, handler, payloads),
            strict=True,
        )
        if pair[0] != pair[1]
    }


def test_every_program_is_in_a_group() -> None:
    assert sorted(program for group in GROUPS for program in group) == sorted({*RECORDED, *OTHERS})


@pytest.mark.long
@pytest.mark.parametrize("programs", GROUPS, ids=lambda group: group[0])
def test_programs_answer_alike(
    image: dwh.RuntimeImage, compiled: CompiledSources, programs: tuple[str, ...], tmp_path: Path
) -> None:
    assert compare(image, compiled, programs, tmp_path / "published") == {}


def test_most_questions_are_answered(image: dwh.RuntimeImage, compiled: CompiledSources) -> None:
    # Two errors are alike, too: a program that always fails would compare nothing.
    given = [
        answer
        for program in RECORDED
        for handler, payloads in questions(program)
        for answer in answers(image, compile_program(compiled, program), handler, payloads)
    ]
    errors = [answer for answer in given if answer.startswith(("System.", "Programs."))]
    assert len(given) >= 100
    assert len(errors) < len(given) / 4
    assert len(set(given)) > len(given) / 2
    assert not [answer for answer in given if answer.startswith(NO_ANSWER)]


@pytest.mark.long
@pytest.mark.parametrize("rule", ["keep_data", "_keep_factory"])
def test_a_trimmer_without_a_rule_is_caught(
    image: dwh.RuntimeImage,
    compiled: CompiledSources,
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(Reflection, rule, lambda *_, **__: None)
    assert compare(image, compiled, (ALONE,), tmp_path / "published") != {}
