"""Canned HTTP answers without a network, and what it takes to try a provider without a router.

transport = ReplayTransport(CannedReply(200, b'{"text": "hello"}'))
provider = provider_for(factory, transport, base_url="http://upstream.test")
reply = await provider.chat(request, call_for(provider, transport))
transport.requests[0].headers["x-pointsman-attempt"]
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from pointsman._internal.httpx_lazy import httpx
from pointsman.auth import Auth, Fixed, Secret
from pointsman.build.contexts import Contexts
from pointsman.clock import LoopClock, system_rng
from pointsman.http.client import CallTimeouts, Client, Endpoint
from pointsman.http.event_stream import EventStream
from pointsman.provider import Call, Provider, ProviderContext, ProviderFactory
from pointsman.types import StreamEvent

Ending = Literal["end", "break", "silence"]
"""How a body ends: properly; with a connection that breaks; or never, because nothing more is sent."""


class CannedReply(Struct, frozen=True):
    """One canned answer: its status and body, and how the body arrives.

    Attributes:
        cuts: offsets at which the body is cut in pieces; it arrives whole without any.
        ending: what comes after the body.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cuts: Sequence[int] = ()
    ending: Ending = "end"

    def cut(self, *offsets: int) -> CannedReply:
        """The same, in pieces that are cut at `offsets`."""
        return replace(self, cuts=offsets)

    def cut_by(self, seed: int) -> CannedReply:
        """The same, in pieces that follow from `seed`; seed 1 gives single bytes."""
        return replace(self, cuts=offsets(len(self.body), seed))

    def until(self, length: int, ending: Ending = "end") -> CannedReply:
        """The same with only the first `length` bytes of the body, and then `ending`."""
        return replace(self, body=self.body[:length], ending=ending)

    def pieces(self) -> list[bytes]:
        """The body as it arrives; no piece is empty."""
        inside = sorted({each for each in self.cuts if 0 < each < len(self.body)})
        bounds = [0, *inside, len(self.body)]
        return [self.body[a:b] for a, b in pairwise(bounds) if a < b]


def offsets(length: int, seed: int) -> Sequence[int]:
    """Where to cut `length` bytes: everywhere for seed 1, else at places that follow from `seed`."""
    if seed == 1:
        return range(1, length)
    if length < 2:
        return ()
    rng = random.Random(seed)  # noqa: S311 - a test's chance
    count = rng.choice((1, 3, 10, max(1, length // 20)))
    return sorted(rng.sample(range(1, length), min(count, length - 1)))


class ReplyBody(httpx.AsyncByteStream):
    """The body of one answer that was given, and what became of it."""

    def __init__(self, reply: CannedReply) -> None:
        self._reply = reply
        self.closed = False
        self.aborted = False
        self.delivered = 0
        """How many pieces were taken."""

    @property
    def released(self) -> bool:
        """The connection was given back, or broken off."""
        return self.closed or self.aborted

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._reply.pieces():
            self.delivered += 1
            yield piece
            await asyncio.sleep(0)
        match self._reply.ending:
            case "break":
                raise httpx.RemoteProtocolError(
                    "peer closed connection without sending complete message body"
                )
            case "silence":
                await asyncio.get_running_loop().create_future()

    def abort(self) -> None:
        """What a real transport does: close the connection at once."""
        self.aborted = True

    async def aclose(self) -> None:
        self.closed = True


ReplayStep = CannedReply | Exception | None
"""An answer, what a transport raises in its place, or None: no answer ever comes."""


class ReplayTransport(httpx.AsyncBaseTransport):
    """Answers requests with `steps`, in order; the last is repeated.

    A function in place of the steps gives the step for each request.

    Attributes:
        requests: what came, in order.
        bodies: the bodies of the answers that were given.
        cancelled: how many requests were given up before their answer.
        closed: the transport was closed.
    """

    def __init__(self, *steps: ReplayStep | Callable[[httpx.Request], ReplayStep]) -> None:
        self._steps = steps or (CannedReply(),)
        self.requests: list[httpx.Request] = []
        self.bodies: list[ReplyBody] = []
        self.cancelled = 0
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The next step, or the last one once more; raised where it is an exception."""
        step = self._steps[min(len(self.requests), len(self._steps) - 1)]
        self.requests.append(request)
        if callable(step):
            step = step(request)
        if isinstance(step, Exception):
            raise step
        try:
            if step is None:
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        assert step is not None
        body = ReplyBody(step)
        self.bodies.append(body)
        return httpx.Response(step.status, headers=dict(step.headers), stream=body)

    async def aclose(self) -> None:
        self.closed = True


# ── a provider without a router ──────────────────────────────────────────────────────────────────────


def client_for(
    endpoint: Endpoint | str, transport: httpx.AsyncBaseTransport, *, key: str | None = None
) -> Client:
    """The core's client over `transport`, with the running loop's clock and `key` as the credential."""
    if isinstance(endpoint, str):
        endpoint = Endpoint(endpoint)
    return Client(endpoint, transport, auth=_auth(key), clock=LoopClock())


def context_for(
    transport: httpx.AsyncBaseTransport,
    *,
    settings: Any = None,
    base_url: str | None = None,
    name: str = "upstream",
    key: str | None = None,
) -> ProviderContext:
    """What a provider is made from; its management calls go to `transport` as well."""
    return Contexts(LoopClock(), system_rng(1)).provider(
        name,
        settings,
        name=name,
        base_url=base_url,
        auth=_auth(key),
        open=lambda endpoint: client_for(endpoint, transport, key=key),
    )


def provider_for(
    factory: ProviderFactory,
    transport: httpx.AsyncBaseTransport,
    *,
    settings: Mapping[str, Any] | None = None,
    base_url: str | None = None,
    name: str = "upstream",
    key: str | None = None,
) -> Provider:
    """What `factory` makes of `settings`, which are validated as those of a configuration are."""
    return factory.make(
        context_for(
            transport,
            settings=factory.settings.model_validate(dict(settings or {})),
            base_url=base_url or factory.default_base_url,
            name=name,
            key=key,
        )
    )


def call_for(
    provider: Provider | Client | None,
    transport: httpx.AsyncBaseTransport | None = None,
    *,
    model: str = "model",
    seconds: float = 60.0,
    options: Mapping[str, Any] | None = None,
    request_id: str = "req-1",
    attempt: int = 1,
    key: str | None = None,
) -> Call:
    """One attempt with `seconds` of time, over a client that is given or made for the provider's endpoint."""
    client = provider if isinstance(provider, Client) else None
    if isinstance(provider, Provider) and provider.endpoint is not None:
        if transport is None:
            raise TypeError("a call of a provider with an endpoint needs a transport")
        client = client_for(provider.endpoint, transport, key=key)
    now = LoopClock().now()
    limits = CallTimeouts(deadline=now + seconds, first_token=seconds, idle=seconds)
    return Call(model, client, limits, request_id=request_id, attempt=attempt, options=options or {})


async def events_of(source: EventStream, *, seconds: float = 60.0) -> list[StreamEvent]:
    """All events of a stream, which is then closed; each must come within `seconds`."""
    events: list[StreamEvent] = []
    clock = LoopClock()
    try:
        while (some := await source.next(clock.now() + seconds)) is not None:
            events += some
    finally:
        await source.aclose()
    return events


def _auth(key: str | None) -> Auth:
    return Fixed(None if key is None else Secret(key))
