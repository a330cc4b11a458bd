"""``python -m tests.jit.fuzz``: random programs and instructions, interpreted and compiled."""

from __future__ import annotations

import argparse
import random
import sys
import time

from dotnet_wasm_host.jit.selection import table
from tests.jit.differential import compare, shrink
from tests.jit.instruction_bench import InstructionBench
from tests.jit.instruction_cases import NOT_HERE, Writer
from tests.jit.programs import write_bodies, write_program


def _programs(seed: int, until: float, methods: int) -> bool:
    programs = compiled = 0
    while time.monotonic() < until:
        bodies = write_bodies(seed + programs, methods)
        found = compare(bodies, seed=seed + programs, log=print)
        programs += 1
        compiled += found.methods
        total = f"{programs} programs, {programs * methods} methods, {compiled} compiled"
        print(f"seed {seed + programs - 1}: {found.methods} compiled; {total}", flush=True)
        if found.methods == 0:
            print("nothing was compiled: this compares nothing")
            return False
        if found.different:
            number, way = found.different[0]
            print(f"seed {seed + programs - 1}, method {number}, {way}: the results differ")
            print(found.expected.split("\n")[number])
            print(found.found.split("\n")[number])
            smaller = shrink(bodies[number], seed=seed + programs - 1, log=print)
            print(write_program([smaller]))
            return False
    return True


def _instructions(seed: int, rounds: int) -> bool:
    names, cases = sorted(set(table.RULES) - NOT_HERE), 0
    with InstructionBench() as bench:
        writer = Writer(bench, random.Random(seed))
        for _ in range(rounds):
            for start in range(0, len(names), 50):
                drawn = [writer.write(name) for name in names[start : start + 50] for _ in range(4)]
                differences, _ = bench.compare(drawn)
                cases += len(drawn)
                if differences:
                    print(f"seed {seed}: {differences[0]}")
                    return False
    print(f"seed {seed}: {cases} instructions compared", flush=True)
    return True


def main() -> int:
    """Compare until something differs or the time is up; 0 where nothing differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.jit.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--methods", type=int, default=8, help="of a program")
    parser.add_argument("--rounds", type=int, default=20, help="of single instructions")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    until = time.monotonic() + options.seconds
    fine = _instructions(options.seed, options.rounds)
    return 0 if fine and _programs(options.seed, until, options.methods) else 1


if __name__ == "__main__":
    sys.exit(main())
