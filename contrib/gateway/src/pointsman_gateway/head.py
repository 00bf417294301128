"""From what a server says of a request to the `Head` that we go by."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from pointsman_gateway.admission import Head

Scope = MutableMapping[str, Any]
Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]

LONGEST_ID = 128
"""Characters of a caller's own id of its request."""


def head_of(scope: Scope, *, trusted: Networks = (), listener: str = "") -> Head:
    """What the head of a request says. `trusted` are the proxies that are believed."""
    headers: dict[str, str] = {}
    repeated: set[str] = set()
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in headers:
            repeated.add(name)
            value = f"{headers[name]}, {value}"
        headers[name] = value
    client = scope.get("client")
    peer, proxied, secure = (client[0] if client else ""), False, scope.get("scheme") in ("https", "wss")
    if trusted and _is_of(peer, trusted):
        peer, proxied = _client_behind(headers, peer, trusted), True
        secure = headers.get("x-forwarded-proto", "").strip().lower() == "https"
    return Head(
        scope.get("method", "GET"),
        scope["path"],
        scope.get("query_string", b"").decode("latin-1"),
        headers,
        frozenset(repeated),
        peer,
        proxied,
        secure,
        listener,
    )


def _is_of(peer: str, networks: Networks) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return any(address.version == each.version and address in each for each in networks)


def _client_behind(headers: Mapping[str, str], proxy: str, trusted: Networks) -> str:
    """The last address that no trusted proxy has: what stands before it anybody can have written."""
    said = [each.strip() for each in headers.get("x-forwarded-for", "").split(",")]
    client = proxy
    for each in reversed(said):
        try:
            ipaddress.ip_address(each)
        except ValueError:
            break
        client = each
        if not _is_of(each, trusted):
            break
    return client


def own_id(headers: Mapping[str, str]) -> str:
    """The caller's own id of its request; "" where there is none that is fit."""
    given = headers.get("x-request-id", "")
    return given if 0 < len(given) <= LONGEST_ID and all("!" <= each <= "~" for each in given) else ""
