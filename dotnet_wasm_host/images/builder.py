"""Making images: boot .NET once, warm it, freeze it; or take all that from the cache."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from errno import EFBIG
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.abi import FRAME_SIZE
from dotnet_wasm_host.artifacts.cache import ImageCache
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.base_library.configurations import (
    CODE,
    DATA,
    FULL,
    PUBLISHED,
    SMALL_DATA,
    read_configurations,
)
from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.guest.guest import Guest
from dotnet_wasm_host.guest.layout import BUFFER_SIZE, ENTRY_POINTS, GuestLayout
from dotnet_wasm_host.guest.loading import load_function, unload_function
from dotnet_wasm_host.guest.pending import PendingCall
from dotnet_wasm_host.guest.running_function import RunningFunction
from dotnet_wasm_host.images.boot import (
    ENTRIES_EVERYWHERE,
    PROPERTIES,
    boot,
    find_methods,
    make_room_for_compiled_code,
)
from dotnet_wasm_host.images.state import ImageManifest, ImageState, freeze
from dotnet_wasm_host.images.thread_context import find_thread_context
from dotnet_wasm_host.imports.host import Host
from dotnet_wasm_host.options import MAX_MEMORY_BYTES, Limits, WasiOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from dotnet_wasm_host.engines.base import CompiledModule, Engine

    Progress = Callable[[str], object]

__all__ = ["ImageBuilder", "ImageParts"]

_log = logging.getLogger(__name__)
#: Changes when images cached by the last version of this library stop being usable.
CACHE_FORMAT = 10
#: How there is room for compiled code in images that may have some.
_ROOM = "records, slots, the context of the thread"
_BUILD_LIMITS = Limits(memory_bytes=MAX_MEMORY_BYTES)


#: Sample functions, the assembly that an image must have for them, and what they are called with.
WARM_UP: Sequence[tuple[str, str, tuple[bytes, ...]]] = (
    ("MinimalRuntime.WarmUp", "", (b"", b"echo", b"throw", b"echo")),
    (
        "MinimalRuntime.WarmUp.Json",
        "System.Text.Json.wasm",
        (b'{"name": "value", "numbers": [1, 2.5, true, null]}',),
    ),
    (
        "MinimalRuntime.WarmUp.Async",
        "System.Threading.Channels.wasm",
        (b"", b"delay", b"run", b"throw", b"cancel", b""),
    ),
)


def _for_compiled_code(state: ImageState, host: Host) -> ImageState:
    """What whoever compiles methods of an instance has to know of it."""
    records = make_room_for_compiled_code(host)
    context = find_thread_context(host.memory.read(0, host.memory.size))
    return state._replace(method_entries=True, records=records, thread_context=context)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class ImageParts(NamedTuple):
    """What an image consists of."""

    code: CompiledModule
    memory: CompiledModule
    state: ImageState


@final
class ImageBuilder:
    """Makes images for one engine, through the cache where there is one.

    Args:
        engine: what they are compiled for.
        progress: told what takes longer than a moment.
        store: the artifacts to make them from.
        method_entries: their methods have instructions that can be pointed at compiled code.
            Such images have names of their own in the cache.
    """

    def __init__(
        self,
        engine: Engine,
        progress: Progress,
        store: ArtifactStore | None = None,
        *,
        method_entries: bool = False,
    ) -> None:
        self.engine = engine
        self._method_entries = method_entries
        self.store: ArtifactStore = store or ArtifactStore.locate()
        self._progress = progress
        self._cache = ImageCache.locate()
        # Everything that a compiled file depends on. The engine's fingerprint covers its version,
        # its settings and the CPU.
        self._engine_key = (str(CACHE_FORMAT), engine.name, engine.fingerprint)
        self.key: str = _digest(
            *self._engine_key,
            self.store.fingerprint,
            *(f"{k}={v}" for k, v in PROPERTIES.items()),
            *((*ENTRIES_EVERYWHERE, _ROOM) if method_entries else ()),
        )

    @property
    def code_sha256(self) -> str:
        """SHA-256 of the code module."""
        return self.store.manifest.files[CODE].sha256

    def code(self, sha256: str | None = None) -> CompiledModule:
        """The code module, compiled.

        Args:
            sha256: its SHA-256, where it is known without the manifest.
        """
        key = self._code_key(sha256 or self.code_sha256)
        return self.compiled(f"code-{key}", "the .NET runtime", lambda: self.store.read(CODE))

    def _code_key(self, sha256: str) -> str:
        return _digest(*self._engine_key, sha256)

    def compiled(self, key: str, what: str, source: Callable[[], bytes]) -> CompiledModule:
        """A module from the cache, or compiled and put there."""
        module = self._cached_module(key)
        if module is None:
            with self._making(key):
                module = self._cached_module(key)  # another process may have been faster
                if module is None:
                    with self.step(f"compiling {what} for {self.engine.name}"):
                        module = self.engine.compile(source())
                        self._write(key, what, module)
        return module

    def _cached_module(self, key: str) -> CompiledModule | None:
        found = self._cache.read(key) if self._cache else None
        if found is not None:
            with contextlib.suppress(ValueError):
                return self.engine.load(found[1])
        return None

    def _making(self, key: str) -> contextlib.AbstractContextManager[None]:
        return self._cache.making(key) if self._cache else contextlib.nullcontext()

    def image(self, name: str) -> ImageParts:
        """A built-in image."""
        if name == FULL:
            return self.cached(name, lambda: self._build(FULL, self._assemblies(), DATA))
        return self.cached(name, lambda: self._build_trimmed(name))

    def image_of_store(self) -> ImageParts:
        """An image of everything in the store, for stores that were made for one."""
        data = DATA if DATA in self.store.manifest.files else SMALL_DATA
        return self.cached("store", lambda: self._build(PUBLISHED, self._assemblies(), data))

    def image_of(self, name: str, assemblies: Mapping[str, bytes]) -> ImageParts:
        """An image of other assemblies than the whole base library.

        Args:
            name: what the image is called.
            assemblies: file name (``System.Runtime.wasm`` for webcil, ``X.dll`` for PE) to
                content, ``MinimalRuntime.dll`` among them; what the warm-up needs has to be kept.
        """
        contents = (f"{file} {_sha256(data)}" for file, data in sorted(assemblies.items()))
        return self.cached(
            f"{name}-{_digest(*contents)}", lambda: self._build(name, assemblies, SMALL_DATA)
        )

    def cached(self, name: str, make: Callable[[], ImageParts]) -> ImageParts:
        """What ``make`` gives, from the cache or made and put there under ``name``."""
        key = f"image-{name}-{self.key}"
        found = self._cached_image(key)
        if found is None:
            with self._making(key):
                found = self._cached_image(key)  # another process may have been faster
                if found is None:
                    parts = make()
                    version = parts.state.manifest.dotnet_version
                    self._write(key, f"image {name!r}, .NET {version}", parts.memory, parts.state)
                    return parts
        memory, state = found
        return ImageParts(self.code(state.code_sha256), memory, state)

    def opened(self, module: bytes, state: ImageState) -> ImageParts:
        """An image from its memory module, compiled through the cache."""
        digest = hashlib.sha256(module).hexdigest()[:16]
        memory = self.compiled(
            f"opened-{self._code_key(self.code_sha256)}-{digest}", "an image", lambda: module
        )
        return ImageParts(self.code(), memory, state)

    def _build_trimmed(self, name: str) -> ImageParts:
        configuration = read_configurations(self.store)[name]
        with self.step(f"trimming the base library for image {name!r}"):
            assemblies = configuration.assemblies(self.store, _log.debug)
        return self._build(name, assemblies, configuration.data)

    def _build(self, name: str, assemblies: Mapping[str, bytes], data: str) -> ImageParts:
        code = self.code()
        with self.step(f"booting .NET {self.store.manifest.dotnet_version} once"):
            guest, places = self._boot(code, assemblies, data, WasiOptions())
            self._warm_up(guest, assemblies, WARM_UP)
        try:
            with self.step("freezing its memory into an image"):
                manifest = self._manifest(name, assemblies)
                origin = ImageState(guest.layout, {}, (), (), manifest, self.code_sha256, places)
                if self._method_entries:
                    origin = _for_compiled_code(origin, guest.host)
                module, state = freeze(guest, (), (), origin)
                return ImageParts(code, self.engine.compile(module), state)
        finally:
            guest.close()

    def boot_guest(
        self, assemblies: Mapping[str, bytes], data: str, wasi: WasiOptions, *, trimmed: bool
    ) -> Guest:
        """A guest that was booted and warmed, for those who freeze it in their own way.

        Args:
            assemblies: as for :meth:`image_of`.
            data: name of the data module that it boots on.
            wasi: what it sees of the world meanwhile.
            trimmed: the assemblies were trimmed for a function, so only the first sample runs.
                Otherwise all do that wait for nothing: what waits depends on the time it takes.
        """
        guest, _ = self._boot(self.code(), assemblies, data, wasi)
        self._warm_up(guest, assemblies, WARM_UP[:1] if trimmed else WARM_UP[:2])
        return guest

    def _boot(
        self, code: CompiledModule, assemblies: Mapping[str, bytes], data: str, wasi: WasiOptions
    ) -> tuple[Guest, dict[str, int]]:
        memory = self.engine.compile(self.store.read(data))
        instance = self.engine.instantiate(code, memory, memory_limit=MAX_MEMORY_BYTES)
        host = Host(instance, _BUILD_LIMITS, wasi)
        options = ENTRIES_EVERYWHERE if self._method_entries else ()
        places = boot(host, assemblies.items(), with_time_zones=data == DATA, options=options)
        host.set_arguments([])
        layout = GuestLayout(
            methods=find_methods(
                host, "MinimalRuntime", "MinimalRuntime", "EntryPoints", ENTRY_POINTS
            ),
            frame=host.call("malloc", FRAME_SIZE),
            buffer=host.call("malloc", BUFFER_SIZE),
        )
        limit = MAX_MEMORY_BYTES
        running = RunningFunction(instance.memory, layout.frame)
        guest = Guest(host, layout, running, payload_limit=limit, result_limit=limit)
        guest.initialize()
        return guest, places

    def _warm_up(
        self,
        guest: Guest,
        assemblies: Container[str],
        samples: Sequence[tuple[str, str, tuple[bytes, ...]]],
    ) -> None:
        """Run every path a function's life takes, so that instances start with them warm."""
        available = set(self.store.names("guest/"))
        for sample, needed, payloads in samples:
            # A published function's store has the samples that its image can run.
            if f"guest/{sample}.dll" not in available or (needed and needed not in assemblies):
                continue
            report = load_function(guest, sample, self.store.read(f"guest/{sample}.dll"), (), "")
            for payload in payloads:
                try:
                    _run(guest, sample, report.handle, payload)
                except DotnetHostError:
                    if guest.broken or payload not in {b"throw", b"cancel"}:
                        raise
            unload_function(guest, sample)
        guest.rest()

    def _assemblies(self) -> dict[str, bytes]:
        files = {f"{Path(path).stem}.wasm": path for path in self.store.names("framework/")}
        # A published function's store has the second one only if the function uses it.
        guest = set(self.store.names("guest/"))
        for name in ("MinimalRuntime.dll", "MinimalRuntime.Json.dll"):
            if f"guest/{name}" in guest:
                files[name] = f"guest/{name}"
        return {name: self.store.read(path) for name, path in files.items()}

    def _manifest(self, name: str, assemblies: Mapping[str, bytes]) -> ImageManifest:
        return ImageManifest(
            dotnet_version=self.store.manifest.dotnet_version,
            assemblies={name: len(content) for name, content in assemblies.items()},
            hashes={name: _sha256(content) for name, content in assemblies.items()},
            memory_bytes=0,
            image_bytes=0,
            configuration=name,
        )

    def _cached_image(self, key: str) -> tuple[CompiledModule, ImageState] | None:
        found = self._cache.read(key) if self._cache else None
        if found is None:
            return None
        description, path = found
        try:
            return self.engine.load(path), ImageState.from_json(description)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _log.warning("cached image %s cannot be used (%s); it is built again", key, error)
            return None

    def _write(
        self, key: str, what: str, module: CompiledModule, state: ImageState | None = None
    ) -> None:
        if self._cache is None:
            return
        try:
            self._cache.write(key, state.to_json() if state else {}, module.serialize(), what)
        except OSError as error:
            advice = "; raise the limit of file sizes (ulimit -f)" if error.errno == EFBIG else ""
            _log.warning("%s could not be cached: %s%s", what, error, advice)

    def step(self, what: str) -> _Step:
        """A context manager that reports the work in it."""
        return _Step(what, self._progress)


def _run(guest: Guest, function_id: str, handle: int, payload: bytes) -> None:
    """A call, attended to until it ends."""
    result = guest.invoke(function_id, handle, payload)
    if not isinstance(result, PendingCall):
        return
    if payload == b"cancel":
        guest.cancel(result)
    while not result.outcome.done():
        guest.pump()
        due = guest.next_due()
        if due is not None:
            time.sleep(max(0.0, due - time.monotonic()))
    result.outcome.result()


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
