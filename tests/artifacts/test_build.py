from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from dotnet_wasm_host.artifacts.store import MANIFEST_NAME, ArtifactStore
from dotnet_wasm_host.errors import ArtifactError
from runtime_artifacts import checks
from runtime_artifacts.pipeline import build as build_module
from runtime_artifacts.pipeline import code_module, command, fetch, upstream
from runtime_artifacts.pipeline.build import STAMP_NAME, Sources, build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from runtime_artifacts.pipeline.code_module import SplitModule

    MakeTarball = Callable[[str, Mapping[str, bytes]], Path]

FRAMEWORK = f"package/{upstream.FRAMEWORK_FOLDER}"


def clone(sources: Sources, root: Path) -> Sources:
    """A place to build in that shares the inputs and the verified tarballs."""
    root.mkdir()
    shutil.copy(sources.lock_file, root)
    shutil.copy(sources.images_file, root)
    copied = Sources(root)
    copied.cache.mkdir()
    for package in fetch.read_lock(sources.lock_file):
        path = fetch.fetch(package, sources.cache)
        (copied.cache / path.name).symlink_to(path)
    for path in sources.cache.glob("wasm-*-*"):
        (copied.cache / path.name).symlink_to(path)
    for name in ("adapter", "editor", "images", "licenses", "native_builds"):
        shutil.copytree(sources.root / name, root / name)
    shutil.copytree(sources.guest, copied.guest)
    return copied


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def built(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Sources:
    copied = clone(sources, tmp_path_factory.mktemp("build") / "artifacts")
    build(copied)
    return copied


@pytest.fixture
def no_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("nothing had to be fetched")

    monkeypatch.setattr(fetch, "fetch", refuse)


def test_two_builds_are_equal(built: Sources, store: ArtifactStore) -> None:
    one, other = content_of(built.dist), content_of(store.root)
    assert one.keys() == other.keys()
    assert all(one[name] == other[name] for name in one)
    assert set(one) == {MANIFEST_NAME, STAMP_NAME, *store.names()}


def test_every_file_is_verified(built: Sources) -> None:
    store = ArtifactStore.open(built.dist)
    assert len(list(store.verify())) == len(store.names())


@pytest.mark.usefixtures("no_fetch")
def test_an_up_to_date_dist_is_left_alone(built: Sources) -> None:
    before = (built.dist / MANIFEST_NAME).stat().st_mtime_ns
    build(built)
    assert (built.dist / MANIFEST_NAME).stat().st_mtime_ns == before


def test_changed_inputs_and_damage_are_noticed(built: Sources, tmp_path: Path) -> None:
    copied = clone(built, tmp_path / "artifacts")
    shutil.copytree(built.dist, copied.dist)
    stamp = build_module.inputs_fingerprint(copied)
    assert build_module.up_to_date(copied, stamp)
    for damage in (
        lambda: (copied.dist / "dotnet.data.wasm").write_bytes(b""),
        (copied.dist / MANIFEST_NAME).unlink,
        lambda: shutil.rmtree(copied.dist),
    ):
        damage()
        assert not build_module.up_to_date(copied, stamp)
    guest = next(copied.guest.rglob("*.dll"))
    guest.write_bytes(guest.read_bytes() + b"\0")
    assert build_module.inputs_fingerprint(copied) != stamp


def test_a_failed_build_leaves_the_old_dist(
    built: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content_of(built.dist)

    def broken(_: bytes) -> SplitModule:
        raise ArtifactError("broken")

    monkeypatch.setattr(code_module, "split", broken)
    with pytest.raises(ArtifactError, match="broken"):
        build(built, force=True)
    assert content_of(built.dist) == before
    assert {path.suffix for path in built.cache.iterdir()} == {".tgz", ".bin"}


def test_a_wrongly_named_guest_assembly_is_refused(built: Sources, tmp_path: Path) -> None:
    copied = clone(built, tmp_path / "artifacts")
    guest = next(copied.guest.rglob("*.dll"))
    guest.rename(guest.with_name("Renamed.dll"))
    with pytest.raises(ArtifactError, match=r"Renamed\.dll holds the assembly"):
        build(copied)
    assert not copied.dist.exists()


def test_an_unknown_kind_of_assembly_is_a_decision(make_tarball: MakeTarball) -> None:
    tarball = make_tarball("runtime.tgz", {f"{FRAMEWORK}Contoso.Extra.0123456789.wasm": b""})
    with pytest.raises(ArtifactError, match=r"an assembly Contoso\.Extra"):
        upstream.read_runtime(tarball)


def test_browser_assemblies_are_left_out(make_tarball: MakeTarball) -> None:
    names = [
        "dotnet.native.0123456789.wasm",
        "dotnet.runtime.0123456789.js",
        "Microsoft.AspNetCore.Components.0123456789.wasm",
        "Microsoft.Extensions.Logging.0123456789.wasm",
        "Microsoft.JSInterop.0123456789.wasm",
        "Piral.Blazor.Core.0123456789.wasm",
        "Microsoft.Win32.Registry.0123456789.wasm",
        "System.0123456789.wasm",
        "System.Linq.0123456789.wasm",
        "icudt.0123456789.dat",
        "dotnet.js",
    ]
    tarball = make_tarball("runtime.tgz", {FRAMEWORK + name: name.encode() for name in names})
    files = upstream.read_runtime(tarball)
    assert list(files.assemblies) == ["Microsoft.Win32.Registry", "System", "System.Linq"]
    assert files.native == b"dotnet.native.0123456789.wasm"
    assert files.script == b"dotnet.runtime.0123456789.js"


def test_incomplete_packages_are_refused(make_tarball: MakeTarball) -> None:
    tarball = make_tarball("empty.tgz", {"package/readme": b""})
    with pytest.raises(ArtifactError, match=r"no file .*dotnet\.native\.\*\.wasm"):
        upstream.read_runtime(tarball)
    with pytest.raises(ArtifactError, match=r"lacks .*Microsoft\.CodeAnalysis\.CSharp\.dll"):
        upstream.read_compiler(tarball)
    with pytest.raises(ArtifactError, match=r"lacks .*NuGet\.Frameworks\.dll"):
        upstream.read_package_rules(tarball)
    twice = {f"{FRAMEWORK}System.{digest * 10}.wasm": b"" for digest in "ab"}
    with pytest.raises(ArtifactError, match="two files System"):
        upstream.read_runtime(make_tarball("twice.tgz", twice))


def test_a_package_that_is_not_pinned(sources: Sources) -> None:
    with pytest.raises(ArtifactError, match="does not pin left-pad"):
        sources.package("left-pad")


@pytest.mark.usefixtures("store")
def test_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, sources: Sources
) -> None:
    for arguments in ([], ["build"], ["fetch"], ["verify"]):
        assert command.main(arguments) == 0
    assert "all intact" in capsys.readouterr().err
    assert command.main(["describe"]) == 0
    known = (sources.known_builds / "10.0.10.txt").read_text(encoding="utf-8")
    assert capsys.readouterr().out == known

    def refuse(*_: object, **__: object) -> None:
        raise ArtifactError("no artifacts today")

    monkeypatch.setattr(command, "build", refuse)
    assert command.main(["build"]) == 1
    assert "error: no artifacts today" in capsys.readouterr().err


@pytest.fixture(scope="module")
def hook_module() -> ModuleType:
    path = Path(__file__).parents[2] / "hatch_build.py"
    spec = importlib.util.spec_from_file_location("hatch_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_wheel_carries_what_the_manifest_lists(
    hook_module: ModuleType, store: ArtifactStore
) -> None:
    root = Path(__file__).parents[2]
    metadata = SimpleNamespace(version="1.2.3")  # what of it the hook reads
    hook = hook_module.ArtifactsBuildHook(str(root), {}, None, metadata, str(root), "wheel")
    standard: dict[str, Any] = {"force_include": {}, "sbom_files": []}
    hook.initialize("standard", standard)
    packed = {target for _, target in standard["force_include"].items()}
    assert packed == {f"dotnet_wasm_host/_artifacts/{n}" for n in (MANIFEST_NAME, *store.names())}
    assert all(Path(source).is_file() for source in standard["force_include"])
    (bill,) = standard["sbom_files"]
    assert json.loads(Path(bill).read_bytes())["bomFormat"] == "CycloneDX"
    editable: dict[str, Any] = {"force_include": {}}
    hook.initialize("editable", editable)
    assert not editable["force_include"]


def test_the_build_asks_for_npm_only_where_it_is_missing(
    hook_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = hook_module.ArtifactsBuildHook(".", {}, None, None, ".", "wheel")
    monkeypatch.setattr(shutil, "which", lambda _: "/somewhere/npm")
    assert hook.dependencies() == []
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert hook.dependencies() == [hook_module.NPM_PACKAGE]


def test_checks_fail_if_one_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = checks.Check("good", ("-c", "pass"))
    bad = checks.Check("bad", ("-c", "raise SystemExit(3)"))
    monkeypatch.setattr(checks, "_checks", lambda *_, **__: (bad, good))
    assert checks.main([]) == 1
    summary = capsys.readouterr().out
    assert "FAILED" in summary
    monkeypatch.setattr(checks, "_checks", lambda *_, **__: (good,))
    assert checks.main(["--fast"]) == 0


def test_fast_leaves_out_slow_tests() -> None:
    assert "not long and not slow" in checks._checks(None, ["long", "slow"])[-1].arguments
    assert "-m" not in checks._checks(None, [])[-1].arguments[2:]


def test_coverage_is_measured_when_it_is_asked_for() -> None:
    def measured(*, coverage: bool) -> list[str]:
        every = checks._checks(None, [], coverage=coverage)
        return [check.name for check in every if "--cov" in check.arguments]

    assert measured(coverage=True) == ["pytest"]
    assert measured(coverage=False) == []


def test_checks_run_at_the_same_time_and_the_tests_last(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wait = f"import pathlib, time\np = pathlib.Path({str(tmp_path / 'end')!r})\n"
    slow = wait + "while not p.exists(): time.sleep(0.01)\nprint('slow ended')"
    monkeypatch.setattr(
        checks,
        "_checks",
        lambda *_, **__: (
            checks.Check("slow", ("-c", slow), beside=True),
            checks.Check("quick", ("-c", "print('quick ended')")),
            checks.Check("tests", ("-c", wait + "p.touch()\nprint('tests ended')"), last=True),
        ),
    )
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert checks.main([]) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if line.endswith("ended")]
    assert lines == ["quick ended", "tests ended", "slow ended"]
