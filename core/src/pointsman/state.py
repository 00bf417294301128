"""State stores: the interface of what several routers share, such as the rate limits of one account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from msgspec import Struct
from pydantic import BaseModel

from pointsman.auth import Secret
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
