"""What the artifacts say about the interpreter, and that a wrong answer is noticed."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeEngine
from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.jit.facts import CODE, FACTS, encode_facts, load_facts, parse_facts
from runtime_artifacts.pipeline import interpreter_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.jit.interface import MintFacts


@pytest.fixture(scope="module")
def store() -> ArtifactStore:
    return ArtifactStore.locate()


@pytest.fixture(scope="module")
def facts(store: ArtifactStore) -> MintFacts:
    return load_facts(store)


@pytest.fixture(scope="module", autouse=True)
def compiled_once() -> Iterator[None]:
    """Every question is asked of one compiled native module, in an instance of its own."""
    engine = WasmtimeEngine()
    compile_module = functools.cache(engine.compile)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter_facts, "WasmtimeEngine", lambda: engine)
        patch.setattr(WasmtimeEngine, "compile", lambda _, wasm: compile_module(wasm))
        yield


def gather(store: ArtifactStore) -> MintFacts:
    files = {f"{name[10:-7]}.wasm": name for name in store.names("framework/")}
    files["MinimalRuntime.dll"] = "guest/MinimalRuntime.dll"
    assemblies = [(name, store.read(path)) for name, path in files.items()]
    sample = store.read("guest/MinimalRuntime.WarmUp.dll")
    code, data = store.read(CODE), store.read("dotnet.data.wasm")
    return interpreter_facts.gather(code, data, assemblies, sample)


def test_the_artifact_is_what_the_code_module_says(store: ArtifactStore, facts: MintFacts) -> None:
    assert gather(store) == facts


@pytest.mark.parametrize(
    "name", ["interp_method_rtype", "method_name", "jit_info_code_size", "type_type"]
)
def test_every_offset_that_is_checked_is_compared(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    moved = interpreter_facts.CHECKED[name] + 4
    monkeypatch.setattr(interpreter_facts, "CHECKED", {**interpreter_facts.CHECKED, name: moved})
    with pytest.raises(Exception, match=r"elsewhere|contexts|MemoryAccess|outside"):
        gather(store)


def test_the_opcodes_have_names_and_lengths(facts: MintFacts) -> None:
    by_name = {opcode.name: opcode for opcode in facts.opcodes}
    assert len(by_name) == len(facts.opcodes) == 691
    assert [name for name, opcode in by_name.items() if opcode.length == 0] == ["switch"]
    add = by_name["add.i4"]
    assert (add.length, add.destinations, add.sources) == (4, 1, 2)
    assert by_name["tier_prepare_jiterpreter"].length == 4
    assert all(facts.simd.values())


def test_facts_of_another_code_module_are_refused(store: ArtifactStore, facts: MintFacts) -> None:
    other = hashlib.sha256(b"another").hexdigest()
    data = encode_facts(facts, other)
    with pytest.raises(ArtifactError, match="belongs to the code module"):
        parse_facts(data, store.manifest.files[CODE].sha256)
    assert parse_facts(data, other) == facts


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("offsets"),
        lambda d: d["offsets"].pop("array_data"),
        lambda d: d["offsets"].update(array_data=-1),
        lambda d: d["opcodes"].append(["add", 1]),
        lambda d: d["opcodes"].append([1, 1, 1, 1, 1]),
        lambda d: d["simd"].append([9, 1, 1]),
        lambda d: d.update(format=2),
    ],
)
def test_damaged_facts_are_refused(store: ArtifactStore, damage: object) -> None:
    document = json.loads(store.read(FACTS))
    assert callable(damage)
    damage(document)
    with pytest.raises(ArtifactError, match=r"mint\.json is damaged"):
        parse_facts(json.dumps(document).encode(), document["code_sha256"])
