"""``python -m benchmarks.standalone`` works, and the sizes it measures are within the bars."""

from __future__ import annotations

import json

import pytest

from benchmarks.standalone.__main__ import main
from benchmarks.standalone.measured import Measured


@pytest.mark.long
def test_sizes_are_within_the_bars(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rounds", "1", "--json"])
    found = [Measured(**each) for each in json.loads(capsys.readouterr().out)]
    sizes = [each for each in found if each.unit == "MB"]
    assert [each for each in sizes if not each.is_met] == []
    assert len([each for each in sizes if each.most is not None]) == 6
    # Times are for people to read: a busy machine is no fault.
    assert {each.unit for each in found} == {"MB", "ms", "us", "x"}
    assert all(each.value > 0 for each in found)


def test_a_figure_says_whether_its_bar_is_met() -> None:
    assert str(Measured("calls", 1.5, "x", 2.0)) == "     1.500 x   calls   bar 2: met"
    assert str(Measured("calls", 2.5, "x", 2.0)).endswith("bar 2: NO")
    assert Measured("calls", 2.5, "x").is_met
