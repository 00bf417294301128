"""How an upstream is taken to behave, as somebody writes it down, and what is assumed where nobody does."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman._internal.settings import Count, Number, Section, setting
from pointsman.plugin import Duration, Rate
from pointsman_forecast.spreads import AmountSpread, Lognormal, SecondsSpread


class MemorySettings(Section):
    """The memory of a server that loads models when they are asked for; as `Vram` of the simulator."""

    max_loaded: Count = setting(default=1, ge=1, description="models in memory at once")
    load_time: Duration = setting(default=5.0, ge=0, description="until a model is there that was not")
    unload_after: Duration = setting(default=300.0, ge=0, description="how long an idle model stays")


class UpstreamLimits(Section):
    """What the upstream itself allows; what is above it answers 429, with the time to wait."""

    requests: Rate | None = setting(default=None, description="requests, such as `500/min`")
    tokens: Rate | None = setting(default=None, description="tokens, prompt and answer: `200000/min`")


class UpstreamSettings(Section):
    """How one upstream behaves."""

    first_token: SecondsSpread = setting(
        default=Lognormal(0.5, 1.5), description="until the first token: `300ms`, `{median: …, p95: …}`, …"
    )
    tokens_per_second: AmountSpread = setting(
        default=Lognormal(60.0, 90.0), description="of an answer, once it has begun; 0: all at once"
    )
    prompt_tokens_per_second: Number = setting(
        default=0, ge=0, description="how fast it reads a prompt, before the first token; 0: in no time"
    )
    parallel: Count | None = setting(
        default=None,
        ge=1,
        description="answers at once, of each model where it has a `memory`; others wait in line",
    )
    max_queue: Count = setting(
        default=512, ge=0, description="how many may wait there; one more is answered 503"
    )
    full_speed: Count | None = setting(
        default=None, ge=1, description="answers at once at full speed; where there are more they share it"
    )
    memory: MemorySettings | None = setting(
        default=None, description="of a server that loads models; without it all are there"
    )
    limits: UpstreamLimits | None = setting(default=None, description="what it answers 429 above of")


OF_A_MODEL = frozenset({"first_token", "tokens_per_second", "prompt_tokens_per_second"})
"""What can differ from one model of an upstream to the next; all else is of the server."""

DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "claude": {
        "first_token": Lognormal(0.8, 2.0),
        "tokens_per_second": Lognormal(70.0, 100.0),
    },
    "localai": {
        "first_token": Lognormal(0.3, 0.9),
        "tokens_per_second": Lognormal(35.0, 45.0),
        "parallel": 1,
    },
    "ollama": {
        "first_token": Lognormal(0.3, 0.9),
        "tokens_per_second": Lognormal(40.0, 50.0),
        "parallel": 1,
        "memory": MemorySettings(max_loaded=3, load_time=5.0, unload_after=300.0),
    },
    "openai": {
        "first_token": Lognormal(0.5, 1.5),
        "tokens_per_second": Lognormal(80.0, 120.0),
    },
}
"""By provider type, what is taken for granted where nobody says; of other types the defaults of the keys."""

ALL = "*"
"""Stands for every upstream."""


def settings_for(
    said: Mapping[str, UpstreamSettings], *, type: str, provider: str, model: str | None = None
) -> UpstreamSettings:
    """What holds for a provider, or for one model there: each key as the most specific says.

    In this order: `provider/model` where there is a `model`, the provider, its type, `*`, and what is taken
    for granted of the type.
    """
    merged = dict(DEFAULTS.get(type, {}))
    for name in (ALL, type, provider):
        if name in said:
            merged.update((key, value) for key, value in said[name] if key in said[name].model_fields_set)
    own = said.get(f"{provider}/{model}") if model is not None else None
    if own is not None:
        merged.update((key, value) for key, value in own if key in own.model_fields_set & OF_A_MODEL)
    return UpstreamSettings.model_construct(**merged)
