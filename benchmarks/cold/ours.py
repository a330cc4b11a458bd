"""dotnet_wasm_host in a new process."""

import time

STARTED = time.perf_counter_ns()

import sys  # noqa: E402 - what comes first is measured

import dotnet_wasm_host as dwh  # noqa: E402

IMPORTED = time.perf_counter_ns()


def main(folder: str, engine: str) -> None:
    with dwh.Runtime(engine=engine) as runtime:
        made = time.perf_counter_ns()
        runtime.load_assembly("echo", f"{folder}/echo.dll")
        loaded = time.perf_counter_ns()
        result = runtime.invoke("echo", b"hello")
        answered = time.perf_counter_ns()
    print(
        f"{result.decode()} import={IMPORTED - STARTED} runtime={made - IMPORTED} "
        f"load={loaded - made} call={answered - loaded}"
    )


main(*sys.argv[1:])
