"""Images: a .NET that was booted once, frozen, and starts again in a fraction of a millisecond.

Two modules make an image. The *code module* is the .NET runtime's machine code, the same for
every image. The *memory module* is nothing but the linear memory of a booted runtime as one
dense data segment, which the engine maps copy-on-write: instances share its pages until they
write to them.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, final

from dotnet_wasm_host.base_library.configurations import IMAGE_NAMES
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.images.builder import ImageBuilder, ImageParts
from dotnet_wasm_host.images.frozen import FrozenRuntime
from dotnet_wasm_host.images.progress import announce
from dotnet_wasm_host.images.state import (
    FrozenFunction,
    ImageManifest,
    ImageState,
    check_memory_module,
)
from dotnet_wasm_host.options import MAX_MEMORY_BYTES, compiles_methods
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dotnet_wasm_host.assembly import AssemblyPath
    from dotnet_wasm_host.engines.base import Engine
    from dotnet_wasm_host.linking.module import StandaloneModule
    from dotnet_wasm_host.linking.options import SegmentLayout, Target, Wasi
    from dotnet_wasm_host.options import Limits

    Progress = Callable[[str], object]

__all__ = [
    "FrozenFunction",
    "ImageManifest",
    "RuntimeImage",
    "check_stack",
    "derive_image",
    "frozen_of",
]

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

    def __init__(self, frozen: FrozenRuntime) -> None:
        self._frozen = frozen

    @property
    def name(self) -> str:
        """The name it was loaded, made or saved with."""
        return self._frozen.name

    @property
    def engine(self) -> Engine:
        """The engine that runs its instances."""
        return self._frozen.engine

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
        return self._frozen.manifest

    def assemblies(self) -> dict[str, bytes]:
        """Simple name to content of the assemblies that all functions share.

        Raises:
            ArtifactError: linear memory does not have them; the image is damaged.
        """
        return self._frozen.assemblies()

    @property
    def functions(self) -> Sequence[FrozenFunction]:
        """The functions loaded inside."""
        return self._frozen.parts.state.functions

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Names of the capabilities loaded inside."""
        return self._frozen.parts.state.capabilities

    def save(self, path: AssemblyPath) -> None:
        """Write the image to a file that :meth:`open` reads on any machine and engine."""
        module = self._frozen.memory_module()
        description = {
            "format": FILE_FORMAT,
            "name": self.name,
            "memory_sha256": hashlib.sha256(module).hexdigest(),
            "state": self._frozen.parts.state.to_json(),
        }
        import zipfile

        target = Path(path)
        temporary = target.with_name(f".{target.name}.tmp")
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("image.json", json.dumps(description, indent=1))
            archive.writestr("memory.wasm", module)
        temporary.replace(target)

    def export_wasm(
        self,
        path: AssemblyPath,
        *,
        target: Target = "library",
        wasi: Wasi = "original",
        layout: SegmentLayout = "sparse",
        js_log: bool = False,
        max_memory_bytes: int | None = None,
        max_bytes: int | None = None,
    ) -> StandaloneModule:
        """Write the image as one WebAssembly file for any host, and return what was written.

        The functions inside are as they are: loaded, with their statics. What needs this library
        fails when it is called: host functions, HTTP, JavaScript, files that were mounted. For a
        function of which the file needs no more than it uses, see
        :func:`~dotnet_wasm_host.build_wasm`, which has the same options.

        Raises:
            StandaloneBuildError: the functions do not fit the target, or the image is one of
                ``jit="auto"``.
            LimitExceeded: it does not fit ``max_memory_bytes`` or ``max_bytes``.
            ValueError: an option is none of its values.
        """
        # Slow to import, seldom needed.
        from dotnet_wasm_host.images.exporting import export_frozen
        from dotnet_wasm_host.linking.options import ModuleOptions

        options = ModuleOptions(target, wasi, layout, js_log, max_memory_bytes, max_bytes)
        module = export_frozen(self._frozen, options)
        module.save(path)
        return module

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
        return cls(FrozenRuntime(name, chosen, builder.opened(module, state)))

    @classmethod
    def _open_published(cls, folder: Path, engine: Engine) -> RuntimeImage:
        # Slow to import, seldom needed.
        from dotnet_wasm_host.base_library.publishing import open_published

        store, function = open_published(folder)
        builder = ImageBuilder(engine, announce, store)
        name = function.function_id

        def load_function() -> ImageParts:
            base = FrozenRuntime(name, engine, builder.image_of_store())
            return base.with_function(
                name,
                base.read_source(
                    name,
                    function.assembly,
                    function.dependencies,
                    function.handler_type or None,
                ),
            )

        return cls(FrozenRuntime(name, engine, builder.cached("published", load_function)))

    def __repr__(self) -> str:
        return (
            f"<RuntimeImage {self.name!r}: .NET {self.manifest.dotnet_version}, "
            f"{self.manifest.image_bytes / 1e6:.1f} MB, {self.engine.name}>"
        )


def frozen_of(image: RuntimeImage) -> FrozenRuntime:
    """What an image is made of, which its users need not see. TypeError if it is none."""
    if not isinstance(image, RuntimeImage):
        raise TypeError(
            f"image: expected a name or a RuntimeImage, found {type(image).__name__}; pass a name, "
            "or RuntimeImage.open(path)"
        )
    return image._frozen  # noqa: SLF001 - this is the door


def check_stack(image: RuntimeImage, limits: Limits) -> None:
    """ValueError if an image belongs to an engine with another stack than limits say."""
    given, wanted = image.engine.stack_bytes, limits.stack_bytes
    if wanted is not None and given != wanted:
        raise ValueError(
            f"the image belongs to an engine with {given} bytes of stack, not {wanted}: load it "
            f"with RuntimeImage.load(..., stack_bytes={wanted}), or leave stack_bytes out"
        )


def derive_image(
    base: RuntimeImage,
    name: str,
    make: Callable[[RuntimeImage], RuntimeImage],
    *,
    progress: Progress | None = None,
) -> RuntimeImage:
    """An image that ``make`` makes of ``base``, from the cache if it is there already.

    For images that are a fixed function of the installed artifacts; ``name`` is the key.
    """
    frozen = frozen_of(base)
    builder = ImageBuilder(
        frozen.engine, progress or announce, method_entries=frozen.method_entries
    )

    def make_parts() -> ImageParts:
        with builder.step(f"making image {name!r}"):
            return frozen_of(make(base)).parts

    parts = builder.cached(f"{base.name}-{name}", make_parts)
    return RuntimeImage(FrozenRuntime(name, frozen.engine, parts))


def read_image_file(path: AssemblyPath | IO[bytes]) -> tuple[str, bytes, ImageState]:
    """Name, memory module and state of a file that :meth:`RuntimeImage.save` wrote.

    ArtifactError for anything else.
    """
    import zipfile
    import zlib

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
        raise ArtifactError(
            f"{path} is not a readable runtime image: {error}; write it again with save()"
        ) from error


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
                    frozen = FrozenRuntime(name, engine, builder.image(name))
                    image = self._images[key] = RuntimeImage(frozen)
        return image


_loaded = _LoadedImages()
