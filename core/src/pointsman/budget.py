"""Budgets: the interface of what says, before each attempt, whether its caller may still make it.

Before anything is sent an attempt holds what it is taken to use; when it has ended, whatever way, the hold is
settled by what it used. Where nobody uses budgets, none of this is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, Protocol

from msgspec import Struct

from pointsman.prices import Price
from pointsman.reports import BudgetAccount
from pointsman.types import Usage

_LENGTHS = {"hour": 3_600, "day": 86_400, "month": 30 * 86_400}
_PARTS = {"hour": 60, "day": 1_800, "month": 43_200}
"""Seconds of a rolling window, and of its parts."""


class BudgetWindow(Struct, frozen=True):
    """The time in which a budget holds: an hour, a day or a month of the calendar in UTC, or the last so many
    seconds of `rolling` (a month has 30 days then).

    What is counted is counted in parts of a window, each called by the second in which it begins. A window of
    the calendar is one part; a rolling one has many, so that what leaves it leaves a little at a time. All
    instants are seconds since 1970 UTC.
    """

    per: Literal["hour", "day", "month"]
    kind: Literal["calendar", "rolling"] = "calendar"

    def part(self, wall: float) -> int:
        """The part that what begins at `wall` is counted in."""
        if self.kind == "calendar":
            return self.begins(wall)
        return int(wall // _PARTS[self.per]) * _PARTS[self.per]

    def begins(self, wall: float) -> int:
        """The first second whose part counts at `wall`."""
        if self.kind == "rolling":
            return self.part(wall) - _LENGTHS[self.per] + _PARTS[self.per]
        if self.per == "month":
            return _month_of(int(wall // 86_400))
        return int(wall // _LENGTHS[self.per]) * _LENGTHS[self.per]

    def ends(self, wall: float) -> int:
        """The first second after `wall` whose part counts no more.

        A rolling window reaches into the future: what a clock that was a little fast has counted counts.
        """
        if self.kind == "rolling":
            return self.part(wall) + _LENGTHS[self.per]
        if self.per != "month":
            return self.begins(wall) + _LENGTHS[self.per]
        return self.begins(self.begins(wall) + 32 * 86_400)

    def frees(self, parts: Iterable[tuple[int, int]], wanted: int, wall: float) -> float | None:
        """Seconds from `wall` until `wanted` of what counts in `parts` counts no more; None for never."""
        if self.kind == "calendar":
            return self.ends(wall) - wall
        left = wanted
        for part, amount in sorted(parts):
            left -= amount
            if left <= 0:
                return max(0.0, part + _LENGTHS[self.per] - wall)
        return None


@lru_cache(maxsize=64)  # the calendar takes longer than all else that is counted
def _month_of(day: int) -> int:
    at = datetime.fromtimestamp(day * 86_400, UTC)
    return int(datetime(at.year, at.month, 1, tzinfo=UTC).timestamp())


class HoldAsked(Struct, frozen=True):
    """What one attempt wants to use, as far as that is known before.

    Attributes:
        request_id: of its request; `attempt` is its number there, from 1.
        first: nothing of its request was sent before.
        model: the public name whose deployment it goes to; `deployment`: the id of that.
        caller, tags: as of the request.
        prompt_tokens: an estimate.
        most_completion: tokens that all answers have at most; None where the request does not say.
        answers: how many it asks for at once.
        price: what the deployment charges; None where nobody knows.
        seconds: after which the request is over at the latest.
        wall: seconds since 1970 UTC.
    """

    request_id: str
    attempt: int
    first: bool
    model: str
    deployment: str
    caller: str
    tags: Mapping[str, str]
    prompt_tokens: int
    most_completion: int | None
    price: Price | None
    seconds: float
    wall: float
    answers: int = 1


class Hold(Protocol):
    """What one attempt holds of budgets, until it is settled."""

    def settle(
        self, usage: Usage | None, cost_microcents: int | None, *, sent: bool, delivered: int = 0
    ) -> None:
        """The attempt is over. Called once, on the loop, whatever way it ended; it must not block or raise.

        Args:
            usage: tokens that it used; None where nobody knows.
            cost_microcents: what they cost, in millionths of a US cent; None where nobody knows.
            sent: False when surely nothing reached the upstream, so that nothing was used.
            delivered: tokens of the answer that came, an estimate, where the upstream had not counted all of
                them when the attempt ended: it used no fewer.
        """
        ...


class Budgets(Protocol):
    """Says whether an attempt may be made. A service has a router use it: `router.use_budgets(budgets)`."""

    async def hold(self, asked: HoldAsked, /) -> Hold | None:
        """What is held for the attempt, of all budgets that it counts against or of none; None for nothing.

        One that is cancelled has given back what it held. Whatever else this raises counts as a mistake of
        the plugin's, and the call fails.

        Raises: BudgetExceeded, so that another deployment is asked, such as one that costs less.
        """
        ...

    def refusal(self, asked: HoldAsked, /) -> str:
        """Why `hold` would refuse now, in a few words, for a dry run; "" when it would not."""
        ...

    def accounts(self) -> Sequence[BudgetAccount]:
        """How it stands with each budget that was used, for `status`.

        Who keeps elsewhere what was spent also has `trouble`: why that cannot be done now; "" where it can.
        """
        ...
