"""pythonnet on CoreCLR in a new process."""

import time

STARTED = time.perf_counter_ns()

import sys  # noqa: E402 - what comes first is measured
from pathlib import Path  # noqa: E402

from benchmarks.peers.coreclr import CoreClr  # noqa: E402

IMPORTED = time.perf_counter_ns()


def main(folder: str) -> None:
    peer = CoreClr(Path(folder))
    made = time.perf_counter_ns()
    result = peer.check("echo", "hello")
    answered = time.perf_counter_ns()
    print(
        f"{result} import={IMPORTED - STARTED} runtime={made - IMPORTED} "
        f"load+call={answered - made}"
    )


main(sys.argv[1])
