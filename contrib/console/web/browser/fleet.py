"""Simulated upstreams for the tests in a browser: one JSON line in, one out.

The first line that it writes says where they are. Then it takes
`{"do": "stop" | "restart", "name": …}`, `{"do": "script", "name": …, "replies": [{…}]}` and
`{"do": "outcomes", "name": …}`. It ends when stdin does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from pointsman_simulator import Fault, Reply, Simulator

WIRES = {"cloud": "openai", "gpu": "ollama"}


async def main() -> None:
    async with Simulator(seed=7) as simulator:
        for name, wire in WIRES.items():
            await simulator.add(wire, name=name, latency=0.01, tokens_per_second=200.0)
        tell({name: each.base_url for name, each in simulator.upstreams.items()})
        lines = await standard_input()
        while line := await lines.readline():
            tell(await done(simulator, json.loads(line)))


async def done(simulator: Simulator, asked: dict[str, Any]) -> Any:
    upstream = simulator.upstreams[asked["name"]]
    match asked["do"]:
        case "stop":
            await upstream.stop()
        case "restart":
            await upstream.restart()
        case "script":
            upstream.script(*(Reply(**reply(each)) for each in asked["replies"]))
        case "outcomes":
            return [each.outcome for each in upstream.requests if each.method == "POST"]
    return None


def reply(said: dict[str, Any]) -> dict[str, Any]:
    """The members of a `Reply`: lists of pieces as tuples, `fault_status` as a fault."""
    made = dict(said)
    if "chunks" in made:
        made["chunks"] = tuple(made["chunks"])
    if "fault_status" in made:
        made["fault"] = Fault.status(made.pop("fault_status"))
    return made


async def standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=2**24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def tell(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
