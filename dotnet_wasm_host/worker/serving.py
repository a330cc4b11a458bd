"""Run the worker: uvicorn, one process or several."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess

from dotnet_wasm_host.engines.threads import can_start_threads
from dotnet_wasm_host.errors import LimitExceeded
from dotnet_wasm_host.worker.access_log import ACCESS_LOG
from dotnet_wasm_host.worker.admin import admin_listener
from dotnet_wasm_host.worker.app import create_app
from dotnet_wasm_host.worker.inherited_socket import inherited_socket
from dotnet_wasm_host.worker.metrics import forget_dead_processes, multiprocess_folder
from dotnet_wasm_host.worker.settings import ServeSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from types import FrameType

    from fastapi import FastAPI
    from starlette.types import Lifespan

__all__ = ["app_of_environment", "serve"]

_log = logging.getLogger(__name__)
_APP = "dotnet_wasm_host.worker.serving:app_of_environment"
#: As ``uvicorn.run`` has it.
_START_FAILED = 3
#: Settings on their way to the processes that uvicorn starts.
VARIABLE = "DOTNET_WASM_HOST_WORKER"
#: Seconds that an idle connection is kept: longer than proxies and load balancers keep theirs
#: (60 s in nginx and others), or one would now and then send a request into a closing connection.
KEEP_ALIVE_SECONDS = 75
#: Seconds after which Python code of one thread lets another go on; 0.005 by default. A request
#: needs the interpreter lock several times, and each time may wait for what a host function does
#: for somebody else's guest.
SWITCH_SECONDS = 0.001
#: Thresholds of the garbage collector, which holds the interpreter lock. Nothing of a call waits
#: for it, so all but the shortest kinds, some 1 and 4 ms, may come seldom.
COLLECTION = (5_000, 5, 50)
#: Threads that a process starts, at the latest in its first call: the four of libuv, which ends a
#: process that cannot have them by SIGABRT, and those of the event loop, the store and the pool.
THREADS = 12


def serve(settings: ServeSettings) -> None:
    """Serve until SIGTERM or SIGINT; then finish what runs.

    SIGHUP reloads the image and the token file: in a single process by itself, with several
    processes by replacing one after the other. A socket that was passed to the process, as systemd
    does, is listened at instead of the address of the settings.

    Raises:
        InsecureAddress: others could reach the socket that was passed, and there is no token.
        SocketNotUsable: it does not listen, or there are several.
        LimitExceeded: the process may not have the threads that a worker needs in any case.
    """
    inherited = inherited_socket()
    if inherited is not None:
        settings = _listening_at(settings, inherited)
    settings.check()
    _require_threads(settings.workers * (THREADS + 1 if settings.workers > 1 else THREADS))
    _set_up_logging()
    # uvicorn raises the signal again when it is done; to end as asked is success.
    signal.signal(signal.SIGTERM, _leave)
    options: dict[str, Any] = {
        "factory": True,
        "host": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "access_log": False,  # ours is structured
        "server_header": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": settings.grace,
        "timeout_worker_healthcheck": 60,
        "log_config": None,
    }
    with _environment(settings):
        if inherited is None:
            uvicorn.run(_APP, **options)
        else:
            _serve_at(inherited, uvicorn.Config(_APP, **options))


def _listening_at(settings: ServeSettings, inherited: socket.socket) -> ServeSettings:
    """The settings with the address at which the socket really listens."""
    address = inherited.getsockname()
    if inherited.family not in {socket.AF_INET, socket.AF_INET6}:
        return replace(settings, host="localhost")  # of this machine, as its permissions say
    return replace(settings, host=address[0], port=address[1])


def _serve_at(inherited: socket.socket, config: uvicorn.Config) -> None:
    _log.info("listening at the inherited socket %s", inherited.getsockname())
    if config.workers > 1:
        Multiprocess(config, [inherited]).run()
        return
    server = uvicorn.Server(config)
    server.run([inherited])
    if not server.started:
        sys.exit(_START_FAILED)


def app_of_environment() -> FastAPI:
    """The app of a process that :func:`serve` started."""
    settings = ServeSettings.from_json(json.loads(os.environ[VARIABLE]))
    sys.setswitchinterval(SWITCH_SECONDS)
    _set_up_logging()
    folder = multiprocess_folder()
    if folder is not None:
        forget_dead_processes(Path(folder))
    app = create_app(settings.options(), store=settings.store)
    lifespan = app.router.lifespan_context
    if settings.admin_port is not None:
        lifespan = _watched(app, lifespan, settings.admin_host, settings.admin_port)
    app.router.lifespan_context = _settled(lifespan, settings)
    if settings.workers == 1 and hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: _reload(app, settings))
    return app


def _require_threads(count: int) -> None:
    if not can_start_threads(count):
        raise LimitExceeded(
            f"expected room for the {count} threads and processes that a worker starts, found "
            "less; raise the limit of processes and threads (ulimit -u, pids.max, TasksMax=)"
        )


def _reload(app: FastAPI, settings: ServeSettings) -> None:
    """Take the tokens of the file as it is now, and the image."""
    try:
        app.state.guard.accept(settings.tokens())
    except ValueError as error:
        _log.error("the tokens stay as they are: %s", error)
    app.state.worker.reload_soon()


def _watched(app: FastAPI, lifespan: Lifespan[FastAPI], host: str, port: int) -> Lifespan[FastAPI]:
    """The same, with the admin listener from the start to the end."""

    @asynccontextmanager
    async def watched(_: FastAPI) -> AsyncIterator[Mapping[str, Any] | None]:
        async with admin_listener(app.state.worker, host, port), lifespan(app) as state:
            yield state

    return watched  # type: ignore[return-value] # with or without state, as it came


def _linger(app: FastAPI, settings: ServeSettings) -> None:
    """At SIGTERM, let clients leave before the server does.

    It takes no new connections. Other processes have the listening socket, too, and what waits in
    its queue is theirs.
    """
    handler = signal.getsignal(signal.SIGTERM)
    server = getattr(handler, "__self__", None)
    if not isinstance(server, uvicorn.Server) or not settings.linger:
        return
    loop, leaving = asyncio.get_running_loop(), app.state.leaving

    def begin(number: int) -> None:
        for listener in server.servers:
            listener.close()
        loop.call_later(settings.linger, server.handle_exit, number, None)

    def leave(number: int, frame: FrameType | None) -> None:
        quiet = time.perf_counter() - leaving.last_request > settings.linger
        if leaving.active or quiet:
            server.handle_exit(number, frame)
        else:
            leaving.active = True
            loop.call_soon_threadsafe(begin, number)

    signal.signal(signal.SIGTERM, leave)


def _settled(lifespan: Lifespan[FastAPI], settings: ServeSettings) -> Lifespan[FastAPI]:
    """The same, and what is there when it has started is not looked through for garbage again.

    A full collection over all that would hold up every request for some 50 ms, now and then.
    """

    @asynccontextmanager
    async def settled(app: FastAPI) -> AsyncIterator[Mapping[str, Any] | None]:
        async with lifespan(app) as state:
            _linger(app, settings)
            gc.collect()
            gc.freeze()
            gc.set_threshold(*COLLECTION)
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
    added = {VARIABLE: json.dumps(settings.to_json())}
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
