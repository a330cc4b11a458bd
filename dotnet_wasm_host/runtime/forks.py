"""What must be known when the process forks."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol, final

__all__ = ["Forks"]


class Inherited(Protocol):
    """Something that the child of a fork cannot use."""

    def after_fork_in_child(self) -> None:
        """This is the child: locks may be held for ever, threads are gone."""


@final
class Forks:
    """Tells objects that they are in the child of a fork, where they do not work.

    A fork copies memory and one thread. A guest that another thread was running is half-way
    through a call there, for ever.
    """

    def __init__(self) -> None:
        self._objects: weakref.WeakSet[Inherited] = weakref.WeakSet()
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._in_child)

    def watch(self, item: Inherited) -> None:
        """Call ``item.after_fork_in_child()`` in children. The item is not kept alive."""
        with self._lock:
            self._objects.add(item)

    def _in_child(self) -> None:
        self._lock = threading.Lock()
        for item in tuple(self._objects):
            item.after_fork_in_child()
        self._objects = weakref.WeakSet()
