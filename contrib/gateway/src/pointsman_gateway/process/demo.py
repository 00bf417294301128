"""`pointsman serve --demo`: one simulated server of each kind, and a model that all of them answer for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pointsman_cli.errors import Failed

if TYPE_CHECKING:
    from pointsman import Config

MODEL = "assistant"
_WIRES = ("openai", "claude", "ollama", "localai")
_LATENCY = (0.05, 0.3)
_TOKENS_PER_SECOND = 60.0


@asynccontextmanager
async def demo_configuration() -> AsyncIterator[Config]:
    """A configuration of upstreams that answer as long as this is open. Raises Failed."""
    missing = [each.replace("_", "-") for each in _modules() if find_spec(each) is None]
    if missing:
        raise Failed(f"the demo needs {', '.join(missing)}. Try: pip install 'pointsman-cli[demo]'")
    from pointsman import Config
    from pointsman_simulator import Simulator

    async with Simulator() as simulator:
        for wire in _WIRES:
            await simulator.add(wire, name=wire, latency=_LATENCY, tokens_per_second=_TOKENS_PER_SECOND)
        upstreams = simulator.upstreams.values()
        deployments = [f"{each.name}/{next(iter(each.site.models))}" for each in upstreams]
        yield Config.from_mapping(
            {
                "providers": {
                    each.name: {"type": each.wire, "base_url": each.base_url} for each in upstreams
                },
                "models": {MODEL: {"deployments": deployments}},
            }
        )


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
