"""Workloads ``echo`` and ``compute``: warm calls."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING

from benchmarks.cases import MANY, TRIVIAL, echo_case
from benchmarks.contestants import OURS
from benchmarks.kit import COMPUTE
from benchmarks.processes import NotAvailable
from benchmarks.session import take_turns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.processes import Worker
    from benchmarks.session import Notebook, Session

__all__ = ["measure_computing", "measure_echoes"]

#: Seconds a contestant's turn may take; then it makes fewer calls.
TURN = 1.0
#: pythonnet converts an array item by item: more than this takes seconds a call.
ARRAY_LIMIT = 1_000_000
_NO_COPY = "the plug-in names its input as its output"
_NOTES = {
    "coreclr": "address and length in, buffer protocol out",
    "coreclr-array": "System.Byte[] in and out, as pythonnet's documentation does it",
    "extism-hand-back": _NO_COPY,
    "node": "[JSExport], a Uint8Array each way",
    "node-frame": "below its JavaScript API: our frame, our guest",
    "memcpy": "one copy into a buffer that exists",
    "python": "bytes(bytearray(payload))",
}


def measure_echoes(session: Session, notebook: Notebook) -> None:
    """Payloads of several sizes; the guest copies them once."""
    scale = session.scale
    names = (
        *OURS, "node", "node-frame", "coreclr", "coreclr-array", "extism", "extism-hand-back",
        "wasmtime", "python", "memcpy",
    )  # fmt: skip
    with session.workers(notebook, *names) as started:
        workers = _agreeing(notebook, started, "echo", '"hello"')
        for size, calls in scale.echoes.items():
            taking_part = [w for w in workers if _can_take(notebook, w, size)]
            _measure(session, notebook, echo_case(size), taking_part, ("echo", size), calls, _NOTES)
        ours = [w for w in workers if w.name in OURS]
        many = take_turns(
            notebook, MANY, ours, scale.rounds,
            lambda w: w.ask("sample_batch", function="echo", payload=100, calls=scale.batch),
        )  # fmt: skip
        for name, batches in many.items():
            notebook.nanoseconds(
                MANY, name, chain.from_iterable(batches), "time of the batch / its calls"
            )
        bare = [w for w in workers if w.name == "wasmtime"]
        _measure(session, notebook, TRIVIAL, bare, ("nop", 0), max(scale.echoes.values()), {})


def _can_take(notebook: Notebook, worker: Worker, size: int) -> bool:
    if worker.name == "coreclr-array" and size > ARRAY_LIMIT:
        notebook.absent(echo_case(size), worker.name, "left out: 0.2 s for each megabyte")
        return False
    return True


def measure_computing(session: Session, notebook: Notebook) -> None:
    """The same functions everywhere; results are compared before anything is timed."""
    names = (*OURS, "node", "coreclr", "extism", "wasmtime", "python")
    with session.workers(notebook, *names) as workers:
        for function, payload in COMPUTE.items():
            able = _agreeing(notebook, workers, function, payload())
            calls = session.scale.computations
            _measure(session, notebook, function, able, (function, payload()), calls, {})


def _measure(
    session: Session,
    notebook: Notebook,
    case: str,
    workers: Sequence[Worker],
    work: tuple[str, int | str],
    calls: int,
    notes: Mapping[str, str],
) -> None:
    """Warm up, then time calls of ``work``, a function with a payload, in turns."""
    scale, (function, payload) = session.scale, work
    session.progress(f"  {case}")
    take_turns(
        notebook, case, workers, 1,
        lambda w: w.ask("warm", function=function, payload=payload, seconds=scale.warm_seconds),
    )  # fmt: skip
    answers = take_turns(
        notebook, case, workers, scale.rounds,
        lambda w: w.ask("sample", function=function, payload=payload, calls=calls, seconds=TURN),
    )  # fmt: skip
    for name, batches in answers.items():
        notebook.nanoseconds(case, name, chain.from_iterable(batches), notes.get(name, ""))


def _agreeing(
    notebook: Notebook, workers: Sequence[Worker], function: str, payload: str
) -> list[Worker]:
    """Those that compute what the first one computes."""
    able, expected = [], None
    for worker in workers:
        try:
            result = json.loads(worker.ask("check", function=function, payload=payload))
        except NotAvailable as error:
            notebook.absent(function, worker.name, str(error))
            continue
        if expected is None:
            expected = result
        if result != expected:
            notebook.absent(function, worker.name, f"it computes something else: {result!r:.60}")
            continue
        able.append(worker)
    return able
