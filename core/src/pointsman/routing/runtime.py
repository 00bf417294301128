"""What all requests of a snapshot share, and which of them run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from pointsman._internal.idle import IdleNotice
from pointsman._internal.scrubber import Scrubber
from pointsman._internal.timeouts import TimerHeap
from pointsman.clock import Clock, Rng
from pointsman.errors import NoDeploymentAvailable
from pointsman.events import Events
from pointsman.retry import RetryPolicy

if TYPE_CHECKING:
    from pointsman.audit import AwaitedAuditSink, RecordingAuditSink
    from pointsman.budget import Budgets
    from pointsman.config.sections import HedgeSettings
    from pointsman.execution.execution import Execution
    from pointsman.shared.store import SharedState


class Running:
    """The requests of one snapshot that have begun and not ended, also while they wait between attempts.

    Attributes:
        closed: the router closes, so no further attempt is made.
        idle: is told with the last of them, by whoever takes it out of `requests`.
    """

    __slots__ = ("closed", "idle", "requests")

    def __init__(self) -> None:
        self.requests: set[Execution] = set()
        self.closed = False
        self.idle = IdleNotice()

    def when_idle(self, tell: Callable[[], None]) -> None:
        """Call `tell` once none runs: now, or with the end of the last."""
        self.idle.add(tell, idle=not self.requests)

    def give_up(self) -> None:
        """Account for those that cannot be ended: a provider of their own does not let go of them."""
        for each in tuple(self.requests):
            each.give_up()


class Setting(Struct, eq=False):
    """What all requests of a snapshot share. Only `budgets` changes while they run."""

    clock: Clock
    rng: Rng
    events: Events
    retry: RetryPolicy
    running: Running = field(default_factory=Running)
    hedging: HedgeSettings | None = None
    scrubber: Scrubber = field(default_factory=Scrubber)
    alarms: TimerHeap = field(default_factory=TimerHeap)
    """One timer for the time limits of all attempts."""
    state: SharedState | None = None
    """What is shared with other routers; None where nothing is."""
    budgets: Budgets | None = None
    """What each attempt is held against; None where there are none."""
    admitting: Sequence[AwaitedAuditSink] = ()
    """The audit sinks that must have taken a request before it is made."""
    recording: Sequence[RecordingAuditSink] = ()
    """Those that record what is asked and answered."""


def shutting_down() -> NoDeploymentAvailable:
    """Why a request is not taken any more, or was ended before its answer."""
    return NoDeploymentAvailable("the router is shutting down", reasons={})
