"""The same work in plain Python, and the machine's own copying speed. For scale."""

from __future__ import annotations

import ctypes
import json
import platform
import re
from typing import TYPE_CHECKING

from benchmarks.peers.base import CannotMeasure, Payload, Peer, payload_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Memcpy", "PurePython"]

_ADDRESS = re.compile(r"\b[a-z0-9._]+@[a-z0-9]+(?:\.[a-z]{2,})+\b")


def _fibonacci(n: int) -> int:
    return n if n < 2 else _fibonacci(n - 1) + _fibonacci(n - 2)


def _count_primes(limit: int) -> int:
    composite = bytearray(limit)
    count = 0
    for i in range(2, limit):
        if not composite[i]:
            count += 1
            composite[i * i :: i] = b"\1" * len(range(i * i, limit, i))
    return count


def _echo(payload: bytes) -> bytes:
    return bytes(bytearray(payload))


def _fib(payload: bytes) -> bytes:
    return str(_fibonacci(int(payload))).encode()


def _sieve(payload: bytes) -> bytes:
    return str(_count_primes(int(payload))).encode()


def _json(payload: bytes) -> bytes:
    return json.dumps(json.loads(payload), separators=(",", ":")).encode()


def _regex(payload: bytes) -> bytes:
    return str(sum(1 for _ in _ADDRESS.finditer(payload.decode()))).encode()


_FUNCTIONS = {"echo": _echo, "fib": _fib, "sieve": _sieve, "json": _json, "regex": _regex}


class PurePython(Peer):
    """Functions of this module."""

    def versions(self) -> dict[str, str]:
        return {platform.python_implementation(): platform.python_version()}

    def _open(self, function: str) -> Callable[[bytes], object]:
        return _FUNCTIONS[function]


class Memcpy(Peer):
    """One copy between two buffers that exist already: the floor of every echo."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._target = bytearray(32 << 20)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._target))

    def versions(self) -> dict[str, str]:
        return {"libc": " ".join(platform.libc_ver())}

    def check(self, function: str, payload: Payload) -> str:
        data = payload_of(payload)
        self._call(function)(data)
        return self._target[: len(data)].decode()

    def _open(self, function: str) -> Callable[[bytes], object]:
        if function != "echo":
            raise CannotMeasure("it only copies")
        address, move = self._address, ctypes.memmove
        return lambda payload: move(address, payload, len(payload))
