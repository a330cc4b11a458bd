"""Units run in a guest, test by test, and what came of their cases."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, final

import dotnet_wasm_host as dwh
from tests.conformance.building import CACHE, build, xunit
from tests.conformance.corpus import Unit
from tests.conformance.results import UnitResult

__all__ = ["Settings", "prepare_process", "run"]

_ID = "tests"
#: Discovery reads attributes of thousands of methods.
_LISTING = 120.0
_MEMORY, _FILES = 1 << 30, 256 << 20
#: Tests end their instances often; none is suspended for that.
_CRASHES = 1_000_000
#: After a deadline, cases are tried one by one, but not for as long as there are cases.
_MOST_LOST, _MOST_SINGLE = 3, 200


class Settings(NamedTuple):
    """How tests are run.

    Attributes:
        jit: ``off``, ``auto`` or ``everything``, as for the test command.
        rounds: how often each test runs in the same instance; what counts is the last time.
        timeout: seconds for a test.
        unit_seconds: seconds for a unit; what does not begin in them is not run.
        outer: also run tests marked OuterLoop.
        cache: folder for compiled units.
    """

    jit: str = "off"
    rounds: int = 1
    timeout: float = 15.0
    unit_seconds: float = 600.0
    outer: bool = False
    cache: Path = CACHE


def prepare_process() -> None:
    """Make this process one that runs units for another, and ends when that ends.

    What tests that end their instance say is in their results.
    """
    logging.disable(logging.CRITICAL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def run(unit: Unit, settings: Settings) -> UnitResult:
    """Compile a unit and run its tests."""
    began = time.monotonic()
    built = build(unit, settings.cache)
    result = UnitResult(unit.name, built.key, removed=built.removed, error=built.error)
    compiled = time.monotonic()
    result.compile_seconds = compiled - began
    if not built.error:
        content = built.assembly(settings.cache).read_bytes()
        with _compiling(settings.jit), _runtime(settings) as runtime:
            shim = xunit(settings.cache)
            runtime.load_assembly(_ID, content, dependencies=[shim])
            try:
                _Run(runtime, settings, result).run()
            except dwh.DotnetHostError as error:
                result.error = f"its tests cannot be listed: {error}"
    result.run_seconds = time.monotonic() - compiled
    return result


def _compiling(jit: str) -> contextlib.AbstractContextManager[None]:
    if jit != "everything":
        return contextlib.nullcontext()
    from tests.jit.everything import everything_at_once

    return everything_at_once()


def _runtime(settings: Settings) -> dwh.Runtime:
    limits = dwh.Limits(
        memory_bytes=_MEMORY, timeout=settings.timeout, crash_limit=_CRASHES, files_bytes=_FILES
    )
    silent = dwh.WasiOptions(stdout="discard", stderr="discard")
    return dwh.Runtime(limits=limits, wasi=silent, jit="off" if settings.jit == "off" else "auto")


@final
class _Run:
    def __init__(self, runtime: dwh.Runtime, settings: Settings, result: UnitResult) -> None:
        self._runtime = runtime
        self._settings = settings
        self._result = result
        self._end = time.monotonic() + settings.unit_seconds

    def run(self) -> None:
        """Run every test as often as asked."""
        listed = self._ask("list outer" if self._settings.outer else "list", _LISTING)
        tests = [json.loads(line) for line in listed.splitlines()]
        self._result.methods = len(tests)
        for number in range(self._settings.rounds):
            if number and self._settings.jit != "off":
                self._runtime.compile_hot_methods()
            self._result.outcomes.clear()
            self._result.messages.clear()
            for test in tests:
                self._run_test(test)
        self._result.compiled_methods = self._runtime.stats().jit.methods

    def _run_test(self, test: dict[str, Any]) -> None:
        name = f"{test['name']}#0"
        if "skip" in test:
            self._result.add(name, "skip", test["skip"])
        elif time.monotonic() > self._end:
            self._result.add(name, "unrun", "the time of the unit is over")
        else:
            try:
                self._record(self._ask(f"run {test['test']} 0 {2**31 - 1}"))
            except dwh.DotnetHostError as error:
                self._run_cases(test, error)

    def _run_cases(self, test: dict[str, Any], error: dwh.DotnetHostError) -> None:
        """A case ended the instance or took too long: which?"""
        try:
            count = int(self._ask(f"count {test['test']}"))
        except dwh.DotnetHostError:
            count = 1
        if count == 1 or count > _MOST_SINGLE:
            self._result.add(f"{test['name']}#0", "crash", _described(error))
            return
        lost = 0
        for index in range(count):
            name = f"{test['name']}#{index}"
            if lost == _MOST_LOST or time.monotonic() > self._end:
                self._result.add(name, "unrun", "too many others took too long")
                continue
            try:
                self._record(self._ask(f"run {test['test']} {index} {index + 1}"))
            except dwh.DotnetHostError as failure:
                lost += isinstance(failure, dwh.InvocationTimeout)
                self._result.add(name, "crash", _described(failure))

    def _record(self, answer: str) -> None:
        for case in _cases(answer):
            self._result.add(case["case"], case["outcome"], case.get("message", ""))

    def _ask(self, text: str, timeout: float | None = None) -> str:
        return self._runtime.invoke(_ID, text.encode(), timeout=timeout).decode()


def _cases(answer: str) -> Iterator[dict[str, Any]]:
    return map(json.loads, answer.splitlines())


def _described(error: dwh.DotnetHostError) -> str:
    return f"{type(error).__name__}: {error}"[:800]
