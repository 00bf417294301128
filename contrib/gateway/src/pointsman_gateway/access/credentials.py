"""The credentials of a request: one extractor for all places where clients put them."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman_gateway.access.denials import denied
from pointsman_gateway.access.fields import CARRIERS

SESSION_COOKIE = "pointsman_session"
_LONGEST = 16_384
"""Characters; tokens with many claims have a few thousand."""


def presented(fields: Mapping[str, str]) -> tuple[str, ...]:
    """The different keys and tokens that a request's head brings, in the order of the carriers.

    Never from a query: that would stand in logs, histories and referrers.

    Raises: Denied for what no credential can be.
    """
    found: dict[str, None] = {}
    for carrier in [each for each in CARRIERS if each in fields]:
        value = fields[carrier]
        value = _of_bearer(value) if carrier == "authorization" else value.strip()
        if len(value) > _LONGEST:
            raise denied(
                "authentication", "invalid_credential", f"what {carrier} holds is too long for a key"
            )
        if value:  # clients that have none send the empty text
            found[value] = None
    return tuple(found)


def session(fields: Mapping[str, str]) -> str:
    """The session that a cookie names, "" for none. Raises Denied for two different ones."""
    cookie = fields.get("cookie")
    if cookie is None or SESSION_COOKIE not in cookie:
        return ""
    pairs = (each.strip().partition("=") for each in cookie.split(";"))
    values = {value.strip() for name, _, value in pairs if name.strip() == SESSION_COOKIE}
    if len(values) > 1:
        raise denied("invalid", "two_credentials", "the request brings two sessions; log in again")
    return next(iter(values), "")


def _of_bearer(value: str) -> str:
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    # Of another scheme, or without one: it is none of ours, and is told so.
    return value.strip()
