"""Calls of the host's import functions as only a hostile guest makes them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.imports.cxx_exceptions import CxxException
from dotnet_wasm_host.wasm.module import Module

#: What a host function may raise: it ends the call that the guest makes it in.
ALLOWED = (dwh.DotnetHostError, CxxException)


def signatures() -> Mapping[str, list[str]]:
    """Parameter types of the imports, by name."""
    module = Module.parse(ArtifactStore.locate().read("dotnet.code.wasm"))
    types = module.types()
    return {
        i.name: [parameter.name.lower() for parameter in types[i.type].params]
        for i in module.imports()
        if isinstance(i.type, int)
    }


class HostileGuest:
    """Random calls with pointers, lengths and descriptors that are right, nearly right, wrong."""

    def __init__(self, runtime: dwh.Runtime, generator: random.Random) -> None:
        self._generator = generator
        self._host = runtime._current.guest.host
        self._functions: Mapping[str, Callable[..., object]] = self._host.functions()
        self._signatures = signatures()
        self.names = sorted(set(self._functions) & set(self._signatures))

    def call(self, name: str) -> None:
        """One call. Anything but ``ALLOWED`` comes out; a result is a number or nothing."""
        generator, memory = self._generator, self._host.memory
        if generator.random() < 0.2:
            memory.write(generator.randrange(memory.size - 64), generator.randbytes(64))
        arguments = [self._value(kind, memory.size) for kind in self._signatures[name]]
        try:
            result = self._functions[name](*arguments)
        except ALLOWED:
            return
        assert result is None or isinstance(result, (int, float)), (name, arguments, result)

    def _value(self, kind: str, size: int) -> int | float:
        generator = self._generator
        if kind == "i32":
            edges = (0, 1, 2, 3, 4, 8, 16, 64, 255, 1024, 65535, size - 4, size - 1, size,
                     size + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip
            return generator.choice(
                (generator.choice(edges), generator.randrange(size), generator.getrandbits(32))
            )
        if kind == "i64":
            return generator.choice((0, 1, -1, 2**63 - 1, -(2**63), generator.randrange(10_000)))
        return generator.choice((0.0, -1.5, 1e300, float("nan"), float("inf"), -float("inf"), 1e6))
