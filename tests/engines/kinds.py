"""The engines that the tests of the seam run on."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping

import wasmtime

from dotnet_wasm_host.engines.base import Engine
from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeEngine

__all__ = ["ENGINES", "HAS_WASMER", "assemble"]

#: On newer versions pip installs a package of this name that fails when it is used.
HAS_WASMER = sys.version_info < (3, 11) and importlib.util.find_spec("wasmer") is not None


def _wasmer() -> Engine:
    from dotnet_wasm_host.engines.wasmer.engine import WasmerEngine

    return WasmerEngine()


ENGINES: Mapping[str, Callable[[], Engine]] = {
    "wasmtime": WasmtimeEngine,
    **({"wasmer": _wasmer} if HAS_WASMER else {}),
}


def assemble(text: str) -> bytes:
    """A module, from its text format."""
    return bytes(wasmtime.wat2wasm(text))
