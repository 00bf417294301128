"""From a name to a socket."""

from __future__ import annotations

import asyncio
import socket


async def connected(
    host: str, port: int, *, deadline: float, loop: asyncio.AbstractEventLoop
) -> socket.socket:
    """A connected socket without TLS, to the first address of `host` that answers.

    Each address but the last has its share of the time that is left until `deadline` (an instant of the
    loop's clock), so that one that swallows packets does not keep the next from being tried. At `deadline`
    the caller gives up.

    Raises: OSError of the last address; TimeoutError is one. UnicodeError for a name that can be none.
    """
    addresses = await _addresses(host, port, loop)
    failure: OSError | None = None
    for n, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            # A model may think for minutes without a byte; this keeps the way through a NAT open.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            left = len(addresses) - n
            # The caller's own time limit is that of the last address, mostly the only one.
            async with asyncio.timeout((deadline - loop.time()) / left if left > 1 else None):
                await loop.sock_connect(sock, address)
            return sock
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    raise failure or OSError(f"{host} has no address")


async def _addresses(host: str, port: int, loop: asyncio.AbstractEventLoop) -> list[tuple]:  # type: ignore[type-arg]
    try:  # an address needs no resolver, and so no thread
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
