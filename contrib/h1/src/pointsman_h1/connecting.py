"""From a name to a socket."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any

_Address = tuple[Any, ...]  # what `socket.getaddrinfo` gives: family, kind, protocol, name, address
_HAS_READINESS = os.name != "nt"
"""Sockets can be connected and looked after by hand; the proactor of Windows wants to do it itself."""


class Resolver:
    """Names to addresses.

    What spells an address out needs no resolver and is remembered. A name is looked up for each connection,
    since its addresses change; but of a crowd only the first asks and the others share the answer, because
    the threads that wait for resolvers are few.
    """

    def __init__(self) -> None:
        self._numeric: dict[tuple[str, int], list[_Address] | None] = {}
        self._asked: dict[tuple[str, int], asyncio.Task[list[_Address] | Exception]] = {}

    async def addresses(self, host: str, port: int, *, deadline: float) -> list[_Address]:
        """What `socket.getaddrinfo` gives.

        Raises: OSError, of which TimeoutError is one; UnicodeError for a name that can be none.
        """
        key = host, port
        try:
            known = self._numeric[key]
        except KeyError:
            known = self._numeric[key] = _of_number(host, port)
        if known is not None:
            return known
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = asyncio.create_task(self._answer(host, port))
        async with asyncio.timeout_at(deadline):
            answer = await asyncio.shield(asked)  # it is the others', too
        if isinstance(answer, Exception):
            raise answer.with_traceback(None)
        return answer

    async def _answer(self, host: str, port: int) -> list[_Address] | Exception:
        """The addresses, or the error that everybody who waits shall raise, perhaps nobody."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, OverflowError) as error:
            return error
        finally:
            del self._asked[host, port]


def _of_number(host: str, port: int) -> list[_Address] | None:
    """The one address that `host` spells out, with no thread that waits for a resolver; None for a name."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return None


async def connected(
    addresses: list[_Address], *, deadline: float, loop: asyncio.AbstractEventLoop
) -> socket.socket:
    """A connected socket without TLS, to the first of `addresses` that answers.

    Each address but the last has its share of the time that is left until `deadline` (an instant of the
    loop's clock), so that one that swallows packets does not keep the next from being tried.

    Raises: OSError of the last address; TimeoutError is one.
    """
    failure: OSError | None = None
    left = len(addresses)
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            # A model may think for minutes without a byte; this keeps the way through a NAT open.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if not (_HAS_READINESS and _connects_at_once(sock, address)):
                now = loop.time()
                async with asyncio.timeout_at(now + (deadline - now) / left):
                    await _connects(sock, address, loop)
            return sock
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        left -= 1
    raise failure or OSError("the name has no address")


def _connects_at_once(sock: socket.socket, address: object) -> bool:
    """Begin to connect; whether that is done already, as it is with most servers on this machine.

    To ask once is much less than to have the loop watch the socket. Raises: OSError.
    """
    number = sock.connect_ex(address)  # type: ignore[arg-type] # the address of this socket's family
    if number not in (0, errno.EINPROGRESS, errno.EINTR):
        raise OSError(number, os.strerror(number))
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


async def _connects(sock: socket.socket, address: object, loop: asyncio.AbstractEventLoop) -> None:
    """Return when `sock` is connected. Raises: OSError."""
    if not _HAS_READINESS:
        await loop.sock_connect(sock, address)  # type: ignore[arg-type] # as above
        return
    decided = loop.create_future()
    loop.add_writer(sock, _set, decided)
    try:
        await decided
    finally:
        loop.remove_writer(sock)
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
