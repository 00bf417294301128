"""Taking turns, by definition, with fractions: nothing is rounded and nothing is cached.

Credits are in picks. Changing the unit of a credit is then nothing at all, so that the rescaling rule
of the real one has no counterpart here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

ALMOST = Fraction(1, 2**12)  # picks; integers may decide a tie otherwise when they are this close


class TurnsModel:
    """Smooth weighted round robin. `weights` of everyone by id, in configuration order."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self.weights = dict(weights)
        self.credits = {key: Fraction(0) for key in weights}

    def step(self, ready: Sequence[str]) -> str:
        """Who is next."""
        self._earn(ready)
        winner = max(ready, key=lambda key: self.credits[key])  # max gives the first of equals
        self.credits[winner] -= 1
        return winner

    def follow(self, ready: Sequence[str], choice: str) -> Fraction:
        """Make the step that somebody else chose; how far that choice was from the best, in picks."""
        self._earn(ready)
        gap = max(self.credits[key] for key in ready) - self.credits[choice]
        self.credits[choice] -= 1
        return gap

    def members(self, weights: Mapping[str, int]) -> None:
        """Others exist now. A removed one's credit goes to the survivors."""
        gone = sum((credit for key, credit in self.credits.items() if key not in weights), Fraction(0))
        survivors = [key for key in weights if key in self.credits]
        self.credits = {
            key: self.credits[key] + gone / len(survivors) if key in survivors else Fraction(0)
            for key in weights
        }
        self.weights = dict(weights)

    def _earn(self, ready: Sequence[str]) -> None:
        total = sum(self.weights[key] for key in ready)
        for key in ready:
            self.credits[key] += Fraction(self.weights[key], total)


class UnscaledTurns:
    """The same with raw integer credits that keep their number when the set changes: the usual way."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self.weights = dict(weights)
        self.credits = dict.fromkeys(weights, 0)

    def step(self, ready: Sequence[str]) -> str:
        for key in ready:
            self.credits[key] += self.weights[key]
        winner = max(ready, key=lambda key: self.credits[key])
        self.credits[winner] -= sum(self.weights[key] for key in ready)
        return winner


class DeadlinesModel:
    """Earliest eligible virtual deadline first, for a constant set; scans everyone at every step."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self.weights = dict(weights)
        self.picked = dict.fromkeys(weights, 0)

    def step(self) -> str:
        time = Fraction(sum(self.picked.values()) + 1, sum(self.weights.values()))
        started = [key for key, weight in self.weights.items() if Fraction(self.picked[key], weight) < time]
        winner = min(started, key=lambda key: Fraction(self.picked[key] + 1, self.weights[key]))
        self.picked[winner] += 1
        return winner
