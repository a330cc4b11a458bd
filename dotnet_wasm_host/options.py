"""What a user can set. No behaviour."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field, fields, replace
from os import PathLike, urandom
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, TypedDict

from dotnet_wasm_host.wasm import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from ssl import SSLContext

__all__ = [
    "DEFAULT_LIMITS",
    "Clock",
    "CompileOptions",
    "HttpPolicy",
    "Limits",
    "SystemClock",
    "WasiOptions",
    "compiles_methods",
    "require_type",
    "with_output",
]

KIB = 1024
MIB = 1024 * KIB

#: The shipped .NET module declares a maximum of 32,768 pages.
MAX_MEMORY_BYTES = 32768 * PAGE
#: Seconds, some thirty years. Integers of any size could not be added to a clock.
LONGEST_TIMEOUT = 1e9
#: Stack of the calling thread that guest code may use. Threads have 8 MiB on Linux, 1.9 MiB on
#: Windows; host functions need some of it.
DEFAULT_STACK_BYTES = MIB
MIN_STACK_BYTES = 256 * KIB
#: wasmtime has its async_stack_size as the limit, which its Python API does not set.
MAX_STACK_BYTES = 2 * MIB
#: Format of pickled Limits.
_PICKLE = 1


#: What ``jit=None`` stands for.
JIT_VARIABLE = "DOTNET_WASM_HOST_JIT"


def compiles_methods(jit: str | None) -> bool:
    """Whether methods that run often are compiled: ``"auto"``, not ``"off"``.

    ``None`` is what the environment variable ``DOTNET_WASM_HOST_JIT`` says, else ``"off"``.

    Raises:
        ValueError: it is something else.
    """
    if jit is None and JIT_VARIABLE not in os.environ:  # several times as fast as get()
        return False
    chosen = os.environ.get(JIT_VARIABLE) or "off" if jit is None else jit
    if chosen not in {"auto", "off"}:
        where = f"{JIT_VARIABLE}=" if jit is None else ""
        raise ValueError(
            f"expected jit 'auto' or 'off', found {where}{chosen!r}; choose one of them"
        )
    return chosen == "auto"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one runtime may use.

    Args:
        memory_bytes: size that linear memory may grow to, 64 MiB..2 GiB, rounded down to
            whole 64 KiB pages. The guest sees ``OutOfMemoryException`` first.
        timeout: seconds that a call may take unless it brings its own ``timeout``;
            ``None`` for no deadline. Loading and unloading count as calls.
        cancellation_grace: seconds that a call may take to end after its ``CancellationToken``
            was cancelled (asynchronous handlers only); then it is given up.
        payload_bytes: largest payload ``invoke`` accepts.
        result_bytes: largest result a handler may return.
        output_bytes: what one call may print to standard output and error together.
        files_bytes: total size of the files a guest may hold in its in-memory file system.
        function_count: number of functions loaded at the same time.
        stack_bytes: stack of the calling thread that guest code may use, 256 KiB..2 MiB;
            ``None`` for what the image's engine has, 1 MiB by default. It is a setting of
            the engine: runtimes with another one share no machine code with it.
        crash_limit: times in a row that a function may kill its instance (timeout, out of
            memory, exit, trap) before it is not called any more and
            :class:`~dotnet_wasm_host.FunctionSuspended` is raised; loading it again starts
            afresh. ``None`` for any number.
        host_work: what the host may do on behalf of one call, in units: a byte that is copied or
            decoded is one, an item of a loop (a slot, a directory entry) 256, a log record 4,096.
            It is also the most bytes that the host keeps for an instance (arguments of calls that
            run, objects that the guest holds), which half of ``memory_bytes`` limits as well.
        leaked_bytes: memory of unloaded functions, by estimate, at which the instance is
            replaced by a fresh one (its functions are loaded again, their statics start afresh).
    """

    memory_bytes: int = 256 * MIB
    timeout: float | None = None
    cancellation_grace: float = 0.5
    payload_bytes: int = 64 * MIB
    result_bytes: int = 64 * MIB
    output_bytes: int = 16 * MIB
    files_bytes: int = 64 * MIB
    function_count: int = 10_000
    stack_bytes: int | None = None
    crash_limit: int | None = 100
    leaked_bytes: int = 4 * MIB
    host_work: int = 4096 * MIB

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            may_be_none = each.name in {"timeout", "stack_bytes", "crash_limit"}
            if not hasattr(value, "__float__") and not (value is None and may_be_none):
                raise TypeError(
                    f"{each.name}: expected a number, found {type(value).__name__}; give one"
                )
        if not 64 * MIB <= self.memory_bytes <= MAX_MEMORY_BYTES:
            raise ValueError(
                f"memory_bytes is {self.memory_bytes}; give 64 MiB, which .NET needs to "
                "start, to 2 GiB, which its module allows at most"
            )
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"timeout is {self.timeout}; give seconds above zero, or None")
        if self.timeout is not None and self.timeout > LONGEST_TIMEOUT:
            raise ValueError(f"timeout is above {LONGEST_TIMEOUT:.0e} s; give None for no limit")
        stack = self.stack_bytes
        if stack is not None and not MIN_STACK_BYTES <= stack <= MAX_STACK_BYTES:
            raise ValueError(f"stack_bytes is {stack}; give 256 KiB to 2 MiB, or None")
        if self.crash_limit is not None and self.crash_limit < 1:
            raise ValueError(f"crash_limit is {self.crash_limit}; give 1 or more, or None")
        for name in (
            "cancellation_grace",
            "payload_bytes",
            "result_bytes",
            "output_bytes",
            "files_bytes",
            "function_count",
            "leaked_bytes",
            "host_work",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give zero or more")

    def __reduce__(self) -> tuple[object, ...]:
        """By name: what dataclasses do is by position, and fields are added now and then."""
        return _unpickle_limits, (_PICKLE, {f.name: getattr(self, f.name) for f in fields(self)})


#: What is used where nobody gives any; made once, for to check each value takes some microseconds.
DEFAULT_LIMITS = Limits()


def _unpickle_limits(version: int, values: dict[str, Any]) -> Limits:
    # What an older version of this package did not have gets its default.
    unknown = sorted(values.keys() - {f.name for f in fields(Limits)})
    if version != _PICKLE or unknown:
        raise ValueError(
            f"expected pickled Limits of format {_PICKLE}, found format {version} with the unknown "
            f"fields {unknown}; use the version of dotnet-wasm-host that pickled them, or newer"
        )
    return Limits(**values)


def _unpickle_wasi(values: dict[str, Any]) -> WasiOptions:
    return WasiOptions(**values)


def require_type(name: str, value: object, expected: type[object]) -> None:
    """TypeError if the option of this name is neither ``None`` nor of its type."""
    if value is not None and not isinstance(value, expected):
        raise TypeError(
            f"{name}: expected {expected.__name__} or None, found {type(value).__name__}; "
            f"pass {name}={expected.__name__}(...)"
        )


class Clock(Protocol):
    """The guest's two clocks. Both in seconds."""

    def time(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""

    def monotonic(self) -> float:
        """Seconds since any fixed point; never goes back."""


class SystemClock:
    """The host's real clocks."""

    def time(self) -> float:
        """Seconds since the Unix epoch, by ``time.time``."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds by ``time.monotonic``."""
        return time.monotonic()


class CompileOptions(TypedDict, total=False):
    """What ``Runtime.load_csharp`` hands on to the compiler: options of ``compile_csharp``."""

    assembly_name: str | None
    optimize: bool
    nullable: bool
    implicit_usings: bool
    pdb: bool
    define: Iterable[str]
    langversion: str | None
    unsafe: bool
    checked: bool
    warnings_as_errors: bool
    documentation: bool
    roslyn: str | PathLike[str] | None
    timeout: float | None
    packages: Iterable[str]
    #: What ``resolve_packages`` takes.
    package_sources: Any
    allow_packages: Iterable[str] | None
    lock_file: str | PathLike[str] | None
    offline: bool


#: Where guest output goes: a binary stream, Python's own streams, log records, or nowhere.
OutputSink = IO[bytes] | Literal["inherit", "logging", "discard"]
_OUTPUT_NAMES = ("inherit", "logging", "discard")
#: A directory of the host: a path (read-only), or a path and whether it is read-only.
HostDirectory = str | PathLike[str] | tuple[str | PathLike[str], bool]


@dataclass(frozen=True, slots=True)
class WasiOptions:
    """What the guest sees of the world. By default: nothing of the host but time and entropy.

    Args:
        args: ``Environment.GetCommandLineArgs()`` after the program name.
        env: environment variables; none are inherited.
        stdin: what ``Console.In`` reads; ``b""`` is an empty stream.
        stdout, stderr: ``"inherit"`` (``sys.stdout`` and ``sys.stderr`` as they are when something
            is printed), ``"logging"`` (logger ``dotnet_wasm_host.guest``, one record a line: INFO
            and WARNING), ``"discard"``, or a binary stream that is written to and never closed.
            By default a :class:`~dotnet_wasm_host.Runtime` inherits, and pools log.
        files: files of the in-memory file system, absolute guest path to content.
        directories: directories of the host that the guest sees, absolute guest path to a host
            path, or to a host path and whether it is read-only. A bare path is read-only. What
            a guest adds to one that is not counts toward ``Limits.files_bytes``.
        clock: the guest's clocks.
        random: called with a count, returns that many bytes of entropy.
    """

    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    stdin: bytes | IO[bytes] = b""
    stdout: OutputSink | None = None
    stderr: OutputSink | None = None
    files: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    directories: Mapping[str, HostDirectory] = field(default_factory=lambda: MappingProxyType({}))
    clock: Clock = field(default_factory=SystemClock)
    random: Callable[[int], bytes] = urandom

    def __reduce__(self) -> tuple[object, ...]:
        """By name, as :class:`Limits`; streams among the values cannot be pickled or copied."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("env", "files", "directories"):
            values[name] = dict(values[name])
        return _unpickle_wasi, (values,)

    def __post_init__(self) -> None:
        for name in ("stdout", "stderr"):
            _check_sink(name, getattr(self, name))
        for key, value in self.env.items():
            if not key or "=" in key or "\0" in key or "\0" in value:
                raise ValueError(
                    f"environment variable {key!r} cannot exist: a name is not empty and holds "
                    "no '=', and neither name nor value holds NUL; rename it, or encode its value"
                )
        for arg in self.args:
            if "\0" in arg:
                raise ValueError(f"argument {arg!r} holds NUL; leave that out")
        for path in self.files:
            if not _is_absolute(path):
                raise ValueError(
                    f"file {path!r}: give an absolute guest path such as '/data/input.json'"
                )
        for path, directory in self.directories.items():
            if not _is_absolute(path) or not path.strip("/"):
                raise ValueError(
                    f"directory {path!r}: give an absolute guest path such as '/data', not '/'"
                )
            host_directory(directory)


def _check_sink(name: str, sink: object) -> None:
    if sink is None or sink in _OUTPUT_NAMES or hasattr(sink, "write"):
        return
    known = ", ".join(map(repr, _OUTPUT_NAMES))
    raise ValueError(f"{name} is {sink!r}; give a binary stream or one of {known}")


def with_output(wasi: WasiOptions | None, sink: OutputSink) -> WasiOptions:
    """``wasi``, or the default, with an end for the streams that were given none."""
    wasi = wasi if wasi is not None else WasiOptions()
    return replace(
        wasi,
        stdout=sink if wasi.stdout is None else wasi.stdout,
        stderr=sink if wasi.stderr is None else wasi.stderr,
    )


def _is_absolute(path: str) -> bool:
    return path.startswith("/") and "\0" not in path and ".." not in path.split("/")


def host_directory(directory: HostDirectory) -> tuple[str | PathLike[str], bool]:
    """An entry of ``WasiOptions.directories`` as host path and whether it is read-only."""
    if isinstance(directory, (str, PathLike)):
        return directory, True
    given: object = directory
    if isinstance(given, tuple) and len(given) == 2:
        host_path, read_only = given
        if isinstance(host_path, (str, PathLike)) and isinstance(read_only, bool):
            return host_path, read_only
    raise ValueError(
        f"directory {given!r}: give a host path, or a host path and whether it is read-only"
    )


#: A name, ``*.`` and a name, ``*``, an IPv4 address or an IPv6 address in brackets; then a port.
_HOST_PATTERN = (
    r"(\*|(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?"
    r"|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
)
_HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"})


@dataclass(frozen=True, slots=True)
class HttpPolicy:
    """What ``System.Net.Http.HttpClient`` in a guest may do. By default: nothing.

    Args:
        allowed_hosts: ``"api.example.com"``, ``"*.example.com"`` (any name below it, not itself),
            ``"192.0.2.7"``, ``"[2001:db8::7]"``, ``"*"``; each for every port, or for one as in
            ``"api.example.com:8443"``. Names beyond ASCII in their ``xn--`` form.
        allow_private_addresses: whether connections may go to private networks and to this
            machine. Link-local (the metadata services of clouds), multicast and reserved
            addresses are refused in any case. Checked after names are resolved.
        schemes, methods: which are allowed.
        max_request_bytes, max_response_bytes: largest bodies; the response's as it is after
            decompression.
        max_held_bytes: bytes of bodies that the host holds for all requests of a runtime, or of a
            pool, together: those that are sent at once, and those that are read to their end
            before .NET has them. Streamed bodies pass through and are not held. One runtime of a
            pool may have at most half of what the others leave.
        timeout: seconds for a whole exchange, from the request to the last byte of the response,
            redirects included; ``None`` for no end.
        max_redirects: redirects of one request that are followed. Each is checked anew.
        max_connections: connections that a runtime has open at a time; requests over it wait. In
            a pool each runtime has connections of its own, and all together at most a quarter of
            the descriptors that the process may have (``ulimit -n``).
        tls: whom to trust, and client certificates; by default the certificates of certifi.
    """

    allowed_hosts: tuple[str, ...] = ()
    allow_private_addresses: bool = False
    schemes: tuple[str, ...] = ("https", "http")
    methods: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    max_request_bytes: int = 16 * MIB
    max_response_bytes: int = 64 * MIB
    max_held_bytes: int = 256 * MIB
    timeout: float | None = 30.0
    max_redirects: int = 10
    max_connections: int = 20
    tls: SSLContext | None = None

    def __post_init__(self) -> None:
        for name in ("allowed_hosts", "schemes", "methods"):
            given: object = getattr(self, name)
            if isinstance(given, str):
                raise ValueError(f"{name} is a text; give a tuple: ({given!r},)")  # noqa: TRY004
        for pattern in self.allowed_hosts:
            _check_host_pattern(pattern)
        for name, known in (("schemes", {"http", "https"}), ("methods", _HTTP_METHODS)):
            for value in getattr(self, name):
                if value not in known:
                    raise ValueError(
                        f"{name}: {value!r} is not known; choose from {', '.join(sorted(known))}"
                    )
        for name, least in (
            ("max_request_bytes", 0),
            ("max_response_bytes", 0),
            ("max_held_bytes", 0),
            ("max_redirects", 0),
            ("max_connections", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; give {least} or more")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"timeout is {self.timeout}; give seconds above zero, or None")


def _check_host_pattern(pattern: str) -> None:
    match = re.fullmatch(_HOST_PATTERN, pattern, re.IGNORECASE)
    if match is None or not 0 < int(match["port"] or 1) < 2**16:
        raise ValueError(
            f"allowed_hosts: {pattern!r} is no host; give a name, '*.name' or an address, and a "
            "port behind ':' if only one is meant"
        )
