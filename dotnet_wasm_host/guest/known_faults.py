"""Faults of this build of .NET that give wrong answers, looked for in what is loaded.

They are upstream's, and documented in the guide. What throws an exception names itself; what runs
the wrong method does not, so whoever loads an assembly that comes to it is warned.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.metadata import Metadata, Table
from dotnet_wasm_host.ecma335.tables import METHOD_DEF_OR_REF

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["warn_of_faults"]

_log = logging.getLogger("dotnet_wasm_host.guest")
#: II.23.1.15, II.23.1.10.
_INTERFACE, _STATIC = 0x20, 0x10
#: Names in a message; an assembly may have any number.
_SHOWN = 5


def warn_of_faults(function_id: str, image: bytes, dependencies: Iterable[bytes]) -> None:
    """Log what of an assembly this .NET gets wrong.

    For the function's own assembly that is a warning; dependencies may never come to it.
    """
    _log_faults(function_id, image, logging.WARNING)
    if _log.isEnabledFor(logging.INFO):
        for dependency in dependencies:
            _log_faults(function_id, dependency, logging.INFO)


def _log_faults(function_id: str, image: bytes, level: int) -> None:
    try:
        found = _implemented_by_interfaces(Metadata(image))
    except (MalformedImage, IndexError):
        return  # loading says what is wrong with it
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        _log.log(
            level,
            "%r: an interface implements the static abstract member %s of another one; called with "
            "the interface as type argument, this .NET runs the base implementation",
            function_id,
            ", ".join(found[:_SHOWN]) + more,
            extra={"function_id": function_id},
        )


def _implemented_by_interfaces(metadata: Metadata) -> list[str]:
    """Static methods of interfaces that implement those of other interfaces (II.22.27)."""
    found = []
    for owner, body, _ in metadata.rows(Table.METHOD_IMPL):
        table, row = METHOD_DEF_OR_REF.split(body)
        if table is not Table.METHOD_DEF or not metadata.row(Table.TYPE_DEF, owner)[0] & _INTERFACE:
            continue
        _, _, flags, name, *_ = metadata.row(Table.METHOD_DEF, row)
        if flags & _STATIC:
            found.append(metadata.string(name))
    return found
