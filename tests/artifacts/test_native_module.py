from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.wasm.module import Module, SectionId
from runtime_artifacts.pipeline import native_module

if TYPE_CHECKING:
    from pathlib import Path

    from runtime_artifacts.pipeline.build import Sources
    from runtime_artifacts.pipeline.upstream import RuntimeFiles


def test_the_pinned_build_is_known(sources: Sources, runtime_files: RuntimeFiles) -> None:
    build = native_module.identify(runtime_files.native, runtime_files.script, sources.known_builds)
    assert build.dotnet_version == "10.0.10"
    assert len(build.imports) == 85
    assert len(build.exports) == 197
    assert "env.emscripten_resize_heap(i32) -> (i32)" in build.imports
    assert "malloc(i32) -> (i32)" in build.exports


def test_a_renamed_import_is_refused(sources: Sources, runtime_files: RuntimeFiles) -> None:
    renamed = runtime_files.native.replace(b"emscripten_resize_heap", b"emscripten_resize_hexp", 1)
    with pytest.raises(ArtifactError) as caught:
        native_module.identify(renamed, runtime_files.script, sources.known_builds)
    message = str(caught.value)
    assert "added import env.emscripten_resize_hexp(i32) -> (i32)" in message
    assert "removed import env.emscripten_resize_heap(i32) -> (i32)" in message
    assert "docs/artifacts.md" in message


def test_another_order_of_imports_is_refused(sources: Sources, runtime_files: RuntimeFiles) -> None:
    module = Module.parse(runtime_files.native)
    first, second, *others = (item.encode() for item in module.imports())
    module.set_section(SectionId.IMPORT, [second, first, *others])
    with pytest.raises(ArtifactError, match="another order"):
        native_module.identify(module.emit(), runtime_files.script, sources.known_builds)


def test_many_differences_are_counted(tmp_path: Path, runtime_files: RuntimeFiles) -> None:
    (tmp_path / "10.0.10.txt").write_text("import env.gone() -> ()\n", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"added import .* and \d+ more"):
        native_module.identify(runtime_files.native, runtime_files.script, tmp_path)


def test_another_version_is_refused(sources: Sources, runtime_files: RuntimeFiles) -> None:
    script = runtime_files.script.replace(b'"10.0.10"', b'"10.0.11"')
    with pytest.raises(ArtifactError, match=r"\.NET 10\.0\.11, .*knows 10\.0\.10"):
        native_module.identify(runtime_files.native, script, sources.known_builds)


def test_a_script_without_version_is_refused(runtime_files: RuntimeFiles) -> None:
    with pytest.raises(ArtifactError, match="does not say its version"):
        native_module.describe(runtime_files.native, b"var e=1;")


@pytest.mark.parametrize("length", [0, 7, 100, 10_000, 1_500_000])
def test_a_truncated_module_is_refused(length: int, runtime_files: RuntimeFiles) -> None:
    with pytest.raises(ArtifactError, match="damaged"):
        native_module.describe(runtime_files.native[:length], runtime_files.script)


def test_another_stack_pointer_is_refused(runtime_files: RuntimeFiles) -> None:
    module = Module.parse(runtime_files.native)
    saved = next(export for export in module.exports() if export.name == "stackSave")
    other = next(export for export in module.exports() if export.name == "malloc")
    exports = [
        item.encode() for item in module.exports() if item.name not in {"stackSave", "malloc"}
    ]
    swapped = [type(saved)("stackSave", other.kind, other.index).encode(), *exports]
    module.set_section(SectionId.EXPORT, swapped)
    with pytest.raises(ArtifactError, match="stack pointer"):
        native_module.describe(module.emit(), runtime_files.script)


def test_the_contract_file_is_what_describe_prints(
    sources: Sources, runtime_files: RuntimeFiles
) -> None:
    build = native_module.describe(runtime_files.native, runtime_files.script)
    known = sources.known_builds / "10.0.10.txt"
    assert known.read_text(encoding="utf-8") == build.text
