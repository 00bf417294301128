"""The strategies that are built in: in turn, in proportion to weights, to whoever has the fewest calls."""

from collections.abc import Mapping, Sequence
from math import gcd
from operator import attrgetter

from pointsman.builtin.swrr import SmoothWeightedRoundRobin, TieBreaker
from pointsman.clock import Rng
from pointsman.strategy import Member, Placing, Strategy, StrategyFactory

_in_flight = attrgetter("in_flight")  # asked of hundreds in each pick, without a frame of Python for each


class _InTurn(SmoothWeightedRoundRobin[Member], Strategy):
    """What round robin with and without weights have in common."""

    def __init__(self, rng: Rng | None = None, *, silent_picks: int | None = None) -> None:
        """Start somewhere in the round, so that many processes do not begin in step.

        Args:
            rng: draws how many picks are made silently when the members are first announced; None: none.
            silent_picks: that number, in place of chance.
        """
        super().__init__()
        self._start = _Start(rng, silent_picks)

    def members(self, everyone: Sequence[Member], /) -> None:
        super().members(everyone)
        for _ in range(self._start.picks(self.round_length(), len(everyone))):
            self.pick(everyone)

    scored_by = "turns that it is owed with this one; the highest"

    def scores(self, ready: Sequence[Member], _placing: Placing, /) -> Mapping[str, float]:
        credits, unit = self.credits()
        shares = {each.id: each.weight if self.weighted else 1 for each in ready}
        total = sum(shares.values())
        return {id: credits.get(id, 0) / unit + share / total for id, share in shares.items()}

    def state(self) -> Mapping[str, object]:
        credits, unit = self.credits()
        return {"credits": credits, "unit": unit}

    def restore(self, state: Mapping[str, object], /) -> None:
        unit = state.get("unit")
        if not isinstance(unit, int):
            raise ValueError("a state of turns holds `unit`, a positive integer")
        self.take_over(_credits_of(state), unit)
        self._start.skip()


class RoundRobin(_InTurn):
    """Everyone in turn, whatever the weights."""

    weighted = False


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
        self._ties = TieBreaker()
        self._even = False
        self._start = _Start(rng, silent_picks)

    def pick(self, ready: Sequence[Member], _request: object, /) -> Member:
        if len(ready) == 1:
            return ready[0]
        loads = list(map(_in_flight, ready))
        if self._even:
            fewest = min(loads)
            ties = loads.count(fewest)
            if ties == 1:  # as most often under load, and then nobody's turn matters
                return ready[loads.index(fewest)]
            if ties < len(loads):
                # Without `zip`: to have it check the lengths takes 1,000 instructions.
                ready = [ready[n] for n, load in enumerate(loads) if load == fewest]
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

    scored_by = "calls in flight for its weight; the lowest, else in turn"

    def scores(self, ready: Sequence[Member], _placing: Placing, /) -> Mapping[str, float]:
        return {each.id: each.in_flight / each.weight for each in ready}

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
    StrategyFactory("round_robin", None, lambda context: RoundRobin(context.rng)),
    StrategyFactory("weighted", None, lambda context: Weighted(context.rng)),
    StrategyFactory("least_connections", None, lambda context: LeastConnections(context.rng)),
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
