"""A frozen runtime: what an image is made of, for the rooms that start guests from it.

:class:`~dotnet_wasm_host.RuntimeImage` is what users hold; it has one of these.
"""

from __future__ import annotations

import ctypes
import hashlib
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.base_library.configurations import PUBLISHED, TRIMMED_IMAGES
from dotnet_wasm_host.errors import ArtifactError, AssemblyLoadError, missing_api_sentence
from dotnet_wasm_host.guest.guest import Guest
from dotnet_wasm_host.guest.loading import load_function
from dotnet_wasm_host.guest.running_function import RunningFunction
from dotnet_wasm_host.images.builder import ImageParts
from dotnet_wasm_host.images.state import FrozenFunction, freeze, memory_module
from dotnet_wasm_host.imports.host import Host
from dotnet_wasm_host.imports.services import HostServices
from dotnet_wasm_host.options import MAX_MEMORY_BYTES, Limits, WasiOptions

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from dotnet_wasm_host.assembly import AssemblySource, DependencySource
    from dotnet_wasm_host.base_library.library import BaseLibrary
    from dotnet_wasm_host.base_library.missing_api import MissingApiAdvice
    from dotnet_wasm_host.engines.base import Engine, LinearMemory
    from dotnet_wasm_host.guest.function_source import FunctionSource
    from dotnet_wasm_host.images.state import ImageManifest
    from dotnet_wasm_host.trimming.api_surface import ApiSurface

    #: Takes ``"malloc"`` or ``"free"`` and its argument; None if it fails.
    Guard = Callable[[str, int], int | None]

__all__ = ["FrozenRuntime"]


@final
class FrozenRuntime:
    """The modules and the state of a runtime that was frozen.

    Attributes:
        name: of the image.
        engine: what its modules were compiled by.
        parts: the modules, and what must be known of them.
        assembly_names: simple names of the assemblies that all functions share.
        base_library: assemblies that it lacks; None if it has them all.
        api: what there is for functions that were not published with it; None if that is
            everything.
    """

    def __init__(self, name: str, engine: Engine, parts: ImageParts) -> None:
        self.name: str = name
        self.engine: Engine = engine
        self.parts: ImageParts = parts
        self.assembly_names: frozenset[str] = frozenset(
            file.rpartition(".")[0] for file in self.manifest.assemblies
        )
        self._advice: MissingApiAdvice | None = None
        self.base_library: BaseLibrary | None = None
        if self.manifest.configuration in TRIMMED_IMAGES:
            from dotnet_wasm_host.base_library.library import BaseLibrary
            from dotnet_wasm_host.base_library.missing_api import MissingApiAdvice

            self._advice = MissingApiAdvice(self.manifest.configuration, self.assemblies)
            self.base_library = BaseLibrary(ArtifactStore.locate(), self.assembly_names)
        self.api: ApiSurface | None = None
        if self.manifest.configuration == PUBLISHED:
            from dotnet_wasm_host.base_library.publishing import published_api

            self.api = published_api(name, self.assemblies)

    @property
    def manifest(self) -> ImageManifest:
        """What it is made of."""
        return self.parts.state.manifest

    @property
    def method_entries(self) -> bool:
        """Whether its methods can be compiled: loaded with ``jit="auto"``, or made of such one."""
        return self.parts.state.method_entries

    def assemblies(self) -> dict[str, bytes]:
        """Simple name to content of the assemblies that all functions share.

        Raises:
            ArtifactError: linear memory does not have them; the image is damaged.
        """
        instance = self.engine.instantiate(
            self.parts.code, self.parts.memory, memory_limit=MAX_MEMORY_BYTES
        )
        try:
            return dict(self._read_assemblies(instance.memory))
        finally:
            instance.close()

    def _read_assemblies(self, memory: LinearMemory) -> Iterator[tuple[str, bytes]]:
        manifest = self.manifest
        for file, place in self.parts.state.places.items():
            size = manifest.assemblies.get(file, 0)
            inside = 0 < place <= place + size <= memory.size
            content = ctypes.string_at(memory.address + place, size) if inside else b""
            if hashlib.sha256(content).hexdigest() != manifest.hashes.get(file):
                raise ArtifactError(
                    f"image {self.name!r} does not have {file} where it should be; make the "
                    "image again"
                )
            yield file.rpartition(".")[0], content

    def read_source(
        self,
        function_id: str,
        assembly: AssemblySource,
        dependencies: DependencySource,
        handler_type: str | None = None,
    ) -> FunctionSource:
        """What it takes to load a function, checked; what all functions share is left out.

        Raises:
            AssemblyLoadError: it is no assembly, or cannot be read.
        """
        from dotnet_wasm_host.guest.function_source import read_source

        return read_source(function_id, assembly, dependencies, handler_type, self.assembly_names)

    def require(self, assembly: str, wanted_by: str) -> None:
        """AssemblyLoadError if an assembly of the base library is not in the image."""
        if self._advice is not None and assembly not in self.assembly_names:
            from dotnet_wasm_host.base_library.missing_api import ApiReference

            found_in = self._advice.image_with([ApiReference(assembly)])
            raise AssemblyLoadError(
                wanted_by,
                "System.IO.FileNotFoundException",
                f"it {missing_api_sentence(assembly, self._advice.image, found_in)}",
            )

    def start(
        self,
        limits: Limits,
        wasi: WasiOptions,
        lock: threading.RLock | None = None,
        services: HostServices | None = None,
        guard: Guard | None = None,
    ) -> Guest:
        """A fresh guest.

        Args:
            limits: what it may use.
            wasi: what of the operating system it sees.
            lock: held by whoever uses it.
            services: what it may call.
            guard: carries out ``malloc`` and ``free`` for users of its memory.
        """
        parts = self.parts
        instance = self.engine.instantiate(
            parts.code, parts.memory, memory_limit=limits.memory_bytes
        )
        instance.set_globals(parts.state.globals)
        running = RunningFunction(instance.memory, parts.state.layout.frame)
        running.ids.update((f.handle, f.function_id) for f in parts.state.functions)
        host = Host(
            instance, limits, wasi, lock, services or HostServices(), parts.state.interop,
            speaker=running, guard=guard,
        )  # fmt: skip
        if wasi.files or wasi.directories:
            host.filesystem  # noqa: B018 - what cannot be there is an error here and now
        host.renew()
        guest = Guest(
            host,
            parts.state.layout,
            running,
            payload_limit=limits.payload_bytes,
            result_limit=limits.result_bytes,
            grace=limits.cancellation_grace,
            advice=self._advice,
        )
        if parts.state.has_work:
            host.mono.resume()
        return guest

    def freeze(
        self,
        guest: Guest,
        functions: Sequence[FrozenFunction],
        capabilities: tuple[str, ...],
        name: str | None = None,
        hot_methods: tuple[int, ...] = (),
    ) -> FrozenRuntime:
        """A frozen runtime of ``guest``, which was started from this one and is at rest."""
        origin = self.parts.state._replace(hot_methods=hot_methods)
        module, state = freeze(guest, functions, capabilities, origin)
        memory = self.engine.compile(module)
        parts = ImageParts(self.parts.code, memory, state)
        return FrozenRuntime(name or self.name, self.engine, parts)

    def with_function(self, function_id: str, source: FunctionSource) -> ImageParts:
        """What a frozen runtime with a function loaded is made of."""
        # Below the runtime: nobody calls this guest, so it needs no limits and no replacement.
        guest = self.start(Limits(), WasiOptions())
        try:
            report = load_function(
                guest,
                function_id,
                source.image,
                source.dependencies,
                source.handler_type,
                source.symbols,
            )
            guest.rest()
            function = FrozenFunction.of(function_id, source, report)
            return self.freeze(guest, [function], ()).parts
        finally:
            guest.close()

    def memory_module(self) -> bytes:
        """Its memory as a WebAssembly module."""
        # Engines keep machine code, not modules; a pristine instance has the same content.
        instance = self.engine.instantiate(
            self.parts.code, self.parts.memory, memory_limit=MAX_MEMORY_BYTES
        )
        content = ctypes.string_at(instance.memory.address, instance.memory.size)
        instance.close()
        return memory_module(content)
