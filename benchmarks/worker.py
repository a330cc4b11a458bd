"""The process of a contestant that Python hosts: ``python -m benchmarks.worker NAME FOLDER``.

Reads one request a line, ``{"operation": name, ...arguments}``, and answers with one line:
``{"value": ...}``, ``{"cannot": reason}`` or ``{"error": text}``. Ends with its input.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.peers.base import CannotMeasure, Peer

__all__ = ["PEERS", "main"]

#: Contestants and where their class is. Imported only in the process that needs it.
PEERS = {
    "ours": "benchmarks.peers.ours:Ours",
    "ours-wasmer": "benchmarks.peers.ours:OursOnWasmer",
    "coreclr": "benchmarks.peers.coreclr:CoreClr",
    "coreclr-array": "benchmarks.peers.coreclr:CoreClrArray",
    "extism": "benchmarks.peers.extism:Extism",
    "extism-hand-back": "benchmarks.peers.extism:ExtismHandBack",
    "wasmtime": "benchmarks.peers.bare_wasmtime:BareWasmtime",
    "python": "benchmarks.peers.pure_python:PurePython",
    "memcpy": "benchmarks.peers.pure_python:Memcpy",
}


def main(name: str, folder: str) -> None:
    """Answer until the input ends."""
    # Whatever prints, prints to stderr: stdout is the protocol's alone.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    module, _, class_name = PEERS[name].partition(":")
    peer: Peer = getattr(import_module(module), class_name)(Path(folder))
    gc.collect()
    gc.disable()
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(_answer(peer, request.pop("operation"), request)) + "\n")
        answers.flush()
        gc.collect()


def _answer(peer: Peer, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    if operation in peer.cannot:
        return {"cannot": peer.cannot[operation]}
    method = getattr(peer, operation, None)
    if method is None or operation.startswith("_"):
        return {"cannot": f"it has no operation {operation!r}"}
    try:
        return {"value": method(**arguments)}
    except CannotMeasure as error:
        return {"cannot": str(error)}
    except Exception as error:  # noqa: BLE001 - the session reports it
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main(*sys.argv[1:])
