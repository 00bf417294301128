"""Instants as people ask for them: a day, a time, or how long ago."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from pointsman.units import parse_duration

EXPECTED = "a day such as 2026-11-30, a time such as 2026-11-30T12:00Z, or how long ago, such as 7d"


def instant(text: str, now: float, *, end: bool = False) -> float:
    """Seconds since 1970 UTC. A day is its beginning; where it is the `end` of a span, that of the next.

    Raises: ValueError with what is expected.
    """
    try:
        if len(text) == 10 and text[4] == "-":
            day = date.fromisoformat(text) + timedelta(days=1 if end else 0)
            return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        if "T" in text:
            at = datetime.fromisoformat(text)
            return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
        return now - parse_duration(text)
    except (ValueError, OverflowError):
        raise ValueError(f"expected {EXPECTED}") from None
