"""The keys that issuers sign with: those of a file, a shared secret, and sets that issuers publish."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from pointsman.plugin import CallError, Clock, ConfigError, read_regular

log = logging.getLogger("pointsman.gateway")

REFETCH = 60.0
"""Seconds, at least, between two fetches of one set."""
FRESH = 900.0
"""Seconds for which a set is believed without a look at whether there is a new one."""
STALE = 86_400.0
"""Seconds for which a set goes on to be believed while no new one can be had."""
_MOST_KEYS = 64
_LEAST_RSA = 2048
_LARGEST_PEM = 65_536
_FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP", "HS": "oct"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}

Fetch = Callable[[], Awaitable[bytes]]


class VerificationKey(Struct, frozen=True, eq=False):
    """One key; `algorithms` are those that it may be used with, `value` is what verifies."""

    id: str
    algorithms: frozenset[str]
    value: Any

    def __repr__(self) -> str:
        return f"VerificationKey({self.id!r})"  # it may be a shared secret


class KeySetUnavailable(Exception):
    """There are no keys, and none can be had for now."""


class KeySource(Protocol):
    """Where the keys of one issuer come from.

    Attributes:
        version: another one whenever the keys may be others, so that nobody relies on those of before.
    """

    version: int

    async def matching(self, algorithm: str, id: str) -> Sequence[VerificationKey]:
        """Those that a token may be signed with that names `algorithm` and `id`, "" for none.

        Raises: KeySetUnavailable.
        """


def fitting(keys: Sequence[VerificationKey], algorithm: str, id: str) -> list[VerificationKey]:
    """Of `keys` those for `algorithm`, and by that name where one is given."""
    usable = [each for each in keys if algorithm in each.algorithms]
    return [each for each in usable if each.id == id] if id else usable


class FixedKeys:
    """Keys that stay as they are. A token may name one of them or not."""

    version = 0

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        self._keys = keys

    async def matching(self, algorithm: str, id: str) -> Sequence[VerificationKey]:
        return fitting(self._keys, algorithm, "")


class PublishedKeys:
    """A set that its issuer publishes, fetched when it is needed and kept.

    A key that the set does not have is asked for anew, once a minute at most: whoever invents names of keys
    makes us ask no more often.
    """

    def __init__(self, fetch: Fetch, clock: Clock, algorithms: Sequence[str]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._algorithms = frozenset(algorithms)
        self._keys: Sequence[VerificationKey] = ()
        self._tried = self._fetched = -inf
        self._running: asyncio.Task[None] | None = None
        self.version = 0

    async def matching(self, algorithm: str, id: str) -> Sequence[VerificationKey]:
        now = self._clock.now()
        found = fitting(self._keys, algorithm, id)
        if not found or now - self._fetched > STALE:
            await self._renewed()
            if not self._keys or self._clock.now() - self._fetched > STALE:
                raise KeySetUnavailable
            return fitting(self._keys, algorithm, id)
        if now - self._fetched > FRESH:
            self._begin()  # beside the request, which the present ones answer
        return found

    async def _renewed(self) -> None:
        """Fetch it, unless that was tried a short while ago; all who wait do so for the same fetch."""
        task = self._begin()
        if task is not None:
            await asyncio.shield(task)

    def _begin(self) -> asyncio.Task[None] | None:
        if self._running is None and self._clock.now() - self._tried >= REFETCH:
            self._tried = self._clock.now()
            self._running = asyncio.create_task(self._look())
            self._running.add_done_callback(self._looked)
        return self._running

    async def _look(self) -> None:
        try:
            keys = published(await self._fetch(), self._algorithms)
        except (CallError, ValueError) as error:
            log.warning("the key set of an issuer of tokens cannot be had: %s", error)
            return
        self._keys, self._fetched = keys, self._clock.now()
        self.version += 1

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._running = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the key set of an issuer could not be read: %s", type(error).__name__)

    async def aclose(self) -> None:
        """End a fetch that runs."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])


def published(document: bytes, algorithms: frozenset[str]) -> list[VerificationKey]:
    """The keys of a JWK set that may verify a signature with one of `algorithms`.

    Raises: ValueError when it has none.
    """
    try:
        said = json.loads(document)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    listed = said.get("keys") if isinstance(said, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it has no list of keys")
    found = [key for each in listed[:_MOST_KEYS] if (key := _published_key(each, algorithms)) is not None]
    if not found:
        raise ValueError(f"it has no key for {', '.join(sorted(algorithms))}")
    return found


def _published_key(jwk: object, algorithms: frozenset[str]) -> VerificationKey | None:
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    if not isinstance(jwk, Mapping) or jwk.get("use", "sig") != "sig" or jwk.get("kty") == "oct":
        return None  # a shared secret that is published is none
    usable = frozenset(each for each in algorithms if _is_for(jwk, each))
    id = jwk.get("kid", "")
    if not usable or not isinstance(id, str):
        return None
    try:
        key = PyJWK(dict(jwk), algorithm=min(usable)).key
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    return None if _is_weak(key) else VerificationKey(id, usable, key)


def _is_for(jwk: Mapping[str, Any], algorithm: str) -> bool:
    return (
        jwk.get("kty") == _FAMILIES[algorithm[:2]]
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("crv", "") == _CURVES.get(algorithm, jwk.get("crv", ""))
    )


def _is_weak(key: Any) -> bool:
    size = getattr(key, "key_size", None)
    return hasattr(key, "public_numbers") and not hasattr(key, "curve") and (size or 0) < _LEAST_RSA


def from_file(path: Path, algorithms: Sequence[str]) -> VerificationKey:
    """The public key in a PEM file. Raises ConfigError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from jwt import get_algorithm_by_name
    from jwt.exceptions import PyJWTError

    try:
        key = load_pem_public_key(read_regular(path, _LARGEST_PEM))
    except OSError as error:
        raise ConfigError(f"gateway.access.jwt: cannot read {path}: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"gateway.access.jwt: {path} is no public key in PEM") from None
    if _is_weak(key):
        raise ConfigError(f"gateway.access.jwt: the key in {path} has fewer than {_LEAST_RSA} bits")
    usable = set()
    for each in algorithms:
        try:
            get_algorithm_by_name(each).prepare_key(key)
        except (PyJWTError, TypeError, ValueError):
            continue
        usable.add(each)
    if not usable:
        raise ConfigError(f"gateway.access.jwt: the key in {path} is none for {', '.join(algorithms)}")
    return VerificationKey("", frozenset(usable), key)


def from_secret(secret: str, algorithms: Sequence[str]) -> VerificationKey:
    """A secret that is shared with the issuer."""
    return VerificationKey("", frozenset(algorithms), secret.encode())
