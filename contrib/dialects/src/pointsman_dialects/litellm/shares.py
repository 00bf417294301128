"""Who of a model's deployments gets how much: `order`, and the weights of LiteLLM's shuffle."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm

from pointsman_dialects.litellm.document import Entry, Translation
from pointsman_dialects.litellm.values import number

_WEIGHTS = ("weight", "rpm", "tpm")
"""What its shuffle goes by: the first of these that any deployment of a model says as more than 0."""
SHUFFLE = "simple-shuffle"
"""LiteLLM's strategy that heeds them."""
_FINEST = 1000


def put_levels(to: Translation, entries: Sequence[Entry]) -> None:
    """`order` as `priority`: the lowest goes first, and who says none goes last."""
    orders = [number(each.params.get("order")) for each in entries]
    levels = sorted({each for each in orders if each is not None})
    for entry, order in zip(entries, orders, strict=True):
        level = len(levels) if order is None else levels.index(order)
        if level:
            to.put((*entry.path, "priority"), level, of=(*entry.of, "litellm_params", "order"))


def put_weights(to: Translation, entries: Sequence[Entry]) -> bool:
    """What a model's calls are shared by, where they are not shared evenly. Returns whether they are not."""
    key = next((each for each in _WEIGHTS if any(_positive(entry, each) for entry in entries)), None)
    if key is None or to.strategy != SHUFFLE:
        return False
    said = [_positive(each, key) for each in entries]
    if len(entries) == 1 or len(set(said)) == 1:
        return False
    shares = [Fraction(each).limit_denominator(_FINEST) if each else None for each in said]
    given = [each for each in shares if each]
    scale = lcm(*(each.denominator for each in given)) if given else 1
    common = gcd(*(int(each * scale) for each in given)) or 1
    for entry, share in zip(entries, shares, strict=True):
        if share:
            of = (*entry.of, "litellm_params", key)
            to.put((*entry.path, "weight"), int(share * scale) // common, of=of)
    if len(given) < len(entries):
        _put_last(to, entries, shares, key)
    return True


def _positive(entry: Entry, key: str) -> int | float | None:
    """The number above 0 that it says at `key`; None for all else."""
    found = number(entry.params.get(key))
    return found if found is not None and found > 0 else None


def _put_last(to: Translation, entries: Sequence[Entry], shares: Sequence[Fraction | None], key: str) -> None:
    """Have who gets no share come after who does, within one level of `order`."""
    for entry, share in zip(entries, shares, strict=True):
        of = (*entry.of, "litellm_params", key)
        level = 2 * int(to.at((*entry.path, "priority")) or 0) + (not share)
        if level:
            to.put((*entry.path, "priority"), level, of=of)
        if not share:
            to.warn(
                of, f"says no {key} beside deployments that do: it is asked only while none of these is ready"
            )
