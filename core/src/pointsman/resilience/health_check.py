"""Health checks: whether a deployment answers when it is asked, and the task that asks.

`HealthState` is a state machine without clock, I/O or tasks: `now` is handed in, in seconds on any clock that
only moves forward. `HealthChecker` is the only thing here that runs: the task that asks one upstream every
few seconds.

Neither touches a circuit breaker. Passing checks end what failing checks began, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pointsman._internal.observers import fails
from pointsman._internal.plugin_errors import Scrub, log_raised
from pointsman._internal.settings import Count, Section, setting
from pointsman._internal.timeouts import TimeLimit
from pointsman.clock import Clock, Rng
from pointsman.errors import CallError, OutOfResources
from pointsman.events import log
from pointsman.units import Duration

_CLOSE_TRIES = 5


class CheckSettings(Section):
    """Checks that ask every provider, free of charge, whether it is well; there are none without this."""

    interval: Duration = setting(default=15.0, ge=0.01, description="between checks, a fifth more or less")
    timeout: Duration = setting(default=5.0, gt=0, description="a check that takes longer has failed")
    rise: Count = setting(default=2, ge=1, description="checks in a row that must pass to end an illness")
    fall: Count = setting(default=3, ge=1, description="checks in a row that must fail to begin one")


class HealthState:
    """What the checks of one upstream add up to. Well until they say otherwise.

    Args:
        on_change: called with (healthy, now, reason) after each change, when everything is consistent.
        say: what to keep of an error that a check ended with; its text comes from outside.

    Attributes:
        healthy: not failing its checks.
        last_at, last_error: of the last check; None and "" before the first, "" when it passed.
        listener_errors: exceptions of `on_change`, which never reach the caller.
    """

    __slots__ = (
        "_row",
        "_say",
        "_settings",
        "healthy",
        "last_at",
        "last_error",
        "listener_errors",
        "on_change",
    )

    def __init__(
        self,
        settings: CheckSettings,
        *,
        on_change: Callable[[bool, float, str], None] | None = None,
        say: Callable[[Exception], str] = str,
    ) -> None:
        self.healthy = True
        self.last_at: float | None = None
        self.last_error = ""
        self.listener_errors = 0
        self.on_change = on_change
        self._settings = settings
        self._say = say
        self._row = 0  # checks in a row that contradict `healthy`

    @property
    def settings(self) -> CheckSettings:
        return self._settings

    def configure(self, settings: CheckSettings) -> None:
        """Go by `settings` from now on; what the checks said so far stays."""
        self._settings = settings

    def report(self, error: Exception | None, now: float) -> None:
        """A check passed, or failed with `error`. Fits the `tell` of a `HealthChecker`."""
        if error is None:
            self.passed(now)
        elif isinstance(error, CallError) and error.without_credential:
            # Nobody was asked: what is amiss stands in `last_error`, and the upstream stays what it was.
            self.last_at, self.last_error = now, self._say(error)
        else:
            self.failed(now, self._say(error) or type(error).__name__)

    def passed(self, now: float) -> None:
        """A check passed."""
        self.last_at, self.last_error = now, ""
        self._row = 0 if self.healthy else self._row + 1
        if self._row >= self._settings.rise:
            self._turn(now, f"{self._row} checks passed")

    def failed(self, now: float, why: str = "failed") -> None:
        """A check failed, or ran out of time."""
        self.last_at, self.last_error = now, why
        self._row = self._row + 1 if self.healthy else 0
        if self._row >= self._settings.fall:
            self._turn(now, f"{self._row} checks failed, the last one: {why}")

    def snapshot(self) -> dict[str, bool | int | float | str | None]:
        """Plain data for a status page. `row`: checks in a row that contradict `healthy`."""
        return {
            "healthy": self.healthy,
            "row": self._row,
            "last_at": self.last_at,
            "last_error": self.last_error,
            "listener_errors": self.listener_errors,
        }

    def _turn(self, now: float, reason: str) -> None:
        self.healthy = not self.healthy
        self._row = 0
        if fails(self.on_change, self.healthy, now, reason):
            self.listener_errors += 1


_NO_SUCH_PLACE = (404, 405, 501)


async def answered(probe: Awaitable[object]) -> None:
    """Return when the upstream of this `probe` is well.

    Some have no list of models, or whatever else is asked for. To say so takes a server that is alive, so it
    is no illness. Raises what the probe raises otherwise.
    """
    try:
        await probe
    except CallError as error:
        if error.status not in _NO_SUCH_PLACE:
            raise


class HealthChecker:
    """Asks one upstream every few seconds, in one task of its own, from `start` to `aclose`.

    Making one starts nothing.

    A check never begins before the last one has ended. What `probe` raises is a failed check; running out
    of time is one, too. A check that is cancelled by anyone else says nothing.

    Args:
        name: of the upstream, for the name of the task and the log.
        probe: makes one check, free of charge; returns when the upstream is well. It must let itself be
            cancelled.
        tell: called with (error or None, now) after each check, before anything else happens.
        clock: must be that of the running loop.

    Attributes:
        errors: exceptions of `tell`, which never end the task; the first one is logged.
    """

    __slots__ = (
        "_clock",
        "_closing",
        "_name",
        "_probe",
        "_rng",
        "_scrub",
        "_settings",
        "_task",
        "_tell",
        "errors",
    )

    def __init__(
        self,
        name: str,
        probe: Callable[[], Awaitable[object]],
        tell: Callable[[Exception | None, float], None],
        *,
        settings: CheckSettings,
        clock: Clock,
        rng: Rng,
        scrub: Scrub,
    ) -> None:
        self.errors = 0
        self._scrub = scrub
        self._name = name
        self._probe = probe
        self._tell = tell
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def running(self) -> bool:
        """Started and not closed yet."""
        return self._task is not None

    def start(self) -> None:
        """Begin to check, on the running loop, after a first interval; no effect when it has begun."""
        if self._task is None:
            self._closing = False
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"check {self._name}")

    async def aclose(self) -> None:
        """Stop, and return when the task has ended; no effect when it is not running."""
        task = self._task
        if task is None:
            return
        self._closing = True
        for _ in range(_CLOSE_TRIES):
            task.cancel()
            await asyncio.wait((task,), timeout=1.0)
            if task.done():
                self._task = None
                return
        # It stays ours, so that `start` begins no second one beside it.
        log.error("the check of %s does not let itself be cancelled; its task goes on", self._name)

    async def _run(self) -> None:
        begun = self._clock.now()
        while not self._closing:
            wait = self._settings.interval * (0.8 + 0.4 * self._rng.random())
            await self._clock.sleep(max(0.0, begun + wait - self._clock.now()))
            begun = self._clock.now()
            await self._check(begun)

    async def _check(self, begun: float) -> None:
        deadline = begun + self._settings.timeout
        try:
            with TimeLimit(deadline, self._too_late):
                await self._probe()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return  # something inside of the probe was cancelled, not we
        except OutOfResources:
            return  # what we lack says nothing about the upstream
        except Exception as error:
            self._told(error)
        else:
            # One that swallows the cut and returns is as late as one that does not.
            self._told(None if self._clock.now() <= deadline else self._too_late())

    def _too_late(self) -> Exception:
        return TimeoutError(f"no answer within {self._settings.timeout:g} s")

    def _told(self, error: Exception | None) -> None:
        if self._closing:
            return
        try:
            self._tell(error, self._clock.now())
        except Exception as failure:
            self.errors += 1
            if self.errors == 1:
                log_raised(
                    f"the result of a check of {self._name} was not taken; further ones are counted",
                    failure,
                    self._scrub,
                )
