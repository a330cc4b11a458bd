"""The check of how much of the interface has types."""

from __future__ import annotations

import json
import subprocess

import pytest

from runtime_artifacts import type_completeness


def symbol(name: str, *, known: bool = True, ambiguous: bool = False) -> dict[str, object]:
    return {
        "name": name,
        "isExported": True,
        "isTypeKnown": known,
        "isTypeAmbiguous": ambiguous,
        "diagnostics": [] if known else [{"message": "no annotation\n  in detail"}],
    }


def answering(monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    done = subprocess.CompletedProcess([], 0, output, "said on stderr")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)


@pytest.mark.parametrize(("score", "code"), [(type_completeness.FLOOR, 0), (0.98, 1)])
def test_a_score_below_the_floor_fails(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    score: float,
    code: int,
) -> None:
    symbols = [symbol("a.known"), symbol("a.unknown", known=False)]
    report = {"typeCompleteness": {"symbols": symbols, "completenessScore": score}}
    answering(monkeypatch, json.dumps(report))
    assert type_completeness.main() == code
    assert capsys.readouterr().out.splitlines()[0] == "a.unknown: no annotation"


def test_no_report_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, "no JSON")
    assert type_completeness.main() == 1
    assert "said on stderr" in capsys.readouterr().err


def test_what_may_be_inferred_differently_counts() -> None:
    report = {"symbols": [symbol("a.ambiguous", ambiguous=True)]}
    assert list(type_completeness.incomplete(report)) == ["a.ambiguous: "]
