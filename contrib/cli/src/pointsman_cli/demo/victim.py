"""The upstream that the demo kills: a process of its own.

It says on stdout where it listens, and `seen PATH` for each inference request as soon as it has come, so
that its account survives a SIGKILL. On stdin it takes `hold` (answer nothing any more) and `report`. It
ends when stdin does, so it never outlives the demo.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from random import Random

from pointsman_cli.demo.scene import ACTORS, LOST
from pointsman_simulator import Reply, RequestRecord, Simulator

_FOREVER = 3600.0


def tool_reply(record: RequestRecord, _rng: Random) -> Reply | None:
    """A call of the first tool for requests that have tools; else the usual text."""
    body = record.body if isinstance(record.body, dict) else {}
    return Reply(call_first_tool=True) if body.get("tools") else None


async def serve(*, seed: int, port: int) -> None:
    """Run until stdin ends. `port` 0 takes a free one."""
    actor = next(each for each in ACTORS if each.type == LOST)
    holding = False

    def respond(record: RequestRecord, rng: Random) -> Reply | None:
        _write(f"seen {record.path}")
        return Reply(latency=_FOREVER) if holding else tool_reply(record, rng)

    async with Simulator(seed=seed) as simulator:
        upstream = await simulator.add(
            actor.type, name=LOST, models=actor.models, port=port, latency=actor.latency
        )
        upstream.respond = respond
        lines = await _stdin()
        _write(json.dumps({"base_url": upstream.base_url, "port": upstream.port}))
        while line := await lines.readline():
            if line.strip() == b"hold":
                holding = True
                _write("holding")
            elif line.strip() == b"report":
                await upstream.idle()
                done = sum(
                    each.method == "POST" and each.outcome == "completed" for each in upstream.requests
                )
                _write(f"completed {done}")


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _write(line: str) -> None:
    """Past all buffers: what is written is in the pipe, whatever becomes of this process."""
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    asyncio.run(serve(seed=int(sys.argv[1]), port=int(sys.argv[2])))
