"""``params`` of C#: any number of arguments for one array."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import MarshallingError
from dotnet_wasm_host.typed.values import canonical

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.typed.signatures import Function

__all__ = ["spread"]


def spread(function: Function, call: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes the items of the last parameter one by one, too, or none of them."""
    *before, last = function.given

    @wraps(call)
    def spreading(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what C# has
        if len(args) < len(before) or last.name in kwargs:
            if last.name not in kwargs and all(a.name in kwargs for a in before[len(args) :]):
                kwargs[last.name] = ()
            return call(*args, **kwargs)
        rest = args[len(before) :]
        if len(rest) == 1 and _is_whole(rest[0]):
            return call(*args, **kwargs)
        return call(*args[: len(before)], rest, **kwargs)

    def _is_whole(value: object) -> bool:
        """Whether it is the array itself and not an item of it."""
        try:
            canonical(last.shape, value, "")
        except MarshallingError:
            return False
        return True

    signature = inspect.signature(call)
    parameters = list(signature.parameters.values())
    parameters[-1] = parameters[-1].replace(
        kind=inspect.Parameter.VAR_POSITIONAL, default=inspect.Parameter.empty
    )
    vars(spreading)["__signature__"] = signature.replace(parameters=parameters)
    return spreading
