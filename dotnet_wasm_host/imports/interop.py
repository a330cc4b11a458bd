"""JavaScript interop, which does not exist here: refused so that managed code can tell.

``[JSImport]`` binding answers with an error text, which .NET throws as ``JSException`` where
the function was called. Layout of a binding signature: ``marshal.ts`` of dotnet/runtime
(``JSBindingHeaderOffsets``).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import DotnetHostError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.base import Caller

__all__ = ["Interop"]

#: FunctionNameOffset, FunctionNameLength (bytes of UTF-16), both relative to the signature.
_FUNCTION_NAME = struct.Struct("<16xII")
_LONGEST_NAME = 1024


@final
class Interop:
    """The six interop imports."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def functions(self) -> Mapping[str, HostFunction]:
        """See :class:`dotnet_wasm_host.imports.base.ImportGroup`."""
        return {
            "mono_wasm_bind_js_import_ST": self.bind_import,
            "mono_wasm_invoke_jsimport_ST": _unbound("mono_wasm_invoke_jsimport_ST"),
            "mono_wasm_invoke_js_function": _unbound("mono_wasm_invoke_js_function"),
            "mono_wasm_resolve_or_reject_promise": _unbound("mono_wasm_resolve_or_reject_promise"),
            "mono_wasm_cancel_promise": _unbound("mono_wasm_cancel_promise"),
            # Finalizers of JSObject call this; there is nothing to release.
            "mono_wasm_release_cs_owned_object": lambda *_: 0,
        }

    def bind_import(self, signature: int) -> int:
        """Refuse: a pointer to UTF-16 text, which the guest frees and throws."""
        memory = self._caller.memory
        offset, length = memory.read_struct(_FUNCTION_NAME, signature)
        name = memory.read(signature + offset, min(length, _LONGEST_NAME))
        text = (
            f"'{name.decode('utf-16-le', errors='replace')}' is a JavaScript function, and this "
            "host has no JavaScript."
        ).encode("utf-16-le") + b"\0\0"
        pointer = self._caller.call("malloc", len(text))
        memory.write(pointer, text)
        return pointer


def _unbound(name: str) -> HostFunction:
    def refuse(*_arguments: object) -> None:
        raise DotnetHostError(f"the guest called '{name}' although nothing was ever bound")

    return refuse
