"""What the audit log costs.

    python benchmarks/audit_cost.py [--records 50000] [--calls 2000] [--rounds 9] [--folder .]

Records: how many a second are kept (chained, written, synced) when they come as fast as one thread can hand
them in, and how many were synced at once. Calls: CPU of a routed chat with the log and without it, paired:
rounds alternate, and the median of the differences is told, of the thread that calls and of the process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from pointsman import Router
from pointsman.builtin.audit import JsonlSettings, JsonlSink
from pointsman.clock import LoopClock
from pointsman.events import BreakerChanged
from pointsman.testing import Scripted


def records(many: int, folder: Path) -> dict[str, float]:
    """How many records a second are kept, and how many there are to one sync."""
    settings = JsonlSettings.model_validate({"path": folder / "records", "buffer": many + 10})
    sink = JsonlSink(settings, LoopClock())
    event = BreakerChanged("gpu1/llama3.2", "closed", "open", "5 failures in a row")
    began = time.perf_counter()
    for _ in range(many):
        sink(event)
    sink.close()
    took = time.perf_counter() - began
    syncs = sink.syncs
    return {
        "per_second": round(many / took),
        "syncs": syncs,
        "per_sync": round(many / syncs, 1),
        "syncs_per_5_ms": round(syncs / (took / 0.005), 2),
    }


def config(audit: list[dict[str, Any]]) -> dict[str, Any]:
    """One model with one deployment."""
    return {
        "providers": {"gpu": {"type": "scripted"}},
        "models": {"m": {"deployments": ["gpu/x"]}},
        "audit": audit,
    }


async def calls(many: int, rounds: int, folder: Path) -> dict[str, float]:
    """CPU microseconds that the log adds to a chat: of its thread, and of all threads together."""
    upstream = Scripted()
    sink = {"type": "jsonl", "path": str(folder / "calls")}
    async with (
        Router.from_config(config([]), plugins=[upstream]) as off,
        Router.from_config(config([sink]), plugins=[upstream]) as on,
    ):
        for router in (off, on):
            await spent(router, many // 4, upstream)
        paired = [(await spent(off, many, upstream), await spent(on, many, upstream)) for _ in range(rounds)]
    found = {}
    for n, name in enumerate(("thread", "process")):
        added = [(with_it[n] - without[n]) / many * 1e6 for without, with_it in paired]
        found[f"{name}_us"] = round(statistics.median(added), 1)
        found[f"{name}_us_off"] = round(statistics.median(each[0][n] for each in paired) / many * 1e6, 1)
    return found


async def spent(router: Router, many: int, upstream: Scripted) -> tuple[float, float]:
    """CPU seconds of so many chats, of this thread and of the process."""
    thread, process = time.thread_time(), time.process_time()
    for _ in range(many):
        await router.chat("m", "hi")
    spent_here = time.thread_time() - thread
    await asyncio.sleep(0.1)  # until the writer has done its part
    upstream.clear()
    return spent_here, time.process_time() - process


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk that is to be measured")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        print(json.dumps(records(asked.records, Path(folder))))
        print(json.dumps(asyncio.run(calls(asked.calls, asked.rounds, Path(folder)))))


if __name__ == "__main__":
    main()
