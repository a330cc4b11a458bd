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
import logging
import threading
import time
import zipfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host import wasm
from dotnet_wasm_host.abi import FRAME_SIZE
from dotnet_wasm_host.artifacts.cache import ImageCache
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.boot import boot, find_methods
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.errors import ArtifactError, DotnetHostError
from dotnet_wasm_host.guest.guest import BUFFER_SIZE, ENTRY_POINTS, Guest, GuestLayout
from dotnet_wasm_host.imports.host import Host
from dotnet_wasm_host.options import MAX_MEMORY_BYTES, Limits, WasiOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dotnet_wasm_host.engines.base import CompiledModule, Engine
    from dotnet_wasm_host.options import AssemblyPath
    from dotnet_wasm_host.runtime import Runtime

    Progress = Callable[[str], object]

__all__ = ["FrozenFunction", "ImageManifest", "RuntimeImage"]

_log = logging.getLogger(__name__)
#: Changes when images cached by the last version of this module stop being usable.
CACHE_FORMAT = 1
#: Format of the file that :meth:`RuntimeImage.save` writes.
FILE_FORMAT = 1
_MAX_PAGES = MAX_MEMORY_BYTES // wasm.PAGE
_IMAGE_NAMES = ("full",)
_BUILD_LIMITS = Limits(memory_bytes=MAX_MEMORY_BYTES)


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
    """

    dotnet_version: str
    assemblies: Mapping[str, int]
    hashes: Mapping[str, str]
    memory_bytes: int
    image_bytes: int
    functions: tuple[str, ...] = ()


@final
class RuntimeImage:
    """A frozen runtime that :class:`~dotnet_wasm_host.Runtime` starts from.

    ``RuntimeImage.load("full")`` gives the image with the whole base library, built on first
    use and cached; ``runtime.snapshot()`` freezes a runtime with its functions.

    Every instance of an image starts from the same memory: statics that were initialised
    before the freeze have the same values in all of them.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        code: CompiledModule,
        memory: CompiledModule,
        state: _State,
    ) -> None:
        self.name = name
        self.engine = engine
        self._code = code
        self._memory = memory
        self._state = state

    @classmethod
    def load(
        cls,
        name: str = "full",
        *,
        engine: str | Engine | None = None,
        progress: Progress | None = None,
    ) -> RuntimeImage:
        """A built-in image, made and cached on first use (seconds), then mapped (milliseconds).

        Args:
            name: ``"full"``, the whole base library.
            engine: engine or its name.
            progress: told what takes longer than a moment.
        """
        if name not in _IMAGE_NAMES:
            raise ValueError(f"there is no image {name!r}; choose one of {list(_IMAGE_NAMES)}")
        return _loaded.get(name, get_engine(engine), progress or _log.info)

    @property
    def manifest(self) -> ImageManifest:
        """What the image is made of."""
        return self._state.manifest

    @property
    def assembly_names(self) -> frozenset[str]:
        """Simple names of the assemblies that all functions share."""
        return frozenset(name.rpartition(".")[0] for name in self.manifest.assemblies)

    @property
    def functions(self) -> Sequence[FrozenFunction]:
        """The functions loaded inside."""
        return self._state.functions

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Names of the capabilities loaded inside."""
        return self._state.capabilities

    def instantiate(self, **runtime_options: Any) -> Runtime:
        """A new :class:`~dotnet_wasm_host.Runtime` from this image."""
        from dotnet_wasm_host.runtime import Runtime  # noqa: PLC0415 - the runtime is above

        return Runtime(self, **runtime_options)

    def start(self, limits: Limits, wasi: WasiOptions) -> Guest:
        """A fresh guest. For :class:`~dotnet_wasm_host.Runtime`."""
        instance = self.engine.instantiate(
            self._code, self._memory, memory_limit=limits.memory_bytes
        )
        if self._state.globals:
            instance.set_globals(self._state.globals)
        host = Host(instance, limits, wasi)
        host.renew()
        return Guest(
            host,
            self._state.layout,
            payload_limit=limits.payload_bytes,
            result_limit=limits.result_bytes,
        )

    def freeze(
        self,
        guest: Guest,
        functions: Sequence[FrozenFunction],
        capabilities: tuple[str, ...],
        name: str | None = None,
    ) -> RuntimeImage:
        """An image of ``guest``, which was started from this one and is at rest."""
        module, state = _freeze(
            guest, functions, capabilities, self._state.manifest, self._state.code_sha256
        )
        memory = self.engine.compile(module)
        return RuntimeImage(name or self.name, self.engine, self._code, memory, state)

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
        return _Builder(self.engine, progress or _log.info).derived(self, name, make)

    def save(self, path: AssemblyPath) -> None:
        """Write the image to a file that :meth:`open` reads on any machine and engine."""
        module = self._memory_module()
        description = {
            "format": FILE_FORMAT,
            "name": self.name,
            "memory_sha256": hashlib.sha256(module).hexdigest(),
            "state": self._state.to_json(),
        }
        target = Path(path)
        temporary = target.with_name(f".{target.name}.tmp")
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("image.json", json.dumps(description, indent=1))
            archive.writestr("memory.wasm", module)
        temporary.replace(target)

    @classmethod
    def open(cls, path: AssemblyPath, *, engine: str | Engine | None = None) -> RuntimeImage:
        """Read a file of :meth:`save`.

        The file is as trusted as a program: the code that starts from it is sandboxed, but
        functions loaded beside the ones inside share the runtime with them.

        Raises:
            ArtifactError: not an image, damaged, or made with another .NET build.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                description = json.loads(archive.read("image.json"))
                if description["format"] != FILE_FORMAT:
                    raise ValueError(f"format {description['format']} is not {FILE_FORMAT}")
                module = archive.read("memory.wasm")
            if hashlib.sha256(module).hexdigest() != description["memory_sha256"]:
                raise ValueError("memory.wasm does not have its hash")
            state = _State.from_json(description["state"])
            name = str(description["name"])
        except (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError) as error:
            raise ArtifactError(f"{path} is not a readable runtime image: {error}") from error
        chosen = get_engine(engine)
        builder = _Builder(chosen, _log.info)
        if state.code_sha256 != builder.code_sha256:
            raise ArtifactError(
                f"{path} was made with another build of the .NET runtime "
                f"({state.code_sha256[:12]}, here {builder.code_sha256[:12]}); make it again with "
                "this version of dotnet_wasm_host"
            )
        key = f"opened-{builder.key}-{description['memory_sha256'][:16]}"
        memory = builder.compiled(key, "memory", lambda: module)
        return cls(name, chosen, builder.code(), memory, state)

    def _memory_module(self) -> bytes:
        # Engines keep machine code, not modules; a pristine instance has the same content.
        instance = self.engine.instantiate(
            self._code, self._memory, memory_limit=MAX_MEMORY_BYTES
        )
        linear = instance.memory
        content = ctypes.string_at(linear.address, linear.size)
        instance.close()
        return _memory_module(content)

    def __repr__(self) -> str:
        return (
            f"<RuntimeImage {self.name!r}: .NET {self.manifest.dotnet_version}, "
            f"{self.manifest.image_bytes / 1e6:.1f} MB, {self.engine.name}>"
        )


@dataclass(frozen=True, slots=True)
class _State:
    """What a memory module needs beside it to be an image."""

    layout: GuestLayout
    globals: Mapping[str, int]
    functions: tuple[FrozenFunction, ...]
    capabilities: tuple[str, ...]
    manifest: ImageManifest
    code_sha256: str

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        for function in data["functions"]:
            function["loaded_at"] = function["loaded_at"].isoformat()
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> _State:
        functions = tuple(
            FrozenFunction(**{**f, "loaded_at": datetime.fromisoformat(f["loaded_at"])})
            for f in data["functions"]
        )
        manifest = ImageManifest(
            **{**data["manifest"], "functions": tuple(data["manifest"]["functions"])}
        )
        return cls(
            GuestLayout(**data["layout"]), data["globals"], functions,
            tuple(data["capabilities"]), manifest, str(data["code_sha256"]),
        )  # fmt: skip


def _freeze(
    guest: Guest,
    functions: Sequence[FrozenFunction],
    capabilities: tuple[str, ...],
    manifest: ImageManifest,
    code_sha256: str,
) -> tuple[bytes, _State]:
    """The memory module of a guest at rest, and what goes with it."""
    memory = guest.host.memory
    content = memory.read(0, memory.size)
    state = _State(
        layout=guest.layout,
        globals=guest.host.instance.globals(),
        functions=tuple(functions),
        capabilities=capabilities,
        manifest=ImageManifest(
            dotnet_version=manifest.dotnet_version,
            assemblies=manifest.assemblies,
            hashes=manifest.hashes,
            memory_bytes=memory.size,
            image_bytes=len(content.rstrip(b"\0")),
            functions=tuple(f.function_id for f in functions),
        ),
        code_sha256=code_sha256,
    )
    return _memory_module(content), state


def _memory_module(content: bytes) -> bytes:
    # One dense segment: engines map such an image copy-on-write, and copy a sparse one.
    segment = wasm.DataSegment(0, content.rstrip(b"\0"))
    return wasm.memory_module([segment], len(content) // wasm.PAGE, _MAX_PAGES)


class _Builder:
    """Makes images for one engine, through the cache where there is one."""

    def __init__(self, engine: Engine, progress: Progress) -> None:
        self.engine = engine
        self.store = ArtifactStore.locate()
        self._progress = progress
        self._cache = ImageCache.locate()
        self.code_sha256 = self.store.manifest.files["dotnet.code.wasm"].sha256
        parts = (self.store.fingerprint, engine.name, engine.fingerprint, str(CACHE_FORMAT))
        self.key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def code(self) -> CompiledModule:
        """The code module, compiled."""
        return self.compiled(
            f"code-{self.key}",
            "the .NET runtime",
            lambda: self.store.read("dotnet.code.wasm"),
        )

    def compiled(self, key: str, what: str, source: Callable[[], bytes]) -> CompiledModule:
        """A module from the cache, or compiled and put there."""
        found = self._cache.read(key) if self._cache else None
        if found is not None:
            return self.engine.load(found[1])
        with self._step(f"compiling {what} for {self.engine.name}"):
            module = self.engine.compile(source())
            self._write(key, module)
        return module

    def image(self, name: str) -> RuntimeImage:
        """A built-in image from the cache, or built and put there."""
        key = f"image-{name}-{self.key}"
        code = self.code()
        found = self._cached_image(key)
        if found is None:
            with self._step(f"booting .NET {self.store.manifest.dotnet_version} once"):
                module, state = self._boot(code)
            with self._step("freezing its memory into an image"):
                memory = self.engine.compile(module)
                self._write(key, memory, state)
        else:
            memory, state = found
        return RuntimeImage(name, self.engine, code, memory, state)

    def derived(
        self, base: RuntimeImage, name: str, make: Callable[[RuntimeImage], RuntimeImage]
    ) -> RuntimeImage:
        """What ``make`` makes of ``base``, from the cache or made and put there."""
        key = f"image-{base.name}-{name}-{self.key}"
        found = self._cached_image(key)
        if found is None:
            with self._step(f"making image {name!r}"):
                image = make(base)
            self._write(key, image._memory, image._state)
            return image
        memory, state = found
        return RuntimeImage(name, self.engine, base._code, memory, state)

    def _boot(self, code: CompiledModule) -> tuple[bytes, _State]:
        data = self.engine.compile(self.store.read("dotnet.data.wasm"))
        instance = self.engine.instantiate(code, data, memory_limit=MAX_MEMORY_BYTES)
        host = Host(instance, _BUILD_LIMITS, WasiOptions())
        try:
            manifest = self._manifest()
            boot(host, ((name, self.store.read(path)) for name, path in self._assemblies()))
            layout = GuestLayout(
                methods=find_methods(
                    host, "MinimalRuntime", "MinimalRuntime", "EntryPoints", ENTRY_POINTS
                ),
                frame=host.call("malloc", FRAME_SIZE),
                buffer=host.call("malloc", BUFFER_SIZE),
            )
            limit = MAX_MEMORY_BYTES
            guest = Guest(host, layout, payload_limit=limit, result_limit=limit)
            self._warm_up(guest)
            return _freeze(guest, (), (), manifest, self.code_sha256)
        finally:
            host.close()

    def _warm_up(self, guest: Guest) -> None:
        """Run every path a function's life takes, so that instances start with them warm."""
        sample = self.store.read("guest/MinimalRuntime.WarmUp.dll")
        function_id = "warm-up"
        report = guest.load(function_id, sample, (), "")
        for payload in (b"", b"echo", b"json", b"throw", b"echo"):
            try:
                guest.invoke(function_id, report.handle, payload)
            except DotnetHostError:
                if guest.broken or payload != b"throw":
                    raise
        guest.unload(function_id)
        guest.heap_bytes(collect=True)

    def _assemblies(self) -> list[tuple[str, str]]:
        framework = [
            (f"{Path(path).stem}.wasm", path) for path in self.store.names("framework/")
        ]
        return [*framework, ("MinimalRuntime.dll", "guest/MinimalRuntime.dll")]

    def _manifest(self) -> ImageManifest:
        files = {name: self.store.manifest.files[path] for name, path in self._assemblies()}
        return ImageManifest(
            dotnet_version=self.store.manifest.dotnet_version,
            assemblies={name: file.size for name, file in files.items()},
            hashes={name: file.sha256 for name, file in files.items()},
            memory_bytes=0,
            image_bytes=0,
        )

    def _cached_image(self, key: str) -> tuple[CompiledModule, _State] | None:
        found = self._cache.read(key) if self._cache else None
        if found is None:
            return None
        description, path = found
        return self.engine.load(path), _State.from_json(description)

    def _write(self, key: str, module: CompiledModule, state: _State | None = None) -> None:
        if self._cache is None:
            return
        try:
            self._cache.write(key, state.to_json() if state else {}, module.serialize())
        except OSError as error:
            _log.warning("image %s could not be cached: %s", key, error)

    def _step(self, what: str) -> _Step:
        return _Step(what, self._progress)


class _Step:
    """Reports what is being done, and how long it took."""

    def __init__(self, what: str, progress: Progress) -> None:
        self._what = what
        self._progress = progress
        self._start = 0.0

    def __enter__(self) -> None:
        self._progress(f"{self._what} ...")
        self._start = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._progress(f"{self._what}: {time.perf_counter() - self._start:.1f} s")


@final
class _LoadedImages:
    """The images of this process, each made once however many threads ask for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images: dict[tuple[str, Engine], RuntimeImage] = {}

    def get(self, name: str, engine: Engine, progress: Progress) -> RuntimeImage:
        image = self._images.get((name, engine))
        if image is None:
            with self._lock:
                image = self._images.get((name, engine))
                if image is None:
                    image = _Builder(engine, progress).image(name)
                    self._images[name, engine] = image
        return image


_loaded = _LoadedImages()
