"""Cool-downs: how long calls are kept away from what said no, for ever longer with each no in a row.

Without clock or I/O; `now` is in seconds on any clock that only moves forward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol
from weakref import ref

from pointsman._internal.settings import Order, Section, setting
from pointsman.clock import Rng
from pointsman.errors import Refusal
from pointsman.units import Duration

LONGEST = 3600.0
"""Seconds. An upstream that asks for more is tried again after an hour: it may have meant something else."""
_JITTER = 0.1


class CoolDownSettings(Section):
    """How long a cool-down is that no upstream named: `base`, doubling in a row, at most `max`."""

    orders = (Order("base", "max"),)

    base: Duration = setting(gt=0, description="the first time; doubles with each in a row")
    max: Duration = setting(gt=0, description="never longer, apart from a tenth; at least `base`")


class OverloadSettings(CoolDownSettings):
    """For how long a deployment is left alone that is overloaded and does not say when to come back."""

    base: Duration = setting(default=10.0, gt=0, description="the first time; doubles with each in a row")
    max: Duration = setting(
        default=120.0,
        default_from=lambda said: max(120.0, said.get("base", 0.0)),
        gt=0,
        description="never longer, apart from a tenth; at least `base`",
    )


class RefusalSettings(CoolDownSettings):
    """For how long a deployment is left alone that refuses us: the key, the account or the model is wrong."""

    base: Duration = setting(default=60.0, gt=0, description="the first time; doubles with each in a row")
    max: Duration = setting(
        default=600.0,
        default_from=lambda said: max(600.0, said.get("base", 0.0)),
        gt=0,
        description="never longer, apart from a tenth; at least `base`",
    )


OVERLOAD = OverloadSettings.model_construct()
REFUSAL = RefusalSettings.model_construct()


class CoolDown:
    """One reason to keep calls away, and until when it holds.

    Attributes:
        until: it holds until then, jitter included; `asked` is the same without jitter.
        in_row: how many there were since the last success.
        reason: what the upstream refused; None for an overload.
        settings: may be replaced at any time, and hold from the next one on.
    """

    __slots__ = ("_since", "asked", "in_row", "reason", "settings", "until")

    def __init__(self, settings: CoolDownSettings) -> None:
        self.settings = settings.in_order()
        self.reason: Refusal | None = None
        self.until = self.asked = 0.0
        self.in_row = 0
        self._since = -inf

    def began(
        self,
        now: float,
        *,
        started: float,
        rng: Rng,
        hint: float | None = None,
        at_least: float = 0.0,
        within: float = inf,
    ) -> bool:
        """A call that `started` then was told no; whether a cool-down begins with that.

        One that began before the present cool-down says nothing new: it may only extend it, by what the
        upstream said.

        Args:
            hint: seconds that the upstream named, in place of ours; `at_least` beside ours.
            within: as for `extend`.
        """
        if started <= self._since:
            if (said := max(hint or 0.0, at_least)) > 0:
                self.extend(now, said, rng=rng, within=within)
            return False
        settings = self.settings
        # 2.0**k overflows long after it stopped to matter.
        ours = min(settings.max, settings.base * 2.0 ** min(self.in_row, 64))
        self.in_row += 1
        self._since = now
        self.extend(now, max(ours if hint is None else hint, at_least), rng=rng, within=within)
        return True

    def extend(self, now: float, seconds: float, *, rng: Rng, within: float = inf) -> None:
        """Hold for `seconds` and up to a tenth more: never earlier than an upstream said, and those who were
        refused by several of us do not come back together.

        Args:
            within: seconds that a caller has left who would wait for the end; jitter does not exceed them.
        """
        seconds = min(seconds, LONGEST)
        most = seconds * _JITTER
        if within > seconds:
            most = min(most, within - seconds)
        self.asked = max(self.asked, now + seconds)
        self.until = max(self.until, now + seconds + most * rng.random())

    def end(self) -> None:
        """Forget everything."""
        self.until = self.asked = 0.0
        self.in_row = 0


class CoolDownMember(Protocol):
    """What is kept away by a cool-down that it shares."""

    def cooled(self) -> None:
        """One of its cool-downs has changed."""


class Credential(CoolDown):
    """The cool-down of all deployments that use one credential.

    Attributes:
        refused: is called when it begins; None where nobody can have another credential.
    """

    __slots__ = ("__weakref__", "_members", "refused")

    def __init__(self, settings: CoolDownSettings = REFUSAL) -> None:
        super().__init__(settings)
        self.refused: Callable[[], None] | None = None
        self._members: list[ref[CoolDownMember]] = []

    def join(self, member: CoolDownMember) -> None:
        """`member` uses this credential from now on."""
        self._members = [each for each in self._members if each() not in (None, member)] + [ref(member)]

    def leave(self, member: CoolDownMember) -> None:
        """`member` uses another one."""
        self._members = [each for each in self._members if each() not in (None, member)]

    def members(self) -> list[CoolDownMember]:
        """Those that still exist."""
        return [member for each in self._members if (member := each()) is not None]


class CoolDowns:
    """All that keeps calls away from one deployment for a while.

    Attributes:
        failing: the latest call that said anything about the upstream ended in a fault, an overload or a
            refusal.
        overload, refusal, credential: its cool-downs, of which the last one is shared by all that use the
            same credential; `cooling_until` is the latest end of them.
    """

    __slots__ = (
        "__weakref__",  # credentials know their members weakly
        "cooling_until",
        "credential",
        "failing",
        "overload",
        "refusal",
        "rng",
    )

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.failing = False
        self.cooling_until = 0.0
        self.overload = CoolDown(OVERLOAD)
        self.refusal = CoolDown(REFUSAL)
        self.credential = Credential()
        self.credential.join(self)

    def cooled(self) -> None:
        """One of its cool-downs has changed."""
        self.cooling_until = max(self.overload.until, self.refusal.until, self.credential.until)

    def uses(self, credential: Credential) -> None:
        """Share the cool-down of that credential from now on."""
        if self.credential is not credential:
            self.credential.leave(self)
            self.credential = credential
            credential.join(self)
            self.cooled()

    def overloaded(self, now: float, started: float, hint: float | None, within: float) -> None:
        """A call that `started` then found no capacity: keep others away as the upstream said."""
        self.failing = True
        self.overload.began(now, started=started, rng=self.rng, hint=hint, within=within)
        self.cooled()

    def refused(self, what: Refusal, now: float, started: float, hint: float | None, within: float) -> bool:
        """A call that `started` then was refused: leave the deployment alone, or all of its credential.

        Returns: whether that begins now.
        """
        self.failing = True
        cool_down: CoolDown = self.credential if what.of_credential else self.refusal
        cool_down.reason = what
        new = cool_down.began(now, started=started, rng=self.rng, at_least=hint or 0.0, within=within)
        self._tell(self.credential.members() if what.of_credential else ())
        if new and what.of_credential and self.credential.refused is not None:
            self.credential.refused()
        return new

    def lacks_credential(self, now: float, seconds: float, within: float) -> None:
        """There is no credential to ask with: send nothing with it for `seconds`, which is no one's fault."""
        if self.credential.until <= now:
            self.credential.reason = Refusal.NO_CREDENTIAL
        self.credential.extend(now, seconds, rng=self.rng, within=within)
        self._tell(self.credential.members())

    def keep_away(self, now: float, seconds: float, within: float) -> None:
        """Send no call for `seconds`, as the upstream asked."""
        self.overload.extend(now, seconds, rng=self.rng, within=within)
        self.cooled()

    def recovered(self) -> None:
        """A call succeeded after others had not: the next cool-down is a first one again."""
        self.failing = False
        self.overload.in_row = self.refusal.in_row = self.credential.in_row = 0

    def forget(self) -> None:
        """End its cool-downs, for others with its credential too, and hold it for well."""
        for each in (self.overload, self.refusal, self.credential):
            each.end()
        self.failing = False
        self._tell(self.credential.members())

    def last(self) -> CoolDown:
        """The cool-down that ends last: of its credential, of its own for a refusal, or for an overload."""
        return max(self.credential, self.refusal, self.overload, key=lambda each: each.until)

    @property
    def jitter(self) -> float:
        """Seconds at the end of its cool-downs that no upstream asked for."""
        asked = max(self.overload.asked, self.refusal.asked, self.credential.asked)
        return self.cooling_until - asked

    def is_refused(self, now: float) -> bool:
        """Whether it is left alone because of what it refused; to wait for the end makes no sense."""
        credential = self.credential
        refused = credential.until > now and credential.reason is not Refusal.NO_CREDENTIAL
        return refused or self.refusal.until > now

    def _tell(self, others: Sequence[CoolDownMember]) -> None:
        for each in (self, *others):
            each.cooled()
