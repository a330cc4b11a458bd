"""Images: a .NET that was booted once, frozen, and starts again in a fraction of a millisecond.

Two modules make an image. The *code module* is the .NET runtime's machine code, the same for
every image. The *memory module* is nothing but the linear memory of a booted runtime as one
dense data segment, which the engine maps copy-on-write: instances share its pages until they
write to them.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import struct
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, final

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.base_library.configurations import IMAGE_NAMES, PUBLISHED, TRIMMED_IMAGES
from dotnet_wasm_host.base_library.library import BaseLibrary
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.errors import ArtifactError, AssemblyLoadError, missing_api_sentence
from dotnet_wasm_host.guest.function_source import FunctionSource, read_source
from dotnet_wasm_host.guest.guest import Guest
from dotnet_wasm_host.guest.loading import load_function
from dotnet_wasm_host.images.builder import ImageBuilder, ImageParts
from dotnet_wasm_host.images.progress import announce
from dotnet_wasm_host.images.state import (
    FrozenFunction,
    ImageManifest,
    ImageState,
    check_memory_module,
    freeze,
    memory_module,
)
from dotnet_wasm_host.imports.host import Host
from dotnet_wasm_host.imports.services import HostServices
from dotnet_wasm_host.options import MAX_MEMORY_BYTES, Limits, WasiOptions, compiles_methods
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dotnet_wasm_host.assembly import AssemblyPath
    from dotnet_wasm_host.base_library.missing_api import MissingApiAdvice
    from dotnet_wasm_host.engines.base import Engine, LinearMemory
    from dotnet_wasm_host.trimming.api_surface import ApiSurface

    Progress = Callable[[str], object]

__all__ = ["FrozenFunction", "ImageManifest", "RuntimeImage"]

#: Format of the file that :meth:`RuntimeImage.save` writes.
FILE_FORMAT = 4
#: What is said of an image fits into some hundred kilobytes; decompressing stops here.
MAX_DESCRIPTION_BYTES = 16 << 20


@final
class RuntimeImage(Uncopyable):
    """A frozen runtime that :class:`~dotnet_wasm_host.Runtime` starts from.

    ``RuntimeImage.load("full")`` gives the image with the whole base library, built on first
    use and cached; ``runtime.snapshot()`` freezes a runtime with its functions.

    Every instance of an image starts from the same memory: statics that were initialised
    before the freeze have the same values in all of them.
    """

    def __init__(self, name: str, engine: Engine, parts: ImageParts) -> None:
        self.name = name
        self.engine = engine
        self.parts = parts
        self._advice: MissingApiAdvice | None = None
        #: Assemblies that the image lacks; None if it has them all.
        self.base_library: BaseLibrary | None = None
        if self.manifest.configuration in TRIMMED_IMAGES:
            from dotnet_wasm_host.base_library.missing_api import MissingApiAdvice  # noqa: PLC0415 - for these

            self._advice = MissingApiAdvice(self.manifest.configuration, self.assemblies)
            self.base_library = BaseLibrary(ArtifactStore.locate(), self.assembly_names)
        #: What there is for functions that were not published with the image.
        self.api: ApiSurface | None = None
        if self.manifest.configuration == PUBLISHED:
            from dotnet_wasm_host.base_library.publishing import published_api  # noqa: PLC0415 - for these

            self.api = published_api(name, self.assemblies)

    @classmethod
    def load(
        cls,
        name: str = "full",
        *,
        engine: str | Engine | None = None,
        stack_bytes: int | None = None,
        jit: str | None = None,
        progress: Progress | None = None,
    ) -> RuntimeImage:
        """A built-in image, made and cached on first use (seconds), then mapped (milliseconds).

        Args:
            name: ``"full"``, the whole base library, or one of those that have a part of it:
                ``"minimal"``, ``"linq"``, ``"json"``, ``"http"``, ``"reflection"``, ``"common"``.
            engine: engine or its name.
            stack_bytes: stack that guest code may use; see ``Limits``.
            jit: ``"auto"`` for an image whose methods can be compiled, ``"off"``; see ``Runtime``.
            progress: told what takes longer than a moment; by default that is logged, or shown
                on a terminal.
        """
        if name not in IMAGE_NAMES:
            raise ValueError(f"there is no image {name!r}; choose one of {list(IMAGE_NAMES)}")
        chosen = get_engine(engine, stack_bytes=stack_bytes)
        return _loaded.get(name, chosen, progress or announce, method_entries=compiles_methods(jit))

    @property
    def manifest(self) -> ImageManifest:
        """What the image is made of."""
        return self.parts.state.manifest

    @property
    def assembly_names(self) -> frozenset[str]:
        """Simple names of the assemblies that all functions share."""
        return frozenset(name.rpartition(".")[0] for name in self.manifest.assemblies)

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
                raise ArtifactError(f"image {self.name!r} does not have {file} where it should be")
            yield file.rpartition(".")[0], content

    def require(self, assembly: str, wanted_by: str) -> None:
        """AssemblyLoadError if an assembly of the base library is not in the image."""
        if self._advice is not None and assembly not in self.assembly_names:
            from dotnet_wasm_host.base_library.missing_api import ApiReference  # noqa: PLC0415 - see above

            found_in = self._advice.image_with([ApiReference(assembly)])
            needs = missing_api_sentence(assembly, self._advice.image, found_in)
            raise AssemblyLoadError(wanted_by, "System.IO.FileNotFoundException", f"it {needs}")

    @property
    def functions(self) -> Sequence[FrozenFunction]:
        """The functions loaded inside."""
        return self.parts.state.functions

    @property
    def method_entries(self) -> bool:
        """Whether its methods can be compiled: loaded with ``jit="auto"``, or made of such one."""
        return self.parts.state.method_entries

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Names of the capabilities loaded inside."""
        return self.parts.state.capabilities

    def start(
        self,
        limits: Limits,
        wasi: WasiOptions,
        lock: threading.RLock | None = None,
        services: HostServices | None = None,
    ) -> Guest:
        """A fresh guest, every use of which ``lock`` guards. For the runtime."""
        parts = self.parts
        instance = self.engine.instantiate(
            parts.code, parts.memory, memory_limit=limits.memory_bytes
        )
        instance.set_globals(parts.state.globals)
        host = Host(instance, limits, wasi, lock, services or HostServices(), parts.state.interop)
        if wasi.files or wasi.directories:
            host.filesystem  # noqa: B018 - what cannot be there is an error here and now
        host.renew()
        guest = Guest(
            host,
            parts.state.layout,
            payload_limit=limits.payload_bytes,
            result_limit=limits.result_bytes,
            grace=limits.cancellation_grace,
            advice=self._advice,
        )
        if parts.state.has_work:
            host.mono.resume()
        guest.function_ids.update((f.handle, f.function_id) for f in parts.state.functions)
        return guest

    def freeze(
        self,
        guest: Guest,
        functions: Sequence[FrozenFunction],
        capabilities: tuple[str, ...],
        name: str | None = None,
        hot_methods: tuple[int, ...] = (),
    ) -> RuntimeImage:
        """An image of ``guest``, which was started from this one and is at rest."""
        origin = self.parts.state._replace(hot_methods=hot_methods)
        module, state = freeze(guest, functions, capabilities, origin)
        memory = self.engine.compile(module)
        parts = ImageParts(self.parts.code, memory, state)
        return RuntimeImage(name or self.name, self.engine, parts)

    def derive(
        self,
        name: str,
        make: Callable[[RuntimeImage], RuntimeImage],
        *,
        progress: Progress | None = None,
    ) -> RuntimeImage:
        """An image that ``make`` makes of this one, from the cache if it is there already.

        For images that are a fixed function of the installed artifacts; ``name`` is the key.
        """
        builder = ImageBuilder(
            self.engine, progress or announce, method_entries=self.method_entries
        )

        def make_parts() -> ImageParts:
            with builder.step(f"making image {name!r}"):
                return make(self).parts

        parts = builder.cached(f"{self.name}-{name}", make_parts)
        return RuntimeImage(name, self.engine, parts)

    def save(self, path: AssemblyPath) -> None:
        """Write the image to a file that :meth:`open` reads on any machine and engine."""
        module = self._memory_module()
        description = {
            "format": FILE_FORMAT,
            "name": self.name,
            "memory_sha256": hashlib.sha256(module).hexdigest(),
            "state": self.parts.state.to_json(),
        }
        import zipfile  # noqa: PLC0415 - slow to import, seldom needed

        target = Path(path)
        temporary = target.with_name(f".{target.name}.tmp")
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("image.json", json.dumps(description, indent=1))
            archive.writestr("memory.wasm", module)
        temporary.replace(target)

    @classmethod
    def open(cls, path: AssemblyPath, *, engine: str | Engine | None = None) -> RuntimeImage:
        """Read a file of :meth:`save`, or a folder that ``dotnet-wasm-host publish`` wrote.

        A published folder is turned into an image at its first use on a machine (a second or two)
        and comes out of the cache afterwards. What is opened is as trusted as a program: the code
        that starts from it is sandboxed, but functions loaded beside the ones inside share the
        runtime with them.

        Raises:
            ArtifactError: not an image, damaged, or made with another .NET build.
        """
        chosen = get_engine(engine)
        if Path(path).is_dir():
            return cls._open_published(Path(path), chosen)
        name, module, state = read_image_file(path)
        builder = ImageBuilder(chosen, announce)
        if state.code_sha256 != builder.code_sha256:
            raise ArtifactError(
                f"{path} was made with another build of the .NET runtime "
                f"({state.code_sha256[:12]}, here {builder.code_sha256[:12]}); make it again with "
                "this version of dotnet_wasm_host"
            )
        return cls(name, chosen, builder.opened(module, state))

    @classmethod
    def _open_published(cls, folder: Path, engine: Engine) -> RuntimeImage:
        # Slow to import, seldom needed.
        from dotnet_wasm_host.base_library.publishing import open_published  # noqa: PLC0415

        store, function = open_published(folder)
        builder = ImageBuilder(engine, announce, store)
        name = function.function_id

        def load_function() -> ImageParts:
            base = cls(name, engine, builder.image_of_store())
            return base._with_function(
                name,
                read_source(
                    name,
                    function.assembly,
                    function.dependencies,
                    function.handler_type or None,
                    base.assembly_names,
                ),
            )

        return cls(name, engine, builder.cached("published", load_function))

    def _with_function(self, function_id: str, source: FunctionSource) -> ImageParts:
        # Below the runtime: nobody calls this guest, so it needs no limits and no replacement.
        guest = self.start(Limits(), WasiOptions())
        try:
            report = load_function(
                guest, function_id, source.image, source.dependencies, source.handler_type
            )
            guest.rest()
            function = FrozenFunction.of(function_id, source, report)
            return self.freeze(guest, [function], ()).parts
        finally:
            guest.close()

    def _memory_module(self) -> bytes:
        # Engines keep machine code, not modules; a pristine instance has the same content.
        instance = self.engine.instantiate(
            self.parts.code, self.parts.memory, memory_limit=MAX_MEMORY_BYTES
        )
        content = ctypes.string_at(instance.memory.address, instance.memory.size)
        instance.close()
        return memory_module(content)

    def __repr__(self) -> str:
        return (
            f"<RuntimeImage {self.name!r}: .NET {self.manifest.dotnet_version}, "
            f"{self.manifest.image_bytes / 1e6:.1f} MB, {self.engine.name}>"
        )


def read_image_file(path: AssemblyPath | IO[bytes]) -> tuple[str, bytes, ImageState]:
    """Name, memory module and state of a file that :meth:`RuntimeImage.save` wrote.

    ArtifactError for anything else.
    """
    import zipfile  # noqa: PLC0415 - slow to import, seldom needed
    import zlib  # noqa: PLC0415 - likewise

    # What zipfile and json raise for files of hostile people.
    refusals = (
        *(OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error),
        *(ValueError, LookupError, TypeError, ArithmeticError, AttributeError),
    )
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("image.json").file_size > MAX_DESCRIPTION_BYTES:
                raise ValueError("image.json is larger than any description")
            description = json.loads(archive.read("image.json"))
            if description["format"] != FILE_FORMAT:
                raise ValueError(f"format {description['format']} is not {FILE_FORMAT}")
            if archive.getinfo("memory.wasm").file_size > MAX_MEMORY_BYTES:
                raise ValueError("memory.wasm is larger than any memory")
            module = archive.read("memory.wasm")
        if hashlib.sha256(module).hexdigest() != description["memory_sha256"]:
            raise ValueError("memory.wasm does not have its hash")
        check_memory_module(module)
        return str(description["name"]), module, ImageState.from_json(description["state"])
    except refusals as error:
        raise ArtifactError(f"{path} is not a readable runtime image: {error}") from error


@final
class _LoadedImages:
    """The images of this process, each made once however many threads ask for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images: dict[tuple[str, Engine, bool], RuntimeImage] = {}
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def get(
        self, name: str, engine: Engine, progress: Progress, *, method_entries: bool
    ) -> RuntimeImage:
        key = (name, engine, method_entries)
        image = self._images.get(key)
        if image is None:
            with self._lock:
                image = self._images.get(key)
                if image is None:
                    builder = ImageBuilder(engine, progress, method_entries=method_entries)
                    image = self._images[key] = RuntimeImage(name, engine, builder.image(name))
        return image


_loaded = _LoadedImages()
