"""What answers say of how they came about, in fields of their head."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, json

from pointsman import Config
from pointsman.plugin import Price, Usage
from pointsman_gateway.field_values import shown

_MILLION = 1_000_000


class Origin(Struct, frozen=True):
    """Where an answer came from.

    Attributes:
        pool: the model whose deployment answered: another one than was asked for after a fallback.
        strategy: what chose it.
        price: of the deployment; None where nobody said.
    """

    pool: str = ""
    strategy: str = ""
    price: Price | None = None


class Origins:
    """The origins of answers, by what was asked for and who answered, of one configuration after another."""

    def __init__(self) -> None:
        self._config: Config | None = None
        self._known: dict[tuple[str, str], Origin] = {}

    def of(self, config: Config, model: str, deployment: str) -> Origin:
        """Where the answer of `deployment` to a request for `model` came from."""
        if config is not self._config:
            self._config, self._known = config, {}
        key = (model, deployment)
        if key not in self._known:
            self._known[key] = _origin(config, model, deployment)
        return self._known[key]


def _origin(config: Config, model: str, deployment: str) -> Origin:
    models = config.public_models()
    for name in _chain(config, model):
        for each in models[name].deployments:
            if each.id == deployment:
                strategy = models[name].strategy or config.strategy
                return Origin(name, strategy.type, each.price)
    return Origin()


def _chain(config: Config, model: str) -> Iterator[str]:
    """`model`, what its selector can choose, and all fallbacks of those, in that order, each once."""
    models = config.public_models()
    waiting, seen = [model], set[str]()
    while waiting:
        name = waiting.pop(0)
        if name in seen or name not in models:
            continue
        seen.add(name)
        yield name
        waiting += [*models[name].of, *(each.to for each in models[name].fallback)]


def about_fields(origin: Origin, model: str, deployment: str, attempts: int) -> dict[str, str]:
    """The fields of the head: who answered, chosen how, after how many attempts, and as whose fallback."""
    fields = {"x-pointsman-deployment": shown(deployment), "x-pointsman-attempts": str(attempts)}
    if origin.strategy:
        fields["x-pointsman-strategy"] = shown(origin.strategy)
    if origin.pool and origin.pool != model:
        fields["x-pointsman-fallback"] = shown(origin.pool)
    return fields


def cost(price: Price | None, usage: Usage) -> float | None:
    """What it cost; None where the price or the tokens are not known."""
    if price is None or usage.prompt is None or usage.completion is None:
        return None
    cached = min(usage.cached or 0, usage.prompt)
    cached_price = price.input if price.cached is None else price.cached
    charged = (usage.prompt - cached) * price.input + cached * cached_price + usage.completion * price.output
    return charged / _MILLION


class _Member(Struct, omit_defaults=True):
    deployment: str
    attempts: int
    cost: float | None = None


_encode = json.Encoder().encode


def with_member(body: bytes, deployment: str, attempts: int, charged: float | None) -> bytes:
    """`body`, a JSON object, with one more member that says how it came about; others stay as they are."""
    if len(body) < 3 or body[:1] != b"{" or body[-1:] != b"}":
        return body
    return b'%s,"pointsman":%s}' % (body[:-1], _encode(_Member(deployment, attempts, charged)))
