"""The worker: .NET functions behind HTTP (extra ``worker``).

::

    from dotnet_wasm_host.worker import WorkerOptions, create_app

    app = create_app(WorkerOptions(token="..."), store="functions.sqlite3")

``dotnet-wasm-host serve`` runs it; docs/worker.md says how to operate it.
"""

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
