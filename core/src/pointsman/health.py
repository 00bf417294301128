"""Whether a deployment is well: what its calls say, what checks say, how it returns to full load.

`Outlier`, `Checks` and `WarmUp` are state machines without clock, I/O or tasks: `now` is handed in, in
seconds on any clock that only moves forward. `Prober` is the only thing here that runs: the task that asks
one upstream every few seconds.

None of them touches a circuit breaker. Passing checks end what failing checks began, and nothing else.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from pointsman.clock import Clock, Rng
from pointsman.errors import CallError, OutOfResources
from pointsman.events import log
from pointsman.faults import Scrub, log_raised
from pointsman.frozen import frozen
from pointsman.timers import TimeLimit

_MILLION = 1_000_000
_CLOSE_TRIES = 5


# ── what its calls say ───────────────────────────────────────────────────────────────────────────────


@frozen
class OutlierSettings:
    """When a deployment is left alone because its calls fail.

    Args:
        enabled: False counts and never ejects.
        failure_threshold: it is ejected after this many upstream faults in a row.
        base_ejection: seconds of the first ejection; n times as long with multiplier n ...
        max_ejection: ... up to this, before 10 % of jitter are added or taken.
        interval: the multiplier falls by 1 for each so many seconds outside of an ejection.
        max_ejected: at most this share of the members of a level is ejected, and never the last one.

    Raises: ValueError naming the setting that cannot be right.
    """

    enabled: bool = True
    failure_threshold: int = 5
    base_ejection: float = 30.0
    max_ejection: float = 300.0
    interval: float = 10.0
    max_ejected: float = 0.5

    def __post_init__(self) -> None:
        if self.failure_threshold < 1:
            raise ValueError(f"failure_threshold must be 1 or more, got {self.failure_threshold}")
        _positive(self, "base_ejection", "max_ejection", "interval")
        if not 0 < self.max_ejected <= 1:
            raise ValueError(f"max_ejected must be above 0 and at most 1, got {self.max_ejected}")
        if self.base_ejection > self.max_ejection:
            raise ValueError(
                f"base_ejection ({self.base_ejection}) must not exceed max_ejection ({self.max_ejection})"
            )


class Outlier:
    """Counts one deployment's faults in a row, and ejects it for a while.

    It belongs to one `Outliers`, which says whether the level can do without it; alone it is never ejected.

    Args:
        checks: what active checks say of it, if there are any: they too tell who would be the last one.
        on_eject: called with (until, now, reason) when an ejection has begun. Nothing is called at its end,
            which is known in advance.

    Attributes:
        ejected_until: it is ejected while `now` is below this; -inf when it never was.
        ejections: how many there were.
        spared: how often one was due and the level could not do without it.
        listener_errors: exceptions of `on_eject`, which never reach the caller.
    """

    __slots__ = (
        "_checks",
        "_consecutive",
        "_ejected_at",
        "_group",
        "_multiplier",
        "_rng",
        "_settings",
        "ejected_until",
        "ejections",
        "listener_errors",
        "on_eject",
        "spared",
    )

    def __init__(
        self,
        settings: OutlierSettings,
        rng: Rng,
        *,
        checks: Checks | None = None,
        on_eject: Callable[[float, float, str], None] | None = None,
    ) -> None:
        self.ejected_until = -math.inf
        self.ejections = 0
        self.spared = 0
        self.listener_errors = 0
        self.on_eject = on_eject
        self._settings = settings
        self._rng = rng
        self._checks = checks
        self._group: Outliers | None = None
        self._consecutive = 0
        self._ejected_at = -math.inf
        self._multiplier = 0  # as it was when the last ejection began

    @property
    def settings(self) -> OutlierSettings:
        return self._settings

    @property
    def checks(self) -> Checks | None:
        """The checks of its provider, which it believes."""
        return self._checks

    def configure(self, settings: OutlierSettings, checks: Checks | None) -> None:
        """Go by these from now on; faults and an ejection that has begun stay, unless nothing ejects now."""
        self._settings, self._checks = settings, checks
        self._multiplier = min(self._multiplier, _longest(settings))
        if not settings.enabled:
            self.ejected_until = -math.inf

    def ejected(self, now: float) -> bool:
        """Whether it is left alone because of its faults."""
        return now < self.ejected_until

    def healthy(self, now: float) -> bool:
        """Neither ejected nor failing its checks."""
        return now >= self.ejected_until and (self._checks is None or self._checks.healthy)

    def multiplier(self, now: float) -> int:
        """How many times `base_ejection` the last ejection took, less one for each interval since its end."""
        if now < self.ejected_until:
            return self._multiplier
        if not self._multiplier:
            return 0
        return max(0, self._multiplier - int((now - self.ejected_until) // self._settings.interval))

    def ok(self, now: float, *, started: float) -> None:
        """An attempt that began at `started` succeeded."""
        if self._consecutive and started >= self._ejected_at:
            self._consecutive = 0

    def failed(self, now: float, *, started: float) -> None:
        """The upstream is to blame for how an attempt that began at `started` ended.

        Attempts from before the last ejection are what it was ejected for: they do not count again.
        """
        if started < self._ejected_at or now < self.ejected_until:
            return
        self._consecutive += 1
        if self._consecutive >= self._settings.failure_threshold and self._settings.enabled:
            if self._group is not None and self._group.can_spare(self, now):
                self._eject(now)
            else:
                self.spared += 1

    def reset(self, now: float) -> None:
        """End an ejection and forget all faults, whatever happened."""
        self._consecutive = 0
        self._multiplier = 0
        self.ejected_until = min(self.ejected_until, now)

    def snapshot(self, now: float) -> dict[str, int | float | None]:
        """Plain data for a status page."""
        return {
            "ejected_until": self.ejected_until if self.ejected(now) else None,
            "consecutive_failures": self._consecutive,
            "multiplier": self.multiplier(now),
            "ejections": self.ejections,
            "spared": self.spared,
            "listener_errors": self.listener_errors,
        }

    def _eject(self, now: float) -> None:
        settings = self._settings
        # It does not grow beyond what the longest ejection needs: the way back would be as long as the past.
        self._multiplier = min(self.multiplier(now) + 1, _longest(settings))
        seconds = min(settings.max_ejection, settings.base_ejection * self._multiplier)
        failures, self._consecutive = self._consecutive, 0
        self._ejected_at = now
        self.ejected_until = now + seconds * (0.9 + 0.2 * self._rng.random())
        self.ejections += 1
        if self.on_eject is not None:
            try:
                self.on_eject(self.ejected_until, now, f"{failures} failures in a row")
            except Exception:  # a listener is others' code: it may not fail the call that it hears about
                self.listener_errors += 1


def _longest(settings: OutlierSettings) -> int:
    """The multiplier of the longest ejection."""
    return math.ceil(settings.max_ejection / settings.base_ejection)


class Outliers:
    """The members of one priority level, of whom at most a share is ejected, and never the last one.

    Args:
        members: all of them; an `Outlier` belongs to the group it was given to last.
        now: members that are ejected already, in a level that was larger, come back from here if they are
            too many: those first who would be back first.
    """

    __slots__ = ("members",)

    def __init__(self, members: Sequence[Outlier], *, now: float = -math.inf) -> None:
        self.members = tuple(members)
        for each in self.members:
            each._group = self
        ejected = sorted((each for each in members if each.ejected(now)), key=lambda each: each.ejected_until)
        left = len(ejected)
        for each in ejected:
            if left < len(self.members) and left / len(self.members) <= each.settings.max_ejected:
                break
            each.ejected_until = now
            left -= 1

    def can_spare(self, member: Outlier, now: float) -> bool:
        """Whether `member`, who is not ejected, may be."""
        ejected = 0
        others = False
        for each in self.members:
            if each.ejected(now):
                ejected += 1
            elif each is not member and each.healthy(now):
                others = True
        return others and (ejected + 1) / len(self.members) <= member.settings.max_ejected


# ── what checks say ──────────────────────────────────────────────────────────────────────────────────


@frozen
class CheckSettings:
    """How often an upstream is asked, and what follows from its answers.

    Args:
        interval: seconds from one check to the next, 20 % more or less; also before the first.
        timeout: seconds after which a check has failed.
        rise: failing ends after this many passed checks in a row.
        fall: it begins after this many failed ones.

    Raises: ValueError naming the setting that cannot be right.
    """

    interval: float = 15.0
    timeout: float = 5.0
    rise: int = 2
    fall: int = 3

    def __post_init__(self) -> None:
        _positive(self, "interval", "timeout")
        for name in ("rise", "fall"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")


class Checks:
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
        """A check passed, or failed with `error`. Fits the `tell` of a `Prober`."""
        if error is None:
            self.passed(now)
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
        if self.on_change is not None:
            try:
                self.on_change(self.healthy, now, reason)
            except Exception:  # as in `Outlier`
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


class Prober:
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


# ── how it returns to full load ──────────────────────────────────────────────────────────────────────


@frozen
class WarmUpSettings:
    """How a deployment that joins or recovers gets its load back.

    Args:
        window: seconds until it has its full share; 0: at once.
        minimum: the share that it may have from the first moment.
        aggression: the share grows as time ** (1 / aggression): above 1 faster in the beginning.

    Raises: ValueError naming the setting that cannot be right.
    """

    window: float = 30.0
    minimum: float = 0.1
    aggression: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.window < math.inf:
            raise ValueError(f"window must be 0 seconds or more, got {self.window}")
        if not 0 < self.minimum <= 1:
            raise ValueError(f"minimum must be above 0 and at most 1, got {self.minimum}")
        _positive(self, "aggression")


class WarmUp:
    """Caps what one deployment may have in flight while it warms up.

    Attributes:
        begins, ends: the window; both -inf before the first.
    """

    __slots__ = ("_least", "_settings", "_window", "begins", "ends")

    def __init__(self, settings: WarmUpSettings) -> None:
        self.begins = -math.inf
        self.configure(settings)

    def configure(self, settings: WarmUpSettings) -> None:
        """Go by `settings` from now on; what warms up goes on, from when it began."""
        self._settings = settings
        self._window = round(settings.window * _MILLION)
        self._least = round(settings.minimum * _MILLION)
        self.ends = self.begins + settings.window

    def begin(self, now: float) -> None:
        """Warm up from `now` on, which may be an instant to come: the end of an ejection is known."""
        self.begins = now
        self.ends = now + self._settings.window

    def active(self, now: float) -> bool:
        """Whether it is warming up."""
        return self.begins <= now < self.ends

    def cap(self, weight: int, largest: tuple[int, int], now: float) -> int:
        """It may take a call only while it has fewer than this in flight: 1 or more.

        Args:
            weight: its own.
            largest: (in flight, weight) of the member with the largest ratio of the two among those who are
                not warming up; see `largest_ratio`.

        Returns: max(1, ceil(ramp * weight * in flight / weight of that one)), with ramp =
            max(minimum, (elapsed / window) ** (1 / aggression)). The product is exact; ramp is, to a
            millionth of the window, with an aggression of 1, else it is rounded to a millionth.
        """
        numerator, denominator = self._ramp(now)
        in_flight, of = largest
        return max(1, -(-numerator * weight * in_flight // (denominator * of)))

    def snapshot(self, now: float) -> dict[str, bool | float]:
        """Plain data for a status page: `seconds_left` until `share`, 0 to 1, is 1 again."""
        numerator, denominator = self._ramp(now)
        return {
            "active": self.active(now),
            "seconds_left": max(0.0, self.ends - now),
            "share": numerator / denominator,
        }

    def _ramp(self, now: float) -> tuple[int, int]:
        """A fraction from `minimum` to 1."""
        if now >= self.ends:
            return 1, 1
        elapsed = max(0, round((now - self.begins) * _MILLION))
        if self._settings.aggression != 1.0:
            share = (elapsed / self._window) ** (1.0 / self._settings.aggression)
            return min(_MILLION, max(self._least, round(share * _MILLION))), _MILLION
        if elapsed * _MILLION <= self._least * self._window:
            return self._least, _MILLION
        return min(elapsed, self._window), self._window


class Warming(Protocol):
    """What `within_caps` needs to know of a member."""

    @property
    def weight(self) -> int: ...

    @property
    def in_flight(self) -> int: ...

    @property
    def warm_up(self) -> WarmUp | None: ...


W = TypeVar("W", bound=Warming)


def within_caps(ready: Sequence[W], now: float) -> Sequence[W]:
    """Those of `ready` that may take a call, in the same order; `ready` itself when all may.

    Nobody is held back when all are warming up, after a start for instance: there is nobody to spare them.
    """
    warming = [each for each in ready if each.warm_up is not None and each.warm_up.active(now)]
    if not warming or len(warming) == len(ready):
        return ready
    held = {id(each) for each in warming}
    largest = largest_ratio((each.in_flight, each.weight) for each in ready if id(each) not in held)
    for each in warming:
        if each.warm_up is not None and each.in_flight < each.warm_up.cap(each.weight, largest, now):
            held.discard(id(each))
    return [each for each in ready if id(each) not in held] if held else ready


def largest_ratio(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The (in flight, weight) whose ratio is the largest, compared exactly; (0, 1) of none."""
    most, of = 0, 1
    for in_flight, weight in pairs:
        if in_flight * of > most * weight:
            most, of = in_flight, weight
    return most, of


def _positive(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}")
