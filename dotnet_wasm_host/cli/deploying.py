"""``deploy``: a function to a worker."""

from __future__ import annotations

import json
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

import typer

from dotnet_wasm_host.cli.console import (
    ProgramExit,
    print_json,
    progress,
    report_diagnostic,
    style,
)
from dotnet_wasm_host.cli.function_files import Dependencies, Handler, read_file
from dotnet_wasm_host.cli.package_options import AllowPackages, PackageSources
from dotnet_wasm_host.diagnostic import Diagnostic
from dotnet_wasm_host.programs.uploads import Upload, read_upload

__all__ = ["deploy"]

TOKEN_VARIABLE = "DOTNET_WASM_HOST_TOKEN"  # noqa: S105 - the name of one
#: Exit codes: what the C# or the assembly has, and what the worker or the way to it has.
_NOT_COMPILED, _NOT_LOADABLE, _NOT_DEPLOYED = 3, 4, 6
_SECONDS = 300.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def deploy(
    file: Annotated[
        Path,
        typer.Argument(
            help="A .cs file, a .dll, a .zip, a .csproj, or a folder: of DLLs as 'publish' writes "
            "it, or of sources.",
            exists=True,
        ),
    ],
    to: Annotated[str, typer.Option("--to", help="Address of the worker, http://HOST:PORT.")],
    function_id: Annotated[
        str | None, typer.Option("--id", help="Id of the function; by default the file's name.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"File with the worker's token, instead of {TOKEN_VARIABLE}."),
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar=TOKEN_VARIABLE, hidden=True, show_envvar=False)
    ] = None,
    dependency: Dependencies = None,
    package_source: PackageSources = None,
    allow_package: AllowPackages = None,
    handler: Handler = None,
    assembly: Annotated[
        str | None, typer.Option(help="DLL of a folder or zip to call, if there are several.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that a call may take.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Calls at the same time.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Only if the id is free.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the answer in JSON.")] = False,
) -> None:
    """Deploy a function to a worker that 'serve' runs."""
    upload = read_upload(
        file,
        dependency or [],
        package_sources=package_source or [],
        allow_packages=allow_package,
        progress=progress,
    )
    name = function_id or file.resolve().stem
    query = {
        "handler": handler, "assembly": assembly, "timeout": timeout, "concurrency": concurrency
    }  # fmt: skip
    url = _address(to, name, {key: value for key, value in query.items() if value is not None})
    if token_file is not None:
        token = read_file(token_file).decode("ascii", "replace").split("\n", 1)[0].strip()
    answer = _put(url, upload, token, file, only_new=new)
    if json_:
        print_json(answer)
        return
    called = f"POST {url.partition('?')[0]}/"
    if answer.get("kind") == "typed":
        called += "{" + ", ".join(answer["methods"]) + "} with JSON"
    else:
        called += "invoke with bytes"
    typer.echo(f"{name}: deployed, version {answer['sha256'][:12]}, {answer['size']:,} bytes")
    typer.echo(called)


def _address(to: str, name: str, query: dict[str, Any]) -> str:
    parts = urlsplit(to if "://" in to else f"http://{to}")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise typer.BadParameter(
            f"{to!r} is not the address of a worker; write for example http://127.0.0.1:8080"
        )
    base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    return f"{base}/functions/{quote(name, safe='')}{'?' + urlencode(query) if query else ''}"


def _put(
    url: str, upload: Upload, token: str | None, file: Path, *, only_new: bool
) -> dict[str, Any]:
    headers = {"Content-Type": upload.media_type, "User-Agent": "dotnet-wasm-host"}
    if only_new:
        headers["If-None-Match"] = "*"
    parts = urlsplit(url)
    if token:
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            text = f"warning: the token goes to {parts.hostname} unencrypted; use https"
            typer.echo(style(text, fg=typer.colors.YELLOW), err=True)
        headers["Authorization"] = f"Bearer {token}"
    # The scheme was looked at: no file is opened.
    request = Request(url, upload.content, headers, method="PUT")  # noqa: S310
    try:
        with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            made: dict[str, Any] = json.load(answer)
            return made
    except HTTPError as error:
        with error:
            raise ProgramExit(_explain(error, file, url)) from None
    except (URLError, OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        _complain(f"no worker answers at {parts.netloc}: {reason}; see that 'serve' runs there")
        raise ProgramExit(_NOT_DEPLOYED) from None


def _explain(error: HTTPError, file: Path, url: str) -> int:
    """Print what the worker says; the exit code."""
    try:
        problem = json.loads(error.read())
        kind, detail = str(problem["type"]).rpartition(":")[2], str(problem["detail"])
    except (ValueError, TypeError, KeyError, OSError, HTTPException):
        netloc = urlsplit(url).netloc
        _complain(f"{netloc} answered {error.code} {error.reason}; see that it is a worker")
        return _NOT_DEPLOYED
    if kind == "compilation-failed" and isinstance(problem.get("diagnostics"), list):
        for found in problem["diagnostics"]:
            report_diagnostic(_diagnostic(found, file))
        return _NOT_COMPILED
    if error.code == 401:
        detail += f" (--token-file, or {TOKEN_VARIABLE})"
    _complain(f"{detail} ({error.code} {kind})")
    return _NOT_LOADABLE if error.code == 422 else _NOT_DEPLOYED


def _diagnostic(found: dict[str, Any], file: Path) -> Diagnostic:
    """What the worker's compiler said, of the file as it is called here."""
    severity = found.get("severity")
    return Diagnostic(
        str(found.get("id", "")),
        severity if severity in {"error", "warning", "info"} else "error",
        str(found.get("message", "")),
        file.name,
        int(found.get("line") or 0),
        int(found.get("column") or 0),
    )


def _complain(text: str) -> None:
    typer.echo(style(f"error: {text}", fg=typer.colors.RED), err=True)
