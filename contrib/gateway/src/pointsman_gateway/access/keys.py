"""Keys of the configuration, found by a digest: the table holds none that would open anything."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from hmac import compare_digest

from pointsman_gateway.access.grants import Grant, granted
from pointsman_gateway.access.settings import KeySettings


class KeyTable:
    """BLAKE2b of each key, keyed by a pepper of this process (RFC 7693), and what it is worth."""

    def __init__(self, keys: Iterable[KeySettings], pepper: bytes) -> None:
        self._pepper = pepper
        self._grants: dict[bytes, Grant] = {}
        for each in keys:
            digest = self._digest(each.key.reveal())
            self._grants[digest] = granted(each, "key", each.name, digest)

    def find(self, credential: str) -> Grant | None:
        """What `credential` is worth; None for one that is not here."""
        return self.again(self._digest(credential))

    def again(self, digest: bytes) -> Grant | None:
        """What the key of that digest is worth now, if it is still here."""
        found = self._grants.get(digest)
        # The look-up has seen the digest only, and says nothing of a key by how long it takes.
        return found if found is not None and compare_digest(found.digest, digest) else None

    def _digest(self, credential: str) -> bytes:
        # A MAC as HMAC-SHA-256 is, which OpenSSL takes ten times as long to set up for each request.
        return blake2b(credential.encode("utf-8", "surrogatepass"), key=self._pepper, digest_size=32).digest()

    def __repr__(self) -> str:
        return f"KeyTable({len(self._grants)} keys)"
