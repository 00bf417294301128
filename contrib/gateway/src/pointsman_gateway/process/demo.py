"""`pointsman serve --demo`: one simulated server of each kind, and a model that all of them answer for.

Where somebody can watch, as with the console, there is more to see: models, prices, records, and `traffic`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pointsman_cli.errors import Failed

if TYPE_CHECKING:
    from pointsman import Config
    from pointsman_simulator import Simulator

MODEL = "assistant"
SEED = 7
MORTAL = "gpu2"
"""The upstream that dies and comes back."""
_WIRES = ("openai", "claude", "ollama", "localai")
_LATENCY = (0.05, 0.3)
_TOKENS_PER_SECOND = 60.0
_PRICES: Mapping[str, Mapping[str, float]] = {
    "openai": {"input": 2.5, "output": 10},
    "claude": {"input": 3, "output": 15},
}
_BOUNDS: Mapping[str, Mapping[str, Any]] = {
    "localai": {"max_in_flight": 2},
    "openai": {"limits": {"requests": "300/min", "tokens": "100000/min"}},
}
_FREE = {"input": 0, "output": 0}


class Demo(Struct, frozen=True, eq=False):
    """What is served: a configuration of upstreams that `simulator` has.

    Attributes:
        watched: there is a console, and so there is to be something to see.
    """

    config: Config
    simulator: Simulator
    watched: bool


@asynccontextmanager
async def demonstration(*, watched: bool | None = None, seed: int = SEED) -> AsyncIterator[Demo]:
    """Upstreams that answer as long as this is open, each time the same way. Raises Failed.

    Args:
        watched: None for whether the console is installed.
    """
    missing = [each.replace("_", "-") for each in _modules() if find_spec(each) is None]
    if missing:
        raise Failed(f"the demo needs {', '.join(missing)}. Try: pip install 'pointsman-cli[demo]'")
    from pointsman import Config
    from pointsman_simulator import Simulator

    if watched is None:
        watched = find_spec("pointsman_console") is not None
    async with Simulator(seed=seed) as simulator:
        for wire in _WIRES:
            await simulator.add(wire, name=wire, latency=_LATENCY, tokens_per_second=_TOKENS_PER_SECOND)
        if not watched:
            yield Demo(Config.from_mapping(_plain(simulator)), simulator, watched)
            return
        await simulator.add("ollama", name=MORTAL, latency=_LATENCY, tokens_per_second=_TOKENS_PER_SECOND)
        with TemporaryDirectory(prefix="pointsman-demo-") as folder:
            yield Demo(Config.from_mapping(_lively(simulator, folder)), simulator, watched)


def _modules() -> Sequence[str]:
    return ("pointsman_simulator", *(f"pointsman_{wire}" for wire in _WIRES))


def _plain(simulator: Simulator) -> dict[str, Any]:
    upstreams = simulator.upstreams.values()
    return {
        "providers": {each.name: {"type": each.wire, "base_url": each.base_url} for each in upstreams},
        "models": {MODEL: {"deployments": [_id(simulator, each.name) for each in upstreams]}},
    }


def _id(simulator: Simulator, upstream: str) -> str:
    return f"{upstream}/{next(iter(simulator.upstreams[upstream].site.models))}"


def _lively(simulator: Simulator, folder: str) -> dict[str, Any]:
    """The same, and models that fall back, wait in line, cost something, and lose an upstream at times."""

    def deployed(upstream: str, **more: Any) -> dict[str, Any]:
        provider, _, model = _id(simulator, upstream).partition("/")
        price = _PRICES.get(upstream, _FREE)
        return {"provider": provider, "model": model, "price": price, **_BOUNDS.get(upstream, {}), **more}

    plain = _plain(simulator)
    for name in _PRICES:  # their servers want no key; it is there to be seen by its name
        plain["providers"][name]["api_key"] = f"a-key-of-the-demo-for-{name}"
    return {
        **plain,
        **(_budgets(folder) if find_spec("pointsman_callers") else {}),
        "models": {
            MODEL: {"deployments": [deployed(each) for each in _WIRES]},
            "coder": {
                "strategy": "weighted",
                "deployments": [deployed(MORTAL, weight=3), deployed("ollama", weight=2)],
                "fallback": [MODEL],
            },
            "batch": {"deployments": [deployed("localai")], "fallback": []},
        },
        "circuit_breaker": {"failure_threshold": 3, "reset_timeout": "6s"},
        "audit": [{"type": "jsonl", "path": folder}],
        "gateway": {"contents": True},
    }


def _budgets(folder: str) -> dict[str, Any]:
    """So wide that nobody who tries the demo is refused."""
    rules = [
        {"name": "everybody", "per": "all", "money": "5 USD/day", "tokens": "5M/day"},
        {"name": "each-model", "per": "model", "requests": "100000/day"},
    ]
    return {"budgets": {"database": f"{folder}/demo.db", "rules": rules}}


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
