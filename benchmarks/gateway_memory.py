"""What streams that have begun and say nothing more cost a gateway in memory.

    uv run python benchmarks/gateway_memory.py [--streams 1000] [--json]
    uv run python benchmarks/gateway_memory.py --quick                      100 streams

`pointsman serve` and its upstream are processes of their own. Some streams of all surfaces come and go first,
so that what is imported and kept for good is there; that is what the gateway has when idle. Then so many
streams get their first piece each, spread over the surfaces, in front of upstreams that speak the same wire
and another one, and wait. What counts is the resident memory of the gateway's process, as Linux tells it.

Asked: at most 100 MiB more than idle for 1,000 streams, and as much less for fewer. Exit status 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from gateway_drain import begun
from gateway_process import configured, gateway, progress, raise_descriptors, upstream

GOAL_MIB = 100.0
_FIRST = 50
_MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    streams = 100 if options.quick else options.streams
    raise_descriptors(2 * streams + 500)
    figures = asyncio.run(measured(streams))
    if options.json:
        print(json.dumps(figures))
    else:
        print(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in figures.items()))
    sys.exit(figures["more_mib"] > figures["goal_mib"])


async def measured(streams: int) -> dict[str, Any]:
    """Resident memory of the gateway in MiB: idle, with so many streams, and after them."""
    async with upstream() as behind, gateway(configured(behind.url)) as serving:
        for each in await begun(serving, _FIRST, ("half",)):
            each.caller.leave()
        await serving.at_rest()
        idle = serving.resident
        waiting = await begun(serving, streams, ("half",))
        await serving.at_rest(streams)
        held = serving.resident
        for each in waiting:
            each.caller.leave()
        await serving.at_rest()
        after = serving.resident
    progress("")
    return {
        "streams": streams,
        "idle_mib": round(idle / _MIB, 1),
        "with_streams_mib": round(held / _MIB, 1),
        "more_mib": round((held - idle) / _MIB, 1),
        "goal_mib": round(GOAL_MIB * streams / 1000, 1),
        "kib_a_stream": round((held - idle) / 1024 / streams, 1),
        "after_mib": round(after / _MIB, 1),
    }


if __name__ == "__main__":
    main()
