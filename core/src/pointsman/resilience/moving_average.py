"""An average that forgets: what was measured long ago counts less and less.

Without clock or I/O; `now` is in seconds on any clock that only moves forward.
"""

from __future__ import annotations

from math import exp, log

_SECONDS = 30.0

_MOST = 0.9  # what the old is worth at most, or a burst of samples in one instant would count nothing

_FRESH = -log(_MOST) * _SECONDS  # for how long it is worth that: a busy one computes no `exp`


class MovingAverage:
    """An average of samples in which those of half a minute ago count a third; None before the first."""

    __slots__ = ("_at", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        self._at = 0.0

    def add(self, sample: float, now: float) -> None:
        """Count `sample`, taken at `now`."""
        if self.value is None:
            self.value = sample
        else:
            elapsed = now - self._at
            old = _MOST if elapsed <= _FRESH else exp(-elapsed / _SECONDS)
            self.value += (sample - self.value) * (1 - old)
        self._at = now
