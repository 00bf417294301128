"""`power_of_two`: two ready deployments at random, and of them the one with fewer calls in flight.

Source: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10), 2001.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointsman.plugin import Member, Placing, Rng, Strategy, StrategyFactory, system_rng


class PowerOfTwo(Strategy):
    """The lower in-flight / weight of two distinct members, each pair as likely as any other; O(1).

    Args:
        rng: the source of chance; None: a fixed one, the same every time.
    """

    def __init__(self, rng: Rng | None = None) -> None:
        self._rng = rng or system_rng(0)

    def pick(self, ready: Sequence[Member], _request: object, /) -> Member:
        if len(ready) == 1:
            return ready[0]
        first, second = two_of(ready, self._rng)
        # in_flight / weight compared as fractions, in integers
        return second if second.in_flight * first.weight < first.in_flight * second.weight else first

    scored_by = "calls in flight for its weight; the lower of two at random"

    def scores(self, ready: Sequence[Member], _placing: Placing, /) -> Mapping[str, float]:
        return {each.id: each.in_flight / each.weight for each in ready}


def two_of(ready: Sequence[Member], rng: Rng) -> tuple[Member, Member]:
    """Two distinct members of two or more, in random order; all ordered pairs are equally likely."""
    n = len(ready)
    a = int(rng.random() * n)
    b = int(rng.random() * (n - 1))
    return ready[a], ready[b + (b >= a)]


FACTORY = StrategyFactory("power_of_two", None, lambda context: PowerOfTwo(context.rng))
