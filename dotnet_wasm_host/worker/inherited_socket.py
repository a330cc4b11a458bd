"""A listening socket that somebody else opened: systemd, or whoever does as it does.

The socket outlives the process. Between the end of one and the start of the next, and while two run
at the same time, connections wait in its queue and none is refused. The protocol is that of
``sd_listen_fds(3)``.
"""

from __future__ import annotations

import os
import socket

__all__ = ["SocketNotUsable", "inherited_socket"]

#: ``SD_LISTEN_FDS_START``
_FIRST = 3
_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


class SocketNotUsable(ValueError):
    """What was passed is not one socket that listens."""


def inherited_socket() -> socket.socket | None:
    """The socket to listen at, ``None`` if nobody passed one to this process.

    The variables that say so are taken out of the environment: the socket is given once.

    Raises:
        SocketNotUsable: there are several, or it does not listen.
    """
    given = {name: os.environ.get(name, "") for name in _VARIABLES}
    if given["LISTEN_PID"] != str(os.getpid()):  # they are somebody else's
        return None
    for name in _VARIABLES:
        os.environ.pop(name, None)
    if given["LISTEN_FDS"] != "1":
        raise SocketNotUsable(
            f"expected one inherited socket, found LISTEN_FDS={given['LISTEN_FDS']!r}; give the "
            "unit one ListenStream="
        )
    try:
        inherited = socket.socket(fileno=_FIRST)
        listens = inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise SocketNotUsable(
            f"expected an inherited socket as file descriptor {_FIRST}, found none: {error}; pass "
            "it, or leave LISTEN_PID out"
        ) from error
    if not listens or inherited.type != socket.SOCK_STREAM:
        raise SocketNotUsable(
            "expected an inherited socket that listens, found another one; give the unit "
            "ListenStream= and Accept=no"
        )
    inherited.set_inheritable(False)
    return inherited
