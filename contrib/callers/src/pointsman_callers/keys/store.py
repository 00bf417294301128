"""Keys in a database: SQL, and nothing that decides. Nothing in it would open anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from math import inf
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pointsman_callers.keys.scope import Scope
from pointsman_database import Component, Database, Session

if TYPE_CHECKING:
    from pointsman import Config

COMPONENT = "callers"
DATABASE = "./pointsman.db"
"""Where keys are kept when nobody says."""
FOLDER = files("pointsman_callers.keys") / "migrations"


class StoredSecret(Struct, frozen=True):
    """One secret of a key: `digest` in hexadecimal; `until` in seconds since 1970 UTC."""

    digest: str
    until: float = inf


class StoredKey(Struct, frozen=True):
    """One key as it was made.

    Attributes:
        creator: the id of the key that made it; "" for one that was made without a key of the store.
        made_by: who made it, for people.
        scope: what it grants, unless its creator has less by now.
        created, revoked_at, last_used: seconds since 1970 UTC; None for never.
        secrets: the newest one last.
    """

    id: str
    name: str
    creator: str
    made_by: str
    scope: Scope
    created: float
    revoked_at: float | None = None
    last_used: float | None = None
    secrets: Sequence[StoredSecret] = ()


class Replica(Struct, frozen=True):
    """A router that answers by these keys: which change it has seen, and seconds since it last said so."""

    name: str
    version: int
    silent: float


class NameTaken(Exception):
    """Another key that is not revoked has that name."""


class Everything(Struct, frozen=True):
    """All keys, as of change number `version`."""

    version: int
    keys: Mapping[str, StoredKey]


class KeyStore:
    """What is asked of the database; each method blocks, and each change is counted."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def prepare(self) -> None:
        """Have the tables there. Raises DatabaseError."""
        self.database.migrate(COMPONENT, FOLDER)

    def settle_pepper(self, check: str) -> bool:
        """Whether the keys were made with the pepper of that `check`; the first one to ask decides."""

        def work(session: Session) -> bool:
            session.execute("UPDATE caller_changes SET pepper = ? WHERE one = 1 AND pepper = ''", (check,))
            return bool(session.execute("SELECT 1 FROM caller_changes WHERE pepper = ?", (check,)))

        return self.database.write(work)

    def version(self) -> int:
        """The number of the last change."""
        return self.database.read(version_in)

    def everything(self) -> Everything:
        """All keys."""
        return self.database.read(_everything)

    def add(self, key: StoredKey) -> int:
        """Keep a new key with its secret; the number of the change. Raises NameTaken."""

        def work(session: Session) -> int:
            if _of_name(session, key.name):
                raise NameTaken
            session.execute(
                "INSERT INTO caller_keys (id, name, creator, made_by, scope, created)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (key.id, key.name, key.creator, key.made_by, _written(key.scope), key.created),
            )
            _add_secret(session, key.id, key.secrets[-1].digest, key.created)
            return _changed(session)

        return self.database.write(work)

    def rescope(self, id: str, scope: Scope) -> int:
        """Have a key grant another scope."""

        def work(session: Session) -> int:
            session.execute("UPDATE caller_keys SET scope = ? WHERE id = ?", (_written(scope), id))
            return _changed(session)

        return self.database.write(work)

    def rotate(self, id: str, digest: str, *, now: float, until: float) -> int:
        """A further secret of a key, beside which those before it are good `until` then."""

        def work(session: Session) -> int:
            session.execute(
                "UPDATE caller_secrets SET until = ? WHERE key_id = ? AND (until IS NULL OR until > ?)",
                (until, id, until),
            )
            _add_secret(session, id, digest, now)
            return _changed(session)

        return self.database.write(work)

    def revoke(self, id: str, now: float) -> int:
        """A key is worth nothing from now on."""

        def work(session: Session) -> int:
            session.execute(
                "UPDATE caller_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (now, id)
            )
            return _changed(session)

        return self.database.write(work)

    def erase(self, id: str) -> int:
        """Nothing is left of a key here; those that it made stay revoked with it."""

        def work(session: Session) -> int:
            session.execute("DELETE FROM caller_secrets WHERE key_id = ?", (id,))
            session.execute("DELETE FROM caller_keys WHERE id = ?", (id,))
            return _changed(session)

        return self.database.write(work)

    def used(self, when: Mapping[str, float]) -> None:
        """When keys were last used, by their ids. Counts as no change."""

        def work(session: Session) -> None:
            session.execute_many(
                "UPDATE caller_keys SET last_used = ? WHERE id = ? AND (last_used IS NULL OR last_used < ?)",
                [(at, id, at) for id, at in when.items()],
            )

        self.database.write(work)

    # ── routers that answer by these keys ────────────────────────────────────────────────────────────

    def seen(self, replica: str, version: int) -> None:
        """`replica` goes by the change of that number, and is there."""

        def work(session: Session) -> None:
            session.execute(
                "INSERT INTO caller_replicas (name, version, at) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET version = excluded.version, at = excluded.at",
                (replica, version, _now(session)),
            )

        self.database.write(work)

    def gone(self, replica: str) -> None:
        """`replica` is not there any more."""
        self.database.write(lambda s: s.execute("DELETE FROM caller_replicas WHERE name = ?", (replica,)))

    def replicas(self) -> Sequence[Replica]:
        """Those that there are, or were until something ended them."""

        def work(session: Session) -> Sequence[Replica]:
            now = _now(session)
            rows = session.execute("SELECT name, version, at FROM caller_replicas ORDER BY name")
            return [Replica(name, version, max(0.0, now - at)) for name, version, at in rows]

        return self.database.read(work)


def addresses_of(config: Config) -> Sequence[str]:
    """Where a configuration keeps keys."""
    if "callers" not in config.sections:
        return ()
    return (str((config.sections["callers"] or {}).get("database", DATABASE)),)


TABLES = Component(COMPONENT, FOLDER, addresses_of)
"""For `pointsman db`."""


def version_in(session: Session) -> int:
    """The number of the last change."""
    ((version,),) = session.execute("SELECT version FROM caller_changes WHERE one = 1")
    return int(version)


def _changed(session: Session) -> int:
    session.execute("UPDATE caller_changes SET version = version + 1 WHERE one = 1")
    return version_in(session)


def _of_name(session: Session, name: str) -> bool:
    return bool(session.execute("SELECT 1 FROM caller_keys WHERE name = ? AND revoked_at IS NULL", (name,)))


def _add_secret(session: Session, id: str, digest: str, now: float) -> None:
    session.execute(
        "INSERT INTO caller_secrets (digest, key_id, created) VALUES (?, ?, ?)", (digest, id, now)
    )


def _everything(session: Session) -> Everything:
    secrets: dict[str, list[StoredSecret]] = {}
    for digest, id, until in session.execute(
        "SELECT digest, key_id, until FROM caller_secrets ORDER BY created, digest"
    ):
        secrets.setdefault(id, []).append(StoredSecret(digest, inf if until is None else until))
    rows: Sequence[Sequence[Any]] = session.execute(
        "SELECT id, name, creator, made_by, scope, created, revoked_at, last_used FROM caller_keys"
        " ORDER BY created, id"
    )
    keys = {
        id: StoredKey(
            id, name, creator, made_by, _read(scope), created, revoked, used, tuple(secrets.get(id, ()))
        )
        for id, name, creator, made_by, scope, created, revoked, used in rows
    }
    return Everything(version_in(session), keys)


def _written(scope: Scope) -> str:
    said = {
        "models": None if scope.models is None else sorted(scope.models),
        "surfaces": None if scope.surfaces is None else sorted(scope.surfaces),
        "operator": scope.operator,
        "labels": dict(scope.labels),
        "require": {label: list(values) for label, values in scope.require.items()},
        "limits": dict(scope.limits),
        "expires": None if scope.expires == inf else scope.expires,
    }
    return json.dumps(said)


def _read(text: str) -> Scope:
    said = json.loads(text)
    return Scope(
        models=None if said["models"] is None else frozenset(said["models"]),
        surfaces=None if said["surfaces"] is None else frozenset(said["surfaces"]),
        operator=said["operator"],
        labels=said["labels"],
        require={label: tuple(values) for label, values in said["require"].items()},
        limits=said["limits"],
        expires=inf if said["expires"] is None else said["expires"],
    )


def _now(session: Session) -> float:
    """Seconds since 1970 by the clock of the database, which all replicas share."""
    sql = (
        "SELECT (julianday('now') - 2440587.5) * 86400.0"
        if session.dialect == "sqlite"
        else "SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision)"
    )
    ((now,),) = session.execute(sql)
    return float(now)
