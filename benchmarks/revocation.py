"""How soon a revoked key opens nothing, at two real gateways with one Redis and one database.

    uv run python benchmarks/revocation.py [--rounds 50] [--connections 4] [--no-redis]

Two processes of `pointsman serve` are asked with one key, each over connections of its own, as fast as they
answer. The key is revoked at one of them. Counted: requests that were sent after the revocation was announced
and were let in all the same, at either gateway. Shown: from the request to revoke until the last one that was
let in was sent, and until it was announced. `--no-redis` has them look at the database alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from gateway_process import asked, gateway, milliseconds

PATH = "/v1/models"
_CALLERS = "/admin/v1/callers"


class Round(Struct, frozen=True):
    """One key that was revoked.

    Attributes:
        passed: requests that were let in although they were sent after it was announced.
        let_in, refused: requests in all.
        last, announced: seconds from the request to revoke until the last was sent that was let in, and until
            it was answered.
    """

    passed: int
    let_in: int
    refused: int
    last: float
    announced: float
    all_seen: bool


class Answered(Struct, frozen=True):
    """One request: when it was sent, and its status."""

    sent: float
    status: int


async def ask_on(url: str, key: str, found: list[Answered], over: asyncio.Event) -> None:
    """Ask over one connection, one request after the other, until `over`."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"GET {PATH} HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {key}\r\n\r\n".encode()
    try:
        while not over.is_set():
            sent = monotonic()
            writer.write(head)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            await reader.readexactly(length)
            found.append(Answered(sent, int(answer.split(b" ", 2)[1])))
    finally:
        writer.close()


async def operate(url: str, path: str, body: Any = None) -> dict[str, Any]:
    """What an operator on this machine is answered."""
    status, said = await asked(
        "POST", url + path, body if body is not None else {}, **{"x-pointsman-csrf": "1"}
    )
    if status not in (200, 201):
        raise RuntimeError(f"{path}: {status} {said.decode()}")
    found: dict[str, Any] = json.loads(said)
    return found


async def revoked_once(urls: list[str], name: str, connections: int) -> Round:
    """Make a key, ask with it at all `urls`, revoke it at the first one."""
    made = await operate(urls[0], _CALLERS, {"name": name})
    found: list[Answered] = []
    over = asyncio.Event()
    asking = [
        asyncio.create_task(ask_on(url, made["key"], found, over)) for url in urls for _ in range(connections)
    ]
    while sum(each.status == 200 for each in found) < 50 * len(urls):  # noqa: ASYNC110 - other tasks count
        await asyncio.sleep(0.01)
    began = monotonic()
    told = await operate(urls[0], f"{_CALLERS}/{made['caller']['id']}/revoke")
    announced = monotonic()
    refused = sum(each.status == 401 for each in found)
    while sum(each.status == 401 for each in found) < refused + 50 * len(urls):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)
    over.set()
    await asyncio.gather(*asking)
    good = [each for each in found if each.status == 200]
    return Round(
        passed=sum(each.sent >= announced for each in good),
        let_in=len(good),
        refused=len(found) - len(good),
        last=max(each.sent for each in good) - began,
        announced=announced - began,
        all_seen=told["announced"] and len(told["seen_by"]) == len(urls),
    )


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A redis-server on a socket in `folder`."""
    socket = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        yield f"unix://{socket}"
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def two_gateways(*, with_redis: bool) -> AsyncIterator[list[str]]:
    """The addresses of two that share keys, and a store where that is wanted."""
    with tempfile.TemporaryDirectory() as folder:
        config: dict[str, Any] = {
            "providers": {"up": {"type": "ollama", "base_url": "http://127.0.0.1:9"}},
            "models": {"assistant": {"deployments": ["up/x"]}},
            "callers": {"database": f"{folder}/keys.db"},
            "gateway": {"listen": "127.0.0.1:0", "health": {"listen": "127.0.0.1:0"}},
        }
        async with AsyncExitStack() as stack:
            if with_redis:
                config["state"] = {"type": "redis", "url": stack.enter_context(redis(Path(folder)))}
            yield [(await stack.enter_async_context(gateway(config))).url for _ in range(2)]


async def measure(rounds: int, connections: int, *, with_redis: bool) -> list[Round]:
    """So many keys, one after the other."""
    async with two_gateways(with_redis=with_redis) as urls:
        return [await revoked_once(urls, f"caller {n}", connections) for n in range(rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--no-redis", action="store_true")
    said = parser.parse_args()
    found = asyncio.run(measure(said.rounds, said.connections, with_redis=not said.no_redis))
    print(f"{len(found)} keys, {sum(each.let_in + each.refused for each in found)} requests")
    print(f"let in after the revocation was announced: {sum(each.passed for each in found)}")
    print(f"announced with all gateways: {sum(each.all_seen for each in found)} of {len(found)}")
    print("the last one let in, ms:", milliseconds(sorted(each.last for each in found)))
    print("announced, ms:          ", milliseconds(sorted(each.announced for each in found)))
    sys.exit(1 if any(each.passed or not each.all_seen for each in found) else 0)


if __name__ == "__main__":
    main()
