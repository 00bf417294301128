"""Whose turn it is: smooth weighted round robin over a set that changes.

Everybody has a credit, and what a credit means never changes: it is counted in picks. One pick gives
each eligible member its share of one pick, takes one whole pick from the winner, and leaves the sum of
all credits at 0. Credits are integers; `unit` of them are one pick.

Sources: smooth weighted round robin as in nginx (I. Sysoev, M. Dounin, 2012). The form for many members
is earliest eligible virtual deadline first: I. Stoica and H. Abdel-Wahab, 1995; J. Bennett and H. Zhang,
"WF2Q", INFOCOM 1996.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from math import gcd, inf, lcm
from operator import add
from typing import ClassVar, Generic, Protocol, TypeVar

HEAP_ABOVE = 64
"""With more eligible members than this, a heap takes over: O(log n) in place of O(n)."""

_HEAP_UNTIL = 48  # and stays down to this many: converting back and forth at the border would cost more

_SCALE_BITS = 20  # weights are held x 2**20, so that rescaling rounds to about a millionth of a pick
_GRAIN_BITS = 64  # the same for the heap, whose clock is rounded each time the eligible set changes


class _Weighted(Protocol):
    """What taking turns needs to know of a member."""

    @property
    def id(self) -> str: ...

    @property
    def weight(self) -> int: ...


S = TypeVar("S", bound=_Weighted)


class SmoothWeightedRoundRobin(Generic[S]):
    """Smooth weighted round robin: `pick(ready)` says whose turn it is. It is what two strategies are.

    Weights are read when a member is announced by `members` and when the eligible set changes. Whoever
    changes a weight in place calls `members` again.

    Attributes:
        weighted: False holds every weight for 1, which is plain round robin.
    """

    weighted: ClassVar[bool] = True

    def __init__(self) -> None:
        self._everyone: tuple[S, ...] = ()
        self._credits: dict[str, int] = {}  # of everyone; of the seated ones only after _put_back()
        self._unit = 1
        # The eligible set as of the last pick: its members, their credits, their scaled weights; above
        # HEAP_ABOVE the heap stands in for the two lists.
        self._seated: tuple[S, ...] = ()
        self._active: list[int] = []
        self._weights: list[int] = []
        self._deadlines: _Deadlines[S] | None = None

    def pick(self, ready: Sequence[S], _request: object = None, /) -> S:
        """The member of `ready` whose turn it is. `ready` is never empty and in configuration order."""
        if len(ready) == 1:
            return ready[0]  # it would get its pick and pay for it: no credit changes
        if ready is not self._seated:
            seats = tuple(ready)
            if seats != self._seated:
                self._seat(seats)
        if self._deadlines is not None:
            return self._deadlines.next()
        # Three passes of C over all of them in place of one loop of Python.
        credits = list(map(add, self._active, self._weights))
        top = max(credits)
        winner = credits.index(top)  # the first of equals: configuration order
        credits[winner] = top - self._unit
        self._active = credits
        return ready[winner]

    def members(self, everyone: Sequence[S]) -> None:
        """Take note of who exists, eligible or not, in configuration order.

        New ones start at 0. The credit of one who is gone goes to the survivors in equal parts, with the
        remainder to the first, so that the sum stays 0.

        Raises: ValueError when two members have one id.
        """
        self._put_back()
        self._credits = inherited(self._credits, [member.id for member in everyone])
        self._everyone = tuple(everyone)

    def credits(self) -> tuple[dict[str, int], int]:
        """The credits of everyone by id, which sum to 0, and how many of them make one pick."""
        credits = dict(self._credits)
        unit = self._unit
        if self._deadlines is not None:
            updated, unit = self._deadlines.credits()
            credits.update(updated)
        else:
            credits.update((seat.id, credit) for seat, credit in zip(self._seated, self._active, strict=True))
        return credits, unit

    def take_over(self, credits: Mapping[str, int], unit: int) -> None:
        """Continue from what `credits()` gave elsewhere; the next `members` settles who is gone.

        Raises: ValueError when the credits do not sum to 0 or `unit` is not positive.
        """
        if unit < 1 or sum(credits.values()) != 0:
            raise ValueError(
                "these are no credits of `SmoothWeightedRoundRobin`: they must sum to 0, unit > 0"
            )
        self._unseat()
        self._credits = dict(credits)
        self._unit = unit

    def round_length(self) -> int:
        """Picks after which everyone had exactly its share: sum of weights / their greatest divisor."""
        weights = self._weights_of(self._everyone)
        return sum(weights) // gcd(*weights) if weights else 0

    def _seat(self, seats: tuple[S, ...]) -> None:
        if len(seats) > (HEAP_ABOVE if self._deadlines is None else _HEAP_UNTIL):
            if self._deadlines is None or not self._deadlines.seat(seats):
                self._put_back()
                self._deadlines = self._heap_for(seats)
        else:
            self._put_back()
            credits = self._credits
            for seat in seats:
                if seat.id not in credits:
                    credits[seat.id] = 0
            self._weights = [weight << _SCALE_BITS for weight in self._weights_of(seats)]
            self._change_unit(sum(self._weights))
            self._active = [credits[seat.id] for seat in seats]
        self._seated = seats

    def _heap_for(self, seats: tuple[S, ...]) -> "_Deadlines[S]":
        everyone = self._everyone
        known = set(map(id, everyone))
        if not all(id(seat) in known for seat in seats):  # somebody was never announced
            ids = {seat.id for seat in seats}
            everyone = seats + tuple(other for other in everyone if other.id not in ids)
        weights = self._weights_of(everyone)
        for member in everyone:
            self._credits.setdefault(member.id, 0)
        self._change_unit(lcm(*weights) << _GRAIN_BITS)
        credits = [self._credits[member.id] for member in everyone]
        deadlines = _Deadlines(everyone, weights, credits, self._unit)
        deadlines.seat(seats)
        return deadlines

    def _put_back(self) -> None:
        if self._deadlines is None:
            for seat, credit in zip(self._seated, self._active, strict=True):
                self._credits[seat.id] = credit
        else:
            self._credits, self._unit = self.credits()
        self._unseat()

    def _unseat(self) -> None:
        self._seated = ()
        self._active = []
        self._weights = []
        self._deadlines = None

    def _change_unit(self, unit: int) -> None:
        if unit != self._unit:
            values = rescaled(list(self._credits.values()), unit, self._unit)
            self._credits.update(zip(self._credits, values, strict=True))
            self._unit = unit

    def _weights_of(self, seats: Iterable[S]) -> list[int]:
        return [seat.weight for seat in seats] if self.weighted else [1 for _ in seats]


class TieBreaker:
    """Smooth weighted round robin on raw weights, for sets that are different at every step.

    Credits are not rescaled between sets: who ties with whom is chance, and a credit won against a
    small set is worth as much against a large one.

    More than 64 of equal weights take plain turns in configuration order instead, which is O(log n).
    """

    __slots__ = ("_credits", "_even", "_last", "_places")

    def __init__(self) -> None:
        self._credits = defaultdict[str, int](int)
        self._places: dict[str, int] = {}
        self._even = False
        self._last = -1

    def next(self, tied: Sequence[S]) -> S:
        """One step restricted to `tied`, which is never empty and in configuration order."""
        winner = tied[0]
        if len(tied) == 1:
            return winner
        if len(tied) > HEAP_ABOVE and self._even:
            return self._in_turn(tied)
        credits = self._credits
        top: float = -inf
        total = 0
        for seat in tied:
            key, weight = seat.id, seat.weight
            credits[key] = credit = credits[key] + weight
            total += weight
            if credit > top:
                top = credit
                winner = seat
        credits[winner.id] -= total
        return winner

    def members(self, everyone: Sequence[S]) -> None:
        """As `SmoothWeightedRoundRobin.members`."""
        self._credits = defaultdict(int, inherited(self._credits, [member.id for member in everyone]))
        self._places = {member.id: place for place, member in enumerate(everyone)}
        self._even = len({member.weight for member in everyone}) == 1

    def _in_turn(self, tied: Sequence[S]) -> S:
        """The one that comes after the last, or the first."""
        places = self._places
        try:
            index = bisect_right(tied, self._last, key=lambda seat: places[seat.id])
            winner = tied[index] if index < len(tied) else tied[0]
            self._last = places[winner.id]
        except KeyError:  # somebody was never announced
            return tied[0]
        return winner

    def credits(self) -> dict[str, int]:
        """The credits by id; they sum to 0."""
        return dict(self._credits)

    def restore(self, credits: Mapping[str, int]) -> None:
        """Continue from what `credits()` gave; the next `members` call settles who is gone.

        Raises: ValueError when the credits do not sum to 0.
        """
        if sum(credits.values()) != 0:
            raise ValueError("these are no credits of `TieBreaker`: they must sum to 0")
        self._credits = defaultdict(int, credits)


def inherited(credits: Mapping[str, int], ids: Sequence[str]) -> dict[str, int]:
    """Credits for `ids`, in that order: kept, 0 for new ones, and what the missing ones left.

    Each missing member's credit goes to the survivors in equal parts, the remainder to the first.
    Without survivors everybody starts at 0.

    Raises: ValueError when an id comes twice.
    """
    present = dict.fromkeys(ids, 0)
    if len(present) != len(ids):
        raise ValueError(f"each member needs an id of its own, got {list(ids)}")
    survivors = [key for key in ids if key in credits]
    if survivors:
        for key in survivors:
            present[key] = credits[key]
        for key, credit in credits.items():
            if key not in present:
                part, rest = divmod(credit, len(survivors))
                for survivor in survivors:
                    present[survivor] += part
                present[survivors[0]] += rest
    return present


def rescaled(credits: Sequence[int], new: int, old: int) -> list[int]:
    """`credits` x new/old in integers whose sum is still 0.

    Rounded down, and then one more for those with the largest remainders (ties: the first) until the
    sum is 0 again. No credit is off by a whole unit.

    Args:
        credits: integers that sum to 0.
        new, old: positive.
    """
    result = [credit * new // old for credit in credits]
    missing = -sum(result)
    if missing:
        remainders = [credit * new % old for credit in credits]
        largest_first = sorted(range(len(result)), key=remainders.__getitem__, reverse=True)
        for index in largest_first[:missing]:
            result[index] += 1
    return result


class _Deadlines(Generic[S]):
    """The same promise as the credits, in O(log n) per pick: each turn has a start and a deadline.

    Virtual time moves on by 1/W per pick, W being the sum of the eligible weights. A member's turn lasts
    1/w from its start; when it is picked, its next turn starts at the deadline of this one. Of those
    whose turn has started, the earliest deadline wins; ties go to configuration order.

    Without "has started" (deadlines alone) a member of weight 100 among 65 of weight 1 would get 100
    picks in a row and be 39 picks ahead. With it nobody is ever a whole pick ahead, as in the form with
    credits, and with a constant set nobody is a whole pick behind either.

    Times are integers, `grain` to one unit of virtual time. As `grain` is a multiple of every weight,
    1/w is exact; only the clock itself is rounded, by less than 2**-64, when the eligible set changes.

    A member that stops being eligible leaves a stale entry behind, told by its version, and keeps its
    age: how long ago its turn started. When it returns, its turn starts that long before the new now, so
    it neither loses the fraction of a pick it was owed nor is owed anything for its absence. A deadline
    may not lie in the past then (it would catch up in a burst): what is more than one whole turn is
    given to the others by moving the clock.
    """

    __slots__ = (
        "_ages",
        "_grain",
        "_members",
        "_now",
        "_picks",
        "_present",
        "_ripe",
        "_slots",
        "_starts",
        "_steps",
        "_total",
        "_versions",
        "_waiting",
        "_weights",
    )

    def __init__(self, everyone: Sequence[S], weights: list[int], credits: list[int], grain: int) -> None:
        """Nobody is seated yet.

        Args:
            everyone: in configuration order.
            credits: in 1/grain picks, in the order of `everyone`.
            grain: a multiple of every weight.
        """
        self._members = tuple(everyone)
        self._slots = {id(member): slot for slot, member in enumerate(everyone)}  # _members keeps them alive
        self._weights = weights
        self._grain = grain
        self._steps = [grain // weight for weight in weights]
        self._ages = [credit // weight for credit, weight in zip(credits, weights, strict=True)]
        self._starts = [0] * len(weights)
        self._versions = [0] * len(weights)
        self._present: set[int] = set()
        self._total = 0
        self._now = 0  # virtual time when the set last changed, and the picks since then
        self._picks = 0
        self._waiting: list[tuple[int, int, int]] = []  # (start, slot, version): the turn has not started
        self._ripe: list[tuple[int, int, int]] = []  # (deadline, slot, version): it has

    def next(self) -> S:
        self._picks += 1
        horizon = self._now - (-self._picks * self._grain // self._total)  # rounded up: start < horizon
        waiting, ripe, versions = self._waiting, self._ripe, self._versions
        while waiting and waiting[0][0] < horizon:
            start, slot, version = heappop(waiting)
            if version == versions[slot]:
                heappush(ripe, (start + self._steps[slot], slot, version))
        while ripe:
            deadline, slot, version = heappop(ripe)
            if version == versions[slot]:
                break
        else:
            deadline, slot, version = self._next_to_start()
        self._starts[slot] = deadline
        heappush(waiting, (deadline, slot, version))
        return self._members[slot]

    def seat(self, seats: Sequence[S]) -> bool:
        """Make `seats` the eligible ones; False, and nothing changed, when one of them is unknown."""
        there = set(map(id, seats))
        changed = there ^ self._present
        came = changed & there
        if not came <= self._slots.keys():
            return False
        self._settle_clock()
        for key in changed - came:
            slot = self._slots[key]
            self._ages[slot] = self._now - self._starts[slot]
            self._versions[slot] += 1
            self._total -= self._weights[slot]
        self._welcome(sorted(self._slots[key] for key in came))
        self._present = there
        self._sweep()
        return True

    def credits(self) -> tuple[dict[str, int], int]:
        """Credits of everyone by id and the unit; what the clock's rounding left over is spread evenly."""
        self._settle_clock()
        values = []
        for slot, (member, weight) in enumerate(zip(self._members, self._weights, strict=True)):
            seated = id(member) in self._present
            values.append(weight * (self._now - self._starts[slot] if seated else self._ages[slot]))
        part, rest = divmod(-sum(values), len(values))
        values = [value + part for value in values]
        values[0] += rest
        return {member.id: value for member, value in zip(self._members, values, strict=True)}, self._grain

    def _next_to_start(self) -> tuple[int, int, int]:
        # Nobody's turn has started: those who were ahead are here, and those they owe to are away.
        while True:
            start, slot, version = heappop(self._waiting)
            if version == self._versions[slot]:
                return start + self._steps[slot], slot, version

    def _settle_clock(self) -> None:
        if self._picks:
            self._now += (2 * self._picks * self._grain + self._total) // (2 * self._total)
            self._picks = 0

    def _welcome(self, slots: list[int]) -> None:
        others = self._total
        surplus = 0
        late = []
        for slot in slots:
            weight, step, age = self._weights[slot], self._steps[slot], self._ages[slot]
            self._total += weight
            self._starts[slot] = self._now - age
            if age > step:
                surplus += (age - step) * weight
                late.append(slot)
            else:
                others += weight
        if late:
            if others:
                self._now += surplus // others
            for slot in late:
                self._starts[slot] = self._now - self._steps[slot]
        for slot in slots:
            heappush(self._waiting, (self._starts[slot], slot, self._versions[slot]))

    def _sweep(self) -> None:
        if len(self._waiting) + len(self._ripe) > 2 * len(self._present):
            for heap in (self._waiting, self._ripe):
                heap[:] = [entry for entry in heap if entry[2] == self._versions[entry[1]]]
                heapify(heap)
