"""The keys that are worth something, in memory: what each request is checked against."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hmac import compare_digest, digest
from math import inf
from operator import itemgetter

from msgspec import Struct

from pointsman.plugin import Caller, KnownCaller
from pointsman_callers.keys.key_text import START, id_of
from pointsman_callers.keys.scope import Scope, met
from pointsman_callers.keys.store import StoredKey

_MOST_UNKNOWN = 10_000
_UNKNOWN_FOR = 5.0


class _Live(Struct, frozen=True, eq=False):
    """One key; of several secrets, each with until when it is good."""

    known: KnownCaller
    secrets: tuple[tuple[bytes, KnownCaller], ...]


class LiveKeys:
    """Finds callers by their keys, and never reads a clock, or a file, or waits.

    Attributes:
        used: when keys were used since somebody took it, by their ids.
    """

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper
        self._by_id: Mapping[str, _Live] = {}
        self._by_name: Mapping[str, KnownCaller] = {}
        self._ends: list[tuple[float, str]] = []
        self.used: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"LiveKeys({len(self._by_id)} keys)"

    def replace(self, keys: Mapping[str, StoredKey], now: float) -> tuple[Sequence[str], Sequence[str]]:
        """Go by `keys` from `now` on.

        Returns: the ids of those that were worth something and no longer are, and of those that are and grant
        something else.
        """
        before, self._by_id = self._by_id, {id: _live(each, keys) for id, each in keys.items()}
        known = sorted((each.known for each in self._by_id.values()), key=lambda each: each.until)
        self._by_name = {each.caller.name: each for each in known}
        good = [id for id, each in before.items() if now < each.known.until]
        over = [id for id in good if self._is_over(id, now)]
        others = [
            id
            for id in good
            if not self._is_over(id, now) and self._by_id[id].known.caller != before[id].known.caller
        ]
        untold = {id for _, id in self._ends}  # whose time may be over just now
        self._ends = sorted(
            (each.known.until, id)
            for id, each in self._by_id.items()
            if each.known.until < inf and (now < each.known.until or id in untold)
        )
        return over, others

    def expired(self, now: float) -> Sequence[str]:
        """The ids of those whose time was over between the latest look and `now`."""
        count = bisect_right(self._ends, now, key=itemgetter(0))
        found, self._ends = self._ends[:count], self._ends[count:]
        return [id for _, id in found]

    def _is_over(self, id: str, now: float) -> bool:
        live = self._by_id.get(id)
        return live is None or live.known.until <= now

    def known(self, credential: str) -> KnownCaller | None:
        """As of `CallerSource`: whose `credential` is; None where nobody's."""
        if not credential.startswith(START):
            return None
        live = self._by_id.get(id_of(credential))
        if live is None:
            return None
        # An id is no secret, so that a look-up by it may take what it takes.
        shown = digest(self._pepper, credential.encode("utf-8", "surrogatepass"), "sha256")
        for stored, known in live.secrets:
            if compare_digest(stored, shown):
                self.used[known.caller.key_id] = None
                return known
        return None

    def again(self, key_id: str) -> KnownCaller | None:
        """As of `CallerSource`: what is left of the caller with the key of that id."""
        live = self._by_id.get(key_id)
        return None if live is None else live.known

    def named(self, name: str) -> KnownCaller | None:
        """As of `CallerSource`: whose that name is."""
        return self._by_name.get(name)


def effective(key: StoredKey, keys: Mapping[str, StoredKey]) -> Scope:
    """What a key grants: no more than those above it have by now, and nothing once one of them is revoked."""
    scope, at, revoked = key.scope, key, key.revoked_at
    seen = set[str]()
    while at.creator and at.creator not in seen:
        seen.add(at.creator)
        above = keys.get(at.creator)
        if above is None:  # erased, which is as good as revoked
            return met(scope, Scope(expires=0.0))
        scope = met(scope, above.scope)
        if above.revoked_at is not None:
            revoked = above.revoked_at if revoked is None else min(revoked, above.revoked_at)
        at = above
    return met(scope, Scope(operator=True, expires=inf if revoked is None else revoked))


def caller_of(key: StoredKey, scope: Scope) -> Caller:
    """As whom the gateway knows who shows the key."""
    return Caller(
        name=key.name,
        models=scope.models,
        operator=scope.operator,
        labels=dict(scope.labels),
        key_id=key.id,
        require=dict(scope.require),
        surfaces=scope.surfaces,
    )


class Unknown:
    """Credentials that nobody knows, for a while, and no more of them than fit.

    Somebody who tries keys must not have the database asked for each.
    """

    def __init__(self) -> None:
        self._until: OrderedDict[int, float] = OrderedDict()

    def add(self, credential: str, now: float) -> None:
        """Nobody knows `credential` at the instant `now`."""
        self._until[hash(credential)] = now + _UNKNOWN_FOR
        if len(self._until) > _MOST_UNKNOWN:
            self._until.popitem(last=False)

    def has(self, credential: str, now: float) -> bool:
        """Whether it has lately been found that nobody knows it."""
        return self._until.get(hash(credential), -inf) > now

    def clear(self) -> None:
        """Something has changed."""
        self._until.clear()


def _live(key: StoredKey, keys: Mapping[str, StoredKey]) -> _Live:
    scope = effective(key, keys)
    caller = caller_of(key, scope)
    secrets = tuple(
        (bytes.fromhex(each.digest), KnownCaller(caller, min(scope.expires, each.until)))
        for each in reversed(key.secrets)
    )
    return _Live(KnownCaller(caller, scope.expires), secrets)
