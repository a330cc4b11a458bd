"""Python callables that guests were given as delegates, by numbers that nobody can guess."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import HostFunctionMissing

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

__all__ = ["CALLABLES", "lend", "take_back"]

#: What the C# half calls; ``Callables.HostName``.
_NAME = "dotnet_wasm_host.callables"
#: Not what keeps them: a callable may refer to the module that it was given to.
_lent: MutableMapping[int, Callable[[bytes], bytes]] = weakref.WeakValueDictionary()


def lend(function: Callable[[bytes], bytes]) -> int:
    """A number below 0 by which guests call a function.

    Whoever lends it has to keep it. The number is the permission: it is drawn from 63 bits, and a
    guest has only those that it was given.
    """
    # Not secrets.randbits: a process that never lends would import that module, too.
    number = -1 - (int.from_bytes(os.urandom(8), "little") >> 1)
    _lent[number] = function
    return number


def take_back(number: int) -> None:
    """Forget a function."""
    _lent.pop(number, None)


def _call(argument: bytes) -> bytes:
    function = _lent.get(int.from_bytes(argument[:8], "little", signed=True))
    if function is None:
        raise HostFunctionMissing(
            "there is no callable for this delegate: the module that it was given to was closed "
            "or its call was cancelled; give it again"
        )
    return function(argument)


#: Host functions that every guest has, by their names in UTF-16.
CALLABLES: dict[bytes, Callable[[bytes], bytes]] = {_NAME.encode("utf-16-le"): _call}
