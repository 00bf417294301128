"""Tokens that issuers signed: found to be right once, and remembered by their digest while they are."""

from __future__ import annotations

import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from jwt import PyJWS
from jwt.exceptions import PyJWTError
from msgspec import Struct

from pointsman.plugin import Clock
from pointsman_gateway.access.claims import (
    TokenRefused,
    check_claims,
    grant_of,
    looks_like_token,
    payload_of,
    unverified,
)
from pointsman_gateway.access.denials import denied
from pointsman_gateway.access.grants import Grant
from pointsman_gateway.access.key_sets import KeySetUnavailable, KeySource, VerificationKey
from pointsman_gateway.access.settings import JwtSettings

_MOST_KEPT = 10_000
_ASK_AGAIN = 5.0


class Issuer(Struct, frozen=True, eq=False):
    """One entry under `jwt`, with where its keys come from."""

    settings: JwtSettings
    keys: KeySource


class _Kept(Struct, frozen=True, eq=False):
    grant: Grant
    keys: KeySource
    version: int


class Tokens:
    """What tokens are worth.

    Args:
        reserved: names of callers that no token may give itself: those of keys of the configuration.
    """

    def __init__(
        self, issuers: Sequence[Issuer], clock: Clock, reserved: frozenset[str] = frozenset()
    ) -> None:
        self._issuers = issuers
        self._clock = clock
        self._reserved = reserved
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._signatures = PyJWS()

    async def find(self, credential: str) -> Grant | None:
        """What a token is worth; None for one that no issuer of ours could have made.

        Raises: Denied for one that one of them could have made and that is not, or no longer, right.
        """
        if not self._issuers or not looks_like_token(credential):
            return None
        digest = hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()
        kept = self._kept.get(digest)
        if kept is not None:
            if kept.version == kept.keys.version and self._clock.wall() < kept.grant.until:
                return kept.grant
            del self._kept[digest]
        try:
            return await self._verified(credential, digest)
        except TokenRefused as refusal:
            raise denied("authentication", "invalid_token", str(refusal)) from None

    async def _verified(self, token: str, digest: bytes) -> Grant | None:
        said = unverified(token)
        issuers = [each for each in self._issuers if each.settings.issuer == said.issuer]
        if not issuers:
            return None
        refusal = TokenRefused("the token is signed in a way that its issuer does not use")
        for each in issuers:
            if said.algorithm not in each.settings.algorithms:
                continue
            try:
                keys = await each.keys.matching(said.algorithm, said.key)
            except KeySetUnavailable:
                raise denied(
                    "overloaded",
                    "key_set_unavailable",
                    "the keys of the token's issuer cannot be had for now",
                    domain="gateway",
                    retry_after=_ASK_AGAIN,
                ) from None
            try:
                return self._grant(token, digest, each, self._signed_by(token, said.algorithm, keys))
            except TokenRefused as error:
                refusal = error
        raise refusal

    def _signed_by(self, token: str, algorithm: str, keys: Sequence[VerificationKey]) -> Mapping[str, object]:
        """The claims of `token`, if one of `keys` signed it. Raises TokenRefused."""
        for each in keys:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of keys that are too short: those were refused before
                    self._signatures.decode_complete(token, each.value, algorithms=[algorithm])
            except (PyJWTError, ValueError, TypeError):
                continue
            return payload_of(token)
        raise TokenRefused("no key of the token's issuer made its signature")

    def _grant(self, token: str, digest: bytes, issuer: Issuer, claims: Mapping[str, object]) -> Grant:
        until = check_claims(claims, issuer.settings, self._clock.wall())
        grant = grant_of(claims, issuer.settings, until)
        if grant.caller.name in self._reserved:
            raise TokenRefused("the token names its bearer as a key of the configuration is named")
        self._kept[digest] = _Kept(grant, issuer.keys, issuer.keys.version)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return grant
