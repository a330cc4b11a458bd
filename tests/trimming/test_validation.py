"""Trimmed images under load: collections, memory growth, long runs, against the whole library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.base_library.publishing import publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import CompiledSources

PROGRAM = Path(__file__).with_name("programs") / "Stress.cs"
QUESTIONS = ("shapes:3000", "collect:60", "grow:96", "shapes:500", "collect:5", "async:0")


@pytest.fixture(scope="module")
def stress(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(PROGRAM.read_text("utf-8"))


@pytest.fixture(scope="module")
def on_trimmed(
    stress: dwh.Assembly, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dwh.Runtime]:
    folder = tmp_path_factory.mktemp("stress")
    publish(stress.data, folder, function_id="stress")
    with dwh.Runtime(dwh.RuntimeImage.open(folder)) as runtime:
        yield runtime


def test_load_does_not_tell_trimmed_and_untrimmed_apart(
    on_trimmed: dwh.Runtime, runtime: dwh.Runtime, stress: dwh.Assembly
) -> None:
    runtime.load_assembly("stress", stress)
    before = on_trimmed.memory.size
    for question in QUESTIONS:
        answer = runtime.invoke("stress", question.encode())
        assert answer != b"?"
        assert on_trimmed.invoke("stress", question.encode()) == answer, question
    assert on_trimmed.memory.size > before + (64 << 20)


def test_a_long_run_stays_right_and_level(on_trimmed: dwh.Runtime) -> None:
    expected = on_trimmed.invoke("stress", b"grow:1")
    for _ in range(500):
        assert on_trimmed.invoke("stress", b"grow:1") == expected
    size = on_trimmed.memory.size
    for _ in range(2000):
        assert on_trimmed.invoke("stress", b"grow:1") == expected
    assert on_trimmed.memory.size == size
    assert on_trimmed.invoke("stress", b"collect:3") == b"whole"
