"""JSON that others wrote, read value by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["JsonReader"]

T = TypeVar("T", int, str)


@final
class JsonReader:
    """A JSON object whose values are checked when they are taken. Raises ValueError.

    Attributes:
        values: the object.
    """

    def __init__(self, values: Any) -> None:  # noqa: ANN401 - this is where it is checked
        if not isinstance(values, dict):
            raise ValueError(f"an object is expected, not {str(values)[:80]!r}")  # noqa: TRY004
        self.values: dict[str, Any] = values

    def text(self, key: str) -> str:
        """A text."""
        value: str = self._take(key, str)
        return value

    def number(self, key: str) -> int:
        """An integer from zero to 2**63-1."""
        return _in_range(key, self._take(key, int))

    def integer(self, key: str) -> int:
        """An integer from -(2**63-1) to 2**63-1."""
        value: int = self._take(key, int)
        _in_range(key, abs(value))
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value: bool = self._take(key, bool)
        return value

    def numbers(self, key: str) -> tuple[int, ...]:
        """A list of addresses, sizes or counts."""
        return tuple(_in_range(key, _checked(key, i, int)) for i in self._take(key, list))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(_checked(key, item, str) for item in self._take(key, list))

    def object(self, key: str) -> JsonReader:
        """An object inside."""
        return JsonReader(self._take(key, dict))

    def objects(self, key: str) -> Iterator[JsonReader]:
        """A list of objects."""
        return map(JsonReader, self._take(key, list))

    def entries(self, key: str) -> Iterator[tuple[str, list[Any]]]:
        """The lists of an object."""
        for name, item in self._take(key, dict).items():
            yield name, _checked(key, item, list)

    def mapping(self, key: str, kind: type[T]) -> dict[str, T]:
        """An object whose values are all texts, or all numbers as in :meth:`number`."""
        items = {k: _checked(key, v, kind) for k, v in self._take(key, dict).items()}
        for item in items.values():
            if isinstance(item, int):
                _in_range(key, item)
        return items

    def _take(self, key: str, kind: type[Any]) -> Any:  # noqa: ANN401 - of this kind
        if key not in self.values:
            raise ValueError(f"{key!r} is missing")
        return _checked(key, self.values[key], kind)


def _checked(key: str, value: object, kind: type[Any]) -> Any:  # noqa: ANN401 - of this kind
    if type(value) is not kind:  # true is an integer in Python
        raise ValueError(f"{key!r} is {str(value)[:80]!r}, not of type {kind.__name__}")
    return value


def _in_range(key: str, value: int) -> int:
    if not 0 <= value < 2**63:
        raise ValueError(f"{key!r} is {value}")
    return value
