"""A name has two addresses, and the first swallows packets (broken IPv6 is the usual case).

Expected: the second is tried after a quarter of a second, as RFC 8305 has it and as aiohttp and httpx do here.
"""

import asyncio
import socket
import sys
import time

from upstream import OK, Upstream, config, reply

from pointsman import Router


async def main():
    black_hole = socket.socket()
    black_hole.bind(("127.0.0.1", 0))
    black_hole.listen(0)
    fill = [socket.socket() for _ in range(6)]
    for each in fill:
        each.setblocking(False)
        each.connect_ex(black_hole.getsockname())
    real = socket.getaddrinfo
    slow = False
    for transport in ("h1", "aiohttp", "httpx"):
        async with Upstream(lambda *_: reply(OK)) as up:
            both = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", at)
                for at in (black_hole.getsockname(), ("127.0.0.1", up.port))
            ]
            socket.getaddrinfo = lambda host, *a, **k: (
                both if host in ("two.test", b"two.test") else real(host, *a, **k)
            )
            began = time.monotonic()
            try:
                asked = config("openai", f"http://two.test:{up.port}", transport=transport, retry="none")
                async with Router.from_config(asked) as router:
                    await router.chat("x", "hi")
            finally:
                socket.getaddrinfo = real
            took = time.monotonic() - began
            slow |= took > 1
            print(f"{transport}: {took:.2f} s")
    return slow


sys.exit(asyncio.run(main()))
