"""Strategies: which of the ready deployments gets the next attempt.

A strategy decides and does nothing else. It is synchronous, and the built-in ones know of a deployment only
its id, its weight and how many calls it has in flight; others may ask for more (`RichMember`, `observed`,
the clock of their factory). Everything that makes a deployment unfit (down, breaker open, limit reached,
tried already) was filtered before.
"""

from collections.abc import Callable, Mapping, Sequence
from math import gcd
from typing import Any, ClassVar, Protocol

from pointsman.clock import Clock, Rng
from pointsman.errors import Outcome
from pointsman.frozen import frozen
from pointsman.swrr import Ties, Turns

__all__ = [
    "BUILT_IN",
    "LeastConnections",
    "Member",
    "Price",
    "Residency",
    "RichMember",
    "RoundRobin",
    "Sample",
    "Strategy",
    "StrategyFactory",
    "Weighted",
    "observes",
]


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


@frozen
class Price:
    """What a deployment charges, in one currency for all, per 1,000,000 tokens.

    `cached` is for prompt tokens that the upstream had in its cache; None: as `input`.
    """

    input: float
    output: float
    cached: float | None = None


@frozen
class Residency:
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
        """What a call costs; None when the configuration does not say."""

    @property
    def residency(self) -> Residency | None:
        """What the host has in memory; None when it is not polled or never answered."""


@frozen
class Sample:
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


class Strategy(Protocol):
    """Chooses one deployment among the ready ones. Inherit it and write `pick`; the rest has defaults."""

    wants_residency: ClassVar[bool] = False
    """Whether the servers behind the pool are to be asked every few seconds what they have in memory."""

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


@frozen
class StrategyFactory:
    """A strategy under the name that configurations use.

    Args:
        name: as in `strategy: name`.
        settings: the pydantic model of what may stand beside `type`; None when nothing may.
        make: called with (settings, rng, clock) for each pool, and starts nothing. `settings` is an
            instance of the model or None; `rng` is None when the router should do the same every time.
    """

    name: str
    settings: type[Any] | None  # Any: the model is the plugin's own
    make: Callable[[Any, Rng | None, Clock], Strategy]


class _InTurn(Strategy):
    """What round robin with and without weights have in common."""

    _weighted = True

    def __init__(self, rng: Rng | None = None, *, silent_picks: int | None = None) -> None:
        """Start somewhere in the round, so that many processes do not begin in step.

        Args:
            rng: draws how many picks are made silently when the members are first announced; None: none.
            silent_picks: that number, in place of chance.
        """
        self._turns: Turns[Member] = Turns(weighted=self._weighted)
        self._start = _Start(rng, silent_picks)

    def pick(self, ready: Sequence[Member], _request: object, /) -> Member:
        return self._turns.next(ready)

    def members(self, everyone: Sequence[Member], /) -> None:
        self._turns.members(everyone)
        for _ in range(self._start.picks(self._turns.round_length(), len(everyone))):
            self._turns.next(everyone)

    def state(self) -> Mapping[str, object]:
        credits, unit = self._turns.credits()
        return {"credits": credits, "unit": unit}

    def restore(self, state: Mapping[str, object], /) -> None:
        unit = state.get("unit")
        if not isinstance(unit, int):
            raise ValueError("a state of turns holds `unit`, a positive integer")
        self._turns.restore(_credits_of(state), unit)
        self._start.skip()


class RoundRobin(_InTurn):
    """Everyone in turn, whatever the weights."""

    _weighted = False


class Weighted(_InTurn):
    """In turn and in proportion to the weights, as evenly spread as can be: 5, 1, 1 gives a a b a c a a.

    With a constant set each deployment has exactly its share after sum(weights) picks, and none is ever
    a whole pick ahead of its share. When the set changes, the share follows at once; what a deployment
    was owed or had in advance stays with it, counted in picks, while it is away.

    Cost: O(n) up to 64 ready deployments, O(log n) above.
    """


class LeastConnections(Strategy):
    """The smallest number of calls in flight for its weight; ties in turn, in proportion to the weights."""

    def __init__(self, rng: Rng | None = None, *, silent_picks: int | None = None) -> None:
        """As for `Weighted`: the silent picks move the turns of the ties."""
        self._ties = Ties()
        self._even = False
        self._start = _Start(rng, silent_picks)

    def pick(self, ready: Sequence[Member], _request: object, /) -> Member:
        if len(ready) == 1:
            return ready[0]
        loads = [member.in_flight for member in ready]
        if self._even:
            fewest = min(loads)
            ties = loads.count(fewest)
            if ties == 1:  # as most often under load, and then nobody's turn matters
                return ready[loads.index(fewest)]
            if ties < len(loads):
                ready = [each for each, load in zip(ready, loads, strict=True) if load == fewest]
            return self._ties.next(ready)
        if not any(loads):
            return self._ties.next(ready)
        tied: list[Member] = []
        least, per = 1, 0  # in-flight / weight as a fraction; 1/0 is more than anything
        for member, in_flight in zip(ready, loads, strict=True):
            weight = member.weight
            difference = in_flight * per - least * weight
            if difference < 0:
                tied = [member]
                least, per = in_flight, weight
            elif difference == 0:
                tied.append(member)
        return self._ties.next(tied)

    def members(self, everyone: Sequence[Member], /) -> None:
        self._ties.members(everyone)
        weights = [member.weight for member in everyone]
        self._even = len(set(weights)) == 1
        length = sum(weights) // gcd(*weights) if weights else 0
        for _ in range(self._start.picks(length, len(everyone))):
            self._ties.next(everyone)

    def state(self) -> Mapping[str, object]:
        return {"credits": self._ties.credits()}

    def restore(self, state: Mapping[str, object], /) -> None:
        self._ties.restore(_credits_of(state))
        self._start.skip()


BUILT_IN = (
    StrategyFactory("round_robin", None, lambda _settings, rng, _clock: RoundRobin(rng)),
    StrategyFactory("weighted", None, lambda _settings, rng, _clock: Weighted(rng)),
    StrategyFactory("least_connections", None, lambda _settings, rng, _clock: LeastConnections(rng)),
)


class _Start:
    """How many silent picks a strategy begins with. Said once, then 0."""

    _MOST = 1_000  # enough to spread processes; a whole round of large weights could take seconds

    def __init__(self, rng: Rng | None, silent_picks: int | None) -> None:
        self._rng = rng
        self._silent_picks = silent_picks
        self._done = rng is None and silent_picks is None

    def picks(self, round_length: int, members: int) -> int:
        if self._done or not members:
            return 0
        self._done = True
        if self._silent_picks is not None:
            return self._silent_picks
        if self._rng is None:
            return 0
        return int(self._rng.random() * min(round_length, max(self._MOST, members)))

    def skip(self) -> None:
        self._done = True


def _credits_of(state: Mapping[str, object]) -> dict[str, int]:
    credits = state.get("credits")
    if not isinstance(credits, Mapping):
        raise ValueError("a state of turns holds `credits`, a mapping from id to integer")
    if not all(isinstance(value, int) for value in credits.values()):
        raise ValueError("a state of turns holds `credits`, a mapping from id to integer")
    return {str(key): value for key, value in credits.items()}
