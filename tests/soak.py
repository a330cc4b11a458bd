"""A soak: mixed calls for long, with faults in the host's own functions.

``python -m tests.soak`` makes 100,000 calls and prints what came of them; ``--calls`` and
``--seed`` say otherwise. It ends with an error if an answer is wrong, an error is of no known
kind, an instance is left over or memory grows.
"""

from __future__ import annotations

import argparse
import collections
import gc
import io
import logging
import random
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final
from unittest import mock

import dotnet_wasm_host as dwh
from dotnet_wasm_host.engines.base import HostFunction, Number
from dotnet_wasm_host.imports.host import Host
from tests.native_leaks import new_orphans, orphans, private_bytes

PROGRAM = Path(__file__).parent / "functional" / "programs" / "moody.cs"
CALLS = 100_000
#: One call of a host function in so many fails.
FAULT_RATE = 300
#: The process may grow by this much after its first tenth: allocators do not give all back.
GROWTH_BYTES = 48 << 20
FUNCTIONS = tuple("abcd")


class InjectedFault(Exception):
    """What a broken stream, clock or file system of the host raises."""


@final
class Soak:
    """One runtime, called at random.

    Attributes:
        outcomes: how often each operation ended in what.
    """

    def __init__(self, seed: int, image: dwh.RuntimeImage, assembly: dwh.Assembly) -> None:
        self.outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
        self._random = random.Random(seed)
        self._image = image
        self._assembly = assembly
        self._output = io.BytesIO()
        wasi = dwh.WasiOptions(stdout=self._output, stderr=self._output)
        limits = dwh.Limits(timeout=10, memory_bytes=96 << 20, crash_limit=None)
        self.runtime = dwh.Runtime(image, limits=limits, wasi=wasi)
        for function_id in FUNCTIONS:
            self.runtime.load_assembly(function_id, assembly)
        self._operations: Mapping[str, tuple[float, Callable[[], object]]] = {
            "echo": (1000, self._echo),
            "echo much": (20, self._echo_much),
            "batch": (30, self._batch),
            "count": (100, lambda: self._invoke(b"count")),
            "throw": (60, lambda: self._invoke(b"throw on purpose")),
            "print": (40, lambda: self._invoke(b"print " + b"p" * 100)),
            "keep": (20, lambda: self._invoke(b"keep 300000")),
            "drop": (20, lambda: self._invoke(b"drop")),
            "bytes": (3, lambda: self._invoke(b"bytes 3000000")),
            "replace": (10, self._replace),
            "unload": (6, self._unload),
            "exit": (2, lambda: self._invoke(b"exit 1")),
            "fail fast": (1, lambda: self._invoke(b"failfast enough")),
            "wild pointer": (2, lambda: self._invoke(b"wild")),
            "overflow": (0.5, lambda: self._invoke(b"overflow")),
            "exhaust": (0.3, lambda: self._invoke(b"exhaust")),
            "loop": (1, lambda: self._invoke(b"loop", timeout=0.005)),
            "cancel": (1, self._cancel),
            "recycle": (2, self.runtime.recycle),
            "memory": (20, self._memory),
            "snapshot": (0.1, self._snapshot),
        }

    def run(self, calls: int) -> None:
        """Carry out ``calls`` operations."""
        names = list(self._operations)
        weights = [weight for weight, _ in self._operations.values()]
        for name in self._random.choices(names, weights, k=calls):
            try:
                self._operations[name][1]()
            except (dwh.DotnetHostError, InjectedFault) as error:
                self.outcomes[name, type(error).__name__] += 1
            else:
                self.outcomes[name, "fine"] += 1
            if self._output.tell() > 1 << 20:
                self._output.seek(0)
                self._output.truncate()

    def close(self) -> None:
        """End it."""
        self.runtime.close()

    def _id(self) -> str:
        return self._random.choice(FUNCTIONS)

    def _invoke(self, payload: bytes, timeout: float | None = None) -> bytes:
        function_id = self._id()
        if function_id not in self.runtime.functions:
            self.runtime.load_assembly(function_id, self._assembly)
        return self.runtime.invoke(function_id, payload, timeout=timeout)

    def _echo(self) -> None:
        text = self._random.randbytes(self._random.randrange(200)).hex().encode()
        assert self._invoke(b"echo " + text) == text

    def _echo_much(self) -> None:
        text = b"0123456789" * self._random.randrange(50_000)
        assert self._invoke(b"echo " + text) == text

    def _batch(self) -> None:
        texts = [b"%d" % self._random.getrandbits(60) for _ in range(20)]
        function_id = self._id()
        if function_id in self.runtime.functions:
            payloads = [b"echo " + text for text in texts]
            assert self.runtime.invoke_many(function_id, payloads) == texts

    def _replace(self) -> None:
        self.runtime.load_assembly(self._id(), self._assembly)

    def _unload(self) -> None:
        self.runtime.unload_assembly(self._id())

    def _cancel(self) -> None:
        stop = dwh.Cancellation()
        threading.Timer(0.003, stop.cancel).start()
        function_id = self._id()
        if function_id in self.runtime.functions:
            self.runtime.invoke(function_id, b"loop", cancellation=stop)

    def _memory(self) -> None:
        memory, data = self.runtime.memory, self._random.randbytes(1000)
        with memory.allocate_bytes(data) as block:
            assert memory.read(block.ptr, 1000) == data

    def _snapshot(self) -> None:
        with dwh.Runtime(self.runtime.snapshot()) as fresh:
            for function_id in fresh.functions:
                assert fresh.invoke(function_id, b"echo x") == b"x"


@final
class FaultyFunctions(dict[str, HostFunction]):
    """What a guest imports, where a call fails now and then."""

    def __init__(self, functions: Mapping[str, HostFunction], generator: random.Random) -> None:
        super().__init__()
        self._functions = functions
        self._generator = generator

    def __missing__(self, name: str) -> HostFunction:
        function, generator, rate = self._functions[name], self._generator, FAULT_RATE

        def fail_sometimes(*arguments: Number) -> Number | None:
            if generator.randrange(rate) == 0:
                raise InjectedFault(name)
            return function(*arguments)

        return fail_sometimes


def with_faults(seed: int) -> Callable[[Host], Mapping[str, HostFunction]]:
    """``Host.functions``, which gives ones that fail now and then."""
    generator, make = random.Random(seed), Host.functions
    return lambda host: FaultyFunctions(make(host), generator)


def soak(calls: int, seed: int) -> Soak:
    """Run it all and check what is left."""
    image = dwh.RuntimeImage.load()
    known: weakref.WeakSet[Any] = weakref.WeakSet(orphans([]))
    assembly = dwh.compile_csharp(PROGRAM.read_text("utf-8"), assembly_name="Moody")
    with mock.patch.object(Host, "functions", with_faults(seed)):
        run = Soak(seed, image, assembly)
        try:
            run.run(calls // 10)
            gc.collect()
            before = private_bytes()
            run.run(calls - calls // 10)
            run.runtime.recycle()
            gc.collect()
            grown = private_bytes() - before
            left = len(new_orphans([run.runtime], known))
        finally:
            run.close()
    assert left == 0, f"{left} instances are left"
    assert grown < GROWTH_BYTES, f"memory grew by {grown} bytes"
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    start = time.monotonic()
    run = soak(options.calls, options.seed)
    for (operation, outcome), count in sorted(run.outcomes.items()):
        print(f"{operation:14}{outcome:22}{count:8}")
    print(f"{sum(run.outcomes.values())} operations in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
