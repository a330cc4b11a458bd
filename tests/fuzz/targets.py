"""Everything that parses bytes from outside, and what it may answer with."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from dotnet_wasm_host import abi
from dotnet_wasm_host.artifacts.cache import ImageCache
from dotnet_wasm_host.artifacts.manifest import Manifest
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.ecma335 import webcil
from dotnet_wasm_host.ecma335.metadata import Metadata, identify
from dotnet_wasm_host.ecma335.tables import SCHEMA
from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.images.image import FILE_FORMAT, read_image_file
from dotnet_wasm_host.images.state import ImageState, memory_module
from dotnet_wasm_host.wasm import binary
from dotnet_wasm_host.wasm import module as wasm


@dataclass(frozen=True)
class Target:
    """A parser. ``run`` raises nothing but ``allowed``, whatever it is given."""

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    allowed: tuple[type[Exception], ...] = field(default=(ArtifactError,))

    def __call__(self, data: bytes) -> bool:
        """True if the bytes are accepted."""
        try:
            self.run(data)
        except self.allowed:
            return False
        return True


@cache
def _assembly() -> bytes:
    return ArtifactStore.locate().read("guest/MinimalRuntime.WarmUp.dll")


def _tables(data: bytes) -> None:
    metadata = Metadata(data)
    for table in SCHEMA:
        metadata.rows(table)


def _wasm(data: bytes) -> None:
    module = wasm.Module.parse(data)
    for part in ("types", "imports", "function_type_indices", "memories", "globals", "exports",
                 "bodies", "element_segments", "data_segments", "passive_segments"):  # fmt: skip
        with suppress(binary.MalformedModule):
            getattr(module, part)()
    assert wasm.Module.parse(module.emit()).sections == module.sections


@cache
def _state() -> dict[str, object]:
    return {
        "layout": {"methods": {"Invoke": 4096}, "frame": 64, "buffer": 128},
        "globals": {"__stack_pointer": 65536},
        "places": {"System.Runtime.wasm": 70_000},
        "functions": [
            {"function_id": "f", "handle": 1, "handler_type": "F", "assembly_name": "F",
             "assembly_sha256": "0" * 64, "size": 3072,
             "loaded_at": "2026-11-22T10:00:00+00:00", "is_async": False,
             "unresolved": ["Lib"]},
        ],
        "capabilities": ["tool"],
        "manifest": {
            "dotnet_version": "10.0.10", "assemblies": {"System.Runtime.wasm": 1},
            "hashes": {"System.Runtime.wasm": "0" * 64}, "memory_bytes": 65536,
            "image_bytes": 100, "functions": ["f"], "configuration": "full",
        },
        "code_sha256": "0" * 64,
        "interop": {"bindings": {"1": ["f", 1, 2, 3]}, "next_handle": 1, "next_promise": -100},
        "has_work": False,
    }  # fmt: skip


def _image_file() -> bytes:
    import hashlib

    module = memory_module(b"content".ljust(65536, b"\0"))
    state = ImageState.from_json(_state()).to_json()
    description = {
        "format": FILE_FORMAT, "name": "full", "state": state,
        "memory_sha256": hashlib.sha256(module).hexdigest(),
    }  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("image.json", json.dumps(description))
        archive.writestr("memory.wasm", module)
    return buffer.getvalue()


def _open_image(data: bytes) -> None:
    read_image_file(io.BytesIO(data))


def _read_state(data: bytes) -> None:
    ImageState.from_json(json.loads(data))


def _read_cache(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cache_ = ImageCache(root)
        cache_.write("key", {"a": 1}, b"content")
        (root / "key.json").write_bytes(data)
        found = cache_.read("key")
        if found is None:
            raise ArtifactError("refused")
        assert found[1].read_bytes() == b"content"


def _cache_entry() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        ImageCache(Path(folder)).write("key", {"a": 1}, b"content")
        return (Path(folder) / "key.json").read_bytes()


def _record(data: bytes) -> None:
    for decode in (abi.decode_error, abi.unpack_results, lambda d: abi.LoadReport.decode(1, d)):
        try:
            decode(data)
        except abi.MalformedRecord:
            continue


def _wrapped(payload: bytes) -> bytes:
    count = len(payload).to_bytes(4, "little")
    segments = [b"\x01" + binary.vector(count), b"\x01" + binary.vector(payload)]
    module = wasm.Module.parse(b"\0asm\x01\0\0\0")
    module.set_section(wasm.SectionId.DATA, segments)
    return module.emit()


TARGETS: Mapping[str, Target] = {
    "identify": Target(identify, lambda: [_assembly(), webcil.from_pe(_assembly())]),
    "metadata": Target(_tables, lambda: [_assembly()]),
    "to_pe": Target(webcil.to_pe, lambda: [webcil.from_pe(_assembly())]),
    "from_pe": Target(webcil.from_pe, lambda: [_assembly()]),
    "unwrap": Target(webcil.unwrap, lambda: [_wrapped(webcil.from_pe(_assembly())), b"WbIL\0\0"]),
    "wasm": Target(
        _wasm,
        lambda: [
            ArtifactStore.locate().read("dotnet.data.wasm")[:4096],
            memory_module(b"x" * 65536),
            _wrapped(b"WbIL"),
        ],
        (binary.MalformedModule,),
    ),
    "image file": Target(_open_image, lambda: [_image_file()]),
    "image state": Target(
        _read_state, lambda: [json.dumps(_state()).encode()], (ValueError, RecursionError)
    ),
    "manifest": Target(
        lambda data: Manifest.parse(data, "manifest.json"),
        lambda: [
            ArtifactStore.locate().manifest.to_bytes()[:20000],
            ArtifactStore.locate().manifest.to_bytes(),
        ],
    ),
    "cache entry": Target(_read_cache, lambda: [_cache_entry()]),
    "record": Target(
        _record, lambda: [abi.pack_fields(1, b"System.Exception", b"message", b"at F()")]
    ),
}
