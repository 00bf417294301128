"""How it went in the last hour: sums of each minute, of events that were told anyway."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Raw, Struct, field

from pointsman.control.following import event_json
from pointsman.events import Event, Progress
from pointsman.plugin import (
    AttemptEnded,
    BreakerChanged,
    CallerRefused,
    HealthChanged,
    Outcome,
    Reloaded,
    RequestEnded,
    StateChanged,
)
from pointsman_gateway.calls.problems import domain_of

MINUTE = 60
KEPT = 60
"""Minutes, the one that runs included."""
_MOST_CHANGES = 500
_MOST_NAMES = 500
"""Deployments and models of one minute that are told apart: callers can ask for any name."""
OTHERS = ""
"""Under which all further ones are summed up."""
_CHANGES = (BreakerChanged, HealthChanged, Reloaded, StateChanged)
_GROWTH = 1.1
"""From one border of the counted times to the next: what they tell is off by 5 % at most."""
_LEAST = 0.001
_MOST = 3_600.0


class Times:
    """Counts of seconds between borders that grow evenly; quantiles of them, and sums with others."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """One more; below 1 ms and above an hour it counts as these."""
        within = min(max(seconds, _LEAST), _MOST)
        self._counts[math.ceil(math.log(within / _LEAST, _GROWTH))] += 1

    def told(self) -> list[tuple[float, int]]:
        """Milliseconds, each with how many took about so long, the shortest first."""
        return [(_middle_ms(step), self._counts[step]) for step in sorted(self._counts)]


def _middle_ms(step: int) -> float:
    """What is equally far from both borders of the step, relative to them."""
    return round(_LEAST * 1e3 * _GROWTH**step * 2 / (1 + _GROWTH), 3)


class _Of(Struct, eq=False):
    """What came to one deployment."""

    attempts: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_microcents: int = 0
    busy_seconds: float = 0.0
    first_tokens: Times = field(default_factory=Times)

    def add(self, event: AttemptEnded) -> None:
        self.attempts += 1
        self.failed += event.outcome in (Outcome.UPSTREAM_FAULT, Outcome.OVERLOAD)
        self.busy_seconds += event.seconds
        self.cost_microcents += event.cost_microcents or 0
        if event.usage is not None:
            self.prompt_tokens += event.usage.prompt or 0
            self.cached_tokens += event.usage.cached or 0
            self.completion_tokens += event.usage.completion or 0
        if event.first_token is not None:
            self.first_tokens.add(event.first_token)

    def told(self) -> Mapping[str, Any]:
        return {
            "attempts": self.attempts,
            "failed": self.failed,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
            "cost_microcents": self.cost_microcents,
            "busy_seconds": round(self.busy_seconds, 3),
            "first_token_ms": self.first_tokens.told(),
        }


class _Minute(Struct, eq=False):
    number: int
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_microcents: int = 0
    results: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    first_tokens: Times = field(default_factory=Times)
    deployments: dict[str, _Of] = field(default_factory=dict)
    answers: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, event: AttemptEnded | RequestEnded | CallerRefused) -> None:
        if isinstance(event, AttemptEnded):
            self.deployments.setdefault(_name(event.deployment, self.deployments), _Of()).add(event)
            if event.first_token is not None:
                self.first_tokens.add(event.first_token)
            if event.outcome is Outcome.OK:
                answers = self.answers.setdefault(_name(event.model, self.answers), Counter())
                answers[_name(event.deployment, answers)] += 1
            return
        if isinstance(event, CallerRefused):
            self.refused[_name(event.code, self.refused)] += 1
            return
        self.requests += 1
        self.results[event.result] += 1
        self.models[_name(event.model, self.models)] += 1
        self.cost_microcents += event.cost_microcents or 0
        if event.error:
            self.errors[domain_of(event.error)] += 1
        if event.usage is not None:
            self.prompt_tokens += event.usage.prompt or 0
            self.completion_tokens += event.usage.completion or 0

    def told(self) -> Mapping[str, Any]:
        return {
            "at": self.number * MINUTE,
            "requests": self.requests,
            "results": self.results,
            "errors": self.errors,
            "refused": self.refused,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cost_microcents": self.cost_microcents,
            "first_token_ms": self.first_tokens.told(),
            "models": self.models,
            "answers": self.answers,
            "deployments": {id: each.told() for id, each in self.deployments.items()},
        }


class History:
    """Sums of the last hour, minute by minute.

    Args:
        began: seconds since 1970; before then there is nothing.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._lost = 0
        self._minutes: deque[_Minute] = deque(maxlen=KEPT)
        self._changes: deque[tuple[float, Event]] = deque(maxlen=_MOST_CHANGES)

    def take(self, entries: Iterable[tuple[float, Event | Progress]], lost: int = 0) -> None:
        """Count what happened, each with when, in seconds since 1970; later calls have later ones.

        `lost`: how many events are in no sum, since there were too many at a time.
        """
        self._lost += lost
        for at, event in entries:
            if isinstance(event, AttemptEnded | RequestEnded | CallerRefused):
                self._minute(int(at // MINUTE)).add(event)
            elif isinstance(event, _CHANGES):
                self._changes.append((at, event))

    def _minute(self, number: int) -> _Minute:
        """That minute, or the latest one where the clock was set back."""
        if not self._minutes or self._minutes[-1].number < number:
            self._minutes.append(_Minute(number))
        return self._minutes[-1]

    def told(self, now: float) -> Mapping[str, Any]:
        """All of it; minutes in which nothing happened are left out."""
        first = int(now // MINUTE) - KEPT + 1
        since = first * MINUTE
        return {
            "now": now,
            "since": max(self._began, since),
            "seconds": MINUTE,
            "lost": self._lost,
            "minutes": [each.told() for each in self._minutes if each.number >= first],
            "changes": [Raw(event_json(event, at)) for at, event in self._changes if at >= since],
        }


def _name(name: str, known: Mapping[str, object]) -> str:
    return name if name in known or len(known) < _MOST_NAMES else OTHERS
