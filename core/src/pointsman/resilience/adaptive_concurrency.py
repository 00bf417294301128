"""How many calls a deployment bears at once, learned from how it fares; and when a second try is worth it.

Decisions only, without clock, I/O or tasks: `now` is handed in, in seconds on any clock that only moves
forward. `Window` is what both learn from: the times to the first token of the last minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec import Struct

# ── adaptive concurrency ─────────────────────────────────────────────────────────────────────────────


class AdaptiveSettings(Struct, frozen=True):
    """How a limit of concurrency learns.

    Args:
        decrease: what is left of the limit after an overload.
        increase: what is added while it is used and all is well.
        pace: seconds between two steps while no time to the first token is known.
        initial: the limit in the beginning; None: the highest there is.

    Raises: ValueError naming the setting that cannot be right.
    """

    decrease: float = 0.9
    increase: float = 1.0
    pace: float = 1.0
    initial: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.decrease < 1:
            raise ValueError(f"decrease must be above 0 and below 1, got {self.decrease}")
        for name in ("increase", "pace"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        if self.initial is not None and self.initial < 1:
            raise ValueError(f"initial must be 1 or more, got {self.initial}")


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
