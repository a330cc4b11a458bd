from __future__ import annotations

from pathlib import Path

import dotnet_wasm_host as dwh

API = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def test_the_reference_has_every_public_name() -> None:
    lines = API.read_text(encoding="utf-8").splitlines()
    documented = {line.rpartition(".")[2] for line in lines if line.startswith(".. auto")}
    assert documented == set(dwh.__all__)
