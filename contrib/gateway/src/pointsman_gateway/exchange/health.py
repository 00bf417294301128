"""Whether the gateway is alive and takes requests: told to whoever asks, at once, and nothing else.

What upstreams do has no say in it: or all replicas would be taken away at once, each for the same reason.
"""

from __future__ import annotations

from pointsman.plugin import WholeReply
from pointsman_gateway.calls.observing import Observer
from pointsman_gateway.exchange.bodies import Receive
from pointsman_gateway.exchange.exposing import PATH as METRICS
from pointsman_gateway.exchange.exposing import told
from pointsman_gateway.exchange.head import Scope
from pointsman_gateway.exchange.sending import Send, send_whole

_NOT_FOUND = WholeReply(404, b'{"error":"there is /health/live and /health/ready"}\n')
_NO_METHOD = WholeReply(405, b'{"error":"ask with GET or HEAD"}\n', fields={"allow": "GET, HEAD"})


class Health:
    """Answers `/health/live` and `/health/ready`; an ASGI application of its own, too.

    Attributes:
        draining: nothing further is taken, so that it is not ready.
        metrics: who tells them to whoever asks at the listener of its own; None for nobody.
    """

    def __init__(self) -> None:
        self.draining = False
        self.metrics: Observer | None = None

    def reply(self, method: str, path: str) -> WholeReply | None:
        """The answer; None where the path is none of its."""
        if path == "/health/live":
            reply = WholeReply(200, b'{"status":"live"}\n')
        elif path != "/health/ready":
            return None
        elif self.draining:
            reply = WholeReply(503, b'{"status":"draining"}\n')
        else:
            reply = WholeReply(200, b'{"status":"ready"}\n')
        return reply if method in ("GET", "HEAD") else _NO_METHOD

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == METRICS and self.metrics is not None:
            said = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            reply = told(scope["method"], said, self.metrics)
        else:
            reply = self.reply(scope["method"], scope["path"]) or _NOT_FOUND
        fields = [(name.encode(), value.encode()) for name, value in reply.fields.items()]
        await send_whole(send, reply, fields, bare=scope["method"] == "HEAD")
