"""What hosts of several models will have in memory once they served all that was sent to them.

A poll is a photograph of the past: a call that was sent a moment ago is going to change what it shows. Each
`Host` therefore keeps, besides what was polled, what our own calls will make of it: a model that was sent to
it is expected in memory, and what it pushed out is expected gone. `now` is in seconds on any clock; times may
come out of order.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from math import exp
from typing import Any, Protocol
from weakref import WeakValueDictionary

from pointsman.plugin import Member, Residency

_NEW = 0.2  # the weight of a new sample in the average service time


class Tenant(Protocol):
    """A strategy that places calls on a host."""

    serial: int

    def on(self, host: Host) -> Mapping[str, Member]:
        """Its members on `host` by model."""


class Stay:
    """A model that is, or will be, in memory."""

    __slots__ = ("ready_at",)

    def __init__(self, ready_at: float) -> None:
        self.ready_at = ready_at

    def left(self, now: float) -> float:
        """Seconds until it is loaded; 0 when it is."""
        return max(0.0, self.ready_at - now)


class Host:
    """One server with room for some models.

    Attributes:
        stays: the models expected in memory.
        used_at: when each model was last sent here, as far as known.
        service: average seconds that a call of a model takes once it has its turn.
        load: seconds that a model takes to load, as far as known.
    """

    __slots__ = (
        "__weakref__",
        "_done",
        "_most_seen",
        "capacity",
        "load",
        "members",
        "seen_at",
        "service",
        "stays",
        "tenants",
        "used_at",
    )

    def __init__(self) -> None:
        self.stays: dict[str, Stay] = {}
        self.used_at: dict[str, float] = {}
        self.service: dict[str, float] = {}
        self.load: dict[str, float] = {}
        self.capacity = 1
        self.seen_at: float | None = None
        self.members: dict[str, tuple[Member, ...]] = {}
        self.tenants: WeakValueDictionary[int, Tenant] = WeakValueDictionary()
        self._done: dict[str, deque[float]] = {}
        self._most_seen = 1

    # ── who is here ──────────────────────────────────────────────────────────────────────────────────

    def register(self, tenant: Tenant) -> None:
        """Count the calls of `tenant` too. Of members with one id, which share their count, one stays."""
        self.tenants[tenant.serial] = tenant
        by_model: dict[str, dict[str, Member]] = {}
        for _serial, each in sorted(self.tenants.items()):
            for model, member in each.on(self).items():
                by_model.setdefault(model, {})[member.id] = member
        self.members = {model: tuple(members.values()) for model, members in by_model.items()}

    def in_flight(self, model: str) -> int:
        """Our calls of `model` here, running or queued, over all pools."""
        return sum([member.in_flight for member in self.members.get(model, ())])

    def known(self) -> int:
        """Our calls of all models here, as far as strategies of this kind sent them."""
        return sum([member.in_flight for members in self.members.values() for member in members])

    # ── what a poll says ─────────────────────────────────────────────────────────────────────────────

    def saw(self, residency: Residency) -> None:
        """Take note of a poll that was not noted yet."""
        at = self.seen_at = residency.checked_at
        loaded = dict.fromkeys(map(canonical, residency.loaded))
        self._most_seen = max(self._most_seen, len(loaded))
        self.capacity = max(1, self._most_seen if residency.capacity is None else residency.capacity)
        for model, stay in list(self.stays.items()):
            if model in loaded:
                stay.ready_at = min(stay.ready_at, at)
            elif not self._coming(model, stay, at):
                del self.stays[model]
        for model in loaded:
            # What had to go for a model that is still on its way shows until it has gone.
            if model not in self.stays and len(self.stays) < self.capacity:
                self.stays[model] = Stay(at)
                self.used_at.setdefault(model, at)

    def _coming(self, model: str, stay: Stay, at: float) -> bool:
        """A model that a poll at `at` does not show is on its way all the same."""
        return stay.ready_at > at or self.used_at.get(model, at) > at or self.in_flight(model) > 0

    # ── what a call would meet ───────────────────────────────────────────────────────────────────────

    def queue(self, model: str, *, places: float, service: float) -> float:
        """Seconds that one more call of `model` waits for those before it, once the model is there."""
        ahead = self.in_flight(model) - places + 1
        return ahead / places * self.service.get(model, service) if ahead > 0 else 0.0

    def room(self, now: float, *, places: float, service: float, others: int = 0) -> tuple[float, str | None]:
        """Seconds until a further model can begin to load, and the model that has to go for it.

        `others` are calls under way of models that only pools with other strategies use.
        """
        loading = max([stay.left(now) for stay in self.stays.values()], default=0.0)
        if len(self.stays) < self.capacity:
            return loading, None
        calls = {
            model: self.in_flight(model) if model in self.members else max(0, others) for model in self.stays
        }
        idle = [model for model, stay in self.stays.items() if not calls[model] and not stay.left(now)]
        if idle:
            return loading, min(idle, key=lambda model: self.used_at.get(model, 0.0))
        drained = {
            model: stay.left(now) + calls[model] / places * self.service.get(model, service)
            for model, stay in self.stays.items()
        }
        victim = min(drained, key=drained.__getitem__)
        return max(loading, drained[victim]), victim

    # ── what becomes of it ───────────────────────────────────────────────────────────────────────────

    def send(
        self, model: str, now: float, *, load: float, places: float, service: float, others: int = 0
    ) -> None:
        """A call of `model` goes here: from now on the model is expected, and what it pushes out is not."""
        if model not in self.stays:
            wait, victim = self.room(now, places=places, service=service, others=others)
            if victim is not None:
                del self.stays[victim]
            self.stays[model] = Stay(now + wait + load)
        self.used(model, now)

    def used(self, model: str, now: float) -> None:
        """A call of `model` was sent here."""
        self.used_at[model] = max(now, self.used_at.get(model, now))

    def served(self, model: str, *, began: float, first: float | None, ended: float, places: int) -> None:
        """A call of `model` succeeded: learn how long it took without its waiting.

        With one place a call that waited had its turn when the one before it ended; with n places, when the
        n-th before it ended. What is left of the waiting after that was loading.
        """
        stay = self.stays.get(model)
        ready_at = began if stay is None else stay.ready_at
        if stay is not None and first is not None and first < stay.ready_at:
            stay.ready_at = ready_at = first
        done = self._done.get(model)
        if done is None or done.maxlen != places:
            done = self._done[model] = deque(done or (), places)
        turn = max(began, done[0]) if len(done) == places else began
        if began < ready_at < ended:
            turn = max(turn, ready_at)
        done.append(max(ended, done[-1]) if done else ended)
        seconds = ended - turn
        if seconds > 0:
            old = self.service.get(model, seconds)
            self.service[model] = old + _NEW * (seconds - old)

    def failed(self, model: str) -> None:
        """A call of `model` failed: unless others are under way, only a poll can tell whether it is there."""
        if not self.in_flight(model):
            self.stays.pop(model, None)

    # ── across a reload ──────────────────────────────────────────────────────────────────────────────

    def state(self) -> dict[str, object]:
        """As plain data."""
        return {
            "stays": {model: stay.ready_at for model, stay in self.stays.items()},
            "used_at": dict(self.used_at),
            "service": dict(self.service),
            "load": dict(self.load),
            "done": {model: list(done) for model, done in self._done.items()},
            "capacity": self.capacity,
            "most_seen": self._most_seen,
            "seen_at": self.seen_at,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave elsewhere, unless this host knows better by now. Raises ValueError."""
        if self.stays or self.used_at or self.seen_at is not None:
            return
        try:
            stays, used_at, service, load = (
                {str(model): float(number) for model, number in state[name].items()}
                for name in ("stays", "used_at", "service", "load")
            )
            done = {
                str(model): deque(map(float, ends), max(1, len(ends)))
                for model, ends in state["done"].items()
            }
            capacity, most_seen = max(1, int(state["capacity"])), max(1, int(state["most_seen"]))
            seen_at = None if state["seen_at"] is None else float(state["seen_at"])
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not the state of a host: {error!r}") from error
        self.stays = {model: Stay(at) for model, at in stays.items()}
        self.used_at, self.service, self.load, self._done = used_at, service, load, done
        self.capacity, self._most_seen, self.seen_at = capacity, most_seen, seen_at

    def copy(self) -> Host:
        """One that can be changed without changing this one; it reads the same members."""
        twin = Host()
        twin.stays = {model: Stay(stay.ready_at) for model, stay in self.stays.items()}
        twin.used_at = dict(self.used_at)
        twin.service = dict(self.service)
        twin.load = dict(self.load)
        twin.capacity, twin.seen_at, twin._most_seen = self.capacity, self.seen_at, self._most_seen
        twin.members = self.members
        twin._done = {model: deque(done, done.maxlen) for model, done in self._done.items()}
        return twin


class Demand:
    """How often each model was asked for of late."""

    __slots__ = ("_counts", "memory")

    def __init__(self, memory: float) -> None:
        self.memory = memory
        self._counts: dict[str, tuple[float, float]] = {}

    def asked(self, model: str, now: float) -> None:
        """One more call of `model`."""
        self._counts[model] = (self.count(model, now) + 1, now)

    def count(self, model: str, now: float) -> float:
        """Calls of `model`, of which one that is `memory` seconds old counts 1/e."""
        known = self._counts.get(model)
        if known is None:
            return 0.0
        count, at = known
        return count * exp((at - now) / self.memory) if now > at else count

    def state(self) -> dict[str, list[float]]:
        """As plain data."""
        return {model: list(known) for model, known in self._counts.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave elsewhere, where nothing is known yet. Raises ValueError."""
        try:
            for model, (count, at) in state.items():
                self._counts.setdefault(str(model), (float(count), float(at)))
        except TypeError as error:
            raise ValueError(f"a count of demand is [count, at]: {error}") from error

    def copy(self) -> Demand:
        """One that can be changed without changing this one."""
        twin = Demand(self.memory)
        twin._counts = dict(self._counts)
        return twin


class Fleet:
    """The hosts of one router by the name of their provider; a host that no strategy holds is forgotten."""

    __slots__ = ("__weakref__", "_hosts", "demand", "keys")

    def __init__(self, keys: Sequence[object], memory: float) -> None:
        self.keys = keys  # kept alive, because their identities are how the fleet is found
        self.demand = Demand(memory)
        self._hosts: WeakValueDictionary[str, Host] = WeakValueDictionary()

    def host(self, name: str) -> Host:
        """The host `name`, new when it was not known."""
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host()
        return host

    def copies(self) -> Counter[str]:
        """On how many hosts each model is expected in memory."""
        found: Counter[str] = Counter()
        for host in self._hosts.values():
            for model in host.stays:
                found[model] += 1
        return found

    def copy(self) -> Fleet:
        """One that can be changed without changing this one."""
        hosts = {name: host.copy() for name, host in self._hosts.items()}
        twin = Fleet((*self.keys, hosts), self.demand.memory)  # the keys keep the copies alive
        twin.demand = self.demand.copy()
        twin._hosts.update(hosts)
        return twin


_FLEETS: WeakValueDictionary[tuple[int, ...], Fleet] = WeakValueDictionary()


def fleet_of(*keys: object, memory: float) -> Fleet:
    """The fleet of whoever hands in these very objects; of nobody else."""
    identity = tuple(map(id, keys))
    fleet = _FLEETS.get(identity)
    if fleet is None:
        fleet = _FLEETS[identity] = Fleet(keys, memory)
    return fleet


def canonical(model: str) -> str:
    """`model` without the tag that Ollama adds to names that have none."""
    return model.removesuffix(":latest")
