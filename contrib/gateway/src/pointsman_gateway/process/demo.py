"""`pointsman serve --demo`: simulated servers, models that they answer for, and some life in all that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from random import Random
from typing import TYPE_CHECKING, Any

from pointsman_cli.errors import Failed

if TYPE_CHECKING:
    from pointsman import Config, Router
    from pointsman_simulator import Simulator

MODEL = "assistant"
SEED = 7
"""Of what is asked, and when; the texts of the answers have their own."""
_WIRES = ("openai", "claude", "ollama", "localai")
_LATENCY = (0.05, 0.3)
_TOKENS_PER_SECOND = 60.0
_PRICES: Mapping[str, Any] = {
    "openai": {"input": 0.4, "output": 1.6},
    "claude": {"input": 3, "output": 15},
}
_FREE = {"input": 0, "output": 0}
_CALLERS = ("web", "ci", "editor")
_QUESTIONS = (
    "Why is the sky blue?",
    "Write a test for an empty list.",
    "Summarise the minutes of the meeting.",
    "Translate: the train leaves from platform nine.",
)
_EVERY = 0.7
"""Seconds between two questions, on average."""
_DIES_EVERY, _DEAD_FOR = 60.0, 20.0
_DYING = "localai"


class Fleet:
    """Simulated servers with a configuration of them, and who asks them all the time."""

    def __init__(self, config: Config, simulator: Simulator, seed: int = SEED) -> None:
        self.config = config
        self._simulator = simulator
        self._rng = Random(seed)  # noqa: S311 - a show, not a secret
        self._tasks: set[asyncio.Task[None]] = set()

    def play(self, router: Router) -> None:
        """Have `router` be asked, and one of the servers die and come back, until `end`."""
        self._begin(self._ask_on(router))
        self._begin(self._die_and_return())

    async def end(self) -> None:
        """Stop all that."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_on(self, router: Router) -> None:
        models = list(self.config.names())
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / _EVERY))
            model, question = self._rng.choice(models), self._rng.choice(_QUESTIONS)
            self._begin(_ask(router, model, question, self._rng.choice(_CALLERS)))

    async def _die_and_return(self) -> None:
        upstream = self._simulator.upstreams[_DYING]
        while True:
            await asyncio.sleep(_DIES_EVERY - _DEAD_FOR)
            await upstream.stop()
            await asyncio.sleep(_DEAD_FOR)
            await upstream.restart()


async def _ask(router: Router, model: str, question: str, caller: str) -> None:
    from pointsman import PointsmanError

    try:
        async with router.stream(model, question, caller=caller) as stream:
            async for _event in stream:
                pass
    except (PointsmanError, RuntimeError):
        return  # an error is told where others are, too; a RuntimeError is a router that was closed meanwhile


@asynccontextmanager
async def fleet_of_demo() -> AsyncIterator[Fleet]:
    """Servers that answer as long as this is open. Raises Failed where a package is missing."""
    missing = [each.replace("_", "-") for each in _modules() if find_spec(each) is None]
    if missing:
        raise Failed(f"the demo needs {', '.join(missing)}. Try: pip install 'pointsman-cli[demo]'")
    from pointsman import Config
    from pointsman_simulator import Simulator

    async with Simulator() as simulator:
        for wire in _WIRES:
            await simulator.add(wire, name=wire, latency=_LATENCY, tokens_per_second=_TOKENS_PER_SECOND)
        fleet = Fleet(Config.from_mapping(_configuration(simulator)), simulator)
        try:
            yield fleet
        finally:
            await fleet.end()


def _configuration(simulator: Simulator) -> Mapping[str, Any]:
    upstreams = simulator.upstreams
    deployments = {
        name: {"provider": name, "model": next(iter(each.site.models)), "price": _PRICES.get(name, _FREE)}
        for name, each in upstreams.items()
    }
    return {
        "providers": {
            name: {"type": each.wire, "base_url": each.base_url} for name, each in upstreams.items()
        },
        "models": {
            MODEL: {"deployments": list(deployments.values())},
            "code": {
                "strategy": "weighted",
                "deployments": [{**deployments["claude"], "weight": 3}, deployments["openai"]],
                "fallback": [MODEL],
            },
            "local": {"deployments": [deployments["localai"], deployments["ollama"]]},
        },
    }


def _modules() -> Sequence[str]:
    return ("pointsman_simulator", *(f"pointsman_{wire}" for wire in _WIRES))


def curl_lines(url: str) -> Sequence[str]:
    """Three ways to ask the demo, to be pasted into a terminal."""
    said = f'{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "Why is the sky blue?"}}]'
    json = "-H 'content-type: application/json'"
    return [
        "try:",
        f"  curl {url}/v1/chat/completions {json} -d '{said}}}'",
        f'  curl -N {url}/v1/messages {json} -d \'{said}, "max_tokens": 64, "stream": true}}\'',
        f"  curl -N {url}/api/chat {json} -d '{said}}}'",
    ]
