"""Functions that trace and profile (:func:`sys.settrace`).

They may raise whenever they are called: pdb does so to quit. At the entry and the end of a callback
ctypes would drop that. So they are put aside while a guest runs, and put back for what a guest
calls. (The flag ``CO_NO_MONITORING_EVENTS`` of Python 3.12 is for trampolines of its own: 3.13 runs
the first instruction of any other function for ever that has it, and 3.12.1 crashes.)
"""

from __future__ import annotations

import sys
from sys import getprofile, gettrace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.wasmtime.active import Presence

__all__ = ["getprofile", "gettrace", "put_aside", "put_back"]


def put_aside(presence: Presence) -> None:
    """Let this thread go on without them, inside of an instance."""
    trace, profile = gettrace(), getprofile()
    # Profilers in C are no functions and cannot be put back. Nor do they raise.
    if not callable(profile):
        profile = None
    if trace is not None:
        sys.settrace(None)
    if profile is not None:
        sys.setprofile(None)
    presence.tracing = (trace, profile)


def put_back(presence: Presence) -> None:
    """Go on with them."""
    (trace, profile), presence.tracing = presence.tracing or (None, None), None
    if profile is not None:
        sys.setprofile(profile)
    if trace is not None:
        sys.settrace(trace)
