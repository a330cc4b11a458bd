"""The worker: .NET functions behind HTTP (extra ``worker``).

::

    from dotnet_wasm_host.worker import WorkerOptions, create_app

    app = create_app(WorkerOptions(token="..."), store="functions.sqlite3")

``dotnet-wasm-host serve`` runs it; docs/worker.md says how to operate it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dotnet_wasm_host.worker.app import create_app
    from dotnet_wasm_host.worker.options import WorkerOptions
    from dotnet_wasm_host.worker.sqlite_store import SqliteStore
    from dotnet_wasm_host.worker.store import (
        Condition,
        FunctionRecord,
        FunctionStore,
        PreconditionFailed,
        StoredFunction,
        StoreError,
        TooManyFunctions,
    )

__all__ = [
    "Condition",
    "FunctionRecord",
    "FunctionStore",
    "PreconditionFailed",
    "SqliteStore",
    "StoreError",
    "StoredFunction",
    "TooManyFunctions",
    "WorkerOptions",
    "create_app",
]

#: Imported at first use: the command line reads settings without the extra.
_MODULES = {
    "SqliteStore": "sqlite_store",
    "WorkerOptions": "options",
    "create_app": "app",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'store')}"), name)
    globals()[name] = value
    return value
