"""What the operator of a worker decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dotnet_wasm_host.options import KIB, MIB, Limits, WasiOptions, compiles_methods
from dotnet_wasm_host.pool.cpus import usable_cpus
from dotnet_wasm_host.pool.isolation import Isolation

if TYPE_CHECKING:
    import os

    from dotnet_wasm_host.images.image import RuntimeImage
    from dotnet_wasm_host.nuget.source import PackageSource
    from dotnet_wasm_host.options import HttpPolicy

__all__ = ["SHORTEST_TOKEN", "WorkerOptions", "check_token"]

#: 16 characters of a random token, as ``openssl rand -base64 12`` prints, are 96 bits.
SHORTEST_TOKEN = 16
#: Bodies up to this size are not counted against ``buffered_bytes``: a connection costs as much.
SMALL_BODY = 64 * KIB
_POSITIVE = (
    "places", "concurrency", "functions", "poll_seconds", "body_seconds", "compile_seconds",
)  # fmt: skip


def check_token(token: str) -> None:
    """ValueError for a token that is easy to guess or that no HTTP header can carry."""
    if len(token) < SHORTEST_TOKEN:
        raise ValueError(
            f"expected a token of {SHORTEST_TOKEN} characters or more, found {len(token)}; make "
            "one with: openssl rand -base64 18"
        )
    if not (token.isascii() and token.isprintable()):
        raise ValueError(
            "expected a token of printable ASCII characters, which an HTTP header can carry; make "
            "one with: openssl rand -base64 18"
        )


def _limits() -> Limits:
    return Limits(timeout=30.0, payload_bytes=16 * MIB, result_bytes=16 * MIB)


def _places() -> int:
    # A place is a thread. Calls that hang hold theirs until their deadline, so there are more of
    # them than CPUs.
    return max(16, 4 * usable_cpus())


def _concurrency() -> int:
    # Calls that hang take a CPU each: half of them is left to other functions.
    return max(1, min(4, usable_cpus() // 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker serves functions.

    Args:
        image: what instances start from: a name, an image, or the ``Path`` of a file written by
            ``RuntimeImage.save``, which a reload opens again.
        isolation: what calls share. By default every function has instances of its own.
        places: calls that run at the same time, in this process.
        limits: memory, time and sizes. Its ``timeout`` must be set: it is the default and the
            most that a function may be deployed with.
        concurrency: calls of one function that run at the same time, unless it is deployed with
            fewer; by default half as many as there are CPUs, 1 to 4.
        http: what ``HttpClient`` in functions may do; ``None``: they have no network.
        wasi: what else they see of the host: environment, files, directories, where their output
            goes. The same for all of them.
        jit: ``"auto"`` compiles methods that run often, see :class:`~dotnet_wasm_host.Runtime`.
        waiting, waiting_per_function: calls that may wait for a place; more get 429.
        refusal_seconds: how long a refused call waits for its 429, so that clients who ask again
            at once do not take the time of others.
        token: bearer token for deploying, unloading, downloading and reloading, at least 16
            characters; ``None``: anybody who reaches the worker may.
        previous_token: a second token that is accepted, while clients change from it to ``token``.
        token_for_calls: calls and listings need the token as well.
        allowed_hosts: names in ``Host`` that are answered (``*.example.org`` patterns). Without
            a token a worker on a developer's machine should answer to loopback names only, or a
            web page could reach it through a name of its own (DNS rebinding).
        stack_traces: show .NET stack traces and WebAssembly backtraces to callers.
        assembly_bytes: largest assembly or source text that can be deployed.
        buffered_bytes: size of all larger request bodies held at the same time; more get 503.
        body_seconds: time a request's body may take to arrive.
        compile_seconds: time that a C# source may take to compile, its packages included.
        package_sources: where the packages of ``#:package`` lines come from, see
            :func:`~dotnet_wasm_host.resolve_packages`; by default sources with packages are
            refused, and nothing is asked over a network.
        allow_packages: ids of packages that may be used, dependencies included: ``"Name"``,
            ``"Name@range"``, ``"Prefix.*"``; ``None`` for all that the sources have.
        functions: most functions that can be deployed.
        labelled_functions: functions with a label of their own in the metrics; those deployed
            later share one.
        poll_seconds: how often deploys of other processes are looked for.
        drain_seconds: how long calls may take to end when the image is reloaded.
        access_log: write a line of JSON for each request.
    """

    image: str | os.PathLike[str] | RuntimeImage = "full"
    isolation: Isolation = Isolation.PER_FUNCTION
    places: int = field(default_factory=_places)
    limits: Limits = field(default_factory=_limits)
    concurrency: int = field(default_factory=_concurrency)
    http: HttpPolicy | None = None
    wasi: WasiOptions = field(default_factory=WasiOptions)
    jit: str | None = None
    waiting: int = 1000
    waiting_per_function: int = 64
    refusal_seconds: float = 0.1
    token: str | None = field(default=None, repr=False)
    previous_token: str | None = field(default=None, repr=False)
    token_for_calls: bool = False
    allowed_hosts: tuple[str, ...] = ("*",)
    stack_traces: bool = False
    assembly_bytes: int = 32 * MIB
    buffered_bytes: int = 256 * MIB
    body_seconds: float = 30.0
    compile_seconds: float = 10.0
    package_sources: tuple[str | os.PathLike[str] | PackageSource, ...] = ()
    allow_packages: tuple[str, ...] | None = None
    functions: int = 1000
    labelled_functions: int = 100
    poll_seconds: float = 0.2
    drain_seconds: float = 60.0
    access_log: bool = True

    def __post_init__(self) -> None:
        if self.limits.timeout is None:
            raise ValueError(
                "limits.timeout is None; give seconds, because calls of a worker need a deadline"
            )
        compiles_methods(self.jit)
        for token in self.tokens:
            check_token(token)
        if self.previous_token is not None and self.token is None:
            raise ValueError("previous_token is set and token is not; give the new one as token")
        if self.token_for_calls and self.token is None:
            raise ValueError("token_for_calls needs a token; give one, too")
        for name in ("package_sources", "allow_packages"):
            given: object = getattr(self, name)
            if given is not None and not isinstance(given, tuple):
                raise ValueError(f"{name} is {given!r}; give a tuple")
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give more than zero")

    @property
    def tokens(self) -> tuple[str, ...]:
        """The bearer tokens that are accepted."""
        return tuple(each for each in (self.token, self.previous_token) if each is not None)

    @property
    def timeout(self) -> float:
        """Seconds a call may take at most."""
        assert self.limits.timeout is not None
        return self.limits.timeout

    @property
    def json_bytes(self) -> int:
        """Largest JSON body: each byte may take four characters there ("255,"), and some room."""
        return 4 * max(self.limits.payload_bytes, self.assembly_bytes) + 8 * KIB
