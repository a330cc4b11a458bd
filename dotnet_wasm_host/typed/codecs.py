"""Methods as two functions: one makes the payload of a call, one reads its answer.

For those who carry calls themselves; :mod:`~dotnet_wasm_host.typed.functions` calls at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, final

from dotnet_wasm_host.errors import MarshallingError
from dotnet_wasm_host.typed.packing import Packer
from dotnet_wasm_host.typed.scalars import NAMES
from dotnet_wasm_host.typed.unpacking import Unpacker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dotnet_wasm_host.typed.signatures import Function

__all__ = ["AnswerDamaged", "Codec", "CodecMaker"]


class AnswerDamaged(MarshallingError):
    """What came back from a call is no result of its method."""


class Codec(NamedTuple):
    """A method's two functions.

    Attributes:
        pack: takes the arguments in order, as ``values.canonical`` makes them.
        unpack: takes the bytes of the answer. :class:`AnswerDamaged` if they are none.
    """

    pack: Callable[..., bytes]
    unpack: Callable[[bytes], Any]


@final
class CodecMaker:
    """Makes the codecs of the methods of one assembly.

    Args:
        enums: what expressions of enums call.
    """

    def __init__(self, enums: Iterable[tuple[str, Any]]) -> None:
        self._names: dict[str, Any] = {**NAMES, **dict(enums)}
        self._records: list[str] = []
        self._packer = Packer(self._names, self._records)
        self._unpacker = Unpacker(self._names, self._records)

    def make(self, index: int, function: Function) -> Codec:
        """The codec of the method that the dispatcher calls by ``index``."""
        shapes = [argument.shape for argument in function.given]
        parameters = [f"arg_{n}" for n in range(len(shapes))]
        packing, payload = self._packer.pack(index, zip(parameters, shapes, strict=True))
        pack = [f"def pack({', '.join(parameters)}):", *packing, f"return {payload}"]
        answer = function.answer
        if answer is None:
            reading, value = ["if d: raise ValueError('it has a result')"], "None"
        else:
            reading, value = self._unpacker.unpack(answer)
        unpack = ["def unpack(d):", *reading, f"return {value}"]
        for lines in (pack, unpack):
            self._records.append("\n    ".join(lines))
        for text in self._records:
            # Our own text: names of C# are quoted, or identifiers behind a dot.
            exec(text, self._names)  # noqa: S102
        self._records.clear()
        return Codec(self._names.pop("pack"), _careful(self._names.pop("unpack"), function.name))


def _careful(unpack: Callable[[bytes], Any], name: str) -> Callable[[bytes], Any]:
    def read(answer: bytes) -> Any:  # noqa: ANN401 - what the method returns
        try:
            return unpack(answer)
        except Exception as error:
            raise AnswerDamaged(
                f"{name}(): expected the bytes of its result, found others: {error}; the guest's "
                "code that writes results is damaged"
            ) from error

    return read
