"""Every attack ends in the right error and harms nobody; docs/security.md has them all."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import dotnet_wasm_host as dwh
from tests.attacks.__main__ import BEGIN, DOCUMENT, END, HEAD
from tests.attacks.attacks import ATTACKS, PATIENCE, carry_out

#: Allocators keep some memory; an instance is three times as much.
FLAT_BYTES = 16 << 20
#: Seconds of processor time beyond the deadline.
MOST_CPU = 1.0


@pytest.fixture(scope="module")
def _warm(image: dwh.RuntimeImage, attackers: Callable[[str], dwh.Assembly]) -> None:
    carry_out(ATTACKS["exit"], image, attackers("Attacker"))


@pytest.mark.usefixtures("_warm")
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_contained(
    image: dwh.RuntimeImage, attackers: Callable[[str], dwh.Assembly], name: str
) -> None:
    attack = ATTACKS[name]
    outcome = carry_out(attack, image, attackers(attack.program))

    assert outcome.next_call
    assert outcome.bystander
    assert outcome.seconds < PATIENCE * (10 if "1,000 crashes" in name else 1)
    assert outcome.linear_bytes <= attack.limits.memory_bytes
    assert outcome.grown_bytes < FLAT_BYTES
    if "1,000 crashes" not in name:
        assert outcome.cpu_seconds < MOST_CPU + (attack.limits.timeout or 0)
    # Twice: the instance that dies, and the one that takes its place.
    assert outcome.peak_bytes < 2 * attack.limits.memory_bytes


def test_the_document_has_every_attack_with_an_outcome_that_is_allowed() -> None:
    _, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    text, _, _ = rest.partition(END)
    assert text.startswith(HEAD)
    rows = [line.strip("|").split("|") for line in text.removeprefix(HEAD).splitlines()]
    assert [cells[0].strip() for cells in rows] == [a.what for a in ATTACKS.values()]
    for attack, cells in zip(ATTACKS.values(), rows, strict=True):
        _, error, _, cpu, next_calls, _, peak, process = cells
        names = {e.__name__ for e in attack.errors}
        if attack.may_end or not names:
            names.add("none")
        assert error.strip().partition(" ")[0].strip("`") in names
        assert next_calls.strip() == "fine"
        assert float(process.replace("MB", "")) < FLAT_BYTES / 1e6
        assert float(peak.replace("MB", "")) < 2 * attack.limits.memory_bytes / 1e6
        if "1,000 crashes" not in attack.what:
            most = (MOST_CPU + (attack.limits.timeout or 0)) * 1000
            assert float(cpu.strip(" <ms").replace(",", "")) < most


def test_every_promise_names_a_test_that_exists() -> None:
    named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", DOCUMENT.read_text("utf-8"))
    assert len(named) > 20
    for path, test in named:
        source = (DOCUMENT.parents[1] / path).read_text("utf-8")
        assert f"def {test}(" in source, f"{path}::{test}"
