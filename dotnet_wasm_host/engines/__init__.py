"""WebAssembly engines, found by name."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from dotnet_wasm_host.engines.process import require_main_interpreter
from dotnet_wasm_host.errors import EngineUnavailable
from dotnet_wasm_host.options import DEFAULT_STACK_BYTES

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.base import Engine

__all__ = ["ENGINE_NAMES", "get_engine"]

ENGINE_NAMES = ("wasmtime", "wasmer")
#: Names the engine where the program does not.
ENVIRONMENT_VARIABLE = "DOTNET_WASM_HOST_ENGINE"


def get_engine(engine: str | Engine | None = None, *, stack_bytes: int | None = None) -> Engine:
    """The engine called ``engine`` (one a process, shared), or ``engine`` itself if it is one.

    ``None`` is what the environment variable ``DOTNET_WASM_HOST_ENGINE`` says, else wasmtime.

    Args:
        engine: name or engine.
        stack_bytes: stack that guest code may use. There is one engine for each size.

    Raises:
        EngineUnavailable: not installed, not made for this Python, or in a subinterpreter.
        ValueError: no engine has this name.
    """
    if engine is None:
        engine = os.environ.get(ENVIRONMENT_VARIABLE) or "wasmtime"
    if engine == "wasmtime":
        return _wasmtime(stack_bytes or DEFAULT_STACK_BYTES)
    if engine == "wasmer":
        if stack_bytes is not None:
            raise ValueError("wasmer cannot limit a guest's stack; leave stack_bytes out")
        return _wasmer()
    if not isinstance(engine, str):
        if not hasattr(engine, "instantiate"):
            raise TypeError(
                f"engine: expected a name or an engine, found {type(engine).__name__}; choose one "
                f"of {list(ENGINE_NAMES)}"
            )
        return engine
    raise ValueError(f"there is no engine {engine!r}; choose one of {list(ENGINE_NAMES)}")


@cache
def _wasmtime(stack_bytes: int) -> Engine:
    require_main_interpreter()
    from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeEngine

    return WasmtimeEngine(stack_bytes=stack_bytes)


@cache
def _wasmer() -> Engine:
    require_main_interpreter()
    if sys.version_info >= (3, 11):
        # On these versions pip installs a package of that name that fails when it is used.
        raise EngineUnavailable(
            "wasmer 1.1.0, its last release for Python, has no wheels for CPython "
            f"{sys.version_info.major}.{sys.version_info.minor} (3.10 is the newest it has); "
            "use engine='wasmtime', the default, or CPython 3.10"
        )
    try:
        from dotnet_wasm_host.engines.wasmer.engine import WasmerEngine
    except ImportError as error:
        raise EngineUnavailable(
            f"wasmer cannot be imported ({error}); run: pip install 'dotnet-wasm-host[wasmer]'"
        ) from error
    return WasmerEngine()
