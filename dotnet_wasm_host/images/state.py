"""What an image is besides machine code: where things are, and what is inside."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from dotnet_wasm_host.base_library.configurations import FULL
from dotnet_wasm_host.guest.layout import GuestLayout
from dotnet_wasm_host.images.json_reader import JsonReader
from dotnet_wasm_host.imports.services import InteropState
from dotnet_wasm_host.options import MAX_MEMORY_BYTES
from dotnet_wasm_host.wasm import PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dotnet_wasm_host.abi import LoadReport
    from dotnet_wasm_host.guest.function_source import FunctionSource
    from dotnet_wasm_host.guest.guest import Guest

__all__ = [
    "FrozenFunction",
    "ImageManifest",
    "ImageState",
    "check_memory_module",
    "freeze",
    "memory_module",
]

_MAX_PAGES = MAX_MEMORY_BYTES // PAGE


@dataclass(frozen=True, slots=True)
class FrozenFunction:
    """A function that is loaded inside an image."""

    function_id: str
    handle: int
    handler_type: str
    assembly_name: str
    assembly_sha256: str
    size: int
    loaded_at: datetime
    is_async: bool = False
    unresolved: tuple[str, ...] = ()

    @classmethod
    def of(cls, function_id: str, source: FunctionSource, report: LoadReport) -> FrozenFunction:
        """What the guest reported when it loaded ``source``."""
        return cls(
            function_id=function_id,
            handle=report.handle,
            handler_type=report.handler_type,
            assembly_name=report.assembly_name,
            assembly_sha256=hashlib.sha256(source.image).hexdigest(),
            size=len(source.image),
            loaded_at=report.loaded_at,
            is_async=report.is_async,
            unresolved=source.unresolved,
        )


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """What an image is made of.

    Attributes:
        dotnet_version: for example ``"10.0.10"``.
        assemblies: file name to size in bytes of every assembly inside.
        hashes: file name to SHA-256 of the same files.
        memory_bytes: linear memory a fresh instance has.
        image_bytes: how much of it the image fills; shared by all instances.
        functions: ids of the functions loaded inside.
        configuration: which part of the base library it has: the name of a built-in image.
    """

    dotnet_version: str
    assemblies: Mapping[str, int]
    hashes: Mapping[str, str]
    memory_bytes: int
    image_bytes: int
    functions: tuple[str, ...] = ()
    configuration: str = FULL


class ImageState(NamedTuple):
    """What a memory module needs beside it to be an image.

    Attributes:
        places: file name to address in linear memory of the manifest's assemblies.
        has_work: timers run, or work is queued, that the host of an instance has to know of.
        method_entries: methods have instructions that can be pointed at compiled code.
        hot_methods: addresses of those that have run often already.
        thread_context: where the interpreter keeps the ends of its stack, 0 if that is not known.
        records: where compiled methods note what they gave up, 0 where none can be compiled.
    """

    layout: GuestLayout
    globals: Mapping[str, int]
    functions: tuple[FrozenFunction, ...]
    capabilities: tuple[str, ...]
    manifest: ImageManifest
    code_sha256: str
    places: Mapping[str, int]
    interop: InteropState = InteropState()
    has_work: bool = False
    method_entries: bool = False
    hot_methods: tuple[int, ...] = ()
    thread_context: int = 0
    records: int = 0

    def to_json(self) -> dict[str, Any]:
        """For a file; :meth:`from_json` reads it."""
        return {
            **self._asdict(),
            "layout": self.layout._asdict(),
            "functions": [
                {**asdict(function), "loaded_at": function.loaded_at.isoformat()}
                for function in self.functions
            ],
            "manifest": asdict(self.manifest),
            "interop": {**self.interop._asdict(), "bindings": dict(self.interop.bindings)},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ImageState:
        """Read :meth:`to_json`. ValueError if it is something else."""
        read = JsonReader(data)
        layout, manifest = read.object("layout"), read.object("manifest")
        return cls(
            GuestLayout(
                layout.mapping("methods", int), layout.number("frame"), layout.number("buffer")
            ),
            read.mapping("globals", int),
            tuple(_frozen_function(function) for function in read.objects("functions")),
            read.texts("capabilities"),
            ImageManifest(
                dotnet_version=manifest.text("dotnet_version"),
                assemblies=manifest.mapping("assemblies", int),
                hashes=manifest.mapping("hashes", str),
                memory_bytes=manifest.number("memory_bytes"),
                image_bytes=manifest.number("image_bytes"),
                functions=manifest.texts("functions"),
                configuration=manifest.text("configuration"),
            ),
            read.text("code_sha256"),
            read.mapping("places", int),
            _interop_state(read.object("interop")),
            has_work=read.flag("has_work"),
            # Files of the format that older versions wrote have none.
            method_entries="method_entries" in data and read.flag("method_entries"),
            hot_methods=read.numbers("hot_methods") if "hot_methods" in data else (),
            thread_context=read.number("thread_context") if "thread_context" in data else 0,
            records=read.number("records") if "records" in data else 0,
        )


def _interop_state(read: JsonReader) -> InteropState:
    bindings = {}
    for handle, binding in read.entries("bindings"):
        if not handle.isdecimal() or [type(item) for item in binding] != [str, int, int, int]:
            raise ValueError(f"binding {handle[:80]!r} is {str(binding)[:80]!r}")
        bindings[handle] = tuple(binding)
    return InteropState(bindings, read.number("next_handle"), read.integer("next_promise"))


def _frozen_function(read: JsonReader) -> FrozenFunction:
    return FrozenFunction(
        function_id=read.text("function_id"),
        handle=read.number("handle"),
        handler_type=read.text("handler_type"),
        assembly_name=read.text("assembly_name"),
        assembly_sha256=read.text("assembly_sha256"),
        size=read.number("size"),
        loaded_at=datetime.fromisoformat(read.text("loaded_at")),
        is_async=read.flag("is_async"),
        unresolved=read.texts("unresolved"),
    )


def freeze(
    guest: Guest,
    functions: Sequence[FrozenFunction],
    capabilities: tuple[str, ...],
    origin: ImageState,
) -> tuple[bytes, ImageState]:
    """The memory module of a guest at rest that started from ``origin``, and its state."""
    memory = guest.host.memory
    content = memory.read(0, memory.size)
    added = {f"{name}.wasm": file for name, file in guest.needs.added.items()}
    sizes = {name: file.size for name, file in added.items()}
    hashes = {name: file.sha256 for name, file in added.items()}
    manifest = replace(
        origin.manifest,
        assemblies={**origin.manifest.assemblies, **sizes},
        hashes={**origin.manifest.hashes, **hashes},
        memory_bytes=memory.size,
        image_bytes=len(content.rstrip(b"\0")),
        functions=tuple(f.function_id for f in functions),
    )
    state = ImageState(
        layout=guest.layout,
        globals=guest.host.instance.globals(),
        functions=tuple(functions),
        capabilities=capabilities,
        manifest=manifest,
        code_sha256=origin.code_sha256,
        places={**origin.places, **guest.needs.places},
        interop=guest.host.interop_state,
        has_work=guest.host.mono.has_work,
        method_entries=origin.method_entries,
        hot_methods=origin.hot_methods,
        thread_context=origin.thread_context,
        records=origin.records,
    )
    return memory_module(content), state


def memory_module(content: bytes) -> bytes:
    """A module that is a linear memory with this content."""
    from dotnet_wasm_host.wasm import module as wasm

    # One dense segment: engines map such an image copy-on-write, and copy a sparse one.
    segment = wasm.DataSegment(0, content.rstrip(b"\0"))
    return wasm.memory_module([segment], len(content) // PAGE, _MAX_PAGES)


def check_memory_module(module: bytes) -> None:
    """ValueError unless the module is one that :func:`memory_module` could have made."""
    from dotnet_wasm_host.wasm import module as wasm

    sections = [section for section, _ in wasm.Module.parse(module).sections]
    if sections != [wasm.SectionId.MEMORY, wasm.SectionId.EXPORT, wasm.SectionId.DATA]:
        raise ValueError("memory.wasm is not a plain memory")
