"""`/metrics`: for operators and whoever is on this machine; for all where a listener of its own says so."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.plugin import Route, SurfaceRequest, WholeReply
from pointsman_gateway.access.admission import Access, Denied, Head
from pointsman_gateway.calls.observing import Observer

PATH = "/metrics"
_STATUS = {"authentication": 401, "forbidden": 403, "rate_limit": 429, "overloaded": 503}
_NOT_YOURS = WholeReply(403, b"metrics are for operators, and for who is on this machine\n", "text/plain")
_NO_METHOD = WholeReply(405, b"ask with GET or HEAD\n", "text/plain", {"allow": "GET, HEAD"})


async def _unused(_asked: SurfaceRequest) -> WholeReply:
    return _NOT_YOURS


_ROUTE = Route("GET", PATH, _unused, json=False)


async def metrics_reply(head: Head, access: Access, observer: Observer) -> WholeReply:
    """The metrics, or why they are not told."""
    try:
        caller = await access.admit(head, _ROUTE)
    except Denied as denied:
        problem = denied.problem
        said = f"{problem.message}\n".encode("ascii", "backslashreplace")
        return WholeReply(_STATUS.get(problem.kind, 400), said, "text/plain", denied.fields)
    return told(head.method, head.headers, observer) if caller.operator else _NOT_YOURS


def told(method: str, headers: Mapping[str, str], observer: Observer) -> WholeReply:
    """The metrics, whoever asks."""
    if method not in ("GET", "HEAD"):
        return _NO_METHOD
    return observer.exposition(headers.get("accept", ""))
