"""How the load is split over priority levels, by the share of each that is healthy.

Plain functions of integers. Level 0 comes first and takes everything for as long as it can bear it: a
level counts as full strength until less than 1/1.4, about 71 %, of its weight is healthy. What it cannot
bear spills over to the next one.

Source: Envoy proxy, "Priority levels" and "Panic threshold", 2016 to 2026; there loads are rounded to
whole percents, here they are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

FULL = 100
_OVERPROVISIONED = 140  # percent: what a level can bear, relative to what it was made for


class Level(NamedTuple):
    """The weight of a level's members that are healthy, and of all; 0 <= healthy <= total."""

    healthy: int
    total: int


def health(level: Level) -> int:
    """What `level` can bear, in percent of the whole load: min(100, floor(140 * healthy / total))."""
    healthy, total = level
    return min(FULL, _OVERPROVISIONED * healthy // total) if total else 0


def loads(healths: Sequence[int]) -> list[int]:
    """How much of the load each level takes: so many of `sum(loads(healths))` calls.

    With enough health the sum is 100, and each level takes what it can of what those before it left. With
    less than 100 in all each takes more than it can bear, in proportion to its health. All 0 when none has
    any.
    """
    left = FULL
    split: list[int] = []
    for each in healths:
        taken = min(each, left)
        split.append(taken)
        left -= taken
    return split


def choose(levels: Sequence[Level], draw: Callable[[], float]) -> int:
    """The index of the level that takes this call, with the probabilities of `loads`.

    Args:
        levels: 1 or more, in the order of priority.
        draw: a uniform float, 0 <= x < 1. Not called when there is nothing to choose.

    Returns: 0 when no level has any health: then nobody knows better than the configured order.
    """
    healthy, total = levels[0]
    if healthy * _OVERPROVISIONED >= total * FULL > 0 or len(levels) == 1:
        return 0
    split = loads([health(each) for each in levels])
    whole = sum(split)
    if not whole:
        return 0
    position = int(draw() * whole)
    for index, load in enumerate(split):
        position -= load
        if position < 0:
            return index
    raise ValueError("draw() must return a float of at least 0 and below 1")


def panics(levels: Sequence[Level], threshold: float) -> list[bool]:
    """For each level whether its health-check and outlier state is to be ignored.

    That is when less than `threshold` of its weight is healthy, and all levels together cannot bear the
    load: then the few that still look healthy would fall under what the others had. Nothing but health is
    ever ignored.
    """
    if threshold <= 0 or sum(map(health, levels)) >= FULL:
        return [False] * len(levels)
    # Divided, not multiplied: k / n is the float nearest to the true share, as 0.1 is nearest to 1/10.
    return [total > 0 and healthy / total < threshold for healthy, total in levels]


def order(first: int, count: int) -> list[int]:
    """Where to look for a deployment with room: the chosen level, then the others by priority."""
    return [first, *range(first), *range(first + 1, count)]
