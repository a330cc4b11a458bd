"""wasmtime with a small module in a new process."""

import time

STARTED = time.perf_counter_ns()

import sys  # noqa: E402 - what comes first is measured
from pathlib import Path  # noqa: E402

from benchmarks.peers.bare_wasmtime import BareWasmtime  # noqa: E402

IMPORTED = time.perf_counter_ns()


def main(folder: str) -> None:
    peer = BareWasmtime(Path(folder))
    made = time.perf_counter_ns()
    result = peer.check("echo", "hello")
    answered = time.perf_counter_ns()
    print(
        f"{result} import={IMPORTED - STARTED} compile+start={made - IMPORTED} "
        f"call={answered - made}"
    )


main(sys.argv[1])
