"""What runs first where there are fewer processors than work."""

from __future__ import annotations

import os
import sys

__all__ = ["yield_to_event_loop"]

#: What is added to the nice value of threads that run guests. With less weight they get less
#: where all want the processor, but above all a guest that computes gives way at once to an event
#: loop that wakes up, and not at the end of its time slice of some milliseconds.
NICENESS = 5


def yield_to_event_loop() -> None:
    """Have the calling thread give way to those that serve requests. Linux only.

    Elsewhere nice values are those of whole processes.
    """
    if sys.platform == "linux":
        os.nice(NICENESS)  # of this thread
