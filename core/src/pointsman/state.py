"""State stores: the interface of what several routers share, such as the rate limits of one account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from msgspec import Struct
from pydantic import BaseModel

from pointsman.auth import Secret
from pointsman.budget import BudgetWindow
from pointsman.context import Context


class Take(Struct, frozen=True):
    """So many units of one limit, which is a bucket that fills again at an even pace (GCRA).

    Attributes:
        limit: its name, the same in every router.
        units: whole ones, 0 or more.
        count, period: `count` units in `period` seconds.
        burst: units that can be had at once after a rest.
        oversize: what becomes of more units than `burst`: never let through, or when the bucket is full.
    """

    limit: str
    units: int
    count: int
    period: float
    burst: int
    oversize: Literal["refuse", "full"] = "refuse"


class WantedPlace(Struct, frozen=True):
    """One of so many places for attempts that run at a deployment at the same time."""

    deployment: str
    places: int


class Admission(Struct, frozen=True):
    """What one attempt takes of what is shared: all of it, or nothing.

    Attributes:
        id: of the attempt, and of its place; no two are the same, in whatever router.
        takes: each of another limit.
        place: None where it needs none.
        seconds: after which its place is free again, unless it was renewed.
    """

    id: str
    takes: Sequence[Take]
    place: WantedPlace | None
    seconds: float


class Admitted(Struct, frozen=True):
    """All of it was taken; `receipt` is whatever the store wants to see again when that is settled."""

    receipt: object = None


class NoRoom(Struct, frozen=True):
    """Nothing was taken.

    Attributes:
        lacking: the name of the limit, or the id of the deployment, that has no room.
        wait: seconds until it may have; for a place until the first one expires.
    """

    lacking: str
    wait: float


class Settlement(Struct, frozen=True):
    """How an attempt that was admitted ended: its place is free, and it used so much.

    Attributes:
        used: units for each of `admission.takes`, in their order: all 0 where nothing was sent.
        receipt: as `Admitted` had it; None where nobody knows whether it was admitted: then only its place
            is freed.
    """

    admission: Admission
    used: Sequence[int]
    receipt: object = None


class HeldPlace(Struct, frozen=True):
    """A place that an attempt still needs: the id of its admission, and of the deployment."""

    id: str
    deployment: str


class Notice(Struct, frozen=True):
    """Something that all routers should know for a while, such as that a circuit breaker opened.

    Attributes:
        topic, about: what it is of, and what about; a later one of the same two takes its place.
        seconds: how long it holds from now on.
    """

    topic: str
    about: str
    value: str
    seconds: float


class BudgetTake(Struct, frozen=True):
    """What an attempt may use of one budget.

    Attributes:
        account: its name, the same in every router.
        units: 0 or more; None for what is let through though nothing is left, and counts as nothing.
        limit: units in `window`.
        spent: what the router knows to be spent in that; an account that the store does not know begins so.
    """

    account: str
    units: int | None
    limit: int
    window: BudgetWindow
    spent: int = 0


class BudgetHold(Struct, frozen=True):
    """What one attempt may use of budgets: all of it is held, or nothing.

    Attributes:
        id: no two are the same, in whatever router.
        takes: each of another account.
        seconds: after which it counts as spent, unless it was renewed or settled.
    """

    id: str
    takes: Sequence[BudgetTake]
    seconds: float


class BudgetFull(Struct, frozen=True):
    """Nothing was held.

    Attributes:
        lacking: the account that has no room.
        spent, held: in its window.
        wait: seconds until there may be room; None for never.
    """

    lacking: str
    spent: int
    held: int
    wait: float | None


class BudgetSettlement(Struct, frozen=True):
    """What became of a hold: units that were used, for each of `hold.takes` in their order."""

    hold: BudgetHold
    used: Sequence[int]


class HoldingStore(Protocol):
    """What a state store may offer besides: budgets that are exact over all routers."""

    async def hold(self, hold: BudgetHold, /) -> BudgetFull | None:
        """Hold all that `hold` asks for and return None, or nothing, in one step that no other comes between.

        There is room where what was spent and is held in the window of now, by the store's own clock, with at
        least 1 unit more is within the limit. It counts in the part of the window in which it was held.
        """
        ...

    async def settle_holds(self, settlements: Sequence[BudgetSettlement], /) -> None:
        """Have what was used count in place of what was held; of one that had expired, in place of that.

        Twice is once, and an id that is not known is no mistake.
        """
        ...

    async def renew_holds(self, holds: Sequence[BudgetHold], /) -> None:
        """Have those of `holds` that are still held last for their `seconds` from now on."""
        ...


class SharedNotices(Protocol):
    """What services of several routers tell one another, and hold together, where these share a state store.

    A notice that the store could not be told is kept, and told when it is back, while it holds.
    """

    def publish(self, topic: str, about: str, value: str, seconds: float) -> None:
        """Have all routers told, this one too, and for so many seconds those that begin. It does not wait.

        Args:
            topic: one of your own, such as the name of your distribution; of the same topic a later notice
                `about` the same takes the place of an earlier one.

        Raises: ValueError for a topic of the router's own.
        """
        ...

    def subscribe(self, topic: str, told: Callable[[Notice], None]) -> Callable[[], None]:
        """Call `told`, which must not block, with every notice of `topic`; returns what ends it.

        `seconds` of a notice are those that it holds from then on.
        """
        ...

    @property
    def holds(self) -> bool:
        """Whether the store can hold budgets, and is there."""
        ...

    async def hold(self, takes: Sequence[BudgetTake], /) -> BudgetHold | BudgetFull | None:
        """What is held of budgets in all routers, until that is settled; None where the store does not say.

        It is renewed as long as this process lives.
        """
        ...

    def settle_hold(self, settlement: BudgetSettlement, /) -> None:
        """Have the store know, soon, what became of it. It does not wait."""
        ...


class StateStore(Protocol):
    """Where routers keep what they share. Each method is bounded by the router: 50 ms, tried twice.

    Whatever a method raises counts as a failure of the store; after a few of them it is only asked now and
    then whether it is back. Time is the store's own, for the clocks of routers differ. Nothing is opened
    before the first of them is called.
    """

    async def admit(self, admission: Admission, /) -> Admitted | NoRoom:
        """Take all that `admission` asks for, or nothing, in one step that no other router comes between.

        In any window of t seconds no more than `burst + count x t / period` units of a limit are let
        through, counted when they were, with what was settled.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement], /) -> None:
        """Book what attempts used in place of what they took, and free their places.

        What was worked off meanwhile is not given back; what was used beyond is owed. An id that has no
        place any more is no mistake.
        """
        ...

    async def renew(self, router: str, held: Sequence[HeldPlace], seconds: float, /) -> int:
        """The routers that are there, with this one, which is for `seconds`, and so are the places `held`."""
        ...

    async def publish(self, notice: Notice, /) -> None:
        """Tell all routers that watch, and for as long as it holds all that begin to."""
        ...

    async def watch(self, told: Callable[[Notice], None], /) -> None:
        """Call `told` with every notice that holds, then with each that is published, until cancelled.

        Raises: what went wrong, when it can go on no longer; it is called again later.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections. Also called when nothing was opened, and perhaps twice."""


class StateContext(Context, frozen=True, kw_only=True, eq=False):
    """What a state store is made from.

    Attributes:
        address: the `url` of the configuration, which may hold a password; None when there is none.
    """

    address: Secret | None


class StateFactory(Struct, frozen=True):
    """What a state plugin offers.

    Attributes:
        name: as in `state: {type: name}`, and the scheme of `state: name://…`.
        settings: the pydantic model of its own settings, beside `type`, `url`, `fail`, `lease` and `timeout`;
            None when there are none.
        make: returns a `StateStore`, and opens nothing.
    """

    name: str
    settings: type[BaseModel] | None
    make: Callable[[StateContext], StateStore]
