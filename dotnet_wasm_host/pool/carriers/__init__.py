"""How what functions are made of comes to the workers of a cluster: once to each.

A pickle that an engine makes for a task names parts by their hashes; the engine has the parts by
the means that it has for that. Other pickles are whole.
"""

from dotnet_wasm_host.pool.carriers.base import PartMissing
from dotnet_wasm_host.pool.carriers.choosing import Carried, carry, pickling_engine

__all__ = ["Carried", "PartMissing", "carry", "pickling_engine"]
