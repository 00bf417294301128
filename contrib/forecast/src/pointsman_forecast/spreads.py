"""Quantities that differ from one time to the next, as somebody writes them down."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from msgspec import Struct
from pydantic import PlainValidator, WithJsonSchema

from pointsman.plugin import Rng
from pointsman.units import parse_duration

_Z95 = 1.6448536269514722
"""Standard deviations above the middle, below which 95 % of a normal distribution lie."""


class Spread(Struct, frozen=True):
    """A quantity that is drawn anew each time."""

    def draw(self, rng: Rng) -> float:
        """One of its values."""
        raise NotImplementedError

    @property
    def middle(self) -> float:
        """Half of what is drawn is not above this."""
        raise NotImplementedError


class Always(Spread, frozen=True):
    """The same each time."""

    value: float

    def draw(self, rng: Rng) -> float:
        return self.value

    @property
    def middle(self) -> float:
        return self.value


class Lognormal(Spread, frozen=True):
    """Mostly near `median`; 95 % are not above `p95`, and the logarithm is normally distributed.

    `median` is above 0, `p95` not below it.
    """

    median: float
    p95: float

    def draw(self, rng: Rng) -> float:
        # Box and Muller's way, of two numbers; their second half is not kept, so that draws stay apart.
        radius = math.sqrt(-2.0 * math.log(1.0 - rng.random()))
        normal = radius * math.cos(2.0 * math.pi * rng.random())
        return float(self.median * (self.p95 / self.median) ** (normal / _Z95))

    @property
    def middle(self) -> float:
        return self.median


class Between(Spread, frozen=True):
    """Anything from `low` to `high`, all of it as likely."""

    low: float
    high: float

    def draw(self, rng: Rng) -> float:
        return self.low + (self.high - self.low) * rng.random()

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


class OneOf(Spread, frozen=True):
    """One of some values, which were met: at least one, in ascending order."""

    values: tuple[float, ...]

    def draw(self, rng: Rng) -> float:
        return self.values[int(rng.random() * len(self.values))]

    @property
    def middle(self) -> float:
        return self.values[(len(self.values) - 1) // 2]


def one_of(values: list[float]) -> Spread:
    """What is as likely as `values`, of which there is at least one."""
    return Always(values[0]) if min(values) == max(values) else OneOf(tuple(sorted(values)))


_FORMS: Mapping[frozenset[str], Callable[..., Spread]] = {
    frozenset({"median", "p95"}): Lognormal,
    frozenset({"from", "to"}): lambda **said: Between(said["from"], said["to"]),
}


def parse_spread(value: object, read: Callable[[object], float], example: str) -> Spread:
    """The spread that is written as `300ms`, `{median: 300ms, p95: 1s}`, `{from: …, to: …}` or a list.

    Args:
        read: makes a number of one value. Raises ValueError.
        example: of one value, for messages.

    Raises: ValueError that says what is expected.
    """
    if isinstance(value, Spread):
        return value
    if isinstance(value, list | tuple) and value:
        return one_of([read(each) for each in value])
    if not isinstance(value, Mapping):
        return Always(read(value))
    make = _FORMS.get(frozenset(map(str, value)))
    if make is None:
        raise ValueError(
            f"expected a value such as {example}, {{median: {example}, p95: …}}, {{from: {example}, to: …}}, "
            "or a list of values"
        )
    said = {str(name): read(each) for name, each in value.items()}
    low, high = (said[name] for name in (("median", "p95") if "p95" in said else ("from", "to")))
    if low > high or ("p95" in said and low <= 0):
        raise ValueError("expected the second not to be below the first, and a median above 0")
    return make(**said)


def _seconds(value: object) -> Spread:
    return parse_spread(value, parse_duration, "300ms")


def _amount(value: object) -> Spread:
    return parse_spread(value, _number, "200")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a number such as 200")
    if not 0 <= value <= 1e9:
        raise ValueError("expected a number from 0 to 1,000,000,000")
    return float(value)


_SCHEMA: dict[str, Any] = {"type": ["string", "number", "object", "array"]}
SecondsSpread = Annotated[Spread, PlainValidator(_seconds), WithJsonSchema(_SCHEMA)]
"""In seconds; written as durations."""
AmountSpread = Annotated[Spread, PlainValidator(_amount), WithJsonSchema(_SCHEMA)]
"""Plain numbers, 0 or more."""
