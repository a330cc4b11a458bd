"""Many runtimes behind one object: threads, asyncio, three degrees of isolation."""

from dotnet_wasm_host.pool.isolation import Isolation
from dotnet_wasm_host.pool.pool import RuntimePool
from dotnet_wasm_host.pool.staging import StagedFunction
from dotnet_wasm_host.pool.stats import PoolStats

__all__ = ["Isolation", "PoolStats", "RuntimePool", "StagedFunction"]
