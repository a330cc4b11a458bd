"""What a pool was given, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.images.image import RuntimeImage, frozen_of
from dotnet_wasm_host.imports.host_functions import HostFunctions
from dotnet_wasm_host.options import HttpPolicy, Limits, WasiOptions, require_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.engines.base import Engine

__all__ = ["check_options", "lendable", "opened"]


def opened(
    image: str | RuntimeImage, engine: str | Engine | None, limits: Limits, jit: str | None
) -> RuntimeImage:
    """The image that was given, or the built-in one of this name."""
    if isinstance(image, str):
        return RuntimeImage.load(image, engine=engine, stack_bytes=limits.stack_bytes, jit=jit)
    frozen_of(image)  # is it one?
    return image


def lendable(
    host_functions: Mapping[str, Callable[[bytes], Any]] | None,
) -> HostFunctions | None:
    """Host functions that several runtimes share."""
    return None if host_functions is None else HostFunctions(host_functions, shared=True)


def check_options(size: int | None, limits: object, wasi: object, http: object) -> None:
    """ValueError or TypeError for options that cannot be."""
    if size is not None and size < 1:
        raise ValueError(f"size is {size}; give 1 or more, the calls that may run at a time")
    require_type("limits", limits, Limits)
    require_type("wasi", wasi, WasiOptions)
    require_type("http", http, HttpPolicy)
