"""How much is measured: a full run, and one that only shows that everything works."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Scale"]


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers of rounds (all contestants take turns in each) and of what happens in one.

    Attributes:
        processes: new processes of each contestant.
        rounds: rounds of everything else.
        instances: fresh instances a round.
        loads: loads a round.
        echoes: payload size to calls a round.
        batch: calls of one ``invoke_many``.
        warm_seconds: calls before the first measurement, so that what compiles has compiled.
        rate_rounds, rate_seconds: of each throughput.
        gain_rounds: of the throughput that says what a second thread is worth: a ratio of two
            needs more.
        computations: calls of each computing function a round.
        held: numbers of functions and instances at which memory is read, three at least.
        cycles, cycle_step: load, call, unload; memory is read after every step.
    """

    processes: int
    rounds: int
    instances: int
    loads: int
    echoes: dict[int, int]
    batch: int
    warm_seconds: float
    rate_rounds: int
    gain_rounds: int
    rate_seconds: float
    computations: int
    held: tuple[int, ...]
    cycles: int
    cycle_step: int


FULL = Scale(
    processes=25,
    rounds=20,
    instances=25,
    loads=10,
    echoes={100: 500, 10_000: 250, 1_000_000: 10, 16_000_000: 2},
    batch=1000,
    warm_seconds=1.0,
    rate_rounds=7,
    gain_rounds=21,
    rate_seconds=0.5,
    computations=1,
    held=(1, 10, 100, 300, 1000),
    cycles=10_000,
    cycle_step=100,
)
QUICK = Scale(
    processes=3,
    rounds=3,
    instances=5,
    loads=3,
    echoes={100: 100, 10_000: 30, 1_000_000: 2},
    batch=100,
    warm_seconds=0.05,
    rate_rounds=2,
    gain_rounds=2,
    rate_seconds=0.05,
    computations=1,
    held=(1, 10, 30),
    cycles=200,
    cycle_step=20,
)
