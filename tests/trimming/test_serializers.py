"""What serializers find by reflection is there when .NET was trimmed for a function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.base_library.publishing import publish

if TYPE_CHECKING:
    from tests.conftest import CompiledSources

PROGRAMS = Path(__file__).with_name("programs")


@pytest.fixture
def answers(
    request: pytest.FixtureRequest,
    compiled: CompiledSources,
    runtime: dwh.Runtime,
    tmp_path: Path,
) -> tuple[bytes, bytes]:
    """What a program answers on the whole library, and on one that was trimmed for it."""
    program = compiled((PROGRAMS / f"{request.param}.cs").read_text("utf-8"))
    runtime.load_assembly("program", program)
    publish(program.data, tmp_path / "published", function_id="program")
    with dwh.Runtime(dwh.RuntimeImage.open(tmp_path / "published")) as trimmed:
        return runtime.invoke("program"), trimmed.invoke("program")


@pytest.mark.parametrize("answers", ["Collections"], indirect=True)
def test_collections_are_made_as_on_the_whole_library(answers: tuple[bytes, bytes]) -> None:
    whole, trimmed = (json.loads(answer) for answer in answers)
    assert trimmed == whole
    refused = {name for name, answer in whole.items() if "is read only" in answer}
    assert refused == {"ConcurrentBag"}  # .NET's own rule.


@pytest.mark.parametrize("answers", ["Contracts"], indirect=True)
def test_data_contracts_of_the_base_library_are_read(answers: tuple[bytes, bytes]) -> None:
    whole, trimmed = (json.loads(answer) for answer in answers)
    assert trimmed == whole
    assert [answer.endswith("1y01:00:00One3") for answer in whole] == [True, True]


@pytest.mark.parametrize("answers", ["ImmutableInterfaces"], indirect=True)
def test_immutable_collections_are_made_for_their_interfaces(answers: tuple[bytes, bytes]) -> None:
    whole, trimmed = answers
    assert trimmed == whole
    assert whole == (
        b'ImmutableDictionary`2{"a":1};ImmutableList`1[1,2];ImmutableQueue`1[1,2];'
        b"ImmutableHashSet`1[1];ImmutableStack`1[2,1]"
    )
