"""Python callables that C# has as delegates: kept while .NET has them, and let go."""

from __future__ import annotations

import asyncio
import struct
import threading
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.errors import DotnetHostError, LimitExceeded
from dotnet_wasm_host.imports.callables import lend, take_back
from dotnet_wasm_host.imports.host_functions import HostFunctions

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

    from dotnet_wasm_host.imports.host_work import HostWork

    #: Gives bytes, or a future of them where .NET awaits it.
    Adapted = Callable[[bytes, HostWork], bytes | Future[bytes]]

__all__ = ["CallableTable", "LentOnLoop", "handler_key"]

#: Callables after which .NET is asked for the first time which it has still.
_FIRST_SWEEP = 256
#: Callables that .NET may have at a time.
_MOST = 65_536


class LentOnLoop(list[int]):
    """Numbers of the callables that one call that is awaited has lent."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()


@final
class CallableTable:
    """The callables that one module has lent.

    A callable is *in flight* until the call that it was an argument of has ended, and kept
    afterwards as long as .NET has the delegate. .NET is asked now and then, after its garbage
    collection; a fresh instance has none of an earlier one.

    Args:
        ask: what the dispatcher answers to the question which delegates it has.
    """

    def __init__(self, ask: Callable[[], bytes]) -> None:
        self._ask = ask
        #: Has a loop for callables that are awaited where none runs.
        self.loops: HostFunctions = HostFunctions({})
        self._lock = threading.Lock()
        self._flying: dict[int, Adapted] = {}
        self._landed: dict[int, Adapted] = {}
        self._handlers: dict[object, list[int]] = {}
        self._next_sweep = _FIRST_SWEEP

    def lend(self, adapted: Adapted, lent: list[int]) -> int:
        """The number of a callable that is adapted to a delegate's type; added to ``lent``.

        Raises:
            LimitExceeded: .NET has 65,536 already.
        """
        if len(self._landed) >= self._next_sweep:
            self.sweep()
        if len(self._landed) + len(self._flying) >= _MOST:
            raise LimitExceeded(
                f"expected at most {_MOST} delegates of Python callables that .NET keeps, found "
                "one more; have C# forget some, or close the module",
                limit="host_work",
            )
        number = lend(adapted)
        self._flying[number] = adapted
        lent.append(number)
        return number

    def begin_on(self, lent: list[int]) -> Callable[[Coroutine[Any, Any, bytes]], Future[bytes]]:
        """What runs coroutines of a callable: on the loop of the call that it is given to.

        A call that is not awaited holds up the loop of its thread, so that one will not do.
        """
        loop = lent.loop if isinstance(lent, LentOnLoop) else None
        own = self.loops.run_coroutine

        def begin(coroutine: Coroutine[Any, Any, bytes]) -> Future[bytes]:
            if loop is None or not loop.is_running():
                return own(coroutine)
            return asyncio.run_coroutine_threadsafe(coroutine, loop)

        return begin

    def lend_handler(self, key: object, adapted: Adapted, lent: list[int]) -> int:
        """The same for a handler of an event, which is found again by its key."""
        number = self.lend(adapted, lent)
        with self._lock:
            self._handlers.setdefault(key, []).append(number)
        return number

    def handler(self, key: object) -> int | None:
        """The number of the handler that was lent last under a key; it is no handler any more."""
        with self._lock:
            numbers = self._handlers.get(key, [])
            number = numbers.pop() if numbers else None
            if not numbers:
                self._handlers.pop(key, None)
            return number

    def land(self, lent: list[int]) -> None:
        """The call that these were arguments of has ended."""
        for number in lent:
            self._landed[number] = self._flying.pop(number)
        lent.clear()

    def take_back(self, lent: list[int]) -> None:
        """The call that these were arguments of did not come to .NET, or its instance is gone."""
        for number in lent:
            self._flying.pop(number, None)
            take_back(number)
        lent.clear()

    def sweep(self) -> None:
        """Forget what .NET has forgotten."""
        before = list(self._landed)
        try:
            answer = self._ask()
        except DotnetHostError:
            # In the middle of a call, or none is possible any more.
            self._next_sweep = 2 * len(self._landed) + _FIRST_SWEEP
            return
        alive = {number for (number,) in struct.iter_unpack("<q", answer[: len(answer) & ~7])}
        for number in before:
            if number not in alive:
                self._landed.pop(number, None)
                take_back(number)
        with self._lock:
            for key in list(self._handlers):
                self._handlers[key] = [n for n in self._handlers[key] if n in self._landed]
                if not self._handlers[key]:
                    del self._handlers[key]
        self._next_sweep = max(_FIRST_SWEEP, 2 * len(self._landed))

    def count(self) -> int:
        """Callables that .NET has."""
        self.sweep()
        return len(self._landed) + len(self._flying)


def handler_key(value: Any) -> tuple[int, ...]:  # noqa: ANN401 - that is asked
    """What two handlers have in common that are one: bound methods are made anew each time."""
    owner = getattr(value, "__self__", None)
    if owner is None:
        return (id(value),)
    # Of built-in ones only the name is the same each time.
    function = getattr(value, "__func__", None)
    return id(owner), hash(value.__name__) if function is None else id(function)
