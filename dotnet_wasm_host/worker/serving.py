"""Run the worker: uvicorn, one process or several."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from dotnet_wasm_host.errors import ExtraNotInstalled
from dotnet_wasm_host.options import HttpPolicy, WasiOptions
from dotnet_wasm_host.pool import Isolation
from dotnet_wasm_host.worker.access_log import ACCESS_LOG
from dotnet_wasm_host.worker.app import create_app
from dotnet_wasm_host.worker.metrics import forget_dead_processes, multiprocess_folder
from dotnet_wasm_host.worker.options import WorkerOptions
from dotnet_wasm_host.worker.security import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from fastapi import FastAPI
    from starlette.types import Lifespan

__all__ = ["InsecureAddress", "ServeSettings", "app_of_environment", "serve"]

#: Settings on their way to the processes that uvicorn starts.
VARIABLE = "DOTNET_WASM_HOST_WORKER"
#: Seconds that an idle connection is kept: longer than proxies and load balancers keep theirs
#: (60 s in nginx and others), or one would now and then send a request into a closing connection.
KEEP_ALIVE_SECONDS = 75
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class InsecureAddress(ValueError):
    """Strangers could deploy code at that address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How to run the worker. Fields as in :class:`WorkerOptions`, and those of a server.

    Args:
        store: path of the SQLite file.
        host, port: where to listen.
        workers: processes.
        image_file: file of ``RuntimeImage.save`` in place of the image called ``image``.
        hosts: names in ``Host`` that are answered; not given: any if there is a token, else the
            loopback names.
        http_hosts: what functions may reach over HTTP (``HttpPolicy.allowed_hosts``).
        http_private: whether those may have private addresses.
        environment: environment variables of functions.
        mounts: directories that functions may read, their path to one of the host.
        grace_seconds: time that running requests have when the server is told to end.
    """

    store: str
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    token: str | None = field(default=None, repr=False)
    token_for_calls: bool = False
    hosts: tuple[str, ...] = ()
    http_hosts: tuple[str, ...] = ()
    http_private: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    image: str = "full"
    image_file: str | None = None
    isolation: str = "per-function"
    timeout: float = 30.0
    memory_mib: int = 256
    concurrency: int | None = None
    places: int | None = None
    waiting: int = 1000
    waiting_per_function: int = 64
    stack_traces: bool = False
    access_log: bool = True
    grace_seconds: int = 60

    def check(self) -> None:
        """ValueError for settings that cannot be.

        InsecureAddress if others could reach it without a token.
        """
        if self.token is None and not is_loopback(self.host):
            raise InsecureAddress(
                f"{self.host} can be reached from other machines, and without a token anybody "
                "there could deploy code. Set a token, or listen at 127.0.0.1."
            )
        self.options()
        if self.http_private and not self.http_hosts:
            raise ValueError("private addresses are allowed, but no host is")
        if self.http_hosts and find_spec("httpx") is None:
            raise ExtraNotInstalled("HTTP for functions needs httpx", "http")
        for directory in self.mounts.values():
            if not Path(directory).is_dir():
                raise ValueError(f"{directory} is not a directory")

    def options(self) -> WorkerOptions:
        """For :func:`create_app`."""
        options = WorkerOptions()
        hosts = self.hosts or (("*",) if self.token is not None else LOOPBACK_HOSTS)
        limits = replace(
            options.limits, timeout=self.timeout, memory_bytes=self.memory_mib * 1024 * 1024
        )
        http = None
        if self.http_hosts:
            http = HttpPolicy(
                allowed_hosts=self.http_hosts, allow_private_addresses=self.http_private
            )
        return replace(
            options,
            http=http,
            wasi=WasiOptions(env=self.environment, directories=self.mounts),
            image=self.image if self.image_file is None else Path(self.image_file),
            isolation=Isolation(self.isolation.replace("-", " ")),
            places=self.places or options.places,
            limits=limits,
            concurrency=self.concurrency or options.concurrency,
            waiting=self.waiting,
            waiting_per_function=self.waiting_per_function,
            token=self.token,
            token_for_calls=self.token_for_calls,
            allowed_hosts=hosts,
            stack_traces=self.stack_traces,
            access_log=self.access_log,
        )


def serve(settings: ServeSettings) -> None:
    """Serve until SIGTERM or SIGINT; then finish what runs.

    SIGHUP reloads the image: in a single process by itself, with several processes by replacing
    one after the other.
    """
    settings.check()
    _set_up_logging()
    # uvicorn raises the signal again when it is done; to end as asked is success.
    signal.signal(signal.SIGTERM, _leave)
    with _environment(settings):
        uvicorn.run(
            "dotnet_wasm_host.worker.serving:app_of_environment",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            access_log=False,  # ours is structured
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=settings.grace_seconds,
            timeout_worker_healthcheck=60,
            log_config=None,
        )


def app_of_environment() -> FastAPI:
    """The app of a process that :func:`serve` started."""
    values = json.loads(os.environ[VARIABLE])
    tuples = {name: tuple(values[name]) for name in ("hosts", "http_hosts")}
    settings = ServeSettings(**{**values, **tuples})
    _set_up_logging()
    folder = multiprocess_folder()
    if folder is not None:
        forget_dead_processes(Path(folder))
    app = create_app(settings.options(), store=settings.store)
    app.router.lifespan_context = _settled(app.router.lifespan_context)
    if settings.workers == 1 and hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: app.state.worker.reload_soon())
    return app


def _settled(lifespan: Lifespan[FastAPI]) -> Lifespan[FastAPI]:
    """The same, and what is there when it has started is not looked through for garbage again.

    A full collection over all that would hold up every request for some 50 ms, now and then.
    """

    @asynccontextmanager
    async def settled(app: FastAPI) -> AsyncIterator[Mapping[str, Any] | None]:
        async with lifespan(app) as state:
            gc.collect()
            gc.freeze()
            yield state

    return settled  # type: ignore[return-value] # with or without state, as it came


def _leave(*_: object) -> None:
    raise SystemExit(0)


def _set_up_logging() -> None:
    """Log lines to stderr; access lines, which are JSON, to stdout."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    access = logging.getLogger(ACCESS_LOG)
    access.propagate = False
    if not access.handlers:
        access.addHandler(logging.StreamHandler(sys.stdout))


@contextmanager
def _environment(settings: ServeSettings) -> Iterator[None]:
    """What child processes find: settings, and where they count together."""
    added = {VARIABLE: json.dumps(asdict(settings))}
    folder = None
    if settings.workers > 1 and multiprocess_folder() is None:
        folder = tempfile.mkdtemp(prefix="dotnet-wasm-host-metrics-")
        added["PROMETHEUS_MULTIPROC_DIR"] = folder
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
