"""Who waits for a place, and whose turn it is when one is free: a bounded line, fair to every key.

`FairQueue` decides; it knows no clock and no event loop. `AdmissionQueue` stands around it: one future for
each caller that waits, one timer for the line, no task.

Turns. Callers of one key are served in the order in which they came. Among keys goes deficit round robin:
in every round each key that waits gets as many turns as its weight. Priorities are separate lines: the
highest that has somebody waiting comes first, except that every lower one has a guaranteed share of all
turns for as long as somebody waits there, so that nobody starves.

Bounds. The line has a length and a longest wait. Who would wait longer than that, or than his own deadline,
judging by how fast the line has been moving, is refused at once. When the line is full, a caller who
matters more takes the place of one who matters less: first goes who has no key, for nobody knows them,
whatever priority they claim; then the lowest priority, and inside a priority the key that holds most for its
weight; of those always the newest caller.

Source: M. Shreedhar, G. Varghese, "Efficient Fair Queuing Using Deficit Round Robin", SIGCOMM 1995. Dropping
from the longest queue: B. Suter et al., "Buffer Management Schemes for Supporting TCP in Gigabit Routers with
Per-flow Queueing", IEEE JSAC 17(6), 1999.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from enum import IntEnum
from math import exp, inf
from typing import Annotated

from pydantic import Field

from pointsman._internal.settings import Count, Section, setting
from pointsman.errors import QueueFull
from pointsman.units import Duration, Percent

_PARTS = 1_000_000  # of a turn: shares are counted in whole parts
_MEMORY = 10.0  # seconds: departures of so long ago count a third in the estimate of the wait


class QueuePriority(IntEnum):
    """The three classes of a line by default; 0 is the highest."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


Turns = Annotated[Count, Field(ge=1)]


class QueueSettings(Section):
    """Where callers wait when only room is lacking: in turn by caller, by priority, never for long."""

    length: Count = setting(default=1000, ge=1, description="callers that may wait for one model")
    wait: Duration = setting(
        default=5.0, gt=0, description="nobody waits longer; who would is refused at once"
    )
    lowest_share: Percent = setting(
        default=0.1, gt=0, lt=0.5, description="of the turns is kept for each priority below the highest"
    )
    weights: dict[str, Turns] = setting(
        default_factory=dict,
        description="turns in each round, by `caller`; 1 for who is not named",
    )


class Waiter:
    """One caller in the line.

    Attributes:
        number: counts the callers of a line in the order in which they came.
        until: the instant at which it gives up: the end of the longest wait, or its deadline.
        deadline: seconds on the clock of `now`; infinity when it has none.
        woken: asked to try now, and not yet heard of.
    """

    __slots__ = ("_flow", "deadline", "entered_at", "number", "until", "woken")

    def __init__(self, flow: _Flow, number: int, entered_at: float, until: float, deadline: float) -> None:
        self._flow = flow
        self.number = number
        self.entered_at = entered_at
        self.until = until
        self.deadline = deadline
        self.woken = False

    @property
    def key(self) -> str:
        return self._flow.key

    @property
    def priority(self) -> int:
        return self._flow.lane.priority


class _Flow:
    """The callers of one key in one lane."""

    __slots__ = ("deficit", "key", "lane", "visited", "waiters", "weight", "woken")

    def __init__(self, key: str, weight: int, lane: _PriorityClass) -> None:
        self.key = key
        self.weight = weight
        self.lane = lane
        self.waiters: OrderedDict[int, Waiter] = OrderedDict()  # by number
        self.woken = 0
        self.deficit = 0  # turns left in this visit; those who are woken have not used theirs yet
        self.visited = False  # it is at the head of the ring, or would be if another had not come back

    def first(self) -> Waiter | None:
        if self.woken == 0:
            return next(iter(self.waiters.values()))
        return next((each for each in self.waiters.values() if not each.woken), None)


class _PriorityClass:
    """The keys of one priority, in a ring whose head is being served."""

    __slots__ = ("arrivals", "credit", "flows", "priority", "woken")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.flows: OrderedDict[str, _Flow] = OrderedDict()
        self.arrivals: OrderedDict[int, Waiter] = OrderedDict()  # by number
        self.woken = 0
        self.credit = 0  # parts of a turn that this lane is owed

    def next_flow(self) -> _Flow:
        """The flow whose turn it is. Somebody in the lane must not be woken yet."""
        while True:
            flow = next(iter(self.flows.values()))
            if flow.woken < len(flow.waiters):
                if not flow.visited:
                    flow.visited = True
                    flow.deficit += flow.weight
                if flow.deficit > flow.woken:
                    return flow
            flow.visited = False
            self.flows.move_to_end(flow.key)


class FairQueue:
    """Who waits, and who is next. Every caller that entered leaves once: by `served` or by `leave`.

    Attributes:
        served_total, refused, shed, gave_up: how callers left, `refused` ones without having entered;
            `gave_up` are those whose time was over or who were cancelled.
        closed_until: nobody can be served before that, however fast the line moves otherwise.
    """

    __slots__ = (
        "_busy",
        "_departed",
        "_lanes",
        "_length",
        "_number",
        "_seen_at",
        "_share",
        "closed_until",
        "gave_up",
        "refused",
        "served_total",
        "settings",
        "shed",
    )

    def __init__(self, settings: QueueSettings | None = None) -> None:
        self.settings = QueueSettings() if settings is None else settings
        self._lanes = [_PriorityClass(priority) for priority in range(len(QueuePriority))]
        self._share = round(self.settings.lowest_share * _PARTS)
        self._length = 0
        self._number = 0
        # Seconds in which somebody waited and departures in them, both fading with time.
        self._busy = 0.0
        self._departed = 0.0
        self._seen_at = 0.0
        self.closed_until = 0.0
        self.served_total = 0
        self.refused = 0
        self.shed = 0
        self.gave_up = 0

    def __len__(self) -> int:
        """How many wait, those who are woken included."""
        return self._length

    def enter(
        self,
        key: str,
        now: float,
        *,
        priority: int = QueuePriority.NORMAL,
        deadline: float = inf,
    ) -> tuple[Waiter, Waiter | None]:
        """The new caller in the line, and the one who had to leave for it, if any.

        Args:
            key: "" for callers that nobody knows.
            priority: beyond the lowest class counts as the lowest.

        Raises: QueueFull with `retry_after`, when nobody who matters less waits in a full line, or when the
            wait would probably take too long.
        """
        lane = self._lanes[min(max(priority, 0), len(self._lanes) - 1)]
        flow = lane.flows.get(key)
        if flow is None:
            flow = _Flow(key, self.settings.weights.get(key, 1), lane)
        self._account(now)
        limit = min(self.settings.wait, deadline - now)
        closed = max(0.0, self.closed_until - now)
        expected = closed + self._expected(flow, limit - closed)
        if expected > limit:
            self.refused += 1
            raise QueueFull(
                f"{self._length} calls wait already, and one more would wait about {expected:.1f} s"
                f" where {max(0.0, limit):.1f} s are allowed",
                retry_after=max(self.pace(), expected - limit),
            )
        victim = None
        if self._length >= self.settings.length:
            victim = self._victim(flow)
            if victim is None:
                self.refused += 1
                raise self.full()
            self._remove(victim)
            self.shed += 1
        self._number = number = self._number + 1
        until = min(now + self.settings.wait, deadline)
        waiter = Waiter(flow, number, now, until, deadline)
        lane.flows[key] = flow  # only now: who is refused leaves no key behind
        flow.waiters[number] = waiter
        lane.arrivals[number] = waiter
        self._length += 1
        return waiter, victim

    def wake(self) -> Waiter | None:
        """The caller whose turn it is, to be told to try; None when nobody waits who is not trying already.

        Afterwards it is `served`, it goes `back`, or it has to `leave`.
        """
        lane = self._next_lane()
        if lane is None:
            return None
        flow = lane.next_flow()
        waiter = flow.first()
        assert waiter is not None
        waiter.woken = True
        flow.woken += 1
        lane.woken += 1
        return waiter

    def back(self, waiter: Waiter) -> None:
        """There was nothing for `waiter`, who was woken: it is next again in its priority."""
        self._unwake(waiter)

    def behind(self, waiter: Waiter) -> Iterator[Waiter]:
        """The others who are not woken, in about the order of their turns: for what `waiter` has no use for.

        Whoever of them is served meanwhile has used a later turn of its key.
        """
        first = waiter._flow.lane
        for lane in (first, *(each for each in self._lanes if each is not first)):
            for flow in list(lane.flows.values()):
                yield from [each for each in flow.waiters.values() if not each.woken]

    def served(self, waiter: Waiter, now: float) -> None:
        """`waiter` leaves with what it waited for."""
        self._account(now)
        self._departed += 1
        self.served_total += 1
        lane = waiter._flow.lane
        for each in self._lanes[1:]:
            if each.arrivals:
                each.credit += self._share
        lane.credit = max(0, lane.credit - _PARTS)
        flow = waiter._flow
        # Out of turn it uses a later turn of its key, but never more than one round ahead.
        flow.deficit = max(flow.deficit - 1, -flow.weight)
        if waiter.woken:
            waiter.woken = False
            flow.woken -= 1
            lane.woken -= 1
        self._remove(waiter)

    def leave(self, waiter: Waiter, now: float) -> bool:
        """`waiter` leaves with nothing: cancelled, or its time is over. No turn of its key is used.

        True when it had been woken: then somebody else must be.
        """
        self._account(now)
        self.gave_up += 1
        woken = waiter.woken
        if woken:
            self._unwake(waiter)
        self._remove(waiter)
        return woken

    def pace(self) -> float:
        """Seconds from one departure to the next, as far as can be seen; 0 before anybody waited."""
        # One more than were seen: the next may be about to leave, and who begins to wait learns nothing else.
        return self._busy / (self._departed + 1)

    def full(self) -> QueueFull:
        """The refusal of somebody for whom there is no room."""
        return QueueFull(
            f"{self._length} calls wait already, which is as many as may",
            retry_after=self.pace() or self.settings.wait,
        )

    def snapshot(self) -> dict[str, object]:
        """Plain data for a status page."""
        return {
            "waiting": self._length,
            "by_priority": [len(lane.arrivals) for lane in self._lanes],
            "keys": len({key for lane in self._lanes for key in lane.flows}),
            "pace": self.pace(),
            "served": self.served_total,
            "refused": self.refused,
            "shed": self.shed,
            "gave_up": self.gave_up,
        }

    def _next_lane(self) -> _PriorityClass | None:
        highest: _PriorityClass | None = None
        owed: _PriorityClass | None = None
        most = _PARTS - 1
        for lane in self._lanes:
            if lane.woken == len(lane.arrivals):
                continue
            if highest is None:
                highest = lane
            credit = lane.credit - lane.woken * _PARTS
            if credit > most:
                most, owed = credit, lane
        return owed or highest

    def _unwake(self, waiter: Waiter) -> None:
        waiter.woken = False
        flow = waiter._flow
        flow.woken -= 1
        flow.lane.woken -= 1
        if not flow.visited:
            # Its visit ended when its last turn was given out. That turn is here again.
            flow.visited = True
            flow.lane.flows.move_to_end(flow.key, last=False)

    def _remove(self, waiter: Waiter) -> None:
        flow = waiter._flow
        lane = flow.lane
        number = waiter.number
        self._length -= 1
        del lane.arrivals[number]
        del flow.waiters[number]
        if not flow.waiters:
            del lane.flows[flow.key]
            flow.deficit = 0  # it begins anew should somebody join it in this very moment
            flow.visited = False
            if not lane.arrivals:
                lane.credit = 0

    def _victim(self, flow: _Flow) -> Waiter | None:
        """Who leaves a full line for one more of `flow`; None when nobody matters less."""
        lower = self._lanes[flow.lane.priority + 1 :]
        # Who has no key takes no place but of those like them, and has none before those who have.
        unknown = [
            lane.flows[""].waiters for lane in (self._lanes if flow.key else lower) if "" in lane.flows
        ]
        less = [lane.arrivals for lane in lower] if flow.key else []
        for waiters in (*reversed(unknown), *reversed(less)):
            if (newest := _newest(waiters)) is not None:
                return newest
        return self._largest_flow(flow) if flow.key else None

    def _largest_flow(self, flow: _Flow) -> Waiter | None:
        """The newest caller of the key that holds most for its weight, if that is more than `flow` would."""
        flows = flow.lane.flows
        if not flows:
            return None
        longest = max(flows.values(), key=lambda each: len(each.waiters) / each.weight)
        if len(longest.waiters) / longest.weight <= (len(flow.waiters) + 1) / flow.weight:
            return None
        return _newest(longest.waiters)

    def _account(self, now: float) -> None:
        passed = now - self._seen_at
        if passed > 0:
            fade = exp(-passed / _MEMORY)
            self._busy *= fade
            self._departed *= fade
            if self._length:
                open_for = now - max(self._seen_at, min(now, self.closed_until))
                self._busy += _MEMORY * (1 - exp(-open_for / _MEMORY))
            self._seen_at = now

    def _expected(self, flow: _Flow, limit: float) -> float:
        """Seconds until one more of `flow` would leave; exact only when that matters."""
        pace = self.pace()
        everybody = (self._length + 1) * pace
        if everybody <= limit:
            return everybody
        lane = flow.lane
        own = len(flow.waiters)
        rounds = own // flow.weight + 1
        turns = own + 1
        for each in lane.flows.values():
            if each is not flow:
                turns += min(len(each.waiters), rounds * each.weight)
        share = self.settings.lowest_share
        above = sum(len(each.arrivals) for each in self._lanes[: lane.priority])
        below = [len(each.arrivals) for each in self._lanes[lane.priority + 1 :]]
        total: float = turns + above
        if above:
            total = min(total, turns / share)
        total += sum(min(waiting, total * share) for waiting in below)
        return total * pace


def _newest(waiters: OrderedDict[int, Waiter]) -> Waiter | None:
    return next((each for each in reversed(waiters.values()) if not each.woken), None)
