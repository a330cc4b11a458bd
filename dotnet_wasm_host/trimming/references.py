"""What a token means, once it is looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from dotnet_wasm_host.ecma335.signatures import MethodSignature, Type

__all__ = ["Reference"]


@final
@dataclass(frozen=True, slots=True)
class Reference:
    """What a token in a method or attribute means.

    Attributes:
        kind: ``"type"``, ``"method"``, ``"field"`` or ``"signature"``.
        target: identity of the method or field; 0 if there is none, as for the methods
            that the runtime gives to arrays.
        owner: the type it is looked up on, or the type itself.
        arguments: type arguments of a generic method.
    """

    kind: str
    target: int
    owner: Type
    arguments: tuple[Type, ...] = ()
    signature: MethodSignature | None = None
