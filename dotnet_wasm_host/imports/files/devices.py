"""The nodes behind which there is the host: standard streams, entropy, and ``/dev``."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.imports.files.console import InputSource, WriteSink, open_sink
from dotnet_wasm_host.imports.files.nodes import FileNode
from dotnet_wasm_host.imports.files.volume import Volume, VolumeNode
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError
from dotnet_wasm_host.options import WasiOptions
from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.options import Clock

__all__ = [
    "Device",
    "HostEnds",
    "InputDevice",
    "NullDevice",
    "OutputDevice",
    "RandomDevice",
    "ZeroDevice",
]

# A read may give less than was asked for; nobody makes the host build gigabytes of zeros.
_LONGEST_READ = 1024 * 1024
_NANOSECONDS = 1_000_000_000


@final
class HostEnds:
    """The one place where the file system holds on to the user's objects.

    A pickle of the file system leaves them out; after unpickling, :meth:`attach` the new ones.
    """

    __slots__ = ("charge_steps", "clock", "random", "stderr", "stdin", "stdout")

    clock: Clock
    random: Callable[[int], bytes]
    stdin: InputSource
    stdout: WriteSink
    stderr: WriteSink
    #: Announces names of paths that are about to be looked up; raises what stops the guest.
    charge_steps: Callable[[int], object]

    def __init__(self, options: WasiOptions | None = None) -> None:
        self.attach(options or WasiOptions())

    def attach(self, options: WasiOptions) -> None:
        """Take clock, entropy and standard streams from ``options``."""
        self.clock = options.clock
        self.random = options.random
        self.stdin = InputSource(options.stdin)
        self.stdout = open_sink(options.stdout, "stdout")
        self.stderr = open_sink(options.stderr, "stderr")
        self.charge_steps = _uncharged

    def now(self) -> int:
        """Nanoseconds since the epoch, on the guest's clock."""
        seconds = self.clock.time()
        whole = int(seconds)
        # The fraction by itself, for it would lose digits beside the whole.
        return whole * _NANOSECONDS + int((seconds - whole) * _NANOSECONDS)

    def entropy(self, count: int) -> bytes:
        """``count`` random bytes. ValueError if ``WasiOptions.random`` gives another number."""
        data = self.random(count)
        if len(data) != count:
            raise ValueError(
                f"WasiOptions.random gave {len(data)} bytes when {count} were asked for; "
                "return exactly those"
            )
        return data

    def __reduce__(self) -> tuple[object, ...]:
        return HostEnds, ()


def _uncharged(count: int) -> None:
    """The host's own steps, when it lays out files."""


class Device(VolumeNode, FileNode):
    """A character device."""

    __slots__ = ()

    seekable = False
    permissions = 0o666

    def __init__(self, volume: Volume) -> None:
        super().__init__(volume, stat.S_IFCHR | self.permissions)

    @override
    def read(self, offset: int, size: int) -> bytes:
        return b""

    @override
    def write(self, offset: int, data: bytes) -> int:
        return len(data)


@final
class NullDevice(Device):
    """``/dev/null``: always at its end, takes everything."""

    __slots__ = ()

    # Major and minor number as on Linux (admin-guide/devices.txt), here and below.
    rdev = 1 << 8 | 3


@final
class ZeroDevice(Device):
    """``/dev/zero``."""

    __slots__ = ()

    rdev = 1 << 8 | 5

    @override
    def read(self, offset: int, size: int) -> bytes:
        return bytes(min(size, _LONGEST_READ))


@final
class RandomDevice(Device):
    """``/dev/random`` and ``/dev/urandom``: ``WasiOptions.random``."""

    __slots__ = ("_host",)

    rdev = 1 << 8 | 9

    def __init__(self, volume: Volume, host: HostEnds) -> None:
        super().__init__(volume)
        self._host = host

    @override
    def read(self, offset: int, size: int) -> bytes:
        return self._host.entropy(min(size, _LONGEST_READ))


@final
class InputDevice(Device):
    """Standard input."""

    __slots__ = ("_host",)

    permissions = 0o400

    def __init__(self, volume: Volume, host: HostEnds) -> None:
        super().__init__(volume)
        self._host = host

    @override
    def read(self, offset: int, size: int) -> bytes:
        # Reading nothing must not wait for input.
        if size == 0:
            return b""
        data = self._host.stdin.read(min(size, _LONGEST_READ))
        if data is None:
            raise FileSystemError(Errno.EAGAIN)
        return data


@final
class OutputDevice(Device):
    """Standard output or standard error."""

    __slots__ = ("_host", "_is_error")

    permissions = 0o200

    def __init__(self, volume: Volume, host: HostEnds, *, is_error: bool) -> None:
        super().__init__(volume)
        self._host = host
        self._is_error = is_error

    @override
    def write(self, offset: int, data: bytes) -> int:
        if data:
            self._sink().write(data)
        return len(data)

    @override
    def sync(self) -> None:
        self._sink().flush()

    @override
    def release(self) -> None:
        # An unfinished line goes with the last descriptor; the user's stream stays open.
        try:
            self.sync()
        finally:
            super().release()

    def _sink(self) -> WriteSink:
        # Looked up for every write: the host's ends can be replaced.
        return self._host.stderr if self._is_error else self._host.stdout
