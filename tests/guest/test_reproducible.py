"""The checked-in guest assemblies are what their sources compile to, byte for byte."""

from __future__ import annotations

import pytest

from dotnet_wasm_host.ecma335.metadata import identify
from runtime_artifacts.pipeline.guest import BIN, build_guest


@pytest.fixture(scope="module")
def built() -> dict[str, bytes]:
    return build_guest()


def test_rebuilding_gives_the_checked_in_bytes(built: dict[str, bytes]) -> None:
    checked_in = {
        path.relative_to(BIN).as_posix(): path.read_bytes() for path in BIN.rglob("*.dll")
    }
    assert sorted(checked_in) == sorted(built)
    stale = [name for name in built if built[name] != checked_in[name]]
    assert stale == [], "run: python -m runtime_artifacts.pipeline guest"


@pytest.mark.long
def test_a_changed_source_would_be_noticed(
    built: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from runtime_artifacts.pipeline import guest

    sources = guest._sources

    def changed(folder: str) -> dict[str, str]:
        return {
            file: text.replace('"warm-up"', '"changed"') for file, text in sources(folder).items()
        }

    monkeypatch.setattr(guest, "_sources", changed)
    again = guest.build_guest()
    assert [name for name in built if built[name] != again[name]] == ["MinimalRuntime.WarmUp.dll"]


def test_the_contract_refers_to_system_runtime_only(built: dict[str, bytes]) -> None:
    contract = built["contract/MinimalRuntime.dll"]
    assert str(identify(contract)) == "MinimalRuntime 1.0.0.0"
    assert b"System.Private.CoreLib" not in contract
    assert b"IFunctionHandler" in contract
    assert b"FunctionDispatcher" not in contract
