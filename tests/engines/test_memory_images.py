from __future__ import annotations

import pytest
import wasmtime

import dotnet_wasm_host as dwh


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
    instantiate, refused = wasmtime.Instance, 0

    def instantiate_or_refuse(*arguments: object) -> object:
        nonlocal refused
        if refused < refusals:
            refused += 1
            raise wasmtime.WasmtimeError(message)
        return instantiate(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(wasmtime, "Instance", instantiate_or_refuse)
    monkeypatch.setattr("time.sleep", lambda _: None)
    if survives:
        with dwh.Runtime(image) as runtime:
            assert runtime.functions == {}
    else:
        with pytest.raises(wasmtime.WasmtimeError, match=message):
            dwh.Runtime(image)
    assert refused == min(refusals, 4)
