"""What there is of records: by event, caller, model and day, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pointsman_audit.sources import Found


def counted(records: Iterable[Found]) -> Mapping[str, Any]:
    """How many there are, as plain data; costs in millionths of a US cent."""
    events, days = Counter[str](), Counter[str]()
    callers, models = dict[str, dict[str, int]](), dict[str, dict[str, int]]()
    count = missing = 0
    first: float | None = None
    last: float | None = None
    for each in records:
        facts = each.facts
        count += 1
        first = facts.at if first is None else min(first, facts.at)
        last = facts.at if last is None else max(last, facts.at)
        events[facts.event] += 1
        days[datetime.fromtimestamp(facts.at, UTC).date().isoformat()] += 1
        if facts.event == "gap":
            number = each.record.get("count")
            missing += number if isinstance(number, int) else 0
        if facts.event == "request":
            for name, by in ((facts.caller, callers), (facts.model, models)):
                _add(by.setdefault(name, {}), each)
        elif facts.event == "refused":
            of = callers.setdefault(facts.caller, {})
            of["refused"] = of.get("refused", 0) + 1
    return {
        "records": count,
        "missing": missing,
        "first": None if first is None else _iso(first),
        "last": None if last is None else _iso(last),
        "events": dict(events.most_common()),
        "days": dict(sorted(days.items())),
        "callers": dict(sorted(callers.items(), key=_requests_of)),
        "models": dict(sorted(models.items(), key=_requests_of)),
    }


def _add(to: dict[str, int], each: Found) -> None:
    facts = each.facts
    parts = {
        "requests": 1,
        "errors": int(bool(facts.error)),
        "prompt_tokens": facts.prompt_tokens or 0,
        "completion_tokens": facts.completion_tokens or 0,
        "cost_microcents": facts.cost_microcents or 0,
    }
    for name, value in parts.items():
        to[name] = to.get(name, 0) + value


def _requests_of(pair: tuple[str, Mapping[str, int]]) -> int:
    return -pair[1].get("requests", 0)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
