"""How many calls a deployment bears at once, learned from how it fares.

Decisions only, without clock, I/O or tasks: `now` is handed in, in seconds on any clock that only moves
forward.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from pointsman._internal.settings import Count, Number, Section, setting
from pointsman.units import Duration, Percent

# ── adaptive concurrency ─────────────────────────────────────────────────────────────────────────────


class AdaptiveSettings(Section):
    """Finds out how many calls a deployment bears, below its `max_in_flight`; off without this."""

    decrease: Percent = setting(
        default=0.9, gt=0, lt=1, description="the limit after an overload, as a share"
    )
    increase: Number = setting(default=1.0, gt=0, description="added for each window without one")
    pace: Duration = setting(default=1.0, gt=0, description="the window until the first tokens tell a better")
    initial: Count | None = setting(
        default=None,
        ge=1,
        description="the limit to begin with; without it `max_in_flight`",
        json_schema_extra={"unit": "attempts"},
    )


class AdaptiveLimit:
    """A limit on what one deployment has in flight: additive increase, multiplicative decrease.

    It falls at most once in a median time to first token, for all calls that were in flight together fail
    together. It rises at most once in that time, only when at least half of it is in use: a limit that
    nobody reaches has shown nothing.

    Args:
        maximum: it never exceeds this, 1 or more; the `max_in_flight` of the deployment.
        median: called with `now`, the median time to the first token in seconds, None when not known.

    Attributes:
        limit: a whole number, 1 <= limit <= maximum: with so many in flight it takes no further call.
        exact: the same, not rounded down.
        raised, lowered: how often.
    """

    __slots__ = (
        "_lower_from",
        "_maximum",
        "_median",
        "_raise_from",
        "_settings",
        "exact",
        "limit",
        "lowered",
        "raised",
    )

    def __init__(
        self, settings: AdaptiveSettings, maximum: int, median: Callable[[float], float | None]
    ) -> None:
        if maximum < 1:
            raise ValueError(f"maximum must be 1 or more, got {maximum}")
        self._settings = settings
        self._maximum = maximum
        self._median = median
        self.exact = float(maximum if settings.initial is None else min(settings.initial, maximum))
        self.limit = int(self.exact)
        self.raised = 0
        self.lowered = 0
        self._lower_from = -math.inf
        self._raise_from = -math.inf

    def configure(self, settings: AdaptiveSettings, maximum: int) -> None:
        """Go by these from now on. What was learned stays; a limit at its maximum goes to the new one."""
        unlimited = self.limit >= self._maximum
        self._settings, self._maximum = settings, maximum
        self._set(float(maximum) if unlimited else min(self.exact, float(maximum)))

    def overloaded(self, now: float) -> None:
        """An attempt ended with an overload, or ran out of its time."""
        if now < self._lower_from:
            return
        self._lower_from = self._raise_from = now + self._step(now)
        self.lowered += 1
        self._set(max(1.0, self.exact * self._settings.decrease))

    def ok(self, now: float, in_flight: int) -> None:
        """An attempt succeeded, while `in_flight` were running: itself included."""
        if now < self._raise_from or self.limit >= self._maximum or in_flight * 2 < self.exact:
            return
        self._raise_from = now + self._step(now)
        self.raised += 1
        self._set(min(float(self._maximum), self.exact + self._settings.increase))

    def snapshot(self) -> dict[str, int]:
        """Plain data for a status page."""
        return {
            "limit": self.limit,
            "maximum": self._maximum,
            "raised": self.raised,
            "lowered": self.lowered,
        }

    def _step(self, now: float) -> float:
        median = self._median(now)
        return self._settings.pace if median is None else median

    def _set(self, exact: float) -> None:
        self.exact = exact
        self.limit = int(exact)
