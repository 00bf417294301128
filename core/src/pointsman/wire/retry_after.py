"""When an upstream says how long to wait: `Retry-After` and the rate-limit reset headers, in all forms."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from msgspec import Struct

_DAYS = frozenset({"mon", "tue", "wed", "thu", "fri", "sat", "sun"})
_GO_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
# As text, because `re` compiles these and keeps them when they are first needed, and most upstreams never do.
_GO_TERM = r"([0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(h|ms|us|µs|μs|ns|m|s)"
_GO_DURATION = rf"(?:{_GO_TERM})+"


def retry_after(headers: Mapping[str, str], *, wall: float) -> float | None:
    """Seconds to wait as `retry-after-ms` or `retry-after` say; None when they say nothing usable.

    Decimal milliseconds win over decimal seconds, durations and dates, unless they are 0: then they may be
    what a division left of seconds. HTTP's three forms of dates count from the answer's own `date` where it
    has one, else from `wall` (seconds since 1970, UTC); others are read as by `parse_reset`. A date in the
    past is 0; NaN, infinities and negative numbers are no hint. Of several values the largest counts.
    """
    in_millis, said = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    if not (in_millis or said):  # as most errors
        return None
    millis = [_number(value, 1e-3) for value in _split(in_millis)]
    waits = [wait for wait in millis if wait is not None]
    if not any(waits):
        for value in _dates(said):
            wait = _until(value, headers, wall)
            if wait is None:
                wait = parse_reset(value, wall=wall)
            if wait is not None:
                waits.append(wait)
    return max(waits, default=None)


def reset_after(headers: Mapping[str, str], names: Iterable[str], *, wall: float) -> float | None:
    """Seconds until the latest reset among the headers `names`; None when none can be read.

    Reads Go durations (`6m0s`, `120ms`), RFC 3339 instants, plain seconds, and seconds, milliseconds and so
    on since 1970.
    """
    waits = [wait for name in names if (wait := parse_reset(headers.get(name, ""), wall=wall)) is not None]
    return max(waits, default=None)


class RateHeaders(Struct, frozen=True):
    """The headers in which an upstream tells what is left of its limits: (remaining, reset) for each unit."""

    requests: tuple[str, str]
    tokens: tuple[str, str]


def left(
    headers: Mapping[str, str], names: tuple[str, str], *, wall: float
) -> tuple[int | None, float | None]:
    """What is left by the headers `names`, and how many seconds until there is more, once nothing is.

    None for what they do not say or what cannot be read: some compatible servers send -1, or words.
    """
    value = headers.get(names[0])
    if value is None:
        return None, None
    value = value.strip()
    remaining = int(value) if value.isascii() and value.isdigit() and len(value) < 16 else None
    return remaining, parse_reset(headers.get(names[1], ""), wall=wall) if remaining == 0 else None


def parse_reset(value: str, *, wall: float) -> float | None:
    """Seconds until the moment that `value` names, 0 or more; None when it cannot be read."""
    value = value.strip()
    if not value:
        return None
    number = _number(value, 1.0)
    if number is not None:
        # Nobody waits thirty years: a number that large is an instant, and its size shows its unit.
        for size, unit in ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (1e9, 1.0)):
            if number > size:
                return max(0.0, number * unit - wall)
        return number
    if re.fullmatch(_GO_DURATION, value):
        seconds = sum(float(amount) * _GO_UNITS[unit] for amount, unit in re.findall(_GO_TERM, value))
        return seconds if math.isfinite(seconds) else None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return max(0.0, instant.timestamp() - wall)


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _number(value: str, unit: float) -> float | None:
    try:
        number = float(value) * unit
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 and "_" not in value else None


def _dates(value: str) -> list[str]:
    """The numbers and HTTP dates in a header value; two of the three forms have a comma of their own."""
    dates: list[str] = []
    for part in _split(value):
        if dates and dates[-1][:3].lower() in _DAYS and dates[-1].isalpha():
            dates[-1] += f", {part}"
        else:
            dates.append(part)
    return dates


def _until(date: str, headers: Mapping[str, str], wall: float) -> float | None:
    then = _timestamp(date)
    if then is None:
        return None
    base = _timestamp(headers.get("date", ""))
    return max(0.0, then - (wall if base is None else base))


def _timestamp(date: str) -> float | None:
    try:
        parsed = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return parsed.timestamp()
