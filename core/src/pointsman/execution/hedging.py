"""Hedging: a request that waits for its first token is sent to a second deployment as well."""

from __future__ import annotations

import math

from msgspec import Struct


class HedgeSettings(Struct, frozen=True):
    """When a request that waits for its first token is sent to a second deployment as well.

    Args:
        quantile: it is late when so many of the others had their first token by now ...
        floor: ... and never sooner than this, in seconds.
        minimum_samples: with fewer of them nobody knows what late is, and nothing is hedged.

    Raises: ValueError naming the setting that cannot be right.
    """

    quantile: float = 0.95
    floor: float = 1.0
    minimum_samples: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile must be above 0 and below 1, got {self.quantile}")
        if not 0 <= self.floor < math.inf:
            raise ValueError(f"floor must be 0 seconds or more, got {self.floor}")
        if self.minimum_samples < 1:
            raise ValueError(f"minimum_samples must be 1 or more, got {self.minimum_samples}")


def hedge_after(late: float | None, floor: float = 1.0) -> float | None:
    """Seconds without a first token after which a second attempt is worth it: at least `floor`.

    Args:
        late: the p95 of the time to the first token; None when not known, and then the answer is None.
    """
    return None if late is None else max(late, floor)


def may_hedge(*, committed: bool, hedges: int, overloads: int, elsewhere: bool) -> bool:
    """Whether a request may have a second attempt beside the one that is running, if the budget allows.

    Args:
        committed: its first content was delivered to the caller.
        hedges: how many it has had.
        overloads: how many of its attempts ended with an overload: more load is the last thing it needs.
        elsewhere: a deployment other than those it has been to could take the call.
    """
    return not committed and hedges == 0 and overloads == 0 and elsewhere
