"""What the demo plays: its upstreams, its configuration, and which requests are made in which act."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

STRATEGIES = ("round_robin", "weighted", "least_connections")
LOST = "ollama"
"""The upstream that is killed, and comes back."""

Kind = Literal["chat", "tools", "stream", "stream with tools", "embed"]


@dataclass(frozen=True, slots=True)
class Actor:
    """One simulated upstream; its name is its provider type.

    Attributes:
        chat, embed: its models; `embed` is "" where the API has no embeddings.
        latency: seconds before the first byte.
        weight: under the strategy `weighted`.
    """

    type: str
    chat: str
    embed: str
    latency: float
    weight: int

    @property
    def models(self) -> list[str]:
        return [each for each in (self.chat, self.embed) if each]


ACTORS = (
    Actor("ollama", "llama3.2", "nomic-embed-text", 0.010, 4),
    Actor("openai", "gpt-4.1-mini", "text-embedding-3-small", 0.020, 3),
    Actor("claude", "claude-sonnet-4-5", "", 0.015, 2),
    Actor("localai", "qwen3-4b", "bge-small", 0.040, 1),
)


@dataclass(frozen=True, slots=True)
class Act:
    """One part of the demo; the counts are requests of each strategy.

    Attributes:
        name: the short word of tables.
        title: what is going on, for a person who watches.
    """

    name: str
    title: str
    chat: int
    tools: int
    stream: int
    stream_with_tools: int
    embed: int

    @property
    def count(self) -> int:
        """Requests of all strategies together."""
        kinds = self.chat + self.tools + self.stream + self.stream_with_tools + self.embed
        return kinds * len(STRATEGIES)

    def requests(self) -> Iterator[tuple[str, Kind]]:
        """Strategy and kind of each request, mixed evenly."""
        kinds: list[Kind] = _mixed(
            [
                ("chat", self.chat),
                ("tools", self.tools),
                ("stream", self.stream),
                ("stream with tools", self.stream_with_tools),
                ("embed", self.embed),
            ]
        )
        for kind in kinds:
            for strategy in STRATEGIES:
                yield strategy, kind


WELL = Act("all well", "all four upstreams are well", 30, 10, 15, 5, 9)
KILLED = Act("killed", f"{LOST} hangs, and is killed with requests in its hands", 10, 2, 6, 2, 3)
GONE = Act("gone", f"{LOST} is gone", 10, 2, 6, 2, 3)
BACK = Act("back", f"{LOST} is back", 10, 2, 6, 2, 3)
ACTS = (WELL, KILLED, GONE, BACK)
TOTAL = sum(act.count for act in ACTS)


def embed_model(strategy: str) -> str:
    """The public name of the embeddings that `strategy` balances."""
    return f"{strategy}-embeddings"


def configuration(base_urls: dict[str, str]) -> dict[str, Any]:
    """The router's configuration, for the upstreams at `base_urls` (by provider type)."""
    models: dict[str, Any] = {}
    for strategy in STRATEGIES:
        models[strategy] = _model(strategy, {actor.type: actor.chat for actor in ACTORS})
        models[embed_model(strategy)] = _model(strategy, {each.type: each.embed for each in ACTORS})
    return {
        "providers": {name: {"type": name, "base_url": url} for name, url in base_urls.items()},
        "models": models,
        "circuit_breaker": {
            "failure_threshold": 3,
            "reset_timeout": "300ms",
            "max_reset_timeout": "600ms",
        },
        "timeouts": {"first_token": "20s", "total": "25s"},
    }


def _model(strategy: str, upstream_models: dict[str, str]) -> dict[str, Any]:
    weights = {actor.type: actor.weight for actor in ACTORS}
    deployments = [
        {"provider": name, "model": model, "weight": weights[name] if strategy == "weighted" else 1}
        for name, model in upstream_models.items()
        if model
    ]
    return {"strategy": strategy, "deployments": deployments}


def _mixed(counts: list[tuple[Kind, int]]) -> list[Kind]:
    """Each kind as often as its count says, spread over the whole."""
    placed = [((n + 0.5) / count, kind) for kind, count in counts for n in range(count)]
    return [kind for _, kind in sorted(placed)]
