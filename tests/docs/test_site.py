from __future__ import annotations

from importlib import import_module
from pathlib import Path

import dotnet_wasm_host as dwh

API = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def test_the_reference_has_every_public_name() -> None:
    lines = API.read_text(encoding="utf-8").splitlines()
    documented: dict[str, set[str]] = {}
    for line in lines:
        if line.startswith(".. auto"):
            module, _, name = line.rpartition(" ")[2].rpartition(".")
            documented.setdefault(module, set()).add(name)
    assert dwh.__name__ in documented
    assert documented == {each: set(import_module(each).__all__) for each in documented}
