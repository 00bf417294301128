"""Why a deployment cannot be chosen: values to decide by, put into words when somebody asks."""

from __future__ import annotations

from enum import StrEnum
from math import inf

from msgspec import Struct


class Why(StrEnum):
    """The kinds of reasons."""

    RULE = "rule"
    TRIED = "tried"
    BUDGET = "budget"
    DISABLED = "disabled"
    DRAINING = "draining"
    COOLING = "cooling_down"
    REFUSED = "refused"
    BREAKER = "breaker"
    EJECTED = "ejected"
    ILL = "ill"
    FULL = "full"
    LIMIT = "limit"
    TOO_LARGE = "too_large"
    STATE = "shared_state"
    LATER = "later"

    @property
    def is_health(self) -> bool:
        """Whether it is what ejection and checks say, which a panic does not believe."""
        return self in (Why.EJECTED, Why.ILL)

    @property
    def is_load(self) -> bool:
        """Whether a deployment lacks nothing but room. That is no illness: what is full works."""
        return self in (Why.FULL, Why.LIMIT, Why.TOO_LARGE, Why.STATE)


_WORDS = {
    Why.RULE: "{}",
    Why.TRIED: "tried already by this request",
    Why.BUDGET: "it failed last, and the retry budget is used up",
    Why.DISABLED: "disabled by an operator",
    Why.DRAINING: "draining",
    Why.COOLING: "cooling down, {:.1f} s left",
    Why.REFUSED: "{}, {:.1f} s left",
    Why.BREAKER: "circuit breaker {}",
    Why.EJECTED: "unhealthy: ejected",
    Why.ILL: "unhealthy: its checks fail",
    Why.FULL: "full: {} of {} in flight",
    Why.LIMIT: "rate limit: room in {:.1f} s",
    Why.TOO_LARGE: "{}",
    Why.STATE: "its limits fail closed: their store is away; asked again in {:.1f} s",
    Why.LATER: "priority {} comes after {}",
}


class Reason(Struct, frozen=True):
    """Why one deployment cannot be chosen. As text it is a few words for people.

    Attributes:
        data: what the words tell beside the kind: seconds left, in flight and places, a state, a sentence.
        until: the instant at which time alone may end it; infinity when that takes something else.
        room_at: the first instant at which who waits in line may find it ended, where what others give back
            counts as `now`; None when nobody waits for that.
    """

    why: Why
    data: tuple[object, ...] = ()
    until: float = inf
    room_at: float | None = None

    def __str__(self) -> str:
        return _WORDS[self.why].format(*self.data)
