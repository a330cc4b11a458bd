"""``serve``: functions behind HTTP."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from platformdirs import user_data_path

from dotnet_wasm_host.cli.console import progress
from dotnet_wasm_host.errors import ExtraNotInstalled
from dotnet_wasm_host.images.image import RuntimeImage
from dotnet_wasm_host.worker.inherited_socket import SocketNotUsable
from dotnet_wasm_host.worker.settings import PAIRS, REPEATABLE, InsecureAddress, ServeSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["serve"]

TOKEN_VARIABLE = "DOTNET_WASM_HOST_TOKEN"  # noqa: S105 - the name of one
#: Before the name of a setting, in capitals, in the environment.
VARIABLE_PREFIX = "DOTNET_WASM_HOST_SERVE_"


def serve(**values: Any) -> None:
    """Serve functions over HTTP; see docs/worker.md. SIGHUP reloads the image and the token file.

    Every option can also be an environment variable: --waiting is
    DOTNET_WASM_HOST_SERVE_WAITING. Values of repeatable options are separated by spaces there.
    """
    try:
        from dotnet_wasm_host.worker.serving import serve as run
    except ModuleNotFoundError as error:
        raise typer.BadParameter(
            f"{error.name} is not installed; run: pip install 'dotnet-wasm-host[worker]'"
        ) from error
    settings = ServeSettings(
        token=os.environ.get(TOKEN_VARIABLE) or None,
        **{name: _of_option(name, value) for name, value in values.items()},
    )
    if not settings.store:
        folder = user_data_path("dotnet_wasm_host", appauthor=False)
        settings = replace(settings, store=str(folder / "worker.sqlite3"))
    try:
        settings.check()
    except (ValueError, ExtraNotInstalled) as error:
        raise typer.BadParameter(str(error)) from error
    if settings.image_file is None:
        # Once, before several processes need it.
        RuntimeImage.load(settings.image, progress=progress, jit=settings.jit)
    try:
        run(settings)
    except (InsecureAddress, SocketNotUsable) as error:
        raise typer.BadParameter(str(error)) from error


def _with_options(command: Callable[..., None]) -> None:
    """Give a command the parameters that Typer makes options of: one for each setting."""
    types = get_type_hints(ServeSettings)
    parameters = [
        _parameter(each, types[each.name]) for each in fields(ServeSettings) if each.name != "token"
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}


def _parameter(each: Field[Any], type_: Any) -> inspect.Parameter:
    """The parameter for one setting."""
    default = None if each.default is MISSING else each.default
    name = each.name.replace("_", "-")
    flag = [f"--{name}/--no-{name}"] if type_ is bool else [f"--{name}"]
    if each.name in (*PAIRS, *REPEATABLE):
        type_, default = list[str] | None, None
    option = typer.Option(
        *flag,
        help=each.metadata["help"],
        envvar=VARIABLE_PREFIX + each.name.upper(),
        show_envvar=False,
        rich_help_panel=each.metadata["group"],
        min=each.metadata.get("min"),
        max=each.metadata.get("max"),
    )
    return _keyword(each.name, Annotated[type_, option], default)


def _keyword(name: str, annotation: Any, default: object) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _of_option(name: str, value: Any) -> Any:
    """What a setting is made of: repeatable options are lists here."""
    if name in PAIRS:
        return _pairs(value or (), f"--{name.replace('_', '-')}")
    if not value and name in REPEATABLE:
        return getattr(ServeSettings(), name)
    return tuple(value or ()) if name in REPEATABLE else value


def _pairs(values: Iterable[str], option: str) -> Mapping[str, str]:
    pairs = dict[str, str]()
    for value in values:
        name, equals, content = value.partition("=")
        if not equals:
            raise typer.BadParameter(f"{option} {value!r} has no '='; write {option} NAME=VALUE")
        pairs[name] = content
    return pairs


_with_options(serve)
