"""Providers: what an upstream API plugin implements, and what one attempt hands to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from pydantic import BaseModel

from pointsman.auth import Auth, Fixed, Secret
from pointsman.context import Context
from pointsman.errors import Unsupported
from pointsman.original import Original
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    GenerateRequest,
    ModelInfo,
    Request,
)

if TYPE_CHECKING:
    from pointsman.http.client import CallTimeouts, Client, Endpoint
    from pointsman.http.event_stream import EventStream


class Call(Struct, frozen=True):
    """One attempt, as a provider sees it.

    Attributes:
        model: the upstream's own name of the model.
        http: the deployment's client; None for a provider without an endpoint.
        timeouts: how long things may take.
        request_id: ours, the same for all attempts of a request.
        attempt: 1 for the first.
        options: the deployment's `options`, for what only this provider type knows.
        original: the request as its caller wrote it, for `relay` and `relay_stream`; None for other methods.
        traceparent: the trace that the attempt belongs to, as W3C writes it; "" for none.
    """

    model: str
    http: Client | None
    timeouts: CallTimeouts
    request_id: str
    attempt: int
    options: Mapping[str, Any]
    original: Original | None = None
    traceparent: str = ""

    @property
    def client(self) -> Client:
        """The deployment's client, for providers that have an endpoint."""
        if self.http is None:
            raise RuntimeError("this provider has no endpoint, hence no client")
        return self.http

    @property
    def headers(self) -> dict[str, str]:
        """What every outgoing call carries: our request id, the attempt's number, the trace if any."""
        if self.traceparent:
            return {
                "x-pointsman-request-id": self.request_id,
                "x-pointsman-attempt": str(self.attempt),
                "traceparent": self.traceparent,
            }
        return {"x-pointsman-request-id": self.request_id, "x-pointsman-attempt": str(self.attempt)}


class ProviderContext(Context, frozen=True, kw_only=True, eq=False):
    """What a provider is made from.

    Attributes:
        base_url: as configured, without a trailing slash; None when the configuration has none.
        auth: where the credential comes from.
        open: makes a client for an endpoint: the provider's own, for management calls and probes.
        credential: for a provider that sends by itself: the credential to use now, refreshed before where
            that is due. Raises CallError where there is none to be had.
    """

    base_url: str | None
    auth: Auth
    open: Callable[[Endpoint], Client]
    credential: Callable[[], Awaitable[Secret | None]]


class Provider:
    """One configured upstream. Subclass it and override what the upstream can do.

    Every method is called for one attempt and must not retry. It raises our errors only, classified: what
    is `Unsupported` is noticed before anything is sent. All methods may run concurrently.
    """

    endpoint: Endpoint | None = None
    """Where the calls go; the router opens one client per deployment for it. None: not over HTTP."""
    wires: Sequence[str] = ()
    """The wires in which it takes requests as their callers wrote them: those of `Original.wire`."""

    def __init__(self, context: ProviderContext) -> None:
        self.name = context.name
        self._maker: Auth | str = context.auth

    @property
    def mark(self) -> str:
        """Tells reasoning that only this upstream can read from that of others; of name and credential."""
        if not isinstance(self._maker, str):
            from pointsman.wire.opaque import mark_of

            auth = self._maker
            secret = auth.current() if type(auth) is Fixed else None  # what is renewed is none that stays
            self._maker = mark_of(self.name, "" if secret is None else secret.reveal())
        return self._maker

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        """The whole answer."""
        raise self._unsupported("chat")

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        """The answer's events; returns when the upstream has accepted the call."""
        raise self._unsupported("streaming")

    async def generate(self, request: GenerateRequest, call: Call) -> ChatResponse:
        """A plain completion."""
        raise self._unsupported("plain completion")

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        """One vector for each text: n lists of dim floats, in the order of the texts."""
        raise self._unsupported("embedding")

    async def relay(self, request: Request, call: Call) -> ChatResponse | EmbedResponse:
        """The whole answer to `call.original`, which is in one of `wires`, with its body in `relayed`.

        `request` is what it says now, defaults and what guards made of it included. An error of the caller's
        making carries the upstream's own words in `body`.
        """
        raise self._unsupported("relaying")

    async def relay_stream(self, request: ChatRequest, call: Call) -> EventStream:
        """As `relay`, as it comes: the events of each read follow a `Relayed` with its frames."""
        raise self._unsupported("relaying streams")

    async def models(self) -> Sequence[ModelInfo]:
        """The models that the upstream offers, by its own names."""
        raise self._unsupported("listing models")

    async def in_memory(self) -> Sequence[str]:
        """The models that the upstream has in memory now, by its own names. Must be free of charge."""
        raise self._unsupported("telling what is in memory")

    async def probe(self) -> None:
        """Return when the upstream is alive and well, raise otherwise. Must be free of charge."""
        await self.models()

    async def aclose(self) -> None:
        """Give back what the provider holds."""

    def takes_only(self, request: Request, *names: str) -> None:
        """Raise Unsupported when `request` says more than its text and what has one of these `names`.

        Names are fields of a request, `images`, `files` and `audio` for parts of messages, and
        `message_extra` for what messages, their parts and calls, and tools have in `extra`. `user` and
        `metadata`, which are labels, may go unsent.
        """
        from pointsman.wire.unsent import said_besides  # for those that ask

        more = said_besides(request, names)
        if more:
            raise self._unsupported(", ".join(more.values()), *more)

    def _unsupported(self, what: str, *fields: str) -> Unsupported:
        who = f"provider {self.name!r} ({type(self).__name__})"
        return Unsupported(f"{who} cannot do this: {what}", fields=fields)


class EnvironmentDefault(Struct, frozen=True):
    """What a variable of the environment says, for a setting of which a configuration says nothing.

    Attributes:
        setting: `base_url`, `timeout` (of one attempt, as `timeouts.attempt`), `max_in_flight` (of each
            deployment) or `default_model`.
        value: as it may stand in a configuration.
        variable: its name.
    """

    setting: str
    value: Any
    variable: str


class ProviderFactory(Struct, frozen=True):
    """What a provider plugin offers.

    Attributes:
        name: the provider type, equal to the name of the entry point.
        settings: model of the keys that only this type has; `BaseModel` with `extra="forbid"`.
        make: builds the provider; must not touch the network.
        options: model of a deployment's `options`; None: the provider takes them as they come.
        needs_key: without a credential this type cannot work (unless a base_url of one's own is given).
        key_variable: the environment variable that usually holds the credential.
        default_base_url: where the calls go when the configuration does not say.
        models: those that are offered, where that is known without asking; () where the upstream is asked.
        presets: the folder of its presets in a package that is installed, such as `pointsman_openai:presets`.
        base_url_form: what a base_url looks like of upstreams that have none in common; then one is needed.
        environment: what the variables that it is given say for settings of which a configuration says
            nothing: those that programs for this kind of upstream go by.
    """

    name: str
    settings: type[BaseModel]
    make: Callable[[ProviderContext], Provider]
    options: type[BaseModel] | None = None
    default_base_url: str | None = None
    needs_key: bool = False
    key_variable: str | None = None
    models: Sequence[ModelInfo] = ()
    presets: str | None = None
    base_url_form: str | None = None
    environment: Callable[[Mapping[str, str]], Sequence[EnvironmentDefault]] | None = None
