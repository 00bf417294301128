"""`warm`: the host where a call will begin soonest: queue, loading, and what loading costs others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import count
from math import exp, inf
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pointsman.plugin import (
    Clock,
    Duration,
    LeastConnections,
    Member,
    Outcome,
    Percent,
    Placing,
    Residency,
    Rng,
    Sample,
    Strategy,
    StrategyFactory,
)
from pointsman_strategies.hosts import Fleet, Host, canonical, fleet_of

_LEAST_WANTED = 0.05
"""How surely a model is wanted again that nobody asked for of late: enough to load where there is room."""


class WarmSettings(BaseModel):
    """`{type: warm}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parallel: int = Field(
        default=1,
        ge=1,
        le=1_000,
        description="calls of one model that a host works on at once: OLLAMA_NUM_PARALLEL",
    )
    load_time: Duration = Field(
        default=10.0, gt=0, description="how long a model takes to load, until the host was seen to load it"
    )
    service_time: Duration = Field(
        default=5.0, gt=0, description="how long a call takes once it has its turn, until some were seen"
    )
    hysteresis: Percent = Field(
        default=0.25, description="how much sooner a call must begin on a host that has to load its model"
    )
    memory: Duration = Field(
        default=60.0, gt=0, description="how long a model counts as wanted after it was asked for"
    )
    stale_after: Duration = Field(
        default=120.0, gt=0, description="a host whose last poll is older than this is held for unknown"
    )


class Warm(Strategy):
    """The least expected wait for one more call, where loading counts for more than it takes.

    On a host that has the model, or is getting it: what is left of the loading, and the calls ahead. On
    another: until there is room, the loading, and what it does to the model that has to go; all that times
    1 + hysteresis, and after the loading that is under way elsewhere. A pick is remembered by its host at
    once and for all pools of the router, so that the next pick, of whatever model, counts on it. Equal waits:
    the host with fewer leases, then least connections.

    Members without residency wait for their queue only, and when none has any, least connections decides.

    Args:
        rng: for the ties, as for `LeastConnections`.
        fleet: what the pools of a router know together; None: those that were made with the same clock and
            rng. Its `memory` is that of the first settings.
    """

    wants_residency = True

    _serials = count()

    def __init__(
        self,
        settings: WarmSettings | None = None,
        *,
        clock: Clock,
        rng: Rng | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        self._settings = settings or WarmSettings()
        self._clock = clock
        self._least = LeastConnections(rng)
        self._fleet = fleet or fleet_of(clock, rng, memory=self._settings.memory)
        self._seats: dict[str, tuple[Host, str]] = {}  # by the member's id: its host, its model
        self._members: tuple[Member, ...] = ()
        self._hosts: dict[str, Host] = {}
        self._lightest = 1
        self._degraded = ""
        self.serial = next(Warm._serials)

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        now = self._clock.now()
        seen = [self._residency(member, now) for member in ready]
        self._degraded = ""
        if not any(seen):
            self._degraded = "no host has told of late what it has in memory"
            return self._least.pick(ready, request)
        if len(ready) == 1:
            winner = ready[0]
        else:
            winner = self._best(ready, seen, self._costs(ready, seen, now), request)
        host, model = self._seat(winner)
        self._fleet.demand.asked(model, now)
        residency = seen[ready.index(winner)]
        if residency is not None and model in host.stays:
            host.used(model, now)
        elif residency is not None:
            settings = self._settings
            host.send(
                model,
                now,
                load=host.load.get(model, settings.load_time),
                places=self._places(winner),
                service=settings.service_time,
                others=residency.busy - host.known(),
            )
        return winner

    def costs(self, ready: Sequence[Member]) -> dict[str, float]:
        """The waits, in seconds and by id, that `pick` would compare now; infinite: surely not the least."""
        now = self._clock.now()
        seen = [self._residency(member, now) for member in ready]
        return dict(zip([member.id for member in ready], self._costs(ready, seen, now), strict=True))

    scored_by = "seconds until one more call is expected to begin; the lowest"

    def scores(self, ready: Sequence[Member], _placing: Placing, /) -> Mapping[str, float]:
        return self.costs(ready)

    # ── what one more call would meet ────────────────────────────────────────────────────────────────

    def _costs(self, ready: Sequence[Member], seen: Sequence[Residency | None], now: float) -> list[float]:
        settings = self._settings
        service = settings.service_time
        costs = [inf] * len(ready)
        cold: list[int] = []
        least = coming = inf
        for n, member in enumerate(ready):
            host, model = self._seat(member)
            stay = host.stays.get(model)
            if stay is None and seen[n] is not None:
                cold.append(n)
                continue
            cost = host.queue(model, places=self._places(member), service=service)
            if stay is not None and seen[n] is not None:
                left = stay.left(now)
                cost += left
                coming = min(coming, left)
            costs[n] = cost
            least = min(least, cost)
        # Loading a model once more while it is loading elsewhere would take as long again: no reason to.
        coming = 0.0 if coming == inf else coming
        factor = 1 + settings.hysteresis
        copies: Counter[str] | None = None
        for n in cold:
            host, model = self._seat(ready[n])
            load = host.load.get(model, settings.load_time)
            if coming + load * factor > least:
                continue  # whatever else it costs
            residency = seen[n]
            assert residency is not None
            wait, victim = host.room(
                now, places=self._places(ready[n]), service=service, others=residency.busy - host.known()
            )
            if victim is not None:
                copies = self._fleet.copies() if copies is None else copies
                wait += self._regret(host, victim, residency.busy, copies[victim], now)
            costs[n] = coming + (wait + load) * factor
            least = min(least, costs[n])
        return costs

    def _regret(self, host: Host, victim: str, busy: int, copies: int, now: float) -> float:
        """Seconds that others are expected to wait because `victim` is pushed out of `host`.

        It has to be loaded again if it is wanted again, which is as good as certain while it is in use;
        where several hosts have it, the calls can go to the others. On a host with `busy` calls under way
        as many more will soon stand behind that loading: without this, hosts under pressure load more than
        they serve.
        """
        count = self._fleet.demand.count(victim, now)
        wanted = 1.0 if host.in_flight(victim) else max(_LEAST_WANTED, 1 - exp(-count))
        again = wanted * host.load.get(victim, self._settings.load_time)
        return again * (1 + busy) / max(1, copies)

    def _best(
        self,
        ready: Sequence[Member],
        seen: Sequence[Residency | None],
        costs: Sequence[float],
        request: object,
    ) -> Member:
        most = min(costs) + 1e-9
        tied = [n for n, cost in enumerate(costs) if cost <= most]
        if len(tied) > 1:
            busy = [residency.busy if (residency := seen[n]) else ready[n].in_flight for n in tied]
            least = min(busy)
            tied = [n for n, each in zip(tied, busy, strict=True) if each == least]
        if len(tied) == 1:
            return ready[tied[0]]
        return self._least.pick([ready[n] for n in tied], request)

    def _places(self, member: Member) -> float:
        return self._settings.parallel * member.weight / self._lightest

    def _residency(self, member: Member, now: float) -> Residency | None:
        """What is known of the member's host, which is told of it; None when nothing recent is."""
        residency: Residency | None = getattr(member, "residency", None)
        if residency is None or now - residency.checked_at > self._settings.stale_after:
            return None
        host, model = self._seat(member)
        if host.seen_at is None or residency.checked_at > host.seen_at:
            host.saw(residency)
        if residency.load_seconds > 0:
            host.load[model] = residency.load_seconds
        return residency

    def _seat(self, member: Member) -> tuple[Host, str]:
        seat = self._seats.get(member.id)
        if seat is None:  # never announced
            self.members((*self._members, member))
            seat = self._seats[member.id]
        return seat

    # ── what comes back, who is here ─────────────────────────────────────────────────────────────────

    def observed(self, member: Member, sample: Sample, /) -> None:
        host, model = self._seat(member)
        if sample.outcome is Outcome.OK:
            began = sample.now - sample.seconds
            first = None if sample.first_token is None else began + sample.first_token
            host.served(
                model, began=began, first=first, ended=sample.now, places=max(1, int(self._places(member)))
            )
        elif sample.outcome is Outcome.UPSTREAM_FAULT:
            host.failed(model)

    def degraded(self) -> str:
        return self._degraded

    def members(self, everyone: Sequence[Member], /) -> None:
        self._members = tuple(everyone)
        self._seats = {}
        hosts: dict[str, Host] = {}
        for member in everyone:
            name = str(getattr(member, "provider_name", member.id))
            host = hosts[name] = self._hosts.get(name) or self._fleet.host(name)
            self._seats[member.id] = (host, canonical(str(getattr(member, "model", ""))))
        self._hosts = hosts
        self._lightest = min((member.weight for member in everyone), default=1)
        for host in hosts.values():
            host.register(self)
        self._least.members(everyone)

    def on(self, host: Host) -> Mapping[str, Member]:
        """Its members on `host` by model."""
        seats = self._seats
        return {seats[member.id][1]: member for member in self._members if seats[member.id][0] is host}

    def state(self) -> Mapping[str, object]:
        hosts = {name: host.state() for name, host in self._hosts.items()}
        return {
            "hosts": hosts,
            "demand": self._fleet.demand.state(),
            "ties": dict(self._least.state()),
        }

    def restore(self, state: Mapping[str, object], /) -> None:
        hosts, demand, ties = (state.get(name) for name in ("hosts", "demand", "ties"))
        if not (isinstance(hosts, Mapping) and isinstance(demand, Mapping) and isinstance(ties, Mapping)):
            raise ValueError("a state of warm holds `hosts`, `demand` and `ties`, three mappings")
        self._least.restore(ties)
        self._fleet.demand.restore(demand)
        for name, known in hosts.items():
            host = self._hosts[str(name)] = self._fleet.host(str(name))
            host.restore(known)

    def __deepcopy__(self, memo: dict[int, Any]) -> Warm:
        """One whose picks leave no trace: with hosts of its own that read the same members.

        A preview is made of it. The other pools' members are not copied, for they are no state of ours.
        """
        twin: Warm = object.__new__(Warm)
        twin.__dict__.update(self.__dict__)
        twin._least = deepcopy(self._least, memo)
        twin._fleet = self._fleet.copy()
        copies = {id(host): twin._fleet.host(name) for name, host in self._hosts.items()}
        twin._hosts = {name: copies[id(host)] for name, host in self._hosts.items()}
        twin._seats = {key: (copies[id(host)], model) for key, (host, model) in self._seats.items()}
        return twin


FACTORY = StrategyFactory(
    "warm", WarmSettings, lambda context: Warm(context.settings, clock=context.clock, rng=context.rng)
)
