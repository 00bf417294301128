"""What a token says, and whether that holds: nothing here knows a key, reads a clock or asks anybody."""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from pointsman.plugin import Caller
from pointsman_gateway.access.grants import Grant
from pointsman_gateway.access.settings import JwtSettings, OperatorClaim

LEEWAY = 60.0
"""Seconds by which clocks of issuers may differ from ours."""
_LONGEST_NAME = 200
_CLAIM = "claim:"


class TokenRefused(Exception):
    """A token that is none of its issuer's, or is not for us, or not now; says which, and repeats nothing."""


class Unverified(Struct, frozen=True):
    """What a token says of itself: only good for finding what it has to be checked against.

    Attributes:
        key: `kid`, "" for none.
    """

    algorithm: str
    key: str
    issuer: str


def looks_like_token(credential: str) -> bool:
    """Whether it has the three parts of a signed token, of which the first is JSON."""
    return credential.startswith("ey") and credential.count(".") == 2


def unverified(token: str) -> Unverified:
    """What `token` says of itself. Raises TokenRefused."""
    head, payload, _signature = token.split(".")
    header, claims = _object(head), _object(payload)
    if "crit" in header:
        raise TokenRefused("the token asks for extensions that we do not know")
    said = [header.get("alg"), header.get("kid", ""), claims.get("iss")]
    if not all(isinstance(each, str) for each in said):
        raise TokenRefused("the token does not say who issued it, or how it is signed")
    return Unverified(*said)


def payload_of(token: str) -> Mapping[str, Any]:
    """The claims of a token whose signature was found to be right. Raises TokenRefused."""
    return _object(token.split(".")[1])


def check_claims(claims: Mapping[str, Any], issuer: JwtSettings, now: float) -> float:
    """Until when the token is worth something, its leeway included; `now`: seconds since 1970.

    Raises: TokenRefused.
    """
    if claims.get("iss") != issuer.issuer:
        raise TokenRefused("the token is of another issuer")
    if issuer.audience not in _texts(claims.get("aud")):
        raise TokenRefused("the token is for somebody else: its aud does not name this gateway")
    until = _instant(claims, "exp") + LEEWAY
    if now >= until:
        raise TokenRefused("the token has expired")
    begins = "nbf" in claims or issuer.not_before == "required"
    if begins and now < _instant(claims, "nbf") - LEEWAY:
        raise TokenRefused("the token is not valid yet")
    if "iat" in claims and now < _instant(claims, "iat") - LEEWAY:
        raise TokenRefused("the token was issued in the future")
    return until


def grant_of(claims: Mapping[str, Any], issuer: JwtSettings, until: float) -> Grant:
    """What a token is worth whose signature and claims hold. Raises TokenRefused."""
    name = claims.get(issuer.caller)
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise TokenRefused(f"the token names nobody: its claim {issuer.caller} is no text of visible letters")
    caller = Caller(
        name=name,
        models=_models(claims, issuer.models),
        operator=issuer.operator is not None and _is_operator(claims, issuer.operator),
        labels=dict(issuer.labels),
    )
    return Grant(caller, f"jwt:{issuer.issuer}:{name}", issuer.limits, until)


def _models(claims: Mapping[str, Any], said: str | tuple[str, ...] | None) -> frozenset[str] | None:
    if said is None:
        return None
    if isinstance(said, tuple):
        return frozenset(said)
    # A claim that is not there lists none: what nobody granted nobody has.
    return frozenset(_texts(claims.get(said.removeprefix(_CLAIM)), words=True))


def _is_operator(claims: Mapping[str, Any], operator: OperatorClaim) -> bool:
    return operator.has in _texts(claims.get(operator.claim), words=True)


def _texts(value: object, *, words: bool = False) -> list[str]:
    """The texts of a claim that is one or a list of some; `words`: one is some, separated by blanks."""
    if isinstance(value, str):
        return value.split() if words else [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _instant(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise TokenRefused(f"the token lacks {name}, or it is no instant")
    return float(value)


def _object(part: str) -> dict[str, Any]:
    """The JSON object of one part, in which nothing stands twice. Raises TokenRefused."""
    try:
        text = urlsafe_b64decode(part.encode("ascii") + b"=" * (-len(part) % 4))
        value = json.loads(text, object_pairs_hook=_different, parse_constant=_no_number)
    except (ValueError, binascii.Error, RecursionError):
        raise TokenRefused("the token cannot be read") from None
    if not isinstance(value, dict):
        raise TokenRefused("the token cannot be read")
    return value


def _different(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member stands there twice")
    return found


def _no_number(_constant: str) -> float:
    raise ValueError("no number")
