"""From what a server says of a request to the `Head` that we go by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, MutableMapping, Sequence
from itertools import chain
from typing import Any

from pointsman_gateway.access.admission import Head
from pointsman_gateway.access.certificates import CERTIFICATE
from pointsman_gateway.access.peers import Network, origin

Scope = MutableMapping[str, Any]
Networks = Sequence[Network]

LONGEST_ID = 128
"""Characters of a caller's own id of its request."""


def head_of(scope: Scope, *, trusted: Networks = (), listener: str = "") -> Head:
    """What the head of a request says. `trusted` are the proxies that are believed."""
    fields = scope["headers"]
    headers = _decoded(fields)
    repeated = frozenset[str]() if len(headers) == len(fields) else _join_repeated(headers, fields)
    client, server = scope.get("client"), scope.get("server")
    tls = scope.get("scheme") in ("https", "wss")
    asked_by = origin(client[0] if client else "", headers, trusted, tls=tls)
    return Head(
        scope.get("method", "GET"),
        scope["path"],
        scope.get("query_string", b"").decode("latin-1"),
        headers,
        repeated,
        peer=asked_by.address,
        local=server[0] if server and server[1] is not None else "",
        secure=asked_by.secure,
        scope=listener,
        raw_path=scope.get("raw_path", b""),
        certificate=scope.get("extensions", {}).get(CERTIFICATE) if tls else None,
    )


def _decoded(fields: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """By name; of one that came twice, the last."""
    # At once: one by one takes four times as long. No line of a head holds a line break, unless by a server
    # that lets one through.
    said = b"\n".join(chain.from_iterable(fields)).decode("latin-1").split("\n")
    if len(said) == 2 * len(fields):
        return dict(zip(said[::2], said[1::2], strict=True))
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in fields}


def _join_repeated(headers: dict[str, str], fields: Sequence[tuple[bytes, bytes]]) -> frozenset[str]:
    """Join in `headers` the values of names that came more than once; returns these."""
    names = Counter(name.decode("latin-1") for name, _ in fields)
    repeated = frozenset(name for name, times in names.items() if times > 1)
    for each in repeated:
        headers[each] = ", ".join(
            value.decode("latin-1") for name, value in fields if name.decode("latin-1") == each
        )
    return repeated


def own_id(headers: Mapping[str, str]) -> str:
    """The caller's own id of its request; "" where there is none that is fit."""
    given = headers.get("x-request-id", "")
    return given if 0 < len(given) <= LONGEST_ID and all("!" <= each <= "~" for each in given) else ""
