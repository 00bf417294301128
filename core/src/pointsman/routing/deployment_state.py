"""The live state of a deployment, which a reload takes over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from math import exp, log
from typing import Any, NamedTuple
from weakref import ref

from pointsman._internal.idle import IdleNotice
from pointsman.clock import Rng
from pointsman.errors import CallError, Refusal
from pointsman.resilience.adaptive_concurrency import AdaptiveLimit
from pointsman.resilience.admission_queue import AdmissionQueue
from pointsman.resilience.circuit_breaker import Breaker
from pointsman.resilience.cool_down import OVERLOAD, REFUSAL, CoolDown, Credential
from pointsman.resilience.quantiles import Window
from pointsman.resilience.rate_limit import RateLimits
from pointsman.resilience.warm_up import WarmUp
from pointsman.routing.reasons import Reason, Why

_LONGEST_MESSAGE = 200
"""Characters of an error that a deployment remembers."""

_EWMA_SECONDS = 30.0

_EWMA_MOST = 0.9  # what the old is worth at most, or a burst of samples in one instant would count nothing

_EWMA_FRESH = -log(_EWMA_MOST) * _EWMA_SECONDS  # for how long it is worth that: a busy one computes no `exp`


class Admin(StrEnum):
    """What an operator said about a deployment."""

    UP = "up"
    DRAINING = "draining"
    DOWN = "down"


class Average:
    """An average of samples in which those of `_EWMA_SECONDS` ago count a third; None before the first."""

    __slots__ = ("_at", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        self._at = 0.0

    def add(self, sample: float, now: float) -> None:
        """Count `sample`, taken at `now`."""
        if self.value is None:
            self.value = sample
        else:
            elapsed = now - self._at
            old = _EWMA_MOST if elapsed <= _EWMA_FRESH else exp(-elapsed / _EWMA_SECONDS)
            self.value += (sample - self.value) * (1 - old)
        self._at = now


class Readiness:
    """Who can take a call, over all deployments of a router, as a number that grows with each change.

    Time alone changes it too, at instants that are known beforehand; those are not counted.
    """

    __slots__ = ("version",)

    def __init__(self) -> None:
        self.version = 0

    def invalidate(self) -> None:
        """Whatever is remembered of who can take a call no longer holds."""
        self.version += 1


class LastError(NamedTuple):
    """What the latest failed call to a deployment ended with, and when."""

    code: str
    status: int | None
    message: str
    at: float


class DeploymentState:
    """What is known of one deployment right now; pools that share the deployment share this.

    It outlives reloads for as long as id and upstream stay the same; what a configuration says about it then
    changes here, so that it holds for calls that began before, too.

    Attributes:
        failing: the latest call that said anything about the upstream ended in a fault, an overload or a
            refusal.
        overload, refusal, credential: its cool-downs, of which the last one is shared by all that use the
            same credential; `cooling_until` is the latest end of them.
    """

    __slots__ = (
        "__weakref__",  # credentials know their members weakly, for a state ends with its deployment
        "adaptive",
        "admin",
        "breaker",
        "cooling_until",
        "credential",
        "failing",
        "first_token",
        "id",
        "idle",
        "in_flight",
        "last_error",
        "late_releases",
        "limits",
        "max_in_flight",
        "outcomes",
        "overload",
        "queues",
        "readiness",
        "refusal",
        "rng",
        "total",
        "warm_up",
        "window",
    )

    def __init__(
        self,
        id: str,
        *,
        breaker: Breaker | None,
        rng: Rng,
        warm_up: WarmUp | None = None,
        adaptive: Callable[[Window], AdaptiveLimit] | None = None,
        limits: RateLimits | None = None,
        readiness: Readiness | None = None,
        max_in_flight: int | None = None,
    ) -> None:
        self.id = id
        self.readiness = readiness or Readiness()
        self.breaker = breaker
        self.rng = rng
        self.admin = Admin.UP
        self.max_in_flight = max_in_flight
        self.in_flight = 0
        self.cooling_until = 0.0
        self.overload = CoolDown(OVERLOAD)
        self.refusal = CoolDown(REFUSAL)
        self.credential = Credential()
        self.credential.join(self)
        self.failing = False
        self.outcomes: Counter[str] = Counter()
        self.late_releases = 0
        self.last_error: LastError | None = None
        self.idle = IdleNotice()
        self.first_token = Average()
        self.total = Average()
        self.warm_up = warm_up
        self.limits = limits
        self.queues: list[ref[AdmissionQueue[Any]]] = []  # weakly: the state outlives the queues of a reload
        # The quantiles of first tokens are kept only for those who ask for them.
        self.window = None if adaptive is None else Window()
        self.adaptive = None if adaptive is None or self.window is None else adaptive(self.window)

    def keep_window(self) -> None:
        """From now on, know the quantiles of the first tokens."""
        if self.window is None:
            self.window = Window()

    def wake(self) -> None:
        """Something may have become free: whoever waits for it is asked."""
        for each in self.queues:
            queue = each()
            if queue is not None and queue.tickets:
                queue.wake()

    def wakes(self, queue: AdmissionQueue[Any]) -> None:
        """Whoever waits in `queue` waits for this deployment among others."""
        self.queues = [each for each in self.queues if each() not in (None, queue)] + [ref(queue)]

    def admit(self, admin: Admin) -> None:
        """What an operator says about it holds from now on."""
        self.admin = admin
        self.readiness.invalidate()
        self.wake()

    def forget(self) -> None:
        """End its cool-downs, for others with its credential too, and hold it for well."""
        for each in (self.overload, self.refusal, self.credential):
            each.end()
        self.failing = False
        for member in (self, *self.credential.members()):
            member.cooled()

    def uses(self, credential: Credential) -> None:
        """Share the cool-down of that credential from now on."""
        if self.credential is not credential:
            self.credential.leave(self)
            self.credential = credential
            credential.join(self)
            self.cooled()

    def begin_warm_up(self, now: float) -> None:
        """From `now` on, take on load slowly."""
        if self.warm_up is not None:
            self.warm_up.begin(now)
            self.readiness.invalidate()

    def failed_with(self, error: CallError, now: float) -> None:
        """Remember what went wrong there, for whoever asks how it is."""
        self.last_error = LastError(error.code, error.status, error.message[:_LONGEST_MESSAGE], now)

    def when_idle(self, tell: Callable[[], None]) -> None:
        """Call `tell` once nothing is in flight: now, or with the last release."""
        self.idle.add(tell, idle=self.in_flight == 0)

    def cooled(self) -> None:
        """One of its cool-downs has changed: whoever waits for it looks again."""
        self.cooling_until = max(self.overload.until, self.refusal.until, self.credential.until)
        self.readiness.invalidate()
        self.wake()

    def failed(self) -> None:
        """A call ended in a fault of the upstream."""
        self.failing = True
        self.readiness.invalidate()

    def overloaded(self, now: float, started: float, hint: float | None, within: float) -> None:
        """A call that `started` then found no capacity: keep others away as the upstream said."""
        self.failing = True
        self.overload.began(now, started=started, rng=self.rng, hint=hint, within=within)
        self.cooled()

    def refused(self, what: Refusal, now: float, started: float, hint: float | None, within: float) -> None:
        """A call that `started` then was refused: leave the deployment alone, or all of its credential."""
        self.failing = True
        cool_down: CoolDown = self.credential if what.of_credential else self.refusal
        cool_down.reason = what
        cool_down.began(now, started=started, rng=self.rng, at_least=hint or 0.0, within=within)
        self.cooled()
        if what.of_credential:
            for each in self.credential.members():
                each.cooled()

    def keep_away(self, now: float, seconds: float, within: float) -> None:
        """Send no call for `seconds`, as the upstream asked."""
        self.overload.extend(now, seconds, rng=self.rng, within=within)
        self.cooled()

    def recovered(self) -> None:
        """A call succeeded after others had not: the next cool-down is a first one again."""
        self.failing = False
        self.overload.in_row = self.refusal.in_row = self.credential.in_row = 0

    def cooling(self, now: float) -> Reason | None:
        """The cool-down that ends last, for as long as it holds."""
        left = self.cooling_until - now
        if left <= 0:
            return None
        for each in (self.credential, self.refusal):
            if each.until == self.cooling_until and each.reason is not None:
                return Reason(Why.REFUSED, (each.reason.value, left))
        return Reason(Why.COOLING, (left,))

    @property
    def jitter(self) -> float:
        """Seconds at the end of its cool-downs that no upstream asked for."""
        asked = max(self.overload.asked, self.refusal.asked, self.credential.asked)
        return self.cooling_until - asked

    def is_refused(self, now: float) -> bool:
        """Whether it is left alone because of what it refused; to wait for the end makes no sense."""
        return self.refusal.until > now or self.credential.until > now
