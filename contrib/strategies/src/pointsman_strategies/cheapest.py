"""`cheapest`: the deployment that is expected to charge least for this very call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from pydantic import BaseModel, ConfigDict, Field

from pointsman.plugin import (
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    LeastConnections,
    Member,
    Percent,
    Placing,
    Price,
    Rng,
    Strategy,
    StrategyFactory,
    Text,
)

_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_ATTACHMENT = 1_000


class CheapestSettings(BaseModel):
    """`{type: cheapest}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output_tokens: int = Field(
        default=500,
        ge=0,
        description="tokens that an answer is expected to have; a request's `max_tokens` bounds it",
    )
    tolerance: Percent = Field(
        default=0.0, description="deployments this little dearer than the cheapest count as equally cheap"
    )


class Cheapest(Strategy):
    """The lowest expected cost of the request; among equals the fewest calls in flight for their weight.

    Members without a price come after all that have one. What is full or not ready was filtered before, so
    that calls spill over to the next cheapest. O(n).

    Args:
        rng: for the ties, as for `LeastConnections`.
    """

    def __init__(self, settings: CheapestSettings | None = None, *, rng: Rng | None = None) -> None:
        self._settings = settings or CheapestSettings()
        self._least = LeastConnections(rng)
        self._degraded = ""

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        prices: list[Price | None] = [getattr(member, "price", None) for member in ready]
        first = prices[0]
        self._degraded = ""
        if all(price is first or price == first for price in prices):
            if first is None:
                self._degraded = "no deployment that is ready has a price"
            return self._least.pick(ready, request)
        costs = self._costs(prices, request)
        most = min(costs) * (1 + self._settings.tolerance)
        return self._least.pick([m for m, cost in zip(ready, costs, strict=True) if cost <= most], request)

    def _costs(self, prices: Sequence[Price | None], request: object) -> list[float]:
        prompt, answer = self.tokens(request)
        return [inf if each is None else _expected(each, prompt, answer) for each in prices]

    scored_by = "USD that the call is expected to cost; the lowest, else as least_connections"

    def scores(self, ready: Sequence[Member], placing: Placing, /) -> Mapping[str, float]:
        costs = self._costs([getattr(member, "price", None) for member in ready], placing.request)
        return {member.id: cost / 1e6 for member, cost in zip(ready, costs, strict=True)}

    def tokens(self, request: object) -> tuple[float, float]:
        """About how many tokens `request` sends and how many come back.

        Four characters are held for a token and a picture, file or sound for 1,000: crude, but the same for
        all deployments, so that only the ratio of prompt and answer matters.
        """
        match request:
            case ChatRequest():
                characters, attachments = _size(request)
                prompt = characters / _CHARACTERS_PER_TOKEN + attachments * _TOKENS_PER_ATTACHMENT
            case GenerateRequest():
                prompt = (len(request.prompt) + len(request.system or "")) / _CHARACTERS_PER_TOKEN
                prompt += len(request.images) * _TOKENS_PER_ATTACHMENT
            case EmbedRequest():
                return sum(map(len, request.texts)) / _CHARACTERS_PER_TOKEN + 1, 0.0
            case _:
                return 1.0, float(self._settings.output_tokens)
        answer = self._settings.output_tokens
        if request.max_tokens is not None:
            answer = min(answer, request.max_tokens)
        return prompt + 1, float(answer)

    def degraded(self) -> str:
        return self._degraded

    def members(self, everyone: Sequence[Member], /) -> None:
        self._least.members(everyone)

    def state(self) -> Mapping[str, object]:
        return self._least.state()

    def restore(self, state: Mapping[str, object], /) -> None:
        self._least.restore(state)


def _expected(price: Price, prompt: float, answer: float) -> float:
    """What so many tokens cost, in millionths of a USD, with nothing in the upstream's cache."""
    rates = price.at(prompt) if price.tiers else price
    return prompt * rates.input + answer * rates.output + price.request * 1_000_000


def _size(request: ChatRequest) -> tuple[int, int]:
    """Characters of text and number of attachments."""
    characters = attachments = 0
    for message in request.messages:
        if isinstance(message.content, str):
            characters += len(message.content)
            continue
        for part in message.content:
            if isinstance(part, Text):
                characters += len(part.text)
            else:
                attachments += 1
    return characters, attachments


FACTORY = StrategyFactory(
    "cheapest", CheapestSettings, lambda context: Cheapest(context.settings, rng=context.rng)
)
