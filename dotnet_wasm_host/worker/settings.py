"""What ``dotnet-wasm-host serve`` can be told, each setting said once.

The command line makes an option and an environment variable of every field of
:class:`ServeSettings`, and the processes of a server get its values as JSON. It imports neither
a server nor a runtime, so that the command line starts fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from dotnet_wasm_host.errors import ExtraNotInstalled
from dotnet_wasm_host.options import MIB, HttpPolicy, WasiOptions
from dotnet_wasm_host.pool.isolation import Isolation
from dotnet_wasm_host.worker.addresses import is_loopback
from dotnet_wasm_host.worker.options import WorkerOptions, check_token

__all__ = ["InsecureAddress", "ServeSettings"]

#: The one that is given out, and the one before.
MOST_TOKENS = 2
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_DEFAULTS = WorkerOptions()
#: Settings that are lists of words on a command line.
REPEATABLE = ("allow_host", "allow_http", "allow_package", "package_source")
T = TypeVar("T")


class InsecureAddress(ValueError):
    """Strangers could deploy code at that address."""


def _setting(default: T, description: str, **more: object) -> T:
    """A field with a description; ``more`` is ``min`` and ``max`` of numbers."""
    metadata = {"help": description, **more}
    if isinstance(default, dict):
        return field(default_factory=type(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def _option(name: str, description: str, **more: object) -> Any:
    """A field of :class:`WorkerOptions` under its own name and with its own default."""
    return _setting(getattr(_DEFAULTS, name), description, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How to run the worker: the fields of :class:`WorkerOptions`, and those of a server.

    The metadata of each field has its description under ``"help"``.
    """

    store: str = _setting("", "SQLite file of deployed functions; else in the user's data folder.")
    host: str = _setting("127.0.0.1", "Address to listen at; not loopback: needs a token.")
    port: int = _setting(8080, "Port; 0: any free one.", min=0, max=65535)
    workers: int = _setting(1, "Processes.", min=1)
    token: str | None = field(
        default=None,
        repr=False,
        metadata={"help": "Bearer token; 16 characters or more."},
    )
    token_file: str | None = _setting(
        None,
        "File with the bearer token, instead of DOTNET_WASM_HOST_TOKEN; a second line is the "
        "previous token, which is accepted, too. SIGHUP reads it again.",
    )
    token_for_calls: bool = _option("token_for_calls", "Calls and listings need the token, too.")
    allow_host: tuple[str, ...] = _setting(
        (),
        "Name in the Host header to answer to; repeatable. Default: any if there is a token, "
        "else loopback names.",
    )
    image: str = _setting("full", "Image that instances start from.")
    image_file: str | None = _setting(None, "The same from a file, read again by a reload.")
    allow_http: tuple[str, ...] = _setting(
        (),
        "Host that HttpClient in functions may reach, as 'api.example.org', '*.example.org' or "
        "with ':port'; repeatable. None by default.",
    )
    allow_private_addresses: bool = _setting(
        False, "Those may be in private networks or on this machine."
    )
    env: Mapping[str, str] = _setting(
        {}, "NAME=VALUE that all functions see; repeatable. They inherit nothing."
    )
    mount: Mapping[str, str] = _setting(
        {}, "/GUEST/PATH=DIRECTORY that all functions may read; repeatable."
    )
    isolation: str = _setting(
        _DEFAULTS.isolation.value.replace(" ", "-"),
        "What calls share: shared, per-function or per-invocation.",
    )
    timeout: float = _setting(_DEFAULTS.timeout, "Seconds a call may take at most.")
    memory: int = _setting(_DEFAULTS.limits.memory_bytes // MIB, "MiB an instance may use.")
    payload_bytes: int = _setting(_DEFAULTS.limits.payload_bytes, "Bytes of a payload.", min=0)
    result_bytes: int = _setting(_DEFAULTS.limits.result_bytes, "Bytes of a result.", min=0)
    concurrency: int = _option(
        "concurrency", "Calls of one function at the same time, in each process.", min=1
    )
    places: int = _option("places", "Calls at the same time, in each process.", min=1)
    waiting: int = _option("waiting", "Calls that may wait for a place; more get 429.", min=0)
    waiting_per_function: int = _option(
        "waiting_per_function", "The same for each function.", min=0
    )
    refusal_seconds: float = _option("refusal_seconds", "How long a refusal waits.")
    stack_traces: bool = _option("stack_traces", "Show .NET stack traces to callers.")
    assembly_bytes: int = _option(
        "assembly_bytes", "Largest assembly or source text that can be deployed.", min=1
    )
    buffered_bytes: int = _option(
        "buffered_bytes",
        "Bytes of request bodies held together; more get 503.",
        min=1,
    )
    body_seconds: float = _option("body_seconds", "Seconds a request's body may take to arrive.")
    compile_seconds: float = _option(
        "compile_seconds", "Seconds that a C# source may take to compile."
    )
    package_source: tuple[str, ...] = _setting(
        (),
        "Where packages of C# sources come from: a folder, the index.json of a feed, a "
        "NuGet.Config; repeatable. None by default: sources with #:package lines are refused.",
    )
    allow_package: tuple[str, ...] = _setting(
        (), "Allow only this package there, or Prefix.*; repeatable. Default: all."
    )
    functions: int = _option("functions", "Most functions that can be deployed.", min=1)
    labelled_functions: int = _option(
        "labelled_functions", "Functions with a label of their own in the metrics.", min=0
    )
    poll_seconds: float = _option("poll_seconds", "Time between looks for others' deploys.")
    drain_seconds: float = _option(
        "drain_seconds", "Seconds that calls may take to end when the image is reloaded."
    )
    access_log: bool = _option("access_log", "A line of JSON on stdout a request.")
    admin_host: str = _setting(
        "127.0.0.1", "Address of the admin listener; whoever reaches it reads the metrics."
    )
    admin_port: int | None = _setting(
        None,
        "Port of the admin listener: /health, /ready and /metrics for every Host, without a "
        "token. None by default.",
        min=1,
        max=65535,
    )
    linger: float = _setting(
        1.0,
        "Seconds before the end in which answers tell clients to use another connection, if "
        "requests still come.",
        min=0,
    )
    grace: int = _setting(60, "Seconds that running requests have at the end.", min=1)

    def check(self) -> None:
        """ValueError for settings that cannot be.

        InsecureAddress if others could reach it without a token.
        """
        options = self.options()
        if options.token is None and not is_loopback(self.host):
            raise InsecureAddress(
                f"{self.host} can be reached from other machines, and without a token anybody "
                "there could deploy code. Set a token, or listen at 127.0.0.1."
            )
        if self.allow_private_addresses and not self.allow_http:
            raise ValueError("private addresses are allowed, but no host is; add --allow-http HOST")
        if self.allow_http and find_spec("httpx") is None:
            raise ExtraNotInstalled("HTTP for functions needs httpx", "http")
        if self.allow_package and not self.package_source:
            raise ValueError("packages are allowed, but no source is; add --package-source")
        if any(map(_is_address, self.package_source)) and find_spec("httpx") is None:
            raise ExtraNotInstalled("packages of a feed need httpx", "http")
        for directory in self.mount.values():
            if not Path(directory).is_dir():
                raise ValueError(f"{directory} is not a directory; name one that exists")

    def options(self) -> WorkerOptions:
        """For :func:`~dotnet_wasm_host.worker.create_app`."""
        http = None
        if self.allow_http:
            http = HttpPolicy(
                allowed_hosts=self.allow_http, allow_private_addresses=self.allow_private_addresses
            )
        token, previous_token = (*self.tokens(), None, None)[:2]
        any_host = ("*",) if token is not None else LOOPBACK_HOSTS
        return replace(
            _DEFAULTS,
            token=token,
            previous_token=previous_token,
            image=self.image if self.image_file is None else Path(self.image_file),
            isolation=Isolation(self.isolation.replace("-", " ")),
            limits=replace(
                _DEFAULTS.limits,
                timeout=self.timeout,
                memory_bytes=self.memory * MIB,
                payload_bytes=self.payload_bytes,
                result_bytes=self.result_bytes,
            ),
            http=http,
            wasi=WasiOptions(env=self.env, directories=self.mount),
            allowed_hosts=self.allow_host or any_host,
            package_sources=self.package_source,
            allow_packages=self.allow_package or None,
            **{name: getattr(self, name) for name in _SAME_NAME},
        )

    def tokens(self) -> tuple[str, ...]:
        """The bearer tokens of the moment, the newest first.

        Raises:
            ValueError: the file cannot be read, or what is in it cannot be a token.
        """
        if self.token_file is None:
            return () if self.token is None else (self.token,)
        try:
            lines = Path(self.token_file).read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{self.token_file} cannot be read: {error}; make it readable for the worker"
            ) from error
        found = tuple(line.strip() for line in lines if line.strip())
        if not 1 <= len(found) <= MOST_TOKENS:
            raise ValueError(
                f"expected a line with the token in {self.token_file}, and perhaps one with the "
                f"previous token, found {len(found)} lines; write one or two lines"
            )
        for token in found:
            check_token(token)
        return found

    def to_json(self) -> dict[str, Any]:
        """For another process; :meth:`from_json` reads it."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ServeSettings:
        """Read :meth:`to_json`."""
        tuples = {name: tuple(values[name]) for name in REPEATABLE}
        return cls(**{**values, **tuples})


def _is_address(source: str) -> bool:
    return source.startswith(("http://", "https://"))


#: Settings that are fields of WorkerOptions as they are.
_SAME_NAME = tuple(
    each.name
    for each in fields(ServeSettings)
    if each.name in {option.name for option in fields(WorkerOptions)}
    and each.name not in {"image", "isolation", "token"}
)
