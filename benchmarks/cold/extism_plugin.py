"""Extism in a new process."""

import time

STARTED = time.perf_counter_ns()

import sys  # noqa: E402 - what comes first is measured
from importlib import import_module  # noqa: E402
from pathlib import Path  # noqa: E402

extism = import_module("extism")

IMPORTED = time.perf_counter_ns()


def main(folder: str) -> None:
    plugin = extism.Plugin(Path(folder, "extism_echo.wasm").read_bytes())
    made = time.perf_counter_ns()
    result = plugin.call("echo", b"hello")
    answered = time.perf_counter_ns()
    print(
        f"{result.decode()} import={IMPORTED - STARTED} plugin={made - IMPORTED} "
        f"call={answered - made}"
    )


main(sys.argv[1])
