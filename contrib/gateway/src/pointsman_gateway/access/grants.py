"""What a credential is worth, whichever kind it is, and the seam for kinds that come from elsewhere."""

from __future__ import annotations

from math import inf
from typing import Protocol

from msgspec import Struct

from pointsman.plugin import Caller
from pointsman_gateway.access.settings import CallerLimits, CallerSettings


class Grant(Struct, frozen=True):
    """What somebody may do who has shown a credential.

    Attributes:
        source: what it goes back to, such as `key:ci`; unlike names, of different sources never the same.
        limits: how much; None for any.
        until: seconds since 1970 after which it is worth nothing.
        digest: of the key that was shown, by which the table finds it again; b"" for what is no key.
    """

    caller: Caller
    source: str
    limits: CallerLimits | None = None
    until: float = inf
    digest: bytes = b""


def granted(entry: CallerSettings, kind: str, key_id: str, digest: bytes = b"") -> Grant:
    """What an entry of the configuration says that somebody may do who is known by it.

    Args:
        kind: of what it is known by, such as `key`.
        key_id: of that among its kind, for records.
    """
    caller = Caller(
        name=entry.name,
        models=None if entry.models is None else frozenset(entry.models),
        operator=entry.operator,
        labels=dict(entry.labels),
        key_id=key_id,
        require=dict(entry.require),
        surfaces=None if entry.surfaces is None else frozenset(entry.surfaces),
    )
    return Grant(caller, f"{kind}:{key_id}", entry.limits, digest=digest)


class GrantSource(Protocol):
    """Where grants come from beside keys of the configuration: issued tokens, keys in a store."""

    async def find(self, credential: str) -> Grant | None:
        """What `credential` is worth now; None where it is none of its own.

        Raises: Denied for one that is its own and is no longer, or not yet, worth anything.
        """
