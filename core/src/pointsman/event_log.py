"""The journal: what happens, one line for each, on the logger `pointsman`.

WARNING: a breaker, the health of a deployment or of a provider changed; a configuration was refused. INFO:
an attempt or a request failed, a request went on elsewhere, a configuration is in use. DEBUG: every attempt
and every request. A call that succeeds pays for it only where the logger is at DEBUG.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pointsman._internal.printable import printable_line
from pointsman.events import (
    AttemptEnded,
    BreakerChanged,
    CallerRefused,
    Event,
    Events,
    HealthChanged,
    Mirrored,
    Reloaded,
    RequestEnded,
    StateChanged,
    log,
)

_MOST_CHANGES = 20
"""Of a reload, that its line tells."""


class Journal:
    """Hears of failures and changes always, and of all else from when the logger is found at DEBUG.

    The level is looked at when a router is made and when it begins, and whenever something is written here.
    """

    __slots__ = ("_events", "_silence")

    def __init__(self, events: Events) -> None:
        self._events = events
        self._silence: Callable[[], None] | None = None
        events.journal = self.report
        self.adjust()

    def adjust(self) -> None:
        """Hear of what succeeds, too, where the logger is at DEBUG, and only there."""
        wanted = log.isEnabledFor(logging.DEBUG)
        if wanted == (self._silence is not None):
            return  # as nearly always, and every failure comes by here
        self._events.detail_for_journal(wanted)
        if self._silence is None:
            self._silence = self._events.add(self._everyday)
        else:
            self._silence()
            self._silence = None

    def report(self, event: Event) -> None:
        """Write what is not everyday."""
        self.adjust()
        write(event)

    def _everyday(self, event: Event) -> None:
        if not is_rare(event):
            write(event)


def is_rare(event: Event) -> bool:
    """Whether something failed or changed, rather than went as it should."""
    return not isinstance(event, AttemptEnded | RequestEnded | Mirrored) or bool(event.error)


def write(event: Event) -> None:
    """Write the line of `event`, where its level is enabled."""
    level = level_of(event)
    if log.isEnabledFor(level):
        log.log(level, "%s", line(event))


def begun(request_id: str, deployment: str, number: int) -> None:
    """Write that attempt `number` of a request begins."""
    level = logging.INFO if number > 1 else logging.DEBUG
    if log.isEnabledFor(level):
        where = f"goes on to {deployment}, attempt {number}" if number > 1 else f"goes to {deployment}"
        log.log(level, "%s", printable_line(f"{request_id} {where}"))


def refused(problems: str) -> None:
    """Write that a new configuration is not used."""
    said = " ".join(problems.split())  # a line for each is too many for a log
    log.warning("%s", printable_line(f"a new configuration is refused, the one before stays: {said}"))


def level_of(event: Event) -> int:
    """The level at which `event` is written."""
    match event:
        case BreakerChanged(new="half_open") | Reloaded():
            return logging.INFO
        case BreakerChanged() | HealthChanged() | StateChanged():
            # Its end, too: who reads warnings alone would take for lasting what is long over.
            return logging.WARNING
        case Mirrored():
            return logging.DEBUG
        case CallerRefused():
            return logging.INFO
        case _:
            return logging.INFO if event.error else logging.DEBUG


def line(event: Event) -> str:
    """`event` in words, on one line, without what would steer a terminal."""
    return printable_line(_words(event))


def _words(event: Event) -> str:
    match event:
        case BreakerChanged():
            return f"{event.deployment}: its breaker went from {event.old} to {event.new}: {event.reason}"
        case HealthChanged():
            return f"{event.subject}: {'well again' if event.healthy else 'left alone'}: {event.reason}"
        case Reloaded():
            counts = f"{event.kept} deployments kept, {event.added} added, {event.removed} removed"
            told = [*event.changes[:_MOST_CHANGES]]
            if len(told) < len(event.changes):
                told.append(f"and {len(event.changes) - len(told)} more")
            return f"runs on a new configuration: {'; '.join([counts, *told])}"
        case StateChanged():
            how = "is back" if event.available else f"is away; {event.replicas} routers shared it"
            return f"the shared state in {event.store} {how}: {event.reason}"
        case Mirrored():
            end = f"{event.request_id} of {event.model}, its copy to {event.to}: {event.result}"
            return f"{end} after {event.seconds:.3f} s{f': {event.error}' if event.error else ''}"
        case CallerRefused():
            who = f" of {event.caller}" if event.caller else ""
            asked = f" for {event.model}" if event.model else ""
            return f"{event.request_id}{who}{asked} is refused: {event.code}: {event.detail}"
        case AttemptEnded():
            return _attempt(event)
        case RequestEnded():
            return _request(event)


def _attempt(event: AttemptEnded) -> str:
    end = f"{event.request_id} at {event.deployment}, attempt {event.number}"
    if event.error:
        upstream = f" (the upstream's {event.upstream_request_id})" if event.upstream_request_id else ""
        return f"{end}: {event.error} after {event.seconds:.3f} s: {event.detail}{upstream}"
    first = "" if event.first_token is None else f", first content after {event.first_token:.3f} s"
    return f"{end}: {event.outcome} after {event.seconds:.3f} s{first}"


def _request(event: RequestEnded) -> str:
    what = f"{event.operation} of {event.model}" if event.model else event.operation
    end = f"{event.request_id} {what}: {event.result} after {event.seconds:.3f} s"
    said = {"caller": event.caller, **event.tags} if event.caller else event.tags
    told = "".join(f" {name}={value}" for name, value in said.items())
    attempts = f"{event.attempts} attempt{'' if event.attempts == 1 else 's'}"
    return f"{end} and {attempts}{f': {event.error}' if event.error else ''}{told}"
