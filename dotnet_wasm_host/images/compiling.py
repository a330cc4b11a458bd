"""What was written is compiled by wasmtime before it is handed over."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from dotnet_wasm_host.artifacts.cache import ImageCache
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_compiles", "code_key"]


def check_compiles(wasm: bytes, progress: Callable[[str], object]) -> None:
    """Compile a module, and drop it.

    That takes one and a half seconds on two CPUs. Files differ in their data and seldom in their
    code; code that this machine's wasmtime has compiled is noted in the cache and not compiled
    again, and the rest of the file is validated, which takes a tenth of a second.

    Raises:
        ArtifactError: wasmtime does not take it.
    """
    engine, cache, key = get_engine("wasmtime"), ImageCache.locate(), code_key(wasm)
    try:
        if cache is not None and cache.is_noted(key):
            engine.validate(wasm)
            return
        progress("compiling what was written, to be sure that it can be")
        engine.compile(wasm)
    except ValueError as error:
        raise ArtifactError(
            f"expected wasmtime to compile what was written, found {error}; this is a fault of "
            "dotnet_wasm_host, please report it"
        ) from error
    if cache is not None:
        cache.note(key)


def code_key(wasm: bytes) -> str:
    """What the code of a module is noted under: all that wasmtime makes machine code of."""
    from dotnet_wasm_host.wasm.module import Module, SectionId

    # Data, what mutable globals start with, and comments.
    not_code = {SectionId.CUSTOM, SectionId.DATA, SectionId.DATA_COUNT, SectionId.GLOBAL}
    digest = hashlib.sha256(get_engine("wasmtime").fingerprint.encode())
    for section, body in Module.parse(wasm).sections:
        if section not in not_code:
            digest.update(b"%d %d " % (section, len(body)))
            digest.update(body)
    return f"compiled-{digest.hexdigest()[:40]}"
