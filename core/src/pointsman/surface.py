"""Surfaces: APIs that callers speak to a gateway; each is the mirror image of a provider.

A surface is routes whose handlers take a `SurfaceRequest` and give a `WholeReply`, or hand a request that
they understood to `Calls`, which routes it and answers in the surface's own shape. Sockets, limits of size
and time, who may ask, headers, callers that go away and shutting down are the gateway's business alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from msgspec import Raw, Struct
from pydantic import BaseModel

from pointsman.auth import Discreet
from pointsman.context import Context
from pointsman.types import ChatResponse, EmbedResponse, Request, StreamEvent

if TYPE_CHECKING:
    from pointsman.router import Router

FaultDomain = Literal["gateway", "policy", "upstream", "caller"]
"""Whose doing it is that a call failed: ours, a rule's, an upstream's, or that of whoever called."""
ProblemKind = Literal[
    "authentication",
    "forbidden",
    "no_route",
    "method",
    "unknown_model",
    "invalid",
    "unsupported",
    "context",
    "content",
    "refused",
    "too_large",
    "rate_limit",
    "budget",
    "overloaded",
    "upstream",
    "timeout",
    "internal",
]
"""What went wrong, as surfaces tell it apart."""


class Caller(Struct, frozen=True):
    """Who asks.

    Attributes:
        name: as configured, or as a token says; "" for nobody known.
        models: the public names that may be asked for; None for all.
        operator: may run the router, too.
        labels: what records are to say of its calls.
        source: what it goes back to, such as a key or an issuer; unlike names, of two callers never the same.
        key_id: of the key that it showed, for records; never the key, nor a part of it. "" for none.
        require: labels that each of its calls must meet, whatever the call itself says.
        surfaces: the APIs that it may speak, by name; None for all.
    """

    name: str = ""
    models: frozenset[str] | None = None
    operator: bool = False
    labels: Mapping[str, str] = {}
    source: str = ""
    key_id: str = ""
    require: Mapping[str, tuple[str, ...]] = {}
    surfaces: frozenset[str] | None = None

    def may_use(self, model: str) -> bool:
        """Whether it may ask for `model`."""
        return self.models is None or model in self.models


class ProblemDetails(Struct, frozen=True):
    """Why there is no answer, for a surface to say in its own shape.

    Attributes:
        code: the stable code of our error.
        message: fit for the caller: without addresses and secrets.
        param: the member of the body that is to blame; "" for none.
        details: of several members what is wrong with each: `field` and `message`.
        retry_after: seconds after which it may be different; None when nobody knows.
        should_retry: whether asking again can help; None where the status says so well enough.
        body: the upstream's own words, where it speaks the caller's wire and the fault is the caller's.
        status: the upstream's status that came with `body`.
    """

    kind: ProblemKind
    message: str
    code: str
    domain: FaultDomain
    request_id: str = ""
    param: str = ""
    retry_after: float | None = None
    should_retry: bool | None = None
    body: bytes = b""
    status: int = 0
    details: Sequence[Mapping[str, str]] = ()


class SurfaceRequest(Discreet, frozen=True):
    """One HTTP request, checked: it is complete, within its limits, and from somebody who may ask.

    Attributes:
        path: as it was asked for, without prefix and query.
        params: the parts of the path that the route names.
        headers: by name in lower case.
        body: as it came; JSON that was found sound where the route expects it.
        request_id: ours, or the caller's own where that is fit.
        secure: it came by TLS, as far as from whom we heard it is believed.
        document: the object that is in the body, where whoever took the request has decoded it already; for
            all to read and nobody to change.
        members: those of that object, each as it was written.
    """

    unshown = ("query", "headers", "body", "document", "members")
    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    caller: Caller
    request_id: str
    secure: bool = False
    document: Mapping[str, Any] | None = None
    members: Mapping[str, Raw] | None = None


class WholeReply(Struct, frozen=True):
    """A whole answer; `fields` are those of its head beside the usual ones."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    fields: Mapping[str, str] = {}


class StreamReply(Struct, frozen=True, eq=False):
    """An answer in pieces, each of which is written when it comes.

    Attributes:
        pieces: closed when the caller has gone away, too.
        fields: those of its head beside the usual ones.
        heartbeat: what is written when nothing comes for a while; b"" for nothing.
        lasting: it never ends by itself, so that it is ended at once when the gateway shuts down.
    """

    pieces: AsyncIterator[bytes]
    content_type: str = "text/event-stream; charset=utf-8"
    status: int = 200
    fields: Mapping[str, str] = {}
    heartbeat: bytes = b""
    lasting: bool = False


class Writer(Protocol):
    """Writes one answer in the caller's wire. Pure: no I/O, no clock; one object for each answer."""

    content_type: str
    stream_type: str

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        """The body of a whole answer."""

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        """What `events`, those that one read brought, are in this wire, whole frames; b"" for nothing.

        `Done`, the last one, brings whatever ends a stream in this wire.
        """

    def failure(self, problem: ProblemDetails) -> bytes:
        """What ends a stream that has begun and cannot be finished."""

    def heartbeat(self) -> bytes:
        """What tells that a silent stream is alive; b"" where the wire has nothing for that."""


@runtime_checkable
class EndsRelayed(Protocol):
    """What a `Writer` has, too, where the end of a broken stream goes by what was sent before it."""

    def failure_after(self, first: bytes, latest: bytes, problem: ProblemDetails) -> bytes:
        """As `failure`, behind frames of the upstream's own: the first and the latest piece of them."""


class Understood(Struct, frozen=True):
    """A body as a surface read it.

    Attributes:
        request: in our own words.
        writer: of its answer.
        stream: whether it is to be answered as it comes.
        wire: the name of the wire that the body is in, for providers that speak the same; "" for none.
        needs_wire: members that no other wire can say and without which the answer would be another: the
            request goes to providers that speak this wire, or is refused.
        ignored: members that are left out for others, because the answer is the same without them.
        opaque: removes from the body what was made by another upstream and is of no use elsewhere: takes the
            body and the mark of an upstream, and returns the body that may go there. None: there is no such.
        several: the member that asks for several answers; "" for one. Where a guard is to look at the answer,
            of which it would see one, the request is refused.
        answers: how many it asks for, as budgets hold them.
    """

    request: Request
    writer: Writer
    stream: bool = False
    wire: str = ""
    needs_wire: Sequence[str] = ()
    ignored: Sequence[str] = ()
    opaque: Callable[[bytes, str], bytes] | None = None
    several: str = ""
    answers: int = 1


class Calls(Protocol):
    """What routes requests for surfaces."""

    async def answer(self, asked: SurfaceRequest, understood: Understood) -> WholeReply | StreamReply:
        """The answer of a model, or why there is none, in the shape of the surface.

        It never raises for what is wrong with the request, the rules or an upstream.
        """


Handler = Callable[[SurfaceRequest], Awaitable[WholeReply | StreamReply]]
"""Answers one request. A CallError that it raises, such as InvalidRequest for a body that it cannot read,
becomes a `Surface.problem`, with its `param` and `details` where it has such.
"""


class Route(Struct, frozen=True):
    """One thing that can be asked for.

    Attributes:
        path: with `{name}` for one part of it and `{name:path}` for what may hold slashes; either may stand
            beside other text, as in `/models/{model:path}:ask`.
        operator: only for those who may run the router.
        public: for everybody, without a key.
        json: its body must be a JSON object.
        aliases: other paths of the same.
    """

    method: str
    path: str
    handler: Handler
    operator: bool = False
    public: bool = False
    json: bool = True
    aliases: Sequence[str] = ()


class SocketCall(Protocol):
    """One call of a model over a WebSocket: counted, measured and logged as one over HTTP is.

    Attributes:
        request_id: of this call alone.
        problem: why the caller may not ask now; None when it may.
    """

    request_id: str
    problem: ProblemDetails | None

    def ended(self, status: int, code: str = "") -> None:
        """It was answered: with what would be this status over HTTP, and the code of why not.

        A call that is over without has been given up by its caller.
        """


class Socket(Protocol):
    """One WebSocket, open for as long as its handler runs."""

    async def receive(self) -> str | None:
        """The next message; None when there will be no other, because the caller has gone."""

    async def send(self, text: str) -> None:
        """Send a message. Waits where the caller reads slowly; does nothing when it has gone."""

    def call(self) -> AbstractAsyncContextManager[SocketCall]:
        """One more call of the caller's, for as long as the `async with` lasts."""


SocketHandler = Callable[[SurfaceRequest, Socket], Awaitable[None]]
"""Speaks with one caller over one WebSocket, which is closed when it returns. It is cancelled when the caller
has gone and when the gateway shuts down; the request is that of the upgrade, with an empty body.
"""


class SocketRoute(Struct, frozen=True):
    """A WebSocket that can be opened.

    A path of a `Route` that is no `SocketRoute` as well answers an upgrade with 426. Browsers can send no
    header with an upgrade: they send a ticket, in the query, and their `Origin` must be one that may ask.

    Attributes: as of `Route`.
    """

    path: str
    handler: SocketHandler
    operator: bool = False
    public: bool = False
    aliases: Sequence[str] = ()


class Tickets(Protocol):
    """Credentials that are good for one WebSocket, soon."""

    def issue(self, asked: SurfaceRequest) -> tuple[str, float]:
        """A ticket, to be sent as `ticket` in the query, and for how many seconds it is good.

        It stands for the credential of `asked`: who opens a WebSocket with it may do what that one may.
        """


class Capabilities(Struct, frozen=True):
    """What a model can do.

    Attributes:
        can: of `completion`, `tools`, `vision`, `thinking`, `embedding` and `insert`, what applies, and
            what else an upstream says.
        context_length: tokens that question and answer may have together.
        family: such as `llama`; "" where nobody knows.
    """

    can: Sequence[str] = ("completion",)
    context_length: int = 8192
    family: str = ""


class CatalogueEntry(Struct, frozen=True):
    """A model as surfaces list it.

    Attributes:
        name: the public name.
        created: seconds since 1970 UTC: of the upstream's model, where it says, else of the gateway.
        size_bytes: of its weights; 0 where nobody knows.
        parameter_size, quantization: as an upstream says them, such as `8.0B` and `Q4_K_M`; "" for none.
    """

    name: str
    capabilities: Capabilities
    created: int
    size_bytes: int = 0
    parameter_size: str = ""
    quantization: str = ""


class Catalogue(Protocol):
    """The models that can be asked for. It answers from memory, and knows each public name."""

    def listed(self, caller: Caller) -> Sequence[CatalogueEntry]:
        """Those that `caller` may ask for, in the order of the configuration."""

    def entry(self, name: str, caller: Caller) -> CatalogueEntry | None:
        """The one of that public name, or of a deployment's full one; None where `caller` may not ask."""


class SurfaceContext(Context, frozen=True, kw_only=True, eq=False):
    """What a surface is made from.

    Attributes:
        router: for what `calls` does not do, such as management; not before the first request.
        calls: what routes requests.
        catalogue: the models that there are.
        tickets: with which browsers open a `SocketRoute`.
        directory: that of the configuration file; the working directory when there is no file.
    """

    router: Router
    calls: Calls
    catalogue: Catalogue
    tickets: Tickets
    directory: Path


class Surface(Protocol):
    """One API."""

    def routes(self) -> Sequence[Route | SocketRoute]:
        """All that can be asked for; called once."""

    def problem(self, problem: ProblemDetails) -> WholeReply:
        """`problem` in the shape of this API: also for what never reached a handler."""


class SurfaceFactory(Struct, frozen=True):
    """What a surface plugin offers: `make` returns a `Surface`, and opens nothing.

    Attributes:
        prefix: what stands before its paths where the configuration names nothing else.
    """

    name: str
    settings: type[BaseModel] | None
    make: Callable[[SurfaceContext], Surface]
    prefix: str = ""
