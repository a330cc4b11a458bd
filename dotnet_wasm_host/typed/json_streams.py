"""Streams of results for those who call by name: begun, gone on with and ended by calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.typed.json_writing import to_json

if TYPE_CHECKING:
    from dotnet_wasm_host.typed.codecs import Codec
    from dotnet_wasm_host.typed.shapes import Shape

__all__ = ["JsonStream"]


@final
class JsonStream:
    """The calls of one method that returns a stream. They go to one instance.

    Args:
        begin: takes the stream's number and the method's arguments.
        go_on: takes the number, gives a list of the next result, or of nothing.
        end: takes the number.
        element: what the results are.
    """

    def __init__(self, begin: Codec, go_on: Codec, end: Codec, element: Shape) -> None:
        self.begin: Codec = begin
        self._go_on = go_on
        self._end = end
        self._element = element

    def next(self, number: int) -> bytes:
        """The payload that asks for the next result."""
        return self._go_on.pack(number)

    def results(self, answer: bytes) -> list[Any]:
        """What came, as JSON has it: one result, or none at the end."""
        return [to_json(self._element, value) for value in self._go_on.unpack(answer)]

    def end(self, number: int) -> bytes:
        """The payload that ends the stream, at its end or before."""
        return self._end.pack(number)
