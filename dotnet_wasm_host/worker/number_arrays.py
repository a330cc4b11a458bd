"""Bytes as JSON arrays of numbers, the way the original Durable Object has them.

Large ones are read and written in pieces: done at once, 16 MiB would hold the interpreter, and
with it everybody's event loop, for most of a second.
"""

from __future__ import annotations

import re
import time

import pydantic_core

from dotnet_wasm_host.errors import MarshallingError

__all__ = ["LARGE", "read_request", "write_answer"]

#: Bytes of JSON, or of a result, that are worth a thread.
LARGE = 64 * 1024
#: Numbers that are written, and characters that are read, without a pause.
_PIECE = 32 * 1024


def read_request(content: bytes, name: str, most: int) -> tuple[str, bytes]:
    """``functionId`` and the bytes called ``name``, which may be left out.

    Raises:
        MarshallingError: it is no such JSON, or there are more than ``most`` bytes.
    """
    numbers: bytes | None = None
    shell = content
    if len(content) > LARGE:
        shell, numbers = _take_out_array(content, name)
    try:
        value = pydantic_core.from_json(shell, allow_inf_nan=False)
    except ValueError as error:
        raise MarshallingError(f"the body is not JSON: {error}; send JSON") from None
    if not isinstance(value, dict) or not isinstance(value.get("functionId"), str):
        raise MarshallingError("the body is not an object with a string 'functionId'; send one")
    items = value.get(name)
    if numbers is None:
        numbers = _bytes_of([] if items is None else items, name)
    elif items != []:
        raise MarshallingError(f"a large body has one array, and that is {name!r}; send only that")
    if len(numbers) > most:
        raise MarshallingError(f"{name!r} has {len(numbers)} bytes; send at most {most}")
    return value["functionId"], numbers


def write_answer(result: bytes) -> bytes:
    """``{"success": true, "result": [...]}``."""
    pieces = []
    for start in range(0, len(result), _PIECE):
        pieces.append(pydantic_core.to_json(list(result[start : start + _PIECE]))[1:-1])
        _let_others_run()
    return b'{"success":true,"result":[' + b",".join(pieces) + b"]}"


def _take_out_array(content: bytes, name: str) -> tuple[bytes, bytes]:
    """The JSON with an empty array in place of the one called ``name``, and the bytes of that."""
    key = re.compile(rb'"%s"\s*:\s*\[' % name.encode("ascii"))
    found = key.search(content)
    first = found.end() if found is not None else 0
    last = content.find(b"]", first)
    if found is None or last < 0 or first + len(content) - last > LARGE:
        raise MarshallingError(f"most of the body is not the array {name!r}; send little else")
    numbers = bytearray()
    start = first
    while start <= last:
        end = content.find(b",", min(start + _PIECE, last), last)
        end = last if end < 0 else end
        try:
            piece = pydantic_core.from_json(b"[%b]" % content[start:end])
        except ValueError as error:
            raise MarshallingError(
                f"{name!r} is not an array of numbers: {error}; send whole numbers 0..255"
            ) from None
        if not piece and (start > first or end < last):
            raise MarshallingError(
                f"{name!r} is not an array of numbers: a comma too many; send whole numbers 0..255"
            )
        numbers += _bytes_of(piece, name)
        start = end + 1
        _let_others_run()
    return content[:first] + content[last:], bytes(numbers)


def _bytes_of(numbers: object, name: str) -> bytes:
    # bytes() would take a number for a length, and true for 1.
    if not isinstance(numbers, list) or bool in map(type, numbers):
        raise MarshallingError(f"{name!r} is not an array of numbers; send whole numbers 0..255")
    try:
        return bytes(numbers)
    except (TypeError, ValueError):
        raise MarshallingError(
            f"{name!r} has items that are no whole numbers 0..255; send such numbers"
        ) from None


def _let_others_run() -> None:
    time.sleep(0)  # gives up the interpreter lock
