"""What `affinity` tells others of its kind, in routers that share a store, and what it hears from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf, isfinite

from pointsman.plugin import Learned, Member, jsonio
from pointsman_strategies.warm_places import ROW, Bindings, hash_of, of_state, rows_of

_AT_ONCE = 4_000
"""Conversations that are told of at once, at most; of what is beyond, each router finds out for itself."""

_BELIEVED = 2.0
"""Seconds for which a router is believed that says no more: it may be gone."""


class News:
    """Which conversations others should be told of: new ones, loans, and those that go on.

    Nothing is collected before `learned` was called once: where no store is, it never is.

    Args:
        life: seconds for which a binding holds, and so for which others may want to know of it.
    """

    def __init__(self, bindings: Bindings, life: float) -> None:
        self._bindings = bindings
        self._life = life
        self._is_asked = False
        self._keys: dict[bytes, None] = {}

    def answered(self, key: bytes) -> None:
        """A conversation was answered."""
        if self._is_asked and len(self._keys) < _AT_ONCE and self._bindings.is_news(key):
            self._keys[key] = None

    def learned(self, mark: str, now: float) -> Learned | None:
        """All bindings that are new since this was last called; None when there are none.

        Args:
            mark: a hash of what others must have configured alike to make use of it.
        """
        self._is_asked = True
        if not self._keys:
            return None
        told = self._bindings.tell(self._keys, now)
        self._keys = {}
        return Learned(jsonio.dumps({"key": mark, "bindings": told}).decode(), self._life) if told else None

    def heard(self, said: Mapping[str, object], seconds: float, mark: str, now: float) -> None:
        """Know it from now on; it holds for so many `seconds`. Raises ValueError when it is none of that."""
        if of_state(said, "key") != mark:
            return  # hashes under another key say nothing here
        told = now - max(0.0, self._life - seconds)
        for key, member, age, lent, end in rows_of(of_state(said, "bindings"), ROW):
            if not isfinite(age) or age < 0:
                raise ValueError("the age of a binding is a number")
            last = None if end is None else hash_of(end)
            if not self._bindings.hear(hash_of(key), member, told - age, lent, last, now=now):
                self._keys[hash_of(key)] = None  # so that who told it hears of it in turn


class Loads:
    """Calls in flight in other routers, by member, as these last said; each is believed for some seconds.

    Who saw its own alone would find a member above its share by chance, the more so the more routers there
    are.
    """

    def __init__(self) -> None:
        self._said: dict[str, tuple[float, Mapping[str, int]]] = {}  # by router: until when, what
        self._sum: Mapping[str, int] = {}
        self._until = inf
        self._told: Mapping[str, int] = {}
        self._told_at = -inf

    def elsewhere(self, now: float) -> Mapping[str, int]:
        """All of them together; members of which there are none may be missing."""
        if now >= self._until:
            self._add_up(now)
        return self._sum

    def learned(self, members: Sequence[Member], now: float) -> Learned | None:
        """Those of this router; None where others know them."""
        counts = {each.id: each.in_flight for each in members if each.in_flight}
        if counts == self._told and (not counts or now < self._told_at + _BELIEVED / 2):
            return None
        self._told, self._told_at = counts, now
        return Learned(jsonio.dumps({"in_flight": counts}).decode(), _BELIEVED, about="in_flight")

    def heard(self, said: Mapping[str, object], by: str, seconds: float, now: float) -> None:
        """Those of the router `by`, for so many seconds. Raises ValueError when it is none of that."""
        counts = of_state(said, "in_flight")
        if not isinstance(counts, Mapping) or not all(isinstance(each, int) for each in counts.values()):
            raise ValueError("calls in flight are numbers by member")
        self._said[by] = now + min(seconds, _BELIEVED), {id: max(0, count) for id, count in counts.items()}
        self._add_up(now)

    def _add_up(self, now: float) -> None:
        self._said = {by: each for by, each in self._said.items() if each[0] > now}
        self._until = min((until for until, _ in self._said.values()), default=inf)
        total = Counter[str]()
        for _, counts in self._said.values():
            total.update(counts)
        self._sum = total
