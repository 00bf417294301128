"""What the copies of a model's requests came to, as a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman.mirroring.comparison import Side
from pointsman.reports import MirrorSideStatus, MirrorStatus
from pointsman.resilience.quantiles import Window

_QUANTILES = {"p50": 0.5, "p95": 0.95}


def mirror_status(mirror: Any, now: float, wall: float) -> MirrorStatus:
    """The report of `mirror`, a `Mirror`."""
    config, books, spending = mirror.config, mirror.comparison, mirror.spending
    return MirrorStatus(
        to=config.to,
        share=config.share,
        running=mirror.running,
        compared=books.copies.calls,
        left_out=dict(books.left_out),
        failed=dict(books.failed),
        asked=_side(books.asked, now),
        copies=_side(books.copies, now),
        same_finish=books.same,
        other_finish={f"{asked} → {copy}": count for asked, copy, count in books.differences()},
        lost_microcents=books.lost,
        budget=None if config.budget is None else str(config.budget),
        budget_left_microcents=None if spending is None else spending.left(wall),
    )


def _side(side: Side, now: float) -> MirrorSideStatus:
    return MirrorSideStatus(
        first_token_ms=_times(side.first_token, now),
        total_ms=_times(side.seconds, now),
        prompt=side.prompt,
        completion=side.completion,
        cost_microcents=side.cost,
        unpriced=side.unpriced,
    )


def _times(window: Window, now: float) -> Mapping[str, float]:
    told = {name: window.quantile(q, now) for name, q in _QUANTILES.items()}
    return {name: round(seconds * 1e3, 1) for name, seconds in told.items() if seconds is not None}
