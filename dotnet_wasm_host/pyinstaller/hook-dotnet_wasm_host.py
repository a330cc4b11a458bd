"""What a program needs that imports dotnet_wasm_host; PyInstaller reads the names below."""

from __future__ import annotations

from pathlib import Path

from PyInstaller.utils.hooks import (
    collect_data_files,
    collect_dynamic_libs,
    collect_submodules,
    copy_metadata,
)

from dotnet_wasm_host.artifacts.store import ArtifactStore

_EXTRAS = ("cli", "engines.wasmer", "pyinstaller", "worker")


def _wanted(name: str) -> bool:
    # What a program imports itself of these is found all the same.
    return not name.startswith(tuple(f"dotnet_wasm_host.{extra}" for extra in _EXTRAS))


artifacts = ArtifactStore.locate().root
datas = [
    # From an installed wheel, and from a checkout as well.
    *(
        (str(file), str(Path("dotnet_wasm_host/_artifacts", file.relative_to(artifacts).parent)))
        for file in artifacts.rglob("*")
        if file.is_file()
    ),
    *collect_data_files("dotnet_wasm_host", excludes=["_artifacts"]),
    *copy_metadata("wasmtime"),
]
# Where the engine looks for it: in the package's folder.
binaries = collect_dynamic_libs("wasmtime", search_patterns=["*.so", "*.dll", "*.dylib"])
hiddenimports = ["wasmtime", *collect_submodules("dotnet_wasm_host", filter=_wanted)]
