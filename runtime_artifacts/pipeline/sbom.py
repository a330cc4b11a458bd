"""The software bill of materials of a wheel, in CycloneDX 1.5.

It says what the artifacts are made of: the npm packages that the lock file pins, and every file
with its hash. It has neither a time nor a random serial number: the same artifacts give the same
bytes.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from runtime_artifacts.pipeline.provenance import base_library_commit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dotnet_wasm_host.artifacts.manifest import ArtifactFile
    from dotnet_wasm_host.artifacts.store import ArtifactStore

__all__ = ["SBOM_NAME", "bill_of_materials"]

#: PEP 770 puts it into the wheel's ``.dist-info/sboms``.
SBOM_NAME = "dotnet-wasm-host.cdx.json"
#: Packages that run during a build or a test and are in no wheel.
BUILD_ONLY = frozenset({"axe-core", "binaryen", "esbuild-wasm"})
_FOLDER = "node_modules/"
#: Name of the property with the commit of dotnet/dotnet that the base library names.
COMMIT = "dotnet-wasm-host:commit"


def bill_of_materials(store: ArtifactStore, lock_file: Path, version: str) -> bytes:
    """The document.

    Args:
        store: the artifacts in the wheel.
        lock_file: npm's lock, version 3.
        version: the wheel's.
    """
    manifest = store.manifest
    packages: Mapping[str, Mapping[str, str]] = json.loads(lock_file.read_bytes())["packages"]
    components = [
        _package(path.removeprefix(_FOLDER), package)
        for path, package in sorted(packages.items())
        if path.startswith(_FOLDER)
    ]
    commit = base_library_commit({name: store.read(name) for name in store.names("framework/")})
    dotnet = _runtime(".NET", manifest.dotnet_version)
    components += [{**dotnet, "properties": [{"name": COMMIT, "value": commit}]}]
    components += [_runtime("Roslyn", manifest.roslyn_version)]
    components += [_file(manifest.files[name]) for name in sorted(manifest.files)]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": "dotnet-wasm-host",
                "name": "dotnet-wasm-host",
                "version": version,
                "purl": f"pkg:pypi/dotnet-wasm-host@{quote(version)}",
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": components,
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def _package(name: str, package: Mapping[str, str]) -> dict[str, object]:
    algorithm, _, digest = package["integrity"].partition("-")
    if algorithm != "sha512":
        raise ValueError(f"{name} is pinned by {algorithm}, not by sha512; run npm again")
    # package-url: the @ of an npm scope is escaped, the slash after it is not.
    purl = f"pkg:npm/{quote(name)}@{quote(package['version'])}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": package["version"],
        "scope": "excluded" if name in BUILD_ONLY else "required",
        "hashes": [{"alg": "SHA-512", "content": base64.b64decode(digest).hex()}],
        "licenses": [{"license": {"id": package["license"]}}],
        "purl": purl,
    }


def _runtime(name: str, version: str) -> dict[str, object]:
    return {
        "type": "framework",
        "bom-ref": f"{name}@{version}",
        "name": name,
        "version": version,
        "publisher": "Microsoft",
        "licenses": [{"license": {"id": "MIT"}}],
    }


def _file(file: ArtifactFile) -> dict[str, object]:
    component: dict[str, object] = {
        "type": "file",
        "bom-ref": f"file:{file.name}",
        "name": file.name,
        "hashes": [{"alg": "SHA-256", "content": file.sha256}],
    }
    if file.version is not None:
        component["version"] = file.version
    return component
