"""What has gone wrong so far in one request, and where it may go back to in spite of that.

Made with the first failure: a request that succeeds at once never has any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pointsman.deployment import Deployment
from pointsman.errors import CallError, ModelNotFound, Outcome
from pointsman.pool import Pool


class Failures:
    """The failed attempts of one request.

    Attributes:
        last: the error of the latest; None once nobody asks for it any more.
        other: the latest error that says more than that one upstream lacks the model.
        retryable: ids of deployments that failed and may be asked again.
        closed: names of pools of which no further deployment is asked.
        overloads: how many attempts found an upstream overloaded.
        delay: seconds until the attempt that is planned; None when none is to be made.
        prepaid: the budget has been charged for an attempt that has not begun.
    """

    __slots__ = ("_counts", "closed", "delay", "last", "other", "overloads", "prepaid", "retryable")

    def __init__(self) -> None:
        self.last: CallError | None = None
        self.other: CallError | None = None
        self.retryable: set[str] = set()
        self.closed: set[str] = set()
        self.overloads = 0
        self.delay: float | None = None
        self.prepaid = False
        self._counts: dict[str, int] = {}

    def add(self, error: CallError, deployment: Deployment, pool: Pool) -> None:
        """An attempt at `deployment`, which was chosen from `pool`, ended with `error`."""
        self._counts[deployment.id] = self.of(deployment) + 1
        if not isinstance(error, ModelNotFound):
            self.other = error
        if error.retry_same:
            self.retryable.add(deployment.id)
        else:
            self.retryable.discard(deployment.id)
        if error.outcome is Outcome.OVERLOAD:
            self.overloads += 1
        if not error.retry_elsewhere:
            # The other deployments of this model would say the same; another model may not.
            self.closed.add(pool.name)
            self.retryable.difference_update(each.id for each in pool.deployments)

    def of(self, deployment: Deployment) -> int:
        """How often `deployment` has failed."""
        return self._counts.get(deployment.id, 0)

    def fewest_first(self, ready: Iterable[Deployment]) -> Sequence[Deployment]:
        """Those of `ready` that may be asked again."""
        return sorted((each for each in ready if each.id in self.retryable), key=self.of)

    def way_back(self, chain: Sequence[Pool], now: float) -> tuple[Deployment, float] | None:
        """The deployment that the request may return to first, and when; None when there is none.

        A cool-down is waited for, a refusal or an open breaker is not: calls like this one would fail again.
        """
        ways: list[tuple[float, int, Deployment]] = []
        for pool in chain:
            for each in pool.deployments:
                if each.id not in self.retryable or each.live.is_refused(now):
                    continue
                breaker = each.live.breaker
                at = each.available_at(now)
                if at is not None and (breaker is None or breaker.admits(now)):
                    ways.append((at, self.of(each), each))
        if not ways:
            return None
        at, _, deployment = min(ways, key=lambda way: way[:2])
        return deployment, at
