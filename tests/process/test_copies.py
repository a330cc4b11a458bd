"""Copies and pickles of objects that stand for something alive."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host import options

ECHO = """
public sealed class Echo : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(System.ReadOnlySpan<byte> input) => input.ToArray();
}
"""
WAYS = [copy.copy, copy.deepcopy, pickle.dumps, lambda value: pickle.dumps(value, 0)]
ways = pytest.mark.parametrize("duplicate", WAYS, ids=["copy", "deepcopy", "pickle", "pickle 0"])
Duplicate = Callable[[object], object]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda event: found.append(event.exc_value))
    yield
    gc.collect()
    assert found == []


@ways
def test_a_runtime_survives_the_refusal(duplicate: Duplicate) -> None:
    with dwh.Runtime() as runtime:
        loaded = runtime.load_assembly("echo", dwh.compile_csharp(ECHO))
        for value in (runtime, loaded, runtime.functions, runtime.memory, runtime.image):
            with pytest.raises(TypeError, match=f"found a {type(value).__name__}, .*; "):
                duplicate(value)
        gc.collect()
        assert runtime.invoke("echo", b"alive") == b"alive"
        with pytest.raises(TypeError, match="DotnetFunction"):
            duplicate(runtime)


@ways
def test_a_pool_survives_the_refusal(duplicate: Duplicate) -> None:
    with dwh.RuntimePool(size=1) as pool:
        pool.load_assembly("echo", dwh.compile_csharp(ECHO))
        with pytest.raises(TypeError, match=r"found a RuntimePool.*DotnetFunction"):
            duplicate(pool)
        gc.collect()
        assert pool.invoke("echo", b"alive") == b"alive"


@ways
def test_a_cancellation_is_one_object(duplicate: Duplicate) -> None:
    with pytest.raises(TypeError, match="found a Cancellation"):
        duplicate(dwh.Cancellation())


@pytest.mark.parametrize("make", [dwh.Runtime, dwh.RuntimePool])
@pytest.mark.parametrize(
    ("name", "value"),
    [("limits", 5), ("limits", {}), ("wasi", 3), ("bogus", 1), ("image", "none of them")],
)
def test_half_built_objects_are_silent(
    make: Callable[..., object], name: str, value: object
) -> None:
    with pytest.raises((TypeError, ValueError), match=f"{name}|none of them"):
        make(**{name: value})


@ways
def test_options_are_values(duplicate: Duplicate) -> None:
    value = dwh.WasiOptions(env={"A": "b"}, files={"/f": b"x"}, args=("a",))
    copied = duplicate(value)
    if isinstance(copied, bytes):
        copied = pickle.loads(copied)
    assert isinstance(copied, dwh.WasiOptions)
    assert (copied.env, copied.files, copied.args) == (value.env, value.files, value.args)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limits": dwh.Limits}, "expected Limits or None, found type"),
        ({"wasi": {}}, "expected WasiOptions or None, found dict"),
        ({"http": True}, "expected HttpPolicy or None, found bool"),
        ({"host_functions": [("a", len)]}, "expected names and functions, found list"),
        ({"image": b"full"}, "expected a name or a RuntimeImage, found bytes"),
        ({"engine": 5}, "expected a name or an engine, found int"),
    ],
)
@pytest.mark.parametrize("make", [dwh.Runtime, dwh.RuntimePool])
def test_options_of_another_type_are_named(
    make: Callable[..., object], values: dict[str, object], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        make(**values)


@pytest.mark.parametrize("values", [{"timeout": "3"}, {"host_work": "x"}, {"payload_bytes": None}])
def test_limits_are_numbers(values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(TypeError, match=f"{name}: expected a number, found"):
        dwh.Limits(**values)


def test_pickled_limits_know_their_fields_by_name() -> None:
    limits = dwh.Limits(timeout=3, payload_bytes=7, crash_limit=None)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(limits, protocol)) == limits
    assert copy.deepcopy(limits) == limits
    restore: Callable[..., dwh.Limits] = options._unpickle_limits
    version, values = (
        options._PICKLE,
        {field.name: getattr(limits, field.name) for field in fields(limits)},
    )
    del values["crash_limit"]  # as an older version would have it
    assert restore(version, values) == dwh.Limits(timeout=3, payload_bytes=7)
    with pytest.raises(ValueError, match=r"unknown fields .'novelty'.*or newer"):
        restore(version, {**values, "novelty": 1})
    with pytest.raises(ValueError, match="found format 2"):
        restore(version + 1, values)
    with pytest.raises(ValueError, match="memory_bytes"):
        restore(version, {**values, "memory_bytes": 1})
