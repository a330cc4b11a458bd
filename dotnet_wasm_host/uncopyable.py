"""Objects that stand for something alive: a guest, its memory, a call."""

from __future__ import annotations

from typing import ClassVar, NoReturn, SupportsIndex

__all__ = ["Uncopyable"]


class Uncopyable:
    """Refuses ``copy.copy``, ``copy.deepcopy`` and pickling.

    A copy would share the guest with the original and free it a second time; a pickle cannot
    hold a guest at all.
    """

    __slots__ = ()

    #: What to do instead, for the message.
    _instead_of_copying: ClassVar[str] = "share the object itself, between threads too"

    def __reduce_ex__(self, _protocol: SupportsIndex) -> NoReturn:
        """Copies and pickles both start here. TypeError."""
        name = type(self).__name__
        raise TypeError(
            f"expected an object that can be copied or pickled, found a {name}, which stands for "
            f"something alive in this process; {self._instead_of_copying}"
        )
