"""Values of Python as declarations of C#."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from dotnet_wasm_host.errors import MarshallingError, MarshallingTypeError

__all__ = ["declare"]

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_DESERIALIZE = "System.Text.Json.JsonSerializer.Deserialize"
_OPTIONS = (
    "new System.Text.Json.JsonSerializerOptions { NumberHandling = "
    "System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals }"
)
_LARGE = 1 << 31


def declare(name: str, value: object) -> str:
    """C# that declares a variable with a value.

    Numbers, text and bools, lists of one type, dicts with text for keys, NumPy arrays and data
    frames (a dictionary of columns).

    Raises:
        MarshallingTypeError: C# has no type for it.
        MarshallingError: the name cannot be one of C#.
    """
    if not _IDENTIFIER.fullmatch(name):
        raise MarshallingError(f"expected a name that C# can have, found {name!r}; rename it")
    plain = _plain(value)
    type_ = _type_of(plain, name)
    text = json.dumps(json.dumps(_named(plain)))
    return f"{type_} @{name} = {_DESERIALIZE}<{type_}>({text}, {_OPTIONS});"


def _plain(value: Any) -> Any:  # noqa: ANN401 - that is asked
    """Data frames, series and arrays as dicts and lists."""
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        return {str(column): _plain(value[column]) for column in value.columns}
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, tuple):
        return list(value)
    return value


def _type_of(value: Any, where: str) -> str:  # noqa: ANN401
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -_LARGE <= value < _LARGE else "long"
    if isinstance(value, float):
        return "double"
    if isinstance(value, str) or value is None:
        return "string"
    if isinstance(value, list):
        return f"{_common([_type_of(_plain(item), where) for item in value], where)}[]"
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        types = {_type_of(_plain(item), where) for item in value.values()}
        inner = types.pop() if len(types) == 1 else "object"
        return f"System.Collections.Generic.Dictionary<string, {inner}>"
    raise MarshallingTypeError(
        f"{where}: expected a number, text, a list, a dict, an array or a data frame, found "
        f"{type(value).__name__}; convert it"
    )


def _common(types: list[str], where: str) -> str:
    """The type of all items of a list."""
    found = set(types)
    if len(found) <= 1:
        return found.pop() if found else "object"
    for wide in ("long", "double"):
        if wide in found and found <= {"int", "long", wide}:
            return wide
    raise MarshallingTypeError(
        f"{where}: expected a list of one type, found {', '.join(sorted(found))}; convert its items"
    )


def _named(value: Any) -> Any:  # noqa: ANN401
    """Floats that JSON lacks by the names that .NET reads."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (list, tuple)):
        return [_named(_plain(item)) for item in value]
    if isinstance(value, dict):
        return {key: _named(_plain(item)) for key, item in value.items()}
    return value
