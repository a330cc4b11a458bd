"""WebAssembly engines, found by name."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import EngineUnavailable
from dotnet_wasm_host.options import DEFAULT_STACK_BYTES

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.base import Engine

__all__ = ["get_engine"]


def get_engine(engine: str | Engine | None = None, *, stack_bytes: int | None = None) -> Engine:
    """The engine called ``engine`` (one a process, shared), or ``engine`` itself if it is one.

    Args:
        engine: name or engine; the default one if not given.
        stack_bytes: stack that guest code may use. There is one engine for each size.

    Raises:
        EngineUnavailable: not installed, or not made for this Python.
        ValueError: no engine has this name.
    """
    if engine is None or engine == "wasmtime":
        return _wasmtime(stack_bytes or DEFAULT_STACK_BYTES)
    if engine == "wasmer":
        raise EngineUnavailable(_why_no_wasmer())
    if not isinstance(engine, str):
        return engine
    raise ValueError(f"there is no engine {engine!r}; choose 'wasmtime'")


@cache
def _wasmtime(stack_bytes: int) -> Engine:
    try:
        from dotnet_wasm_host.engines.wasmtime import WasmtimeEngine  # noqa: PLC0415
    except ImportError as error:
        raise EngineUnavailable(
            f"wasmtime cannot be imported ({error}); run: pip install 'wasmtime>=50,<51'"
        ) from error
    return WasmtimeEngine(stack_bytes=stack_bytes)


def _why_no_wasmer() -> str:
    if sys.version_info >= (3, 11):
        return (
            "wasmer 1.1.0, its last release for Python, has no wheels for CPython "
            f"{sys.version_info.major}.{sys.version_info.minor} (3.10 is the newest it has); "
            "use engine='wasmtime', the default"
        )
    return "this version drives wasmtime only; use engine='wasmtime', the default"
