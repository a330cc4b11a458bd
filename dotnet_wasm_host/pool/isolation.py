"""What the calls of a pool share."""

from __future__ import annotations

from enum import Enum

__all__ = ["Isolation"]


class Isolation(Enum):
    """What calls share."""

    #: All functions share an instance for each worker. Statics live as long as the instance, and
    #: each worker has its own.
    SHARED = "shared"
    #: Every function has an instance of its own; calls of one function come one after the other,
    #: unless it was loaded with a ``concurrency``: then it has as many instances.
    PER_FUNCTION = "per function"
    #: Every call has a pristine instance, frozen right after the function was loaded.
    PER_INVOCATION = "per invocation"
