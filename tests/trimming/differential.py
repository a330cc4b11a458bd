"""What programs answer on one .NET and another, in a form in which the two can be compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What the functional suite asked: program to handler to payloads, which ``recorder.py`` writes.
QUESTIONS = Path(__file__).with_name("questions.json")
#: How it begins if the function did not come to its end: no deadline, no crash is compared.
NO_ANSWER = "no answer: "
#: Trimmed methods have no names of parameters, so that frames of stack traces have none.
_FRAME = re.compile(r"(\bat [\w.`<>\[\]|+]+)\([^()]*\)")


def answers(
    image: dwh.RuntimeImage, assembly: dwh.Assembly, handler: str, payloads: Sequence[bytes]
) -> list[str]:
    """What a handler answers in a runtime of its own, its errors included."""
    with dwh.Runtime(image, limits=dwh.Limits(timeout=10)) as runtime:
        try:
            runtime.load_assembly("f", assembly, handler_type=handler or None)
        except dwh.DotnetHostError as error:
            return [_error(error)] * len(payloads)
        return [_answer(runtime, payload) for payload in payloads]


def _answer(runtime: dwh.Runtime, payload: bytes) -> str:
    try:
        return _FRAME.sub(r"\1()", runtime.invoke("f", payload).decode("latin-1"))
    except dwh.InvocationError as error:
        return f"{error.dotnet_type}: {error.dotnet_message}"
    except dwh.DotnetHostError as error:
        return _error(error)


def _error(error: dwh.DotnetHostError) -> str:
    return f"{NO_ANSWER}{type(error).__name__}: {error}"
