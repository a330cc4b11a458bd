"""Compiled code that fresh instances of an image start with."""

from __future__ import annotations

import hashlib
import logging
import threading
import weakref
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.artifacts.cache import ImageCache
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.engines.threads import start
from dotnet_wasm_host.errors import LimitExceeded
from dotnet_wasm_host.jit.facts import load_facts
from dotnet_wasm_host.jit.hot_methods import HotMethods
from dotnet_wasm_host.jit.interface import CompilerLimits
from dotnet_wasm_host.jit.translating_process import shared_process
from dotnet_wasm_host.jit.translation import Pace, translate
from dotnet_wasm_host.options import MAX_MEMORY_BYTES, Limits, WasiOptions

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.base import CompiledModule, Engine
    from dotnet_wasm_host.images.frozen import FrozenRuntime
    from dotnet_wasm_host.jit.hot_methods import Prepared
    from dotnet_wasm_host.jit.interface import MintFacts
    from dotnet_wasm_host.jit.translation import Process

__all__ = ["ImageCode"]

_log = logging.getLogger("dotnet_wasm_host.jit")
_LIMITS = CompilerLimits(method_work=200_000)

_of_images: weakref.WeakKeyDictionary[FrozenRuntime, ImageCode] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


@final
class ImageCode:
    """The code of one image in this process, made once. Thread-safe.

    All fresh instances of an image have the same memory, so what was compiled for one is right for
    the others. It is made for an instance that nobody else sees, when :meth:`make` is called or a
    second instance starts: the first may be the only one, and compiles for itself.

    Attributes:
        facts: of the image's code module.
    """

    __slots__ = ("__weakref__", "_image", "_making", "_prepared", "_started", "facts")

    def __init__(self, image: FrozenRuntime, facts: MintFacts) -> None:
        self._image = weakref.ref(image)  # which this object belongs to
        self.facts: MintFacts = facts
        self._making = threading.Lock()
        self._prepared: tuple[Prepared | None] | None = None
        self._started = 0

    @classmethod
    def of(cls, image: FrozenRuntime) -> ImageCode:
        """The code of an image.

        Raises:
            ArtifactError: the installed facts are of another code module than the image's.
        """
        # Read outside of the lock: a process that was forked meanwhile would wait for it for ever.
        facts = _facts(image.parts.state.code_sha256)
        with _lock:
            found = _of_images.get(image)
            if found is None:
                found = _of_images[image] = cls(image, facts)
            return found

    def for_an_instance(self) -> Prepared | None:
        """What an instance that starts now gets; ``None`` if there is nothing yet."""
        if self._prepared is not None:
            return self._prepared[0]
        self._started += 1
        if self._started == 2:
            maker = threading.Thread(
                target=self._make_in_background, daemon=True, name="dotnet-jit-image"
            )
            with suppress(LimitExceeded):  # without a thread everything is interpreted
                start(maker)
        return None

    def _make_in_background(self) -> None:
        with shared_process() as process:
            self.make(process)

    def make(self, process: Process | None = None) -> None:
        """Compile the image's hot methods, once. A failure leaves it without code.

        Args:
            process: translates them, if it can.
        """
        with self._making:
            image = self._image()
            if self._prepared is not None or image is None:
                return
            try:
                self._prepared = (_make(image, self.facts, process),)
            except Exception:  # noqa: BLE001 - the interpreter can do everything
                self._prepared = (None,)
                _log.warning("an image stays interpreted: the compiler failed", exc_info=True)


@cache
def _facts(code_sha256: str) -> MintFacts:
    """Facts of the installed artifacts: they do not change while a process runs."""
    return load_facts(ArtifactStore.locate(), code_sha256)


def _compile(engine: Engine, cache: ImageCache | None, wasm: bytes) -> CompiledModule:
    """Machine code, from the cache if it has some.

    It is found by its WebAssembly, with all addresses in it: what is found is right, whoever made
    it. The same image gives the same in each process.
    """
    if cache is None:
        return engine.compile(wasm)
    kind = f"{engine.name}\0{engine.fingerprint}\0".encode()
    key = f"methods-{hashlib.sha256(kind + wasm).hexdigest()[:32]}"
    found = cache.read(key)
    if found is not None:
        try:
            return engine.load(found[1])
        except ValueError as error:
            _log.warning("cached methods cannot be used (%s); they are compiled again", error)
    module = engine.compile(wasm)
    try:
        cache.write(key, {}, module.serialize(), "compiled methods of an image")
    except OSError as error:
        _log.warning("compiled methods could not be cached: %s", error)
    return module


def _make(image: FrozenRuntime, facts: MintFacts, process: Process | None) -> Prepared | None:
    state = image.parts.state
    guest = image.start(Limits(memory_bytes=MAX_MEMORY_BYTES), WasiOptions())
    try:
        linker = guest.host.instance.code_linker
        if linker is None or not state.records:
            return None
        hot = HotMethods(guest.host, linker, facts, state.records, state.thread_context)
        pace = None if process is None else Pace()
        compile_module = partial(_compile, image.engine, ImageCache.locate())
        return hot.prepare(
            state.hot_methods,
            lambda taken: translate(facts, compile_module, taken, _LIMITS, pace, process),
            compile_module,
        )
    finally:
        guest.close()
