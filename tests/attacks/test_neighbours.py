"""A hostile function does not hold up its neighbours; ``python -m tests.attacks.neighbours``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.neighbours import (
    MOST_HEALTH,
    MOST_TIMES,
    Neighbourhood,
    attacks,
    neighbourhood,
)

ATTACKS = attacks()


@pytest.fixture(scope="module")
def place() -> Iterator[Neighbourhood]:
    with neighbourhood() as place:
        yield place


@pytest.mark.long
@pytest.mark.parametrize("name", ATTACKS)
def test_a_neighbour_waits_no_more_than_three_times_as_long(
    place: Neighbourhood, name: str
) -> None:
    influence = place.influence(ATTACKS[name])
    assert influence.p99 <= MOST_TIMES
    assert influence.health <= MOST_HEALTH
