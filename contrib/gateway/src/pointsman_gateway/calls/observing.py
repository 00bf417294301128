"""What is told of requests: metrics, one line each in the log, and the fields of their answers' heads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pointsman.plugin import CallerRefused, Clock, ProblemKind, WholeReply
from pointsman_gateway.access.admission import Head
from pointsman_gateway.calls.accounts import Account, Accounts
from pointsman_gateway.calls.field_values import shown, usd
from pointsman_telemetry.metrics import Metrics
from pointsman_telemetry.request_log import RequestLog

if TYPE_CHECKING:
    from pointsman import Router

GONE = 499
"""The status in metrics and log of a request whose caller went away before it was answered."""
_MICRO = 1e6
_OF_CALLERS: frozenset[ProblemKind] = frozenset(("authentication", "forbidden", "rate_limit", "budget"))
"""Problems of who asks and what for; others are of how a request is written, or ours."""
_NAME_CUT = 200
_PATH_CUT = 200
_PATH_LOOKED_AT = 1_000
"""Characters in which a key is looked for, so that none is told which the cut would go through."""


class Observer:
    """Watches the requests of one gateway.

    Args:
        log: where a line goes for each; None for nowhere.

    Attributes:
        full: answers say how they came about.
    """

    def __init__(self, router: Router, clock: Clock, log: RequestLog | None = None) -> None:
        self.now = clock.now
        self.full = True
        self.metrics = Metrics(router, clock=clock)
        self._accounts = Accounts(router, clock.now)
        self._wall = clock.wall
        self._report = router.report
        self._scrub = router.scrub
        self._log = log if log is not None and log.wanted else None

    def know(self, surfaces: Iterable[str], *, full: bool) -> None:
        """The surfaces that there are from now on, and whether answers say how they came about."""
        self.metrics.know((*surfaces, "operator"))
        self.full = full

    def begin(self, request_id: str) -> Account:
        """A request has come."""
        return self._accounts.open(request_id, self.now())

    def of(self, request_id: str) -> Account | None:
        """What is known of a request that has not been answered yet."""
        return self._accounts.of(request_id)

    def over(self, head: Head, request_id: str, account: Account, status: int) -> None:
        """It was answered with `status`, to its last byte."""
        self._accounts.close(request_id)
        now = self.now()
        seconds = now - account.began
        self.metrics.answered(head.method, status, seconds)
        ended = account.ended
        if ended is not None:
            self.metrics.overhead(ended.tags.get("surface", ""), account.ours(seconds, now))
        elif account.refused:
            self.metrics.refused(account.surface, account.refused)
            self._tell_of_refused(request_id, account, status)
        if self._log is not None:
            # Where a key was put in a path there is nothing: what is answered needs no second look.
            path = head.path if status < 400 else self._scrub(head.path[:_PATH_LOOKED_AT])
            said = _line(head, path[:_PATH_CUT], request_id, account, status, seconds, now)
            # A stream that broke has a head of 200, and is as much of a failure as a 502.
            broke = status < 400 and ended is not None and ended.result == "error"
            self._log.write("request", said, failed=broke or status >= 500)

    def _tell_of_refused(self, request_id: str, account: Account, status: int) -> None:
        problem, caller = account.problem, account.caller
        if problem is not None and problem.kind in _OF_CALLERS:
            said = (account.model[:_NAME_CUT], caller.name, caller.key_id, problem.code, problem.message)
            self._report(CallerRefused(request_id, account.surface, *said, status, self._wall()))

    def about(self, account: Account | None, model: str) -> dict[str, str]:
        """The fields of an answer's head that say how it came about, as far as that is known by now."""
        if account is None:
            return {}
        said, ended = dict[str, str](), account.ended
        if account.deployment:
            now = self.now()
            said["x-pointsman-deployment"] = shown(account.deployment)
            said["x-pointsman-attempts"] = str(account.attempts)
            said["x-pointsman-overhead-ms"] = f"{account.ours(now - account.began, now) * 1e3:.3f}"
            topology = self.metrics.topology
            if (strategy := topology.strategy(account.pool)) is not None:
                said["x-pointsman-strategy"] = strategy
            if topology.is_other(account.pool, model):
                said["x-pointsman-fallback"] = shown(account.pool)
            if account.queued is not None:
                said["x-pointsman-queue-ms"] = f"{account.queued * 1e3:.0f}"
        if ended is not None and ended.cost_microcents is not None:
            said["x-pointsman-cost-usd"] = usd(ended.cost_microcents)
        return said

    def exposition(self, accept: str) -> WholeReply:
        """The metrics, as who asks wants them."""
        body, content_type = self.metrics.exposition(accept)
        return WholeReply(200, body, content_type)

    def end(self) -> None:
        """Watch no longer."""
        self._accounts.end()
        self.metrics.close()


def _line(
    head: Head, path: str, request_id: str, account: Account, status: int, seconds: float, now: float
) -> Mapping[str, Any]:
    """What the log says of a request; None for what is not known of it."""
    ended, usage = account.ended, account.usage
    return {
        "request_id": request_id,
        "method": head.method,
        "path": path,
        "peer": head.peer or None,
        "status": status,
        "ms": round(seconds * 1e3, 3),
        "ours_ms": None if ended is None else round(account.ours(seconds, now) * 1e3, 3),
        "queue_ms": None if account.queued is None else round(account.queued * 1e3, 3),
        "surface": account.surface or None,
        "caller": account.caller.name or None,
        "model": None if ended is None else ended.model,
        "deployment": account.deployment or None,
        "attempts": account.attempts or None,
        "result": None if ended is None else ended.result,
        "error": (account.refused if ended is None else ended.error) or None,
        "prompt_tokens": None if usage is None else usage.prompt,
        "completion_tokens": None if usage is None else usage.completion,
        "cost_microcents": None if ended is None else ended.cost_microcents,
    }
