"""Calls before memory is written: instances start with what they left."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import StandaloneBuildError
from dotnet_wasm_host.standalone.hot_code import HotCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dotnet_wasm_host.guest.guest import Guest
    from dotnet_wasm_host.images.builder import ImageBuilder
    from dotnet_wasm_host.images.standalone import LoadedEntry
    from dotnet_wasm_host.linking.compiled_code import CompiledCode
    from dotnet_wasm_host.linking.options import Boot
    from dotnet_wasm_host.standalone.functions import GivenFunction

__all__ = ["JIT_CALLS", "Warming"]

#: Calls after which methods that a function calls once each are optimised, hot, and compiled.
JIT_CALLS = 2000
_MOST_CALLS = 1_000_000


@dataclass(frozen=True, slots=True)
class Warming:
    """Which functions are called with what.

    Attributes:
        payloads: of each function, by its id.
        jit: whether what runs often is compiled.
        calls: how often each function is called then; otherwise once with each payload.
    """

    payloads: Mapping[str, Sequence[bytes]]
    jit: bool
    calls: int

    @classmethod
    def read(
        cls, warm: Mapping[str, bytes | Sequence[bytes]], boot: Boot, *, jit: bool, calls: int
    ) -> Warming:
        """What ``build_wasm`` is given. ValueError if it does not go together."""
        if (warm or jit) and boot != "inside":
            option = "jit" if jit else "warm"
            raise ValueError(
                f"expected boot='inside' with {option}, found {boot!r}; leave {option} out"
            )
        if jit and not warm:
            raise ValueError(
                "expected warm with jit, found none; name a function and payloads to call it "
                "with: what runs often then is compiled"
            )
        if not 1 <= calls <= _MOST_CALLS:
            raise ValueError(
                f"expected jit_calls from 1 to {_MOST_CALLS:,}, found {calls}; give such a number"
            )
        payloads = {
            name: [given] if isinstance(given, bytes) else [*given] for name, given in warm.items()
        }
        for name, given in payloads.items():
            if not given:
                raise ValueError(f"expected payloads for {name!r} in warm, found none; give one")
        return cls(payloads, jit, calls)

    def check(self, given: Sequence[GivenFunction]) -> None:
        """ValueError if a function that is to be called is not there."""
        functions = [each.function_id for each in given if each.program is None]
        for name in self.payloads:
            if name not in functions:
                raise ValueError(
                    f"expected warm to name functions of {functions}, found {name!r}; name these "
                    "only"
                )

    def run(
        self, guest: Guest, builder: ImageBuilder, loaded: Sequence[LoadedEntry]
    ) -> CompiledCode | None:
        """Call the functions; the methods that were compiled for the guest, if any were.

        Raises:
            StandaloneBuildError: a function waits, or the engine cannot compile methods.
            InvocationError: a function failed.
        """
        entries = [entry for entry in loaded if entry.function.function_id in self.payloads]
        if not self.jit:
            for entry in entries:
                for number in range(len(self.payloads[entry.function.function_id])):
                    self._call(guest, entry, number)
            return None
        hot = HotCode(guest, builder.engine)
        with builder.step("calling functions and compiling what is hot"):
            for entry in entries:
                hot.profile(self.calls, partial(self._call, guest, entry))
            return hot.finish()

    def _call(self, guest: Guest, entry: LoadedEntry, number: int) -> None:
        name = entry.function.function_id
        payloads = self.payloads[name]
        answer = guest.invoke(name, entry.handle, payloads[number % len(payloads)])
        if not isinstance(answer, bytes):
            raise StandaloneBuildError(
                f"expected function {name!r} to answer at once when it is warmed, found that it "
                "waits; warm it with a payload that it does not wait for"
            )
