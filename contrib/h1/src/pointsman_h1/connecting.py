"""From a name to a socket."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from itertools import zip_longest
from typing import Any

from pointsman.plugin import RESOURCE_ERRORS

_Address = tuple[Any, ...]  # what `socket.getaddrinfo` gives: family, kind, protocol, name, address
ATTEMPT_DELAY = 0.25
"""Seconds after which the next address is tried as well, as RFC 8305 recommends."""
NAMED_AT_MOST = 5
"""Addresses that the message of a failure names."""
_HAS_READINESS = os.name != "nt"
"""Sockets can be connected and looked after by hand; the proactor of Windows wants to do it itself."""


class Resolver:
    """Names to addresses.

    What spells an address out needs no resolver and is remembered. A name is looked up for each connection,
    since its addresses change; but of a crowd only the first asks and the others share the answer, because
    the threads that wait for resolvers are few: with six of them and 20 ms for an answer, all but the first
    1,500 of a crowd that asked one by one ran out of their connect timeout.
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
            raise answer.with_traceback(None)  # all who wait raise this one: their tracebacks would add up
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
    """A connected socket without TLS, to whichever of `addresses` answers first.

    They are tried by families in turns, the next one as soon as another has failed or after a quarter of a
    second, so that one that swallows packets keeps nobody from the others. What does not leave time for all
    of them until `deadline` (an instant of the loop's clock) is shortened.

    Raises: OSError that says what came of each address; TimeoutError is one.
    Source: RFC 8305, "Happy Eyeballs Version 2", sections 4 and 5.
    """
    order = deque(interleaved(addresses))
    attempts = _Attempts(loop)
    try:
        while order or (attempts.running and loop.time() < deadline):
            while order and not attempts.begin(order.popleft()):
                pass  # it failed at once
            if attempts.winner is None and attempts.running:
                await attempts.one_decided(_pause(deadline - loop.time(), len(order)))
            if attempts.winner is not None:
                return attempts.winner
        raise attempts.failure()
    finally:
        attempts.close()


def interleaved(addresses: list[_Address]) -> list[_Address]:
    """The same, each family in its order, and the families by turns, beginning with that of the first."""
    families: dict[int, list[_Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    return [address for turn in zip_longest(*families.values()) for address in turn if address is not None]


def _pause(left: float, others: int) -> float:
    """Seconds to wait before the next of so many `others` is tried, when so many are left for all."""
    return min(ATTEMPT_DELAY, left / (others + 1)) if others else left


class _Attempts:
    """Sockets that connect at the same time.

    Attributes:
        running: what becomes of each that is not connected yet: an error, or None when it is.
        winner: the first that is connected.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.running: dict[asyncio.Future[OSError | None], tuple[_Address, socket.socket]] = {}
        self.winner: socket.socket | None = None
        self._loop = loop
        self._failures: list[tuple[_Address, OSError]] = []

    def begin(self, address: _Address) -> bool:
        """Begin with one more address; False when it has failed already."""
        try:
            sock, decided = _begun(address, self._loop)
        except OSError as error:
            self._failures.append((address, error))
            return False
        if decided is None:
            self.winner = sock
        else:
            self.running[decided] = address, sock
        return True

    async def one_decided(self, seconds: float) -> None:
        """Return when one of them is connected or has failed, or after so many seconds."""
        await asyncio.wait(self.running, timeout=max(0, seconds), return_when=asyncio.FIRST_COMPLETED)
        for each in [each for each in self.running if each.done()]:
            error = each.result()
            if error is not None:
                address, sock = self.running.pop(each)
                sock.close()
                self._failures.append((address, error))
            elif self.winner is None:
                _, self.winner = self.running.pop(each)

    def close(self) -> None:
        """Close all but the winner."""
        for decided, (_, sock) in self.running.items():
            decided.cancel()
            if _HAS_READINESS:
                self._loop.remove_writer(sock)
            sock.close()
        self.running.clear()

    def failure(self) -> OSError:
        """What came of each address, or what we lacked ourselves."""
        for _, error in self._failures:
            if error.errno in RESOURCE_ERRORS:
                return error
        ends = [(address, _why(error)) for address, error in self._failures]
        ends += [(address, "no answer") for address, _ in self.running.values()]
        if len(ends) == 1:
            return self._failures[0][1] if self._failures else TimeoutError()
        named = [f"{address[4][0]}: {why}" for address, why in ends[:NAMED_AT_MOST]]
        if len(ends) > NAMED_AT_MOST:
            named.append(f"and {len(ends) - NAMED_AT_MOST} more")
        failure = TimeoutError if self.running else OSError
        return failure("; ".join(named) or "the name has no address")


def _begun(
    address: _Address, loop: asyncio.AbstractEventLoop
) -> tuple[socket.socket, asyncio.Future[OSError | None] | None]:
    """A socket that connects to `address`, and what will become of it; None: it is connected.

    Raises: OSError.
    """
    family, kind, protocol, _, at = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        # A model may think for minutes without a byte; this keeps the way through a NAT open.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if not _HAS_READINESS:
            return sock, loop.create_task(_connects(sock, at, loop))
        if _connects_at_once(sock, at):
            return sock, None
        decided: asyncio.Future[OSError | None] = loop.create_future()
        loop.add_writer(sock, _decide, sock, decided, loop)
    except BaseException:
        sock.close()
        raise
    return sock, decided


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


def _decide(
    sock: socket.socket, decided: asyncio.Future[OSError | None], loop: asyncio.AbstractEventLoop
) -> None:
    loop.remove_writer(sock)
    if not decided.done():
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        decided.set_result(OSError(number, os.strerror(number)) if number else None)


async def _connects(sock: socket.socket, address: object, loop: asyncio.AbstractEventLoop) -> OSError | None:
    try:
        await loop.sock_connect(sock, address)  # type: ignore[arg-type] # as above
    except OSError as error:
        return error
    return None


def _why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
