"""Extism: plug-ins in WebAssembly, hosted by its native library."""

from __future__ import annotations

import time
from functools import partial
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.peers.base import NO_LIBRARY, CannotMeasure, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Extism", "ExtismHandBack"]

_SMALL = b"hello"
#: 64 KiB pages; the default is too small for a payload of 16 MB.
_MAX_PAGES = 16384


class Extism(Peer):
    """Plug-ins by the Python kit; their functions are ``extism_*.wat``."""

    cannot: ClassVar[Mapping[str, str]] = {
        "load": "a plug-in is an instance: see the workload of fresh instances"
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._extism: Any = import_module("extism")
        self._modules = {
            "echo": (folder / "extism_echo.wasm").read_bytes(),
            "compute": (folder / "extism_compute.wasm").read_bytes(),
        }
        self._held: list[Any] = []

    def versions(self) -> dict[str, str]:
        return {
            "extism": metadata.version("extism"),
            "libextism": str(self._extism.extism_version()),
        }

    def _plugin(self, module: str) -> Any:  # noqa: ANN401 - extism has no types
        manifest = {
            "wasm": [{"data": self._modules[module]}],
            "memory": {"max_pages": _MAX_PAGES},
        }
        return self._extism.Plugin(manifest)

    def _open(self, function: str) -> Callable[[bytes], object]:
        if function in {"fib", "sieve"}:
            return partial(self._plugin("compute").call, function)
        if function != "echo":
            raise CannotMeasure(NO_LIBRARY)
        return partial(self._plugin("echo").call, self._echo)

    _echo = "echo"

    def _for_threads(self, function: str, threads: int) -> list[Callable[[bytes], object]]:
        return [self._open(function) for _ in range(threads)]

    def start(self, times: int) -> dict[str, list[int]]:
        """Fresh plug-ins, each called once; libextism caches their machine code on disk."""
        clock, both = time.perf_counter_ns, []
        for _ in range(times):
            begun = clock()
            self._plugin("echo").call(self._echo, _SMALL)
            both.append(clock() - begun)
        return {"both": both}

    def hold_instances(self, count: int) -> dict[str, int]:
        """Have ``count`` plug-ins alive that have answered a call."""
        while len(self._held) < count:
            plugin = self._plugin("echo")
            plugin.call(self._echo, _SMALL)
            self._held.append(plugin)
        return {}


class ExtismHandBack(Extism):
    """The cheapest echo there is: the plug-in names its input as its output."""

    _echo = "hand_back"
