"""What browsers are told whose pages may ask."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pointsman.plugin import WholeReply

_EXPOSED = b"x-request-id, request-id, retry-after, x-should-retry"
_LASTS = "600"
"""Seconds for which a browser need not ask again."""


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser asks beforehand what a page may send."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight(headers: Mapping[str, str], origins: Collection[str]) -> WholeReply:
    """The answer to that: without a word on who may where the origin is none of `origins`."""
    if headers["origin"] not in origins:
        return WholeReply(403, fields={"vary": "origin"})
    asked = headers.get("access-control-request-headers", "")
    allowed = {"access-control-allow-headers": asked} if asked.isascii() and asked.isprintable() else {}
    return WholeReply(
        204,
        fields={
            "access-control-allow-methods": headers["access-control-request-method"],
            "access-control-max-age": _LASTS,
            **allowed,
        },
    )


def cors_fields(headers: Mapping[str, str], origins: Collection[str]) -> list[tuple[bytes, bytes]]:
    """The fields of an answer that let a page of one of `origins` read it."""
    origin = headers.get("origin", "")
    if origin not in origins:
        return []
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"origin"),
    ]
