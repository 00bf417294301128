"""The retry policies that are built in: none, and exponential back-off with full jitter."""

from __future__ import annotations

from pointsman._internal.settings import Section, setting
from pointsman.clock import Rng
from pointsman.resilience.retry_budget import BudgetSettings
from pointsman.retry import Failure, RetryFactory
from pointsman.units import Duration, Percent

HOP = 0.05
"""Seconds that are waited at most before a third deployment, and no longer than an attempt took: without that
the slowest hundredth of calls, with every tenth answer an error, was four times as slow as undisturbed ones;
with it twice."""


class NoRetrySettings(Section):
    """`{type: none}`: one attempt, whatever happens."""


class ExponentialSettings(Section):
    """`{type: exponential}`: full jitter, and at once to a deployment that was not tried yet."""

    attempts: int = setting(
        default=4, ge=1, le=20, description="attempts of one request in all, over all fallbacks"
    )
    base_delay: Duration = setting(
        default=0.5,
        gt=0,
        description="before going back to a deployment: 0 to this, doubled for each failure it has had",
    )
    max_delay: Duration = setting(default=8.0, gt=0, description="no wait of ours is longer")
    budget: Percent | None = setting(
        # One of two deployments dead, no breaker, least connections: every call meets the dead one first.
        default=1.0,
        description="retries as a share of a model's requests, beside one a second; null for no limit",
    )


class NoRetry:
    """One attempt."""

    attempts: int = 1
    budget: BudgetSettings | None = None

    def delay(self, failure: Failure) -> float | None:
        return None


class Exponential:
    """Goes to an untried deployment at once, to a third after a moment, and back to a failed one after full
    jitter.
    """

    __slots__ = ("_base", "_cap", "_rng", "attempts", "budget")

    def __init__(self, settings: ExponentialSettings, rng: Rng) -> None:
        self._rng = rng
        self.attempts = settings.attempts
        self._base = settings.base_delay
        self._cap = settings.max_delay
        self.budget = None if settings.budget is None else BudgetSettings(ratio=settings.budget)

    def delay(self, failure: Failure) -> float | None:
        if failure.number >= self.attempts:
            return None
        if failure.elsewhere:
            # The first failure of a request is no herd: with every tenth answer an error, a wait after it is
            # all that callers notice. Those who have met two bad deployments spread out, over as long as an
            # attempt took: who failed together did so within that, and a longer wait would cost more than
            # the attempt that it is for.
            if failure.number == 1:
                return 0.0
            return self._rng.random() * min(HOP, failure.elapsed / failure.number)
        return full_jitter(failure.failures, base=self._base, cap=self._cap, rng=self._rng)


def full_jitter(failures: int, *, base: float, cap: float, rng: Rng) -> float:
    """Seconds to wait before going back to a deployment that failed `failures` times.

    Uniform over [0, min(cap, base * 2 ** failures)], so that callers who failed together do not come back
    together.

    Args:
        failures: 0 or more.
        base, cap: seconds, above 0.

    Returns: seconds, 0 <= wait <= cap.
    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    # 2 ** 64 seconds are above any cap; without the bound a large count would overflow a float.
    return rng.random() * min(cap, base * 2.0 ** min(failures, 64))


BUILT_IN = (
    RetryFactory(
        "exponential", ExponentialSettings, lambda context: Exponential(context.settings, context.rng)
    ),
    RetryFactory("none", NoRetrySettings, lambda _context: NoRetry()),
)
