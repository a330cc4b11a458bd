"""Host functions that take and return values instead of bytes."""

from __future__ import annotations

import functools
import inspect
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["json_function"]


def json_function(function: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    """Make a host function of one that takes and returns what JSON can say.

    The guest calls it with ``MinimalRuntime.HostJson.Call<TArgument, TResult>``. A coroutine
    function becomes one that the guest calls with ``HostJson.CallAsync``. Usable as a decorator::

        @json_function
        def price(order):
            return {"total": order["count"] * 3}

        Runtime(host_functions={"price": price})
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(argument: bytes) -> bytes:
            return _dump(await function(_load(argument)))

        return call_async

    @functools.wraps(function)
    def call(argument: bytes) -> bytes:
        return _dump(function(_load(argument)))

    return call


def _load(argument: bytes) -> object:
    return json.loads(argument) if argument else None


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
