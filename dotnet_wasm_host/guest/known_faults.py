"""Faults of this build of .NET that end the guest, looked for in what is loaded.

They are upstream's, and documented in the guide. What throws an exception names itself; what ends
the guest does not, so whoever loads an assembly that refers to it is warned.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.metadata import Metadata, Table
from dotnet_wasm_host.ecma335.tables import MEMBER_REF_PARENT

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["warn_of_faults"]

_log = logging.getLogger("dotnet_wasm_host.guest")
#: Type and member, and what happens to who calls it.
_FAULTS = {
    ("Marshal", "GetFunctionPointerForDelegate"): "is a memory fault (GuestTrap) when it is called",
    ("PropertyBuilder", "SetConstant"): "ends the guest (GuestTerminated) for a decimal",
}


def warn_of_faults(function_id: str, image: bytes, dependencies: Iterable[bytes]) -> None:
    """Log what an assembly refers to and this .NET cannot do without dying.

    For the function's own assembly that is a warning; dependencies may never come to it.
    """
    _log_faults(function_id, image, logging.WARNING)
    for dependency in dependencies:
        _log_faults(function_id, dependency, logging.INFO)


def _log_faults(function_id: str, image: bytes, level: int) -> None:
    # A look for the bytes of the names takes microseconds, and is enough for nearly all.
    if any(member.encode() in image for _, member in _FAULTS):
        for type_name, member in _found_in(image):
            name, what = f"{type_name}.{member}", _FAULTS[type_name, member]
            _log.log(
                level,
                "%r refers to %s, which %s",
                function_id,
                name,
                what,
                extra={"function_id": function_id},
            )


def _found_in(image: bytes) -> tuple[tuple[str, str], ...]:
    try:
        metadata = Metadata(image)
        references = metadata.rows(Table.MEMBER_REF)
        members = {member for _, member in _FAULTS}
        found = set()
        for parent, name, _ in references:
            member = metadata.string(name)
            table, row = MEMBER_REF_PARENT.split(parent)
            if member in members and table is Table.TYPE_REF:
                found.add((metadata.string(metadata.row(Table.TYPE_REF, row)[1]), member))
    except MalformedImage:
        return ()  # loading says what is wrong with it
    return tuple(sorted(found & _FAULTS.keys()))
