"""Outlier detection: who fails more than the others of its pool is ejected for a while."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pointsman._internal.observers import fails
from pointsman._internal.settings import Count, Order, Section, setting
from pointsman.clock import Rng
from pointsman.resilience.health_check import HealthState
from pointsman.units import Duration, Percent


class OutlierSettings(Section):
    """Deployments that fail again and again are left out for a while; there is none of it without this."""

    orders = (Order("base_ejection", "max_ejection"),)

    failure_threshold: Count = setting(default=5, ge=1, description="failures in a row that eject")
    base_ejection: Duration = setting(default=30.0, gt=0, description="the first time; longer each time")
    max_ejection: Duration = setting(
        default=300.0,
        default_from=lambda said: max(300.0, said.get("base_ejection", 0.0)),
        gt=0,
        description="it is never out longer, plus a tenth; at least `base_ejection`",
    )
    interval: Duration = setting(default=10.0, gt=0, description="in health: the next ejection is shorter")
    max_ejected: Percent = setting(default=0.5, gt=0, description="of a level at most, and never the last")


class OutlierDetector:
    """Counts one deployment's faults in a row, and ejects it for a while.

    It belongs to one `EjectionGroup`, which says whether the level can do without it; alone it is never
    ejected.

    Args:
        settings: None when nothing ejects it, and it only counts.
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
        settings: OutlierSettings | None,
        rng: Rng,
        *,
        checks: HealthState | None = None,
        on_eject: Callable[[float, float, str], None] | None = None,
    ) -> None:
        self.ejected_until = -math.inf
        self.ejections = 0
        self.spared = 0
        self.listener_errors = 0
        self.on_eject = on_eject
        self._settings = None if settings is None else settings.in_order()
        self._rng = rng
        self._checks = checks
        self._group: EjectionGroup | None = None
        self._consecutive = 0
        self._ejected_at = -math.inf
        self._multiplier = 0  # as it was when the last ejection began

    @property
    def settings(self) -> OutlierSettings | None:
        return self._settings

    @property
    def checks(self) -> HealthState | None:
        """The checks of its provider, which it believes."""
        return self._checks

    def configure(self, settings: OutlierSettings | None, checks: HealthState | None) -> None:
        """Go by these from now on; faults and an ejection that has begun stay, unless nothing ejects now."""
        self._settings, self._checks = settings, checks
        if settings is None:
            self.ejected_until = -math.inf
        else:
            self._multiplier = min(self._multiplier, _longest(settings.in_order()))

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
        if not self._multiplier or self._settings is None:
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
        settings = self._settings
        if settings is not None and self._consecutive >= settings.failure_threshold:
            if self._group is not None and self._group.can_spare(self, now, settings.max_ejected):
                self._eject(now, settings)
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

    def _eject(self, now: float, settings: OutlierSettings) -> None:
        # It does not grow beyond what the longest ejection needs: the way back would be as long as the past.
        self._multiplier = min(self.multiplier(now) + 1, _longest(settings))
        seconds = min(settings.max_ejection, settings.base_ejection * self._multiplier)
        failures, self._consecutive = self._consecutive, 0
        self._ejected_at = now
        self.ejected_until = now + seconds * (0.9 + 0.2 * self._rng.random())
        self.ejections += 1
        reason = f"{failures} failures in a row"
        if fails(self.on_eject, self.ejected_until, now, reason):
            self.listener_errors += 1


def _longest(settings: OutlierSettings) -> int:
    """The multiplier of the longest ejection."""
    return math.ceil(settings.max_ejection / settings.base_ejection)


class EjectionGroup:
    """The members of one priority level, of whom at most a share is ejected, and never the last one.

    Args:
        members: all of them; an `OutlierDetector` belongs to the group it was given to last.
        now: members that are ejected already, in a level that was larger, come back from here if they are
            too many: those first who would be back first.
    """

    __slots__ = ("members",)

    def __init__(self, members: Sequence[OutlierDetector], *, now: float = -math.inf) -> None:
        self.members = tuple(members)
        for each in self.members:
            each._group = self
        ejected = [member for member in members if member.ejected(now)]
        left = len(ejected)
        for member in sorted(ejected, key=lambda member: member.ejected_until):
            settings = member.settings
            assert settings is not None, "nothing ejects it"
            if left < len(self.members) and left / len(self.members) <= settings.max_ejected:
                break
            member.ejected_until = now
            left -= 1

    def can_spare(self, member: OutlierDetector, now: float, max_ejected: float) -> bool:
        """Whether `member`, who is not ejected, may be: a share of `max_ejected` at most is."""
        ejected = 0
        others = False
        for each in self.members:
            if each.ejected(now):
                ejected += 1
            elif each is not member and each.healthy(now):
                others = True
        return others and (ejected + 1) / len(self.members) <= max_ejected
