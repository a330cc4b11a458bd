"""Let .NET copy blocks with ``memory.copy``.

Every array copy of managed code ends in ``mono_gc_memmove_aligned`` (dotnet/runtime,
``src/mono/mono/metadata/memfuncs.c``). It moves one 32-bit word at a time, so that another
thread or a collector that scans concurrently never sees half a reference. This build has
neither: one instruction does the same, about three times as fast, and has nothing left to
assert about alignment.
"""

from __future__ import annotations

import hashlib

from dotnet_wasm_host.wasm.binary import FunctionType, MalformedModule, ValueType, vector
from dotnet_wasm_host.wasm.module import Module, SectionId

__all__ = ["COPY_BODY", "KNOWN_BODIES", "find", "use_memory_copy"]

#: SHA-256 of the function's body, locals included, in the native builds this project knows.
KNOWN_BODIES = frozenset(
    {
        # 10.0.10
        "4163e2473417549cd4c9cf36a051f49dd286f3024d26bd76473eb03649600f1f",
    }
)
_SIGNATURE = FunctionType(params=(ValueType.I32, ValueType.I32, ValueType.I32))
#: No locals; local.get 0, local.get 1, local.get 2, memory.copy 0 0, end (core 2.0, 5.4.6).
COPY_BODY = bytes.fromhex("00 2000 2001 2002 fc0a0000 0b")


def use_memory_copy(native: bytes) -> bytes:
    """The module with that function replaced; MalformedModule if it does not have it."""
    module = Module.parse(native)
    bodies = module.bodies()
    bodies[find(module)] = COPY_BODY
    module.set_section(SectionId.CODE, [vector(body) for body in bodies])
    return module.emit()


def find(module: Module) -> int:
    """Index of the function among those with a body."""
    found = [i for i, body in enumerate(module.bodies()) if _is_known(body)]
    if len(found) != 1 or module.types()[module.function_type_indices()[found[0]]] != _SIGNATURE:
        raise MalformedModule(
            "mono_gc_memmove_aligned is not the function this version knows; docs/artifacts.md "
            "says how to find it in a new build"
        )
    return found[0]


def _is_known(body: bytes) -> bool:
    return hashlib.sha256(body).hexdigest() in KNOWN_BODIES
