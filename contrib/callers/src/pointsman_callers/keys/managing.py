"""What is done with keys: made, scoped, rotated, revoked, erased; by whom, and no further than they may."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import inf
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pointsman.plugin import InvalidRequest
from pointsman_callers.keys.keeper import WITHIN, Announced, announcement
from pointsman_callers.keys.key_text import new_id, new_key
from pointsman_callers.keys.live import effective
from pointsman_callers.keys.pepper import digest_of
from pointsman_callers.keys.scope import ALL, Scope, excess
from pointsman_callers.keys.store import Everything, KeyStore, NameTaken, StoredKey, StoredSecret
from pointsman_callers.keys.wanted import (
    Wanted,
    check_surfaces,
    checked_name,
    rescoped,
    scope_of,
    written_limits,
)

_LOOK_AGAIN = 0.01
LONGEST_OVERLAP = 90 * 86400.0


class NotYours(Exception):
    """Whoever asks may not: it would be more than they have."""


class NoSuchKey(Exception):
    """There is no key of that id or name."""


class Maker(Struct, frozen=True):
    """Who does something with keys.

    Attributes:
        key_id: of their key, where it is one of the store.
        name: for people.
        scope: what they have.
    """

    name: str
    key_id: str = ""
    scope: Scope = ALL


class Made(Struct, frozen=True):
    """A key that was made, or made anew; `text` is the only place where it stands as it is to be sent.

    Attributes:
        change: the number of the change.
    """

    key: StoredKey
    text: str
    change: int

    def __repr__(self) -> str:
        return f"Made({self.key.id})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("key", self.key.id)]


class KeyManager:
    """All of it blocks.

    Args:
        wall: seconds since 1970 UTC.
        reserved: names that no key gets, such as those of keys of the configuration.
        surfaces: those that there are; None where nobody knows.
    """

    def __init__(
        self,
        store: KeyStore,
        pepper: bytes,
        wall: Callable[[], float] = time.time,
        reserved: frozenset[str] = frozenset(),
        surfaces: frozenset[str] | None = None,
    ) -> None:
        self.store = store
        self._pepper = pepper
        self.wall = wall
        self._reserved = reserved
        self._surfaces = surfaces

    def add(self, wanted: Wanted, by: Maker) -> Made:
        """A new key. Raises InvalidRequest, NotYours, NameTaken."""
        name, now = checked_name(wanted.name), self.wall()
        if name in self._reserved:
            raise NameTaken
        self._check_surfaces(wanted)
        scope = scope_of(wanted, by.scope, now)
        _check(scope, by.scope)
        id = new_id()
        text = new_key(id)
        secret = StoredSecret(digest_of(self._pepper, text).hex())
        key = StoredKey(id, name, by.key_id, by.name, scope, now, secrets=(secret,))
        return Made(key, text, self.store.add(key))

    def rescope(self, id: str, wanted: Wanted, by: Maker) -> int:
        """Have a key grant something else; the number of the change. Raises: as `add`, NoSuchKey."""
        if wanted.name is not None and isinstance(wanted.name, str):
            raise InvalidRequest("name: a key keeps its name; make another")
        self._check_surfaces(wanted)
        found = self._theirs(id, by)
        key = found.keys[id]
        above = found.keys.get(key.creator)
        scope = rescoped(wanted, key.scope, by.scope, self.wall())
        _check(scope, by.scope)
        if above is not None:
            _check(scope, effective(above, found.keys))
        return self.store.rescope(id, scope)

    def rotate(self, id: str, overlap: float, by: Maker) -> Made:
        """Another secret for a key, beside which the one before is good for `overlap` seconds more.

        Raises: as `rescope`.
        """
        if not 0 <= overlap <= LONGEST_OVERLAP:
            raise InvalidRequest("overlap: 0 to 90 days")
        found, now = self._theirs(id, by), self.wall()
        key = found.keys[id]
        if by.key_id and by.scope.limits and by.key_id not in _line_of(key, found.keys):
            # With another's key they would have its limits beside their own.
            raise NotYours("a key that has limits makes anew only itself and keys that it has made")
        if effective(key, found.keys).expires <= now:
            raise InvalidRequest("the key has been revoked or has expired; make another")
        text = new_key(id)
        digest = digest_of(self._pepper, text).hex()
        return Made(key, text, self.store.rotate(id, digest, now=now, until=now + overlap))

    def revoke(self, id: str, by: Maker) -> int:
        """A key, and those that it made, are worth nothing. Raises: as `rescope`."""
        self._theirs(id, by)
        return self.store.revoke(id, self.wall())

    def erase(self, id: str, by: Maker) -> int:
        """Nothing is left of a key. Raises: as `rescope`."""
        self._theirs(id, by)
        return self.store.erase(id)

    def one(self, id_or_name: str) -> tuple[StoredKey, Everything]:
        """The key of that id, or the one that is good of that name; with all others. Raises NoSuchKey."""
        found = self.store.everything()
        if id_or_name in found.keys:
            return found.keys[id_or_name], found
        named = [each for each in found.keys.values() if each.name == id_or_name]
        named.sort(key=lambda each: (each.revoked_at is None, each.created))
        if not named:
            raise NoSuchKey(id_or_name)
        return named[-1], found

    def announced(self, change: int, within: float = WITHIN) -> Announced:
        """Wait until all routers that there are go by the change of that number, `within` seconds at most."""
        began = time.monotonic()
        while True:
            passed = time.monotonic() - began
            found = announcement(self.store.replicas(), change, passed)
            if not found.waiting or passed >= within:
                return found
            time.sleep(_LOOK_AGAIN)

    def _check_surfaces(self, wanted: Wanted) -> None:
        if self._surfaces is not None:
            check_surfaces(wanted, self._surfaces)

    def _theirs(self, id: str, by: Maker) -> Everything:
        """All keys, of which that one grants nothing that `by` does not have. Raises NoSuchKey, NotYours."""
        found = self.store.everything()
        key = found.keys.get(id)
        if key is None:
            raise NoSuchKey(id)
        _check(replace(effective(key, found.keys), expires=-inf), by.scope)
        return found


def _line_of(key: StoredKey, keys: Mapping[str, StoredKey]) -> set[str]:
    """The ids of a key, of the one that made it, and so on."""
    found = set[str]()
    each: StoredKey | None = key
    while each is not None and each.id not in found:
        found.add(each.id)
        each = keys.get(each.creator)
    return found


def _check(scope: Scope, has: Scope) -> None:
    if said := excess(scope, has):
        raise NotYours(f"a key grants no more than whoever makes it has. {said}")


def shown(key: StoredKey, keys: Mapping[str, StoredKey], now: float) -> dict[str, Any]:
    """What people are shown of a key: neither it nor what is stored of it."""
    scope = effective(key, keys)
    state = "revoked" if key.revoked_at is not None else "ended" if scope.expires <= now else "good"
    return {
        "id": key.id,
        "name": key.name,
        "state": state,
        "made_by": key.made_by,
        "creator": key.creator or None,
        "models": _sorted(scope.models),
        "surfaces": _sorted(scope.surfaces),
        "operator": scope.operator,
        "labels": dict(scope.labels),
        "require": {label: list(values) for label, values in scope.require.items()},
        "limits": written_limits(scope.limits),
        "created": _iso(key.created),
        "expires": _iso(key.scope.expires),
        "last_used": _iso(key.last_used),
        "revoked_at": _iso(key.revoked_at),
        "secrets": len([each for each in key.secrets if each.until > now]),
    }


def announced_as(found: Announced) -> dict[str, Any]:
    """How far a change has come, as plain data."""
    return {
        "announced": not found.waiting and not found.silent,
        "seen_by": list(found.seen),
        "waiting_for": list(found.waiting),
        "silent": list(found.silent),
        "ms": round(found.seconds * 1e3, 1),
    }


def _sorted(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _iso(at: float | None) -> str | None:
    return None if at is None or at == inf else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
