"""Strategies: which of the ready deployments gets the next attempt.

A strategy decides and does nothing else. It is synchronous, and the built-in ones know of a deployment only
its id, its weight and how many calls it has in flight; others may ask for more (`RichMember`, `observed`,
the clock of their context). Everything that makes a deployment unfit (down, breaker open, limit reached,
tried already) was filtered before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from msgspec import Struct

from pointsman.context import Context
from pointsman.errors import Outcome
from pointsman.prices import Price


class Member(Protocol):
    """What a strategy may know of a deployment."""

    @property
    def id(self) -> str:
        """Unique in its pool, and the same after a reload."""

    @property
    def weight(self) -> int:
        """1 or more. Changes only through `Strategy.members`."""

    @property
    def in_flight(self) -> int:
        """Attempts that hold a lease now."""


class Residency(Struct, frozen=True):
    """What a host has in memory, as a poll last saw it, from the point of view of one of its models.

    Attributes:
        resident: the model is in memory.
        loaded: all models in memory, under the names that the configuration uses.
        capacity: how many models fit; None when nobody knows.
        load_seconds: how long the model takes to load, an estimate; 0 when nobody knows.
        busy: our leases on the host over all its models, now.
        checked_at: when the poll was answered, on the router's clock.
    """

    resident: bool
    loaded: tuple[str, ...]
    capacity: int | None
    load_seconds: float
    busy: int
    checked_at: float


class RichMember(Member, Protocol):
    """What the router's own deployments tell besides; a strategy that asks copes with members that do not."""

    @property
    def model(self) -> str:
        """The upstream's own name of the model."""

    @property
    def provider_name(self) -> str:
        """The configured name of the provider; deployments of one provider share its host."""

    @property
    def price(self) -> Price | None:
        """What a call costs, as configured or known; None when nobody knows."""

    @property
    def residency(self) -> Residency | None:
        """What the host has in memory; None when it is not polled or never answered."""


class Sample(Struct, frozen=True):
    """How one attempt on a member ended.

    Attributes:
        seconds: from the choice to the end.
        first_token: seconds from the choice to the first content; None when there was none, or when the
            answer came as a whole.
        retry_after: the upstream's hint after an `overload`, seconds.
        now: when it ended, on the router's clock; it may be earlier than the sample before.
    """

    outcome: Outcome
    seconds: float
    first_token: float | None
    retry_after: float | None
    now: float


class Placing(Struct, eq=False):
    """One request on its way to a deployment, for a strategy that follows requests: see `Strategy.place`.

    Attributes:
        request: what the caller asked for.
        affinity: the conversation that it belongs to, as its caller names it; "" when nobody says. It may
            tell who asks: keep nothing but a keyed hash of it, and show no more than a few digits of that.
        notes: whatever the strategy wants to find again when it hears of the same request.
    """

    request: object
    affinity: str = ""
    notes: object = None

    def __repr__(self) -> str:
        return "<a request on its way>"  # and nothing of what was asked

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return []


class Learned(Struct, frozen=True):
    """Something that a strategy has learned and that the same strategy of other routers should know.

    Attributes:
        text: whatever it writes; it goes over a network, and is kept where that ends. No prompts, no names.
        seconds: for how long it is of use, from when it was told.
        about: a later one about the same takes its place; one about "" stands beside those before it.
        by: the router that learned it, where another one hears of it: some digits, other ones at each start.
    """

    text: str
    seconds: float
    about: str = ""
    by: str = ""


class Strategy(Protocol):
    """Chooses one deployment among the ready ones. Inherit it and write `pick`; the rest has defaults."""

    wants_residency: ClassVar[bool] = False
    """Whether the servers behind the pool are to be asked every few seconds what they have in memory."""
    scored_by: ClassVar[str] = ""
    """What `scores` are, and which of them wins: `calls in flight for its weight; the lowest`."""

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        """Choose one of `ready`.

        Args:
            ready: never empty, in configuration order. Passing the same tuple again while nothing
                changed is the fast way.
            request: what the caller asked for.

        Returns: an element of `ready`. Whether an attempt follows is not the strategy's business: a pick
        that the deployment then refused is not given back.
        """
        ...

    def place(self, ready: Sequence[Member], placing: Placing, /) -> Member:
        """Choose one of `ready`, as `pick` does, and hear of the request later.

        Called in place of `pick`, and only when the class overrides it: see `follows`. A request whose
        deployment fails is placed once more as another `Placing`.
        """
        return self.pick(ready, placing.request)

    def answered(self, member: Member, placing: Placing, now: float, /) -> None:
        """An answer of `member` has begun, or is complete: called with the first content of a stream, and
        when an attempt has succeeded.

        Only for a strategy that follows requests.
        """
        return

    def scores(self, ready: Sequence[Member], placing: Placing, /) -> Mapping[str, float]:
        """What it goes by, by the id of the member, in the measure that `scored_by` names; {} for nothing.

        For a dry run: called on a copy, and never by a call. What is infinite is not shown.
        """
        return {}

    def degraded(self) -> str:
        """Why it chose the last time without the signal that it goes by; "" when it had that."""
        return ""

    def learned(self) -> Sequence[Learned]:
        """What others should know of what was learned since this was last called.

        Called four times a second where routers share a store, and only when the class overrides it: see
        `shares`. Where there is no store it is never called; so collect nothing before the first time.
        """
        return ()

    def heard(self, learned: Learned, /) -> None:
        """Take note of what the same strategy of the same model learned in another router.

        Args:
            learned: as that returned it; `seconds` are those that are left.

        Raises: ValueError when it is none of that; others may have another version, or other settings.
        """
        return

    def members(self, everyone: Sequence[Member], /) -> None:
        """Take note of all deployments of the pool, ready or not, in configuration order.

        Called when the pool is built and at each reload, and never between. After it a member may be
        another object with the same id and another weight.
        """
        return  # said, or type checkers hold the method for abstract; so below

    def observed(self, member: Member, sample: Sample, /) -> None:
        """Learn how an attempt on `member` ended; by then `member.in_flight` no longer counts it.

        Called for every attempt of the pool, and only when the class overrides it: see `observes`.
        """
        return

    def state(self) -> Mapping[str, object]:
        """What a successor of the same name should know, as plain data (str, int, float, dict, list)."""
        return {}

    def restore(self, state: Mapping[str, object], /) -> None:
        """Continue from the `state()` of a predecessor of the same name. Called once, before `members`.

        Raises: ValueError when it is not such a state.
        """
        return


def observes(strategy: Strategy) -> bool:
    """Whether `strategy` wants to be told of samples; ask once, when the pool is built."""
    method: object = getattr(type(strategy), "observed", Strategy.observed)
    return method is not Strategy.observed


def follows(strategy: Strategy) -> bool:
    """Whether `strategy` places requests and hears of their answers; ask once, when the pool is built."""
    method: object = getattr(type(strategy), "place", Strategy.place)
    return method is not Strategy.place


def shares(strategy: Strategy) -> bool:
    """Whether `strategy` has something to tell those of other routers; ask once, when the pool is built."""
    method: object = getattr(type(strategy), "learned", Strategy.learned)
    return method is not Strategy.learned


class ConfiguredMember(Struct, frozen=True):
    """A deployment as configured, before there is one: a `RichMember` that nobody calls."""

    id: str
    model: str
    provider_name: str
    weight: int = 1
    price: Price | None = None
    in_flight: int = 0
    residency: Residency | None = None


class StrategyContext(Context, frozen=True, kw_only=True, eq=False):
    """What the strategy of one pool is made from.

    Attributes:
        model: the public name of the model.
        members: its deployments in configuration order, as configured. Those that are picked from come with
            `Strategy.members`.
    """

    model: str
    members: Sequence[RichMember]


class StrategyFactory(Struct, frozen=True):
    """A strategy under the name that configurations use.

    Attributes:
        name: as in `strategy: name`.
        settings: the pydantic model of what may stand beside `type`; None when nothing may.
        make: makes the strategy of one pool, and starts nothing.
    """

    name: str
    settings: type[Any] | None  # Any: the model is the plugin's own
    make: Callable[[StrategyContext], Strategy]
