"""What must be known when the process forks."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Generic, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Forks"]

T = TypeVar("T")


@final
class Forks(Generic[T]):
    """Tells objects that they are in the child of a fork, where they do not work.

    A fork copies memory and one thread. A guest that another thread was running is half-way
    through a call there, for ever.
    """

    def __init__(self) -> None:
        self._objects: weakref.WeakKeyDictionary[T, Callable[[T], None]] = (
            weakref.WeakKeyDictionary()
        )
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._in_child)

    def watch(self, item: T, in_child: Callable[[T], None]) -> None:
        """Call ``in_child(item)`` in children. The item is not kept alive.

        Locks may be held for ever there, and other threads are gone.
        """
        with self._lock:
            self._objects[item] = in_child

    def _in_child(self) -> None:
        self._lock = threading.Lock()
        for item, in_child in tuple(self._objects.items()):
            in_child(item)
        self._objects = weakref.WeakKeyDictionary()
