"""What copies came to beside the calls that they are copies of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from pointsman.resilience.quantiles import Window

_SECONDS = 24 * 3600.0
"""For which a time counts among those of which quantiles are told."""


class Figures(Struct, frozen=True):
    """What one call came to.

    Attributes:
        seconds: of the attempt that answered; first_token: None where the answer came as a whole.
        cost: in millionths of a US cent; None where nobody knows.
        prompt, completion: tokens; None where nobody counted them.
        finish: why the answer ended; "" for vectors.
    """

    seconds: float
    first_token: float | None
    cost: int | None
    prompt: int | None
    completion: int | None
    finish: str


class Side:
    """The figures of the calls of one side, together."""

    __slots__ = ("calls", "completion", "cost", "first_token", "prompt", "seconds", "unpriced")

    def __init__(self) -> None:
        self.calls = self.cost = self.unpriced = self.prompt = self.completion = 0
        self.seconds, self.first_token = Window(_SECONDS), Window(_SECONDS)

    def add(self, figures: Figures, now: float) -> None:
        """Count one call."""
        self.calls += 1
        self.seconds.add(figures.seconds, now)
        if figures.first_token is not None:
            self.first_token.add(figures.first_token, now)
        self.prompt += figures.prompt or 0
        self.completion += figures.completion or 0
        if figures.cost is None:
            self.unpriced += 1
        else:
            self.cost += figures.cost


class Comparison:
    """Answered copies beside the answers to the callers, over the same requests.

    Attributes:
        asked, copies: the two sides.
        same: how often both ended for the same reason; other: how often not, by both reasons.
        left_out: copies that were due and not made, by why.
        failed: copies that ended with an error, by its code.
        lost: what failed copies cost, in millionths of a US cent.
    """

    __slots__ = ("asked", "copies", "failed", "left_out", "lost", "other", "same")

    def __init__(self) -> None:
        self.asked, self.copies = Side(), Side()
        self.same = self.lost = 0
        self.other: Counter[tuple[str, str]] = Counter()
        self.left_out: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def add(self, asked: Figures, copy: Figures, now: float) -> None:
        """Count one answer and that to its copy."""
        self.asked.add(asked, now)
        self.copies.add(copy, now)
        if asked.finish == copy.finish:
            self.same += 1
        else:
            self.other[asked.finish, copy.finish] += 1

    def differences(self) -> Sequence[tuple[str, str, int]]:
        """Why the answer ended, why that to the copy did, and how often; the most frequent first."""
        return [(asked, copy, count) for (asked, copy), count in self.other.most_common()]
