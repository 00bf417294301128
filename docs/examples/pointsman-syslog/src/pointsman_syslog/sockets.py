"""The three ways to a syslog server."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

_SECONDS = 2.0
"""For a connection, and for each message."""


class Way:
    """A way to `address`: `udp://host:514`, `tcp://host:601` or `unix:///dev/log`.

    It connects when there is something to send, and anew after each failure.

    Raises: ValueError for an address that is none of these.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        inet = parts.scheme in ("udp", "tcp") and parts.hostname and not parts.path.strip("/")
        if not (inet or (parts.scheme == "unix" and parts.path and not parts.netloc)):
            raise ValueError("expected udp://host:514, tcp://host:601 or unix:///dev/log")
        self._scheme = parts.scheme
        self._path = parts.path
        self._place = (parts.hostname or "", parts.port or (514 if parts.scheme == "udp" else 601))
        self._socket: socket.socket | None = None

    def send(self, message: bytes) -> None:
        """Hand `message` to the system, within two seconds or so. Raises OSError."""
        try:
            if self._socket is None:
                self._socket = self._connected()
            if self._scheme == "tcp":
                # RFC 6587, octet counting: a message may hold whatever it likes.
                self._socket.sendall(b"%d %s" % (len(message), message))
            else:
                self._socket.send(message)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._scheme == "tcp":
            return socket.create_connection(self._place, timeout=_SECONDS)
        if self._scheme == "unix":
            return _datagrams(socket.AF_UNIX, self._path)
        family, _, _, _, place = socket.getaddrinfo(*self._place, type=socket.SOCK_DGRAM)[0]
        return _datagrams(family, place)


def _datagrams(family: int, place: str | tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.settimeout(_SECONDS)
        made.connect(place)
    except OSError:
        made.close()
        raise
    return made
