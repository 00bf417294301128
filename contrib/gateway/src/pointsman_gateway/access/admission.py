"""What is known of a request before its body, and who decides whether it may go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from pointsman.auth import Discreet
from pointsman.plugin import Caller, ProblemDetails, Route

if TYPE_CHECKING:
    from pointsman_gateway.access.certificates import PeerCertificate


class Head(Discreet, frozen=True):
    """The head of one request.

    Attributes:
        path: decoded, as it was asked for, without the query.
        query: as it came, without the question mark.
        headers: by name in lower case; of one that came twice, the values joined by a comma.
        repeated: the names of those that came more than once.
        peer: the address of who connected, or of whom a trusted proxy speaks for; "" for a Unix socket.
        local: the address at which it came in; "" for a Unix socket.
        secure: it came by TLS, or a trusted proxy says so.
        scope: the surface whose own listener it came to; "" for the main one.
        raw_path: the path as it was written, which is what callers sign.
        certificate: what the caller connected with; None for a connection without one.
    """

    unshown = ("query", "headers")
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    repeated: frozenset[str] = frozenset()
    peer: str = ""
    local: str = ""
    secure: bool = False
    scope: str = ""
    raw_path: bytes = b""
    certificate: PeerCertificate | None = None


class Denied(Exception):
    """A request that may not go on.

    Attributes:
        problem: why, for the surface to say.
        fields: those of the answer's head beside the usual ones.
        caller: who may not; None for nobody that is known.
    """

    caller: Caller | None = None

    def __init__(self, problem: ProblemDetails, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.fields = fields or {}


class Access(Protocol):
    """Decides who may ask for what; asked once for each request that has a route, before its body is read."""

    async def admit(self, head: Head, route: Route) -> Caller:
        """Who asks. Raises Denied."""
