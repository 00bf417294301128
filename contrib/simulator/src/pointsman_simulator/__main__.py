"""One simulated upstream as a process: `python -m pointsman_simulator --wire ollama --json`."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence

from pointsman_simulator.script import Reply
from pointsman_simulator.simulator import Simulator
from pointsman_simulator.vram import Vram


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs until SIGTERM or SIGINT; says on standard output when it is ready."""
    asyncio.run(_serve(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pointsman_simulator", description=__doc__)
    parser.add_argument("--wire", choices=["ollama", "openai", "claude", "localai"], required=True)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--name")
    parser.add_argument("--models", help="names with commas between them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--api-key")
    parser.add_argument("--latency", type=float, help="seconds before the first byte")
    parser.add_argument("--tokens-per-second", type=float)
    parser.add_argument("--reply", help="the default reply as JSON: the fields of Reply without fault")
    parser.add_argument("--max-loaded", type=int, help="models in memory at once; without it all are loaded")
    parser.add_argument("--load-time", type=float, default=2.0, help="seconds to load a model")
    parser.add_argument("--parallel", type=int, default=1, help="requests per loaded model")
    parser.add_argument("--lenient", action="store_true", help="OpenAI: ignore unknown fields")
    parser.add_argument("--json", action="store_true", help="say where it listens as one line of JSON")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    vram = None
    if options.max_loaded is not None:
        vram = Vram(max_loaded=options.max_loaded, load_time=options.load_time, parallel=options.parallel)
    async with Simulator(seed=options.seed) as simulator:
        upstream = await simulator.add(
            options.wire,
            name=options.name,
            models=options.models.split(",") if options.models else None,
            port=options.port,
            latency=options.latency,
            tokens_per_second=options.tokens_per_second,
            api_key=options.api_key,
            vram=vram,
            default=Reply(**json.loads(options.reply)) if options.reply else None,
            lenient=options.lenient,
        )
        ready = {
            "name": upstream.name,
            "wire": upstream.wire,
            "base_url": upstream.base_url,
            "pid": os.getpid(),
        }
        sys.stdout.write(f"{json.dumps(ready) if options.json else _sentence(ready)}\n")
        sys.stdout.flush()
        await stop.wait()


def _sentence(ready: dict[str, object]) -> str:
    return f"{ready['name']} speaks {ready['wire']} at {ready['base_url']} (process {ready['pid']})"


if __name__ == "__main__":
    main()
