"""What has gone wrong so far in one request, and where it may go back to in spite of that.

Made with the first failure: a request that succeeds at once never has any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from pointsman.errors import CallError, FailedAttempt, FallbackOn, ModelNotFound, Outcome
from pointsman.routing.deployment import Deployment
from pointsman.routing.pool import Fallback, Pool

if TYPE_CHECKING:
    from pointsman.execution.retrying import TenacityWaits

_UNAVAILABLE = frozenset({FallbackOn.UNAVAILABLE})

_NOTE = 200
"""Characters of what another attempt ended with, in a note of the error."""


class RetryState(Struct, eq=False):
    """The failed attempts of one request, and what is planned after the latest.

    Attributes:
        last: the error of the latest; None once nobody asks for it any more.
        other: the latest error that says more than that one upstream lacks the model.
        retryable: ids of deployments that failed and may be asked again.
        closed: names of pools of which no further deployment is asked.
        causes: what the failures of a pool were, for its fallbacks, by the name of the pool.
        spent: no further retries: only pools that have not begun may still have their first attempt.
        overloads: how many attempts found an upstream overloaded.
        delay: seconds until the attempt that is planned; 0 for at once.
        after: the error that this attempt follows; None once the wait for it has begun.
        waits: what keeps the waits; None before the first.
        prepaid: the budget has been charged for an attempt that has not begun.
    """

    last: CallError | None = None
    other: CallError | None = None
    retryable: set[str] = set()
    closed: set[str] = set()
    causes: dict[str, set[FallbackOn]] = {}
    spent: bool = False
    overloads: int = 0
    delay: float = 0.0
    after: CallError | None = None
    waits: TenacityWaits | None = None
    prepaid: bool = False
    _counts: dict[str, int] = {}
    _attempts: list[FailedAttempt] = []

    def forget(self) -> None:
        """Let go of the errors: nobody asks for them any more, and their frames hold the caller's stream."""
        self.last = self.other = self.after = self.waits = None
        self._attempts.clear()

    def tell(self, error: CallError) -> None:
        """Have `error`, which the request ends with, say what the other attempts ended with."""
        error.failures = tuple(each for each in self._attempts if each.error is not error)
        said = Counter((deployment, before.message[:_NOTE]) for deployment, before in error.failures)
        others = [each for each in getattr(error, "__notes__", ()) if not each.startswith("before")]
        error.__notes__ = others + [  # anew: a provider may raise the same error again and again
            f"before{'' if times == 1 else f', {times} times'}: {deployment}: {message}"
            for (deployment, message), times in said.items()
        ]

    def add(self, error: CallError, deployment: Deployment, pool: Pool) -> None:
        """An attempt at `deployment`, which was chosen from `pool`, ended with `error`."""
        self._attempts.append(FailedAttempt(deployment.id, error))
        self._counts[deployment.id] = self.of(deployment) + 1
        if not isinstance(error, ModelNotFound):
            self.other = error
        self.causes.setdefault(pool.name, set()).add(error.fallback_on)
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

    def follows(self, pool: Pool, fallback: Fallback) -> bool:
        """Whether a fallback of `pool` may take the request; one that was never asked has nobody ready."""
        return not fallback.on.isdisjoint(self.causes.get(pool.name, _UNAVAILABLE))

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
        ways = [
            (at, self.of(each), each)
            for pool in chain
            for each in pool.deployments
            if each.id in self.retryable and not each.live.is_refused(now)
            if (at := each.available_at(now)) is not None and each.live.breaker.admits(now)
        ]
        if not ways:
            return None
        at, _, deployment = min(ways, key=lambda way: way[:2])
        return deployment, at


NO_FAILURES = RetryState()
"""The state of a request of which nothing has failed; not to be changed."""
