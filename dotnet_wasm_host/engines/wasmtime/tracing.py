"""Functions that trace and profile (:func:`sys.settrace`), before Python 3.12.

They may raise whenever they are called: pdb does so to quit. At the entry and the end of a callback
ctypes would drop that. So they are put aside while a guest runs, and put back for what a guest
calls. Since Python 3.12 a function can be exempt from them
(:func:`dotnet_wasm_host.engines.wasmtime.callbacks.make_opaque`).
"""

from __future__ import annotations

import sys
from sys import getprofile, gettrace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.wasmtime.active import Presence

__all__ = ["NEEDED", "getprofile", "gettrace", "put_aside", "put_back"]

NEEDED: Final = sys.version_info < (3, 12)


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
