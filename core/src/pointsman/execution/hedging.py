"""Hedging: a request that waits for its first token is sent to a second deployment as well."""

from __future__ import annotations


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
