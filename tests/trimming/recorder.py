"""Records what the functional suite asks its programs; a plugin of pytest.

``python -m pytest -p tests.trimming.recorder tests/functional`` writes ``questions.json``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from tests.trimming.differential import NO_ANSWER, QUESTIONS, answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Questions kept for each handler, those looked at, and how long one may be.
KEPT, TRIED, LONGEST = 4, 12, 600
#: Handlers that write the time of day, run until something stops them, or wait: what can be waited
#: for without a second thread depends on what an image was warmed with.
LEFT_OUT = frozenset(
    {
        ("async", "Programs.Blocking"),
        ("compression", "Programs.Zip"),
        ("text", "Programs.Catastrophe"),
    }
)

_programs: dict[str, tuple[str, dwh.Assembly]] = {}
_loaded: dict[tuple[int, str], tuple[str, str]] = {}
_asked: dict[tuple[str, str], set[bytes]] = defaultdict(set)


@pytest.fixture(scope="session", autouse=True)
def _recording() -> Iterator[None]:
    from tests.functional.conftest import Programs

    compile_program = Programs.__getitem__
    load, invoke = dwh.Runtime.load_assembly, dwh.Runtime.invoke

    def compile_and_remember(self: Programs, name: str) -> dwh.Assembly:
        assembly = compile_program(self, name)
        _programs[assembly.sha256] = name, assembly
        return assembly

    def load_and_remember(
        self: dwh.Runtime, function_id: str, assembly: Any, **options: Any
    ) -> Any:
        known = _programs.get(getattr(assembly, "sha256", ""))
        if known is not None:
            _loaded[id(self), function_id] = known[0], options.get("handler_type", "")
        return load(self, function_id, assembly, **options)

    def invoke_and_remember(
        self: dwh.Runtime, function_id: str, payload: Any = b"", **options: Any
    ) -> bytes:
        handler = _loaded.get((id(self), str(function_id)))
        if handler is not None and len(bytes(payload)) <= LONGEST:
            _asked[handler].add(bytes(payload))
        return invoke(self, function_id, payload, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Programs, "__getitem__", compile_and_remember)
        patch.setattr(dwh.Runtime, "load_assembly", load_and_remember)
        patch.setattr(dwh.Runtime, "invoke", invoke_and_remember)
        yield
    _write()


def _spread(items: Sequence[bytes], count: int) -> list[bytes]:
    """So many of them, from the first to the last."""
    last = len(items) - 1
    return [items[i] for i in sorted({round(n * last / (count - 1)) for n in range(count)})]


def _write() -> None:
    image = dwh.RuntimeImage.load("full")
    assemblies = dict(_programs.values())
    found: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for (program, handler), payloads in sorted(_asked.items()):
        if (program, handler) in LEFT_OUT:
            continue
        tried = _spread(sorted(payloads, key=lambda p: (len(p), p)), TRIED)
        once, again = (answers(image, assemblies[program], handler, tried) for _ in range(2))
        same = [
            payload
            for payload, first, second in zip(tried, once, again, strict=True)
            if first == second and not first.startswith(NO_ANSWER)
        ]
        if same:
            found[program][handler] = [p.decode("latin-1") for p in _spread(same, KEPT)]
    QUESTIONS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")
