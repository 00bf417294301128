"""What waits in a socket before the event loop has come to it."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Iterator

_PIECE = 64 * 1024
_PIECES_AT_MOST = 16


def is_readable(sock: socket.socket | None) -> bool:
    """Whether bytes or the end wait in the socket, perhaps before the event loop has come to them.

    Nothing should arrive on an idle connection, so one that is readable is not to be used again. True
    also for a socket that is closed or None. Takes a system call, about 2 us.
    """
    number = sock.fileno() if sock is not None else -1
    if number < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


def last_words(transport: asyncio.BaseTransport | None) -> Iterator[bytes]:
    """What had come on a connection before it broke, in pieces of at most 64 KiB; to be asked as it is lost.

    A server that refuses a request before all of it was sent may answer and reset. Whoever writes next hears
    of the reset only, and asyncio then closes the socket with the answer in it. Over TLS there is no way to
    it, nor on Windows.
    """
    sock = None if transport is None else transport.get_extra_info("socket")
    if transport is None or sock is None or transport.get_extra_info("sslcontext") is not None:
        return
    for _ in range(_PIECES_AT_MOST):
        try:
            piece = os.read(sock.fileno(), _PIECE)
        except OSError:  # nothing more
            return
        if not piece:
            return
        yield piece
