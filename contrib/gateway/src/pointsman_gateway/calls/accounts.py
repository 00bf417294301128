"""What becomes of each call that runs, from the router's events: for the head of its answer and the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from pointsman import Router
from pointsman.plugin import (
    AttemptEnded,
    Caller,
    FirstToken,
    ProblemDetails,
    Queued,
    RequestEnded,
    Usage,
)

NOBODY = Caller()
Phase = Literal["queued", "waiting", "streaming", "pausing"]
"""In line; for the first of an answer; its content comes; between an attempt and whatever comes after it."""


class Account(Struct, eq=False):
    """One call.

    Attributes:
        began: the instant at which it came.
        pool: the public name whose deployment is at work; another than was asked for after a fallback.
        attempts: how many have begun, as far as they have said anything.
        busy: seconds in which attempts ran that are over, and of the pauses between them.
        since: the instant at which the one began whose stream is read; None for no such.
        idle: the instant at which the latest one ended.
        waits: the instant from which on it waits in line; None while it does not.
        queued: seconds that it waited in line; None when it did not.
        ended: how it ended; None before that, and for what no model was asked.
        surface: whose shape its answer has; "" before that is known.
        caller: who asks.
        refused: the code of why it was not answered.
        problem: the same, as it was told; None where a surface told it by itself.
        model: that was asked for, where it was refused.
    """

    began: float
    pool: str = ""
    deployment: str = ""
    attempts: int = 0
    busy: float = 0.0
    since: float | None = None
    idle: float | None = None
    waits: float | None = None
    queued: float | None = None
    ended: RequestEnded | None = None
    surface: str = ""
    caller: Caller = NOBODY
    refused: str = ""
    problem: ProblemDetails | None = None
    model: str = ""

    def refuse(self, problem: ProblemDetails, model: str = "") -> None:
        """It is not answered."""
        self.refused, self.problem, self.model = problem.code, problem, model

    @property
    def phase(self) -> Phase:
        """How far it has come. That an attempt has begun is told only once something has come of it."""
        if self.waits is not None:
            return "queued"
        if self.since is not None:
            return "streaming"
        return "waiting" if self.idle is None else "pausing"

    @property
    def usage(self) -> Usage | None:
        """Its tokens, as far as they are known."""
        return None if self.ended is None else self.ended.usage

    def ours(self, seconds: float, now: float) -> float:
        """Of the `seconds` that it has taken, those without attempts, pauses and waiting in line."""
        running = 0.0 if self.since is None else now - self.since
        return max(0.0, seconds - self.busy - running - (self.queued or 0.0))


class Accounts:
    """The calls that run, by their ids.

    Args:
        now: the instant, on one clock for all.
    """

    def __init__(self, router: Router, now: Callable[[], float]) -> None:
        self._now = now
        self._open: dict[str, Account] = {}
        self._ends = [
            router.listen(self._queued, kinds=[Queued]),
            router.listen(self._flows, kinds=[FirstToken]),
            router.listen(self._attempted, kinds=[AttemptEnded]),
            router.listen(self._ended, kinds=[RequestEnded]),
        ]

    def open(self, request_id: str, now: float) -> Account:
        """Keep an account of the request of that id, which came `now`, until it is closed."""
        account = self._open[request_id] = Account(now)
        return account

    def of(self, request_id: str) -> Account | None:
        """The account of a request that runs."""
        return self._open.get(request_id)

    def close(self, request_id: str) -> None:
        """It is over."""
        self._open.pop(request_id, None)

    def end(self) -> None:
        """Listen no longer."""
        for each in self._ends:
            each()
        self._ends.clear()

    def _queued(self, event: Queued) -> None:
        account = self._open.get(event.request_id)
        if account is not None:
            account.waits = self._now()

    # An attempt says when it began at its first content, or when it ends. To be told when it begins would be
    # one more event for each call, of which nobody would make anything before that.

    def _flows(self, event: FirstToken) -> None:
        account = self._open.get(event.request_id)
        if account is not None:
            account.since = self._now() - event.seconds
            account.pool, account.deployment, account.attempts = event.model, event.deployment, event.number
            _has_waited(account, account.since)

    def _attempted(self, event: AttemptEnded) -> None:
        account = self._open.get(event.request_id)
        if account is None or event.hedge:  # two at once are one time
            return
        now = self._now()
        if account.since is None:
            account.pool, account.deployment, account.attempts = event.model, event.deployment, event.number
            _has_waited(account, now - event.seconds)
        account.busy += event.seconds
        account.since, account.idle = None, now

    def _ended(self, event: RequestEnded) -> None:
        account = self._open.get(event.request_id)
        if account is None:
            return
        account.ended = event
        if event.deployment:
            account.pool, account.deployment, account.attempts = event.pool, event.deployment, event.attempts
        if account.waits is not None:
            _has_waited(account, self._now())


def _has_waited(account: Account, until: float) -> None:
    """From its latest attempt on it has paused, and from then on waited in line, `until` that instant."""
    if account.idle is not None:
        account.busy += (until if account.waits is None else account.waits) - account.idle
        account.idle = None
    if account.waits is not None:
        # The router reads its own watch: by ours an attempt may begin a little before its wait did.
        account.queued = (account.queued or 0.0) + max(0.0, until - account.waits)
        account.waits = None
