"""What a host import may use: the guest's memory and the guest's exported functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.host_work import HostWork
    from dotnet_wasm_host.memory import Memory

__all__ = ["Caller", "ImportGroup", "JsFunction", "JsModule"]


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
