"""The live state of a deployment, which a reload takes over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from pointsman._internal.idle import IdleNotice
from pointsman._internal.printable import printable_line
from pointsman.clock import Rng
from pointsman.errors import CallError, Outcome, Refusal
from pointsman.events import log
from pointsman.resilience.adaptive_concurrency import AdaptiveLimit
from pointsman.resilience.admission_queue import AdmissionQueue, Crowd
from pointsman.resilience.circuit_breaker import Breaker
from pointsman.resilience.cool_down import CoolDowns
from pointsman.resilience.moving_average import MovingAverage
from pointsman.resilience.quantiles import Window
from pointsman.resilience.rate_limit import RateLimits
from pointsman.resilience.warm_up import WarmUp

if TYPE_CHECKING:
    from pointsman.routing.places import Places

_LONGEST_MESSAGE = 200
"""Characters of an error that a deployment remembers."""


class Admin(StrEnum):
    """What an operator said about a deployment."""

    UP = "up"
    DRAINING = "draining"
    DOWN = "down"


class Readiness(Crowd):
    """Who can take a call, over all deployments of a router, as a number that grows with each change.

    Time alone changes it too, at instants that are known beforehand; those are not counted.
    """

    __slots__ = ("version",)

    def __init__(self) -> None:
        super().__init__()
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


class DeploymentState(CoolDowns):
    """What is known of one deployment right now; pools that share the deployment share this.

    It outlives reloads for as long as id and upstream stay the same; what a configuration says about it then
    changes here, so that it holds for calls that began before, too.

    Attributes:
        places: how many attempts it takes at the same time; None for any number.
        adaptive: what finds out about `places`; without it they are what is configured.
        window: the quantiles of first tokens, kept only for those who ask for them.
        shared: whose places it shares; None for none but its own.
    """

    shared: Places | None = None

    __slots__ = (
        "adaptive",
        "admin",
        "breaker",
        "first_token",
        "id",
        "idle",
        "in_flight",
        "last_error",
        "late_releases",
        "limits",
        "max_in_flight",
        "outcomes",
        "places",
        "queues",
        "readiness",
        "total",
        "warm_up",
        "window",
    )

    def __init__(self, id: str, breaker: Breaker, rng: Rng, readiness: Readiness) -> None:
        super().__init__(rng)
        self.id = id
        self.breaker = breaker
        self.readiness = readiness
        self.admin = Admin.UP
        self.in_flight = self.late_releases = 0
        self.max_in_flight: int | None = None
        self.places: int | None = None
        self.adaptive: AdaptiveLimit | None = None
        self.limits: RateLimits | None = None
        self.warm_up: WarmUp | None = None
        self.outcomes: Counter[Outcome] = Counter()
        self.last_error: LastError | None = None
        self.total, self.first_token = MovingAverage(), MovingAverage()
        self.window: Window | None = None
        self.idle = IdleNotice()
        self.queues: list[ref[AdmissionQueue[Any]]] = []  # weakly: the state outlives the queues of a reload

    @property
    def taken(self) -> tuple[int, int | None]:
        """How many of how many places are taken, where it is full."""
        return self.in_flight, self.places

    def wakes(self, queue: AdmissionQueue[Any]) -> None:
        """Whoever waits in `queue` waits for this deployment among others."""
        self.queues = [each for each in self.queues if each() not in (None, queue)] + [ref(queue)]

    def wake(self) -> None:
        """Something may have become free: whoever waits for it is asked."""
        for each in self.queues:
            if (queue := each()) is not None:
                queue.wake()

    def changed(self) -> None:
        """It may be ready now that was not, or the other way round."""
        self.readiness.invalidate()
        self.wake()

    def cooled(self) -> None:
        """One of its cool-downs has changed: whoever waits for it looks again."""
        super().cooled()
        self.changed()

    def admit(self, admin: Admin) -> None:
        """What an operator says about it holds from now on."""
        self.admin = admin
        self.changed()

    def begin_warm_up(self, now: float) -> None:
        """From `now` on, take on load slowly."""
        if self.warm_up is not None:
            self.warm_up.begin(now)
            self.readiness.invalidate()

    def tell_refusal(self, what: Refusal, now: float) -> None:
        """Write that it is left alone, which nobody but an operator ends who knows of it."""
        others = len(self.credential.members()) - 1 if what.of_credential else 0
        too = f", and {others} more with its credential" if others else ""
        for_long = self.last().until - now
        log.warning(
            "%s%s: left alone for %.0f s: %s", printable_line(self.id), too, for_long, what.value,
            extra={"cool_down": for_long},
        )  # fmt: skip

    def failed_with(self, error: CallError, now: float) -> None:
        """Remember what went wrong there, for whoever asks how it is."""
        self.last_error = LastError(error.code, error.status, error.message[:_LONGEST_MESSAGE], now)

    def when_idle(self, tell: Callable[[], None]) -> None:
        """Call `tell` once nothing is in flight: now, or with the last release."""
        self.idle.add(tell, idle=self.in_flight == 0)

    def vacated(self) -> None:
        """A place has become free: whoever waits for one, or for the last, is told."""
        self.wake()
        if self.in_flight == 0:
            self.idle.tell()
