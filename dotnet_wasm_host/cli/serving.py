"""``serve``: functions behind HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_data_path

from dotnet_wasm_host.cli.console import progress
from dotnet_wasm_host.errors import ExtraNotInstalled
from dotnet_wasm_host.images.image import RuntimeImage

__all__ = ["serve"]

TOKEN_VARIABLE = "DOTNET_WASM_HOST_TOKEN"  # noqa: S105 - the name of one


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; not loopback: needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    store: Annotated[
        Path | None,
        typer.Option(help="SQLite file of deployed functions; default: in the user's data folder."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"File with the bearer token; or set {TOKEN_VARIABLE}.", exists=True),
    ] = None,
    token_for_calls: Annotated[
        bool, typer.Option("--token-for-calls", help="Calls and listings need the token, too.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Name in the Host header to answer to; repeatable."),
    ] = None,
    image: Annotated[str, typer.Option(help="Image that instances start from.")] = "full",
    image_file: Annotated[
        Path | None, typer.Option(help="The same from a file, read again by a reload.", exists=True)
    ] = None,
    allow_http: Annotated[
        list[str] | None,
        typer.Option(
            help="Host that HttpClient in functions may reach, as 'api.example.org', "
            "'*.example.org' or with ':port'; repeatable. None by default."
        ),
    ] = None,
    allow_private_addresses: Annotated[
        bool,
        typer.Option(
            "--allow-private-addresses", help="Those may be in private networks or on this machine."
        ),
    ] = False,
    env: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE that all functions see; repeatable. They inherit nothing."),
    ] = None,
    mount: Annotated[
        list[str] | None,
        typer.Option(help="/GUEST/PATH=DIRECTORY that all functions may read; repeatable."),
    ] = None,
    isolation: Annotated[
        str, typer.Option(help="What calls share: shared, per-function or per-invocation.")
    ] = "per-function",
    timeout: Annotated[float, typer.Option(help="Seconds a call may take at most.")] = 30.0,
    memory: Annotated[int, typer.Option(help="MiB an instance may use.")] = 256,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Calls of one function at the same time, in each process; "
            "default: half as many as CPUs, 1 to 4.",
        ),
    ] = None,
    places: Annotated[
        int | None, typer.Option(min=1, help="Calls at the same time, in each process.")
    ] = None,
    waiting: Annotated[
        int, typer.Option(min=0, help="Calls that may wait for a place; more get 429.")
    ] = 1000,
    waiting_per_function: Annotated[
        int, typer.Option(min=0, help="The same for each function.")
    ] = 64,
    stack_traces: Annotated[
        bool, typer.Option("--stack-traces", help="Show .NET stack traces to callers.")
    ] = False,
    access_log: Annotated[bool, typer.Option(help="A line of JSON on stdout a request.")] = True,
    grace: Annotated[
        int, typer.Option(min=1, help="Seconds that running requests have at the end.")
    ] = 60,
) -> None:
    """Serve functions over HTTP; see docs/worker.md. SIGHUP reloads the image."""
    try:
        from dotnet_wasm_host.worker.serving import ServeSettings  # noqa: PLC0415 - an extra
        from dotnet_wasm_host.worker.serving import serve as run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise typer.BadParameter(
            f"{error.name} is not installed; run: pip install 'dotnet-wasm-host[worker]'"
        ) from error
    settings = ServeSettings(
        store=str(store or user_data_path("dotnet_wasm_host", appauthor=False) / "worker.sqlite3"),
        host=host,
        port=port,
        workers=workers,
        token=_token(token_file),
        token_for_calls=token_for_calls,
        hosts=tuple(allow_host or ()),
        http_hosts=tuple(allow_http or ()),
        http_private=allow_private_addresses,
        environment=_pairs(env or (), "--env"),
        mounts=_pairs(mount or (), "--mount"),
        image=image,
        image_file=None if image_file is None else str(image_file),
        isolation=isolation,
        timeout=timeout,
        memory_mib=memory,
        concurrency=concurrency,
        places=places,
        waiting=waiting,
        waiting_per_function=waiting_per_function,
        stack_traces=stack_traces,
        access_log=access_log,
        grace_seconds=grace,
    )
    try:
        settings.check()
    except (ValueError, ExtraNotInstalled) as error:
        raise typer.BadParameter(str(error)) from error
    if image_file is None:
        RuntimeImage.load(image, progress=progress)  # once, before several processes need it
    run(settings)


def _pairs(values: Iterable[str], option: str) -> dict[str, str]:
    pairs = dict[str, str]()
    for value in values:
        name, equals, content = value.partition("=")
        if not equals:
            raise typer.BadParameter(f"{option} {value!r} has no '='")
        pairs[name] = content
    return pairs


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}") from error
