"""Whether a request means us, and whether a web page of somebody else's sent it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from ipaddress import ip_address

from pointsman_gateway.access.denials import denied

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z](?:[0-9A-Za-z._-]{0,252}))(?::(\d{1,5}))?")
_LOCAL_NAMES = frozenset(("localhost", "::1"))
_PORTS = {"http": "80", "https": "443"}
_OUR_SITE = frozenset(("same-origin", "none"))
_WITHOUT_BODY = frozenset(("", "0"))


@lru_cache(maxsize=64)  # clients of one gateway say the same few
def host_name(authority: str) -> str | None:
    """The name or address in a `Host`, in lower case and without port; None for what is none."""
    found = _HOST.fullmatch(authority)
    if found is None or (found[2] is not None and int(found[2]) > 65_535):
        return None
    return found[1].strip("[]").lower().rstrip(".")


def is_loopback_name(name: str) -> bool:
    """Whether that name, or address, of a host is always the machine itself."""
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def check_host(fields: Mapping[str, str], allowed: Collection[str], own: str = "") -> None:
    """Raises Denied unless the request names one of the hosts that we are.

    Without it any name that its owner points at this address would do, and a page of theirs could read
    what we answer.

    Args:
        allowed: names in lower case.
        own: the address at which the request came in, which no name server can give to somebody else.
    """
    name = host_name(fields.get("host", ""))
    if name is None:
        raise denied("invalid", "invalid_host", "the request needs one header Host with a name and a port")
    if not (name == own or name in allowed or is_loopback_name(name)):
        raise denied(
            "forbidden",
            "host_not_allowed",
            "this gateway is not known under that name; its operator can add it to gateway.hosts",
            domain="policy",
        )


def is_foreign(fields: Mapping[str, str], *, secure: bool, origins: Collection[str]) -> bool:
    """Whether a web page sent it that is neither ours nor one of `origins`, as far as browsers tell."""
    origin = fields.get("origin")
    if origin is not None:
        return not (origin in origins or _same(origin, "https" if secure else "http", fields.get("host", "")))
    return fields.get("sec-fetch-site", "none") not in _OUR_SITE


def check_unsent_by_pages(fields: Mapping[str, str], *, secure: bool, origins: Collection[str]) -> None:
    """Raises Denied for what a web page could have sent with no more than its reader's place in a network.

    Asked of requests without a key: what lets those in is where they come from, or a cookie, and a browser
    brings both to whatever page it shows. Pages can send neither JSON declared as such nor a header of ours
    without asking us first, and nobody answers that.
    """
    if is_foreign(fields, secure=secure, origins=origins):
        raise denied(
            "forbidden",
            "origin_not_allowed",
            "a web page of another origin sent this; send a key, or have the origin added to gateway.cors",
            domain="policy",
        )
    if has_body(fields) and not _is_json(fields.get("content-type", "")):
        raise denied(
            "invalid",
            "content_type",
            "without a key a body must be declared as JSON, as no web page can: add the header"
            " content-type: application/json",
        )


def has_body(fields: Mapping[str, str]) -> bool:
    """Whether a body follows the head."""
    return "transfer-encoding" in fields or fields.get("content-length", "") not in _WITHOUT_BODY


def _is_json(content_type: str) -> bool:
    media = content_type.partition(";")[0].strip().lower()
    return media == "application/json" or (media.startswith("application/") and media.endswith("+json"))


def _same(origin: str, scheme: str, host: str) -> bool:
    found, named = _HOST.fullmatch(host), origin.lower().removeprefix(f"{scheme}://")
    other = _HOST.fullmatch(named)
    if found is None or other is None or named == origin.lower():
        return False
    default = _PORTS[scheme]
    return (found[1].lower(), found[2] or default) == (other[1], other[2] or default)
