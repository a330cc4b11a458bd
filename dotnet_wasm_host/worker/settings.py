"""What ``dotnet-wasm-host serve`` can be told, each setting said once.

The command line makes an option and an environment variable of every field of
:class:`ServeSettings`, and the processes of a server get its values as JSON. It imports neither
a server nor a runtime, so that the command line starts fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dotnet_wasm_host.errors import ExtraNotInstalled
from dotnet_wasm_host.options import MIB, HostDirectory, HttpPolicy, WasiOptions
from dotnet_wasm_host.pool.isolation import Isolation
from dotnet_wasm_host.worker.addresses import is_loopback
from dotnet_wasm_host.worker.options import WorkerOptions, check_token

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["InsecureAddress", "ServeSettings"]

#: The one that is given out, and the one before.
MOST_TOKENS = 2
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_DEFAULTS = WorkerOptions()
_HTTP = HttpPolicy()
#: Settings that are lists of words on a command line; those that are pairs, NAME=VALUE.
REPEATABLE = (
    "allow_host", "allow_http", "allow_package", "argument", "http_method", "http_scheme",
    "package_source",
)  # fmt: skip
PAIRS = ("env", "file", "mount", "mount_writable")
T = TypeVar("T")


class InsecureAddress(ValueError):
    """Strangers could deploy code at that address."""


def _setting(
    default: T,
    description: str,
    group: str,
    *sets: str,
    read: Callable[[Any], Any] | None = None,
    **more: object,
) -> T:
    """A field with a description.

    Args:
        default: its value.
        description: for people.
        group: under which heading ``serve --help`` has it.
        sets: fields of :class:`WorkerOptions` that it sets, ``"limits.timeout"`` for instance.
        read: makes their value of it, where it does not stand in :meth:`ServeSettings.options`.
        more: ``min`` and ``max`` of numbers.
    """
    metadata = {"help": description, "group": group, "sets": sets, "read": read, **more}
    if isinstance(default, dict):
        return field(default_factory=type(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def _as_it_is(value: T) -> T:
    return value


def _or_none(value: T) -> T | None:
    """0 on a command line stands for ``None``, which that cannot say."""
    return value or None


def _option(name: str, description: str, group: str, **more: Any) -> Any:
    """A field of :class:`WorkerOptions` under its own name and with its own default."""
    return _setting(getattr(_DEFAULTS, name), description, group, name, read=_as_it_is, **more)


def _limit(name: str, description: str, **more: Any) -> Any:
    """A field of :class:`Limits`, likewise."""
    more = {"read": _as_it_is, **more}
    default = getattr(_DEFAULTS.limits, name)
    return _setting(default, description, LIMITS, f"limits.{name}", **more)


def _http(name: str, description: str, **more: Any) -> Any:
    """A field of :class:`HttpPolicy` with its own default."""
    more = {"read": _as_it_is, **more}
    return _setting(getattr(_HTTP, name), description, NETWORK, f"http.{name}", **more)


#: Headings of ``serve --help``.
SERVER, ACCESS, LIMITS, SHARING = "Server", "Access", "Limits of calls", "Calls at the same time"
DEPLOYING, NETWORK, SURROUNDINGS, OPERATION = (
    "Deploying", "Network of functions", "What functions see", "Operation",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How to run the worker: the fields of :class:`WorkerOptions`, and those of a server.

    The metadata of each field has its description under ``"help"``, and under ``"sets"`` which
    fields of the options it sets.
    """

    store: str = _setting(
        "", "SQLite file of deployed functions; else in the user's data folder.", SERVER
    )
    host: str = _setting("127.0.0.1", "Address to listen at; not loopback: needs a token.", SERVER)
    port: int = _setting(8080, "Port; 0: any free one.", SERVER, min=0, max=65535)
    workers: int = _setting(1, "Processes.", SERVER, min=1)
    linger: float = _setting(
        1.0,
        "Seconds before the end in which answers tell clients to use another connection, if "
        "requests still come.",
        SERVER,
        min=0,
    )
    grace: int = _setting(60, "Seconds that running requests have at the end.", SERVER, min=1)

    token: str | None = field(
        default=None,
        repr=False,
        metadata={"help": "Bearer token; 16 characters or more.", "sets": ("token",)},
    )
    token_file: str | None = _setting(
        None,
        "File with the bearer token, instead of DOTNET_WASM_HOST_TOKEN; a second line is the "
        "previous token, which is accepted, too. SIGHUP reads it again.",
        ACCESS,
        "token",
        "previous_token",
    )
    token_for_calls: bool = _option(
        "token_for_calls", "Calls and listings need the token, too.", ACCESS
    )
    allow_host: tuple[str, ...] = _setting(
        (),
        "Name in the Host header to answer to; repeatable. Default: any if there is a token, "
        "else loopback names.",
        ACCESS,
        "allowed_hosts",
    )
    stack_traces: bool = _option("stack_traces", "Show .NET stack traces to callers.", ACCESS)

    timeout: float = _limit("timeout", "Seconds a call may take at most.")
    cancellation_grace: float = _limit(
        "cancellation_grace", "Seconds a cancelled asynchronous call has to end."
    )
    memory: int = _setting(
        _DEFAULTS.limits.memory_bytes // MIB,
        "MiB an instance may use, 64 to 2048.",
        LIMITS,
        "limits.memory_bytes",
        read=lambda mebibytes: mebibytes * MIB,
    )
    payload_bytes: int = _limit("payload_bytes", "Bytes of a payload.", min=0)
    result_bytes: int = _limit("result_bytes", "Bytes of a result.", min=0)
    output_bytes: int = _limit("output_bytes", "Bytes that a call may print.", min=0)
    files_bytes: int = _limit(
        "files_bytes", "Bytes of the files that an instance holds in memory.", min=0
    )
    function_count: int = _limit("function_count", "Functions in one instance.", min=1)
    stack_bytes: int | None = _limit(
        "stack_bytes", "Bytes of stack for guests, 262144 to 2097152. Default: the engine's."
    )
    crash_limit: int = _limit(
        "crash_limit",
        "Crashes in a row after which a function is not called; 0: any number.",
        read=_or_none,
        min=0,
    )
    leaked_bytes: int = _limit(
        "leaked_bytes", "Bytes left by unloaded functions at which an instance is replaced.", min=0
    )
    host_work: int = _limit(
        "host_work", "What the host may do on behalf of a call, in bytes and the like.", min=0
    )

    isolation: str = _setting(
        _DEFAULTS.isolation.value.replace(" ", "-"),
        "What calls share: shared, per-function or per-invocation.",
        SHARING,
        "isolation",
        read=lambda words: Isolation(words.replace("-", " ")),
    )
    concurrency: int = _option(
        "concurrency", "Calls of one function at the same time, in each process.", SHARING, min=1
    )
    places: int = _option("places", "Calls at the same time, in each process.", SHARING, min=1)
    waiting: int = _option(
        "waiting", "Calls that may wait for a place; more get 429.", SHARING, min=0
    )
    waiting_per_function: int = _option(
        "waiting_per_function", "The same for each function.", SHARING, min=0
    )
    refusal_seconds: float = _option("refusal_seconds", "How long a refusal waits.", SHARING)
    buffered_bytes: int = _option(
        "buffered_bytes", "Bytes of request bodies held together; more get 503.", SHARING, min=1
    )
    body_seconds: float = _option(
        "body_seconds", "Seconds a request's body may take to arrive.", SHARING
    )

    functions: int = _option("functions", "Most functions that can be deployed.", DEPLOYING, min=1)
    assembly_bytes: int = _option(
        "assembly_bytes",
        "Largest assembly or source text that can be deployed.",
        DEPLOYING,
        min=1,
    )
    compile_seconds: float = _option(
        "compile_seconds", "Seconds that a C# source may take to compile.", DEPLOYING
    )
    package_source: tuple[str, ...] = _setting(
        (),
        "Where packages of C# sources come from: a folder, the index.json of a feed, a "
        "NuGet.Config; repeatable. None by default: sources with #:package lines are refused.",
        DEPLOYING,
        "package_sources",
        read=_as_it_is,
    )
    allow_package: tuple[str, ...] = _setting(
        (),
        "Allow only this package there, or Prefix.*; repeatable. Default: all.",
        DEPLOYING,
        "allow_packages",
        read=_or_none,
    )

    allow_http: tuple[str, ...] = _http(
        "allowed_hosts",
        "Host that HttpClient in functions may reach, as 'api.example.org', '*.example.org' or "
        "with ':port'; repeatable. None by default.",
    )
    allow_private_addresses: bool = _http(
        "allow_private_addresses", "Those may be in private networks or on this machine."
    )
    http_scheme: tuple[str, ...] = _http("schemes", "https or http; repeatable. Default: both.")
    http_method: tuple[str, ...] = _http(
        "methods", "Method that requests may have; repeatable. Default: the usual ones."
    )
    http_request_bytes: int = _http("max_request_bytes", "Bytes of a request's body.", min=0)
    http_response_bytes: int = _http("max_response_bytes", "Bytes of a response's body.", min=0)
    http_held_bytes: int = _http(
        "max_held_bytes", "Bytes of bodies that are held for all functions together.", min=0
    )
    http_timeout: float = _http(
        "timeout", "Seconds for a whole exchange; 0: no end.", read=_or_none, min=0
    )
    http_redirects: int = _http("max_redirects", "Redirects of one request.", min=0)
    http_connections: int = _http("max_connections", "Connections of an instance.", min=1)
    http_ca_file: str | None = _setting(
        None, "File with certificates (PEM) to trust instead of certifi's.", NETWORK, "http.tls"
    )
    http_client_file: str | None = _setting(
        None, "File with a client certificate and its key (PEM).", NETWORK, "http.tls"
    )

    image: str = _setting("full", "Image that instances start from.", SURROUNDINGS, "image")
    image_file: str | None = _setting(
        None, "The same from a file, read again by a reload.", SURROUNDINGS, "image"
    )
    jit: str | None = _option(
        "jit", "auto compiles methods that run often; off. Default: off.", SURROUNDINGS
    )
    argument: tuple[str, ...] = _setting(
        (),
        "Argument of Environment.GetCommandLineArgs(); repeatable.",
        SURROUNDINGS,
        "wasi.args",
        read=_as_it_is,
    )
    env: Mapping[str, str] = _setting(
        {},
        "NAME=VALUE that all functions see; repeatable. They inherit nothing.",
        SURROUNDINGS,
        "wasi.env",
        read=_as_it_is,
    )
    stdin_file: str | None = _setting(
        None, "File that Console.In reads. Empty by default.", SURROUNDINGS, "wasi.stdin"
    )
    stdout: str = _setting(
        "logging",
        "Where Console.Out goes: logging, inherit or discard.",
        SURROUNDINGS,
        "wasi.stdout",
        read=_as_it_is,
    )
    stderr: str = _setting(
        "logging", "The same for Console.Error.", SURROUNDINGS, "wasi.stderr", read=_as_it_is
    )
    file: Mapping[str, str] = _setting(
        {},
        "/GUEST/PATH=FILE that all functions have a copy of, in memory; repeatable.",
        SURROUNDINGS,
        "wasi.files",
    )
    mount: Mapping[str, str] = _setting(
        {},
        "/GUEST/PATH=DIRECTORY that all functions may read; repeatable.",
        SURROUNDINGS,
        "wasi.directories",
    )
    mount_writable: Mapping[str, str] = _setting(
        {}, "The same for one that they may write to.", SURROUNDINGS, "wasi.directories"
    )

    access_log: bool = _option("access_log", "A line of JSON on stdout a request.", OPERATION)
    labelled_functions: int = _option(
        "labelled_functions",
        "Functions with a label of their own in the metrics.",
        OPERATION,
        min=0,
    )
    poll_seconds: float = _option(
        "poll_seconds", "Time between looks for others' deploys.", OPERATION
    )
    drain_seconds: float = _option(
        "drain_seconds", "Seconds that calls may take to end when the image is reloaded.", OPERATION
    )
    admin_host: str = _setting(
        "127.0.0.1",
        "Address of the admin listener; whoever reaches it reads the metrics.",
        OPERATION,
    )
    admin_port: int | None = _setting(
        None,
        "Port of the admin listener: /health, /ready and /metrics for every Host, without a "
        "token. None by default.",
        OPERATION,
        min=1,
        max=65535,
    )

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
        if not self.allow_http and (named := self._of_network()):
            raise ValueError(
                f"{', '.join(named)}: expected a host that functions may reach, found none; add "
                "--allow-http HOST"
            )
        if self.allow_http and find_spec("httpx") is None:
            raise ExtraNotInstalled("HTTP for functions needs httpx", "http")
        if self.allow_package and not self.package_source:
            raise ValueError("packages are allowed, but no source is; add --package-source")
        if any(map(_is_address, self.package_source)) and find_spec("httpx") is None:
            raise ExtraNotInstalled("packages of a feed need httpx", "http")
        for directory in (*self.mount.values(), *self.mount_writable.values()):
            if not Path(directory).is_dir():
                raise ValueError(f"{directory} is not a directory; name one that exists")

    def _of_network(self) -> list[str]:
        """Options about the network of functions that were given."""
        return [
            f"--{each.name.replace('_', '-')}"
            for each in fields(self)
            if each.metadata.get("group") == NETWORK and getattr(self, each.name) != each.default
        ]

    def options(self) -> WorkerOptions:
        """For :func:`~dotnet_wasm_host.worker.create_app`.

        Raises:
            ValueError: a setting is none, or a file that it names cannot be read.
        """
        token, previous_token = (*self.tokens(), None, None)[:2]
        any_host = ("*",) if token is not None else LOOPBACK_HOSTS
        http = None
        if self.allow_http:
            http = HttpPolicy(**self._gathered("http"), tls=self._tls())
        directories: dict[str, HostDirectory] = dict(self.mount)
        directories.update((path, (name, False)) for path, name in self.mount_writable.items())
        return replace(
            _DEFAULTS,
            token=token,
            previous_token=previous_token,
            image=self.image if self.image_file is None else Path(self.image_file),
            limits=replace(_DEFAULTS.limits, **self._gathered("limits")),
            http=http,
            wasi=WasiOptions(
                **self._gathered("wasi"),
                stdin=b"" if self.stdin_file is None else _content(self.stdin_file),
                files={path: _content(name) for path, name in self.file.items()},
                directories=directories,
            ),
            allowed_hosts=self.allow_host or any_host,
            **self._gathered(""),
        )

    def _gathered(self, part: str) -> dict[str, Any]:
        """Values of a part of the options, from the settings that set one field each."""
        values = {}
        for each in fields(self):
            read = each.metadata.get("read")
            if read is not None:
                where, _, name = each.metadata["sets"][0].rpartition(".")
                if where == part:
                    values[name] = read(getattr(self, each.name))
        return values

    def _tls(self) -> SSLContext | None:
        if self.http_ca_file is None and self.http_client_file is None:
            return None
        import ssl

        try:
            context = ssl.create_default_context(cafile=self.http_ca_file)
            if self.http_client_file is not None:
                context.load_cert_chain(self.http_client_file)
        except OSError as error:  # SSLError is one
            names = ", ".join(n for n in (self.http_ca_file, self.http_client_file) if n)
            raise ValueError(
                f"expected certificates in {names}, found what cannot be read as such: {error}; "
                "give files in the PEM format"
            ) from error
        return context

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


def _content(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ValueError(
            f"{name} cannot be read: {error}; make it readable for the worker"
        ) from error
