"""What a host import may use: the guest's memory and the guest's exported functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.host_work import HostWork
    from dotnet_wasm_host.memory import Memory

__all__ = ["Caller", "ImportGroup", "JsFunction", "JsModule", "escape_controls"]

# C0 but for tab and line feed, DEL, C1; and what turns the direction of text (UAX 9).
_CONTROLS = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (
        *(code for code in range(0x20) if chr(code) not in "\t\n"),
        *range(0x7F, 0xA0),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    )
}


class Caller(Protocol):
    """The instance that calls a host import."""

    #: Copies are charged to :attr:`work`.
    memory: Memory
    work: HostWork

    def call(self, export: str, *arguments: int) -> int:
        """Call an exported function of the guest; 0 if it has no result."""


class ImportGroup(Protocol):
    """The imports of one concern, for one instance."""

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to the Python function that carries it out.

        i32 parameters arrive as 0..2**32-1, i64 as signed integers; an i32 result may be any
        integer and is taken modulo 2**32.
        """


JsFunction = Callable[..., object]
#: Gives an instance its functions; called once, when managed code first binds one.
JsModule = Callable[[Caller], Mapping[str, JsFunction]]


def escape_controls(text: str) -> str:
    """What a guest says, as it may be shown: a terminal obeys control characters."""
    return text if text.isprintable() else text.translate(_CONTROLS)
