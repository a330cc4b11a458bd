"""Python callables that guests were given as delegates, by numbers that nobody can guess."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import HostFunctionMissing

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from concurrent.futures import Future

    from dotnet_wasm_host.imports.host_work import HostWork

__all__ = ["CALLABLES_NAME", "begin_callable", "call_callable", "lend", "take_back"]

#: What the C# half calls; ``Callables.HostName``.
CALLABLES_NAME = "dotnet_wasm_host.callables".encode("utf-16-le")
#: Not what keeps them: a callable may refer to the module that it was given to.
_lent: MutableMapping[int, Callable[[bytes, HostWork], Any]] = weakref.WeakValueDictionary()


def lend(function: Callable[[bytes, HostWork], Any]) -> int:
    """A number below 0 by which guests call a function.

    It takes bytes and the meter of the instance that calls, and gives bytes or a future of them.

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


def _find(argument: bytes) -> Callable[[bytes, HostWork], Any]:
    function = _lent.get(int.from_bytes(argument[:8], "little", signed=True))
    if function is None:
        raise HostFunctionMissing(
            "there is no callable for this delegate: the module that it was given to was closed "
            "or its call was cancelled; give it again"
        )
    return function


def call_callable(argument: bytes, work: HostWork) -> bytes:
    """Call a callable, whose number the argument begins with; what it copies is charged."""
    answer: bytes = _find(argument)(argument, work)
    return answer


def begin_callable(argument: bytes, work: HostWork) -> Future[bytes]:
    """Begin a call of a callable that .NET awaits."""
    begun: Future[bytes] = _find(argument)(argument, work)
    return begun
