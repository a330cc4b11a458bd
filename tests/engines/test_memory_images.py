from __future__ import annotations

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.engines.wasmtime.c_api import NativeError
from dotnet_wasm_host.engines.wasmtime.store import Store


@pytest.mark.parametrize(
    ("message", "refusals", "survives"),
    [
        ("cannot add seals to the memfd", 2, True),
        ("cannot add seals to the memfd", 99, False),
        ("something else", 1, False),
    ],
)
def test_a_busy_kernel_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    refusals: int,
    survives: bool,
) -> None:
    image = dwh.RuntimeImage.load(engine="wasmtime")
    instantiate, refused = Store.instantiate_memory, 0

    def instantiate_or_refuse(store: Store, module: int) -> object:
        nonlocal refused
        if refused < refusals:
            refused += 1
            raise NativeError(message)
        return instantiate(store, module)

    monkeypatch.setattr(Store, "instantiate_memory", instantiate_or_refuse)
    monkeypatch.setattr("time.sleep", lambda _: None)
    if survives:
        with dwh.Runtime(image) as runtime:
            assert runtime.functions == {}
    else:
        with pytest.raises(dwh.LimitExceeded, match=f"no room for another instance .{message}"):
            dwh.Runtime(image)
    assert refused == min(refusals, 4)
