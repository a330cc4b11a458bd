"""Python classes that stand for enums and records of C#."""

from __future__ import annotations

import abc
import dataclasses
import enum
import keyword
import unicodedata
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import MarshallingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["make_abstract", "make_enum", "make_maker", "make_record", "python_names"]


def python_names(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Names as identifiers of Python, each once: keywords and doubles get underscores."""
    used = set(taken)
    made = []
    for number, given in enumerate(names, 1):
        # Python reads identifiers in this form (PEP 3131).
        name = unicodedata.normalize("NFKC", given)
        if not name.isidentifier() or name.startswith("__"):
            name = f"p{number}"
        while keyword.iskeyword(name) or name in used:
            name += "_"
        used.add(name)
        made.append(name)
    return made


def make_enum(
    name: str, members: Mapping[str, int], module: str, *, flags: bool
) -> type[enum.IntEnum | enum.IntFlag]:
    """An ``IntEnum``, or an ``IntFlag`` for what has ``[Flags]``."""
    names = [m for m in members if m.isidentifier() and not m.startswith("_") and m != "mro"]
    kept = {unicodedata.normalize("NFKC", m): members[m] for m in names}
    base: Any = enum.IntFlag if flags and min(kept.values(), default=0) >= 0 else enum.IntEnum
    made: Any = base(name, kept, module=module, qualname=name)
    return made  # type: ignore[no-any-return]


def make_record(
    name: str, fields: Iterable[tuple[str, Any]], module: str, *, is_open: bool = False
) -> type:
    """A frozen dataclass; one that is open takes classes as those that derive from it.

    They do so for :func:`isinstance` only: fields of C# may have another order there.
    """
    made = dataclasses.make_dataclass(
        name,
        [(field, type_) for field, type_ in fields],
        bases=(abc.ABC,) if is_open else (),
        frozen=True,
    )
    made.__module__ = module
    made.__qualname__ = name
    return made


def make_abstract(
    name: str, _: Iterable[tuple[str, Any]], module: str, *, is_open: bool = True
) -> type:
    """A class for an abstract record: others are taken as those that derive from it."""
    assert is_open

    def __init__(_self: object, *_: object, **__: object) -> None:  # noqa: N807
        raise MarshallingError(
            f"expected a record that derives from {name}, which is abstract, found {name} itself; "
            "make one of those"
        )

    body: dict[str, Any] = {"__init__": __init__, "__module__": module}
    return abc.ABCMeta(name, (), body)


def make_maker(cls: type, names: Iterable[str]) -> Callable[..., Any]:
    """What makes an object of a frozen dataclass, in a third of the time that the class takes."""
    names = list(names)
    values = ", ".join(f"v{n}" for n in range(len(names)))
    lines = [f"def make({values}):", "    made = new(cls)", "    fields = made.__dict__"]
    lines += [f"    fields[{field!r}] = v{n}" for n, field in enumerate(names)]
    lines.append("    return made")
    namespace: dict[str, Any] = {"new": object.__new__, "cls": cls}
    exec("\n".join(lines), namespace)  # noqa: S102 - of our own text; names are quoted
    return namespace["make"]  # type: ignore[no-any-return]
