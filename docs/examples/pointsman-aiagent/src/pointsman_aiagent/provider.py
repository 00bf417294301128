"""The calls of one agent, over one channel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import grpc
import grpc.aio
from google.protobuf.message import Message as ProtoMessage
from pydantic import BaseModel, ConfigDict, Field

from pointsman.plugin import (
    Assembly,
    AttemptTimeout,
    AuthenticationFailed,
    Call,
    ChatRequest,
    ChatResponse,
    ConfigError,
    ConnectionFailed,
    Duration,
    EventStream,
    GenerateRequest,
    ModelInfo,
    Provider,
    ProviderContext,
    Secret,
    StreamEvent,
    Truncated,
    Unavailable,
    request_id_of,
)
from pointsman_aiagent import aiagent_pb2 as pb
from pointsman_aiagent import words
from pointsman_aiagent.failures import error_of

T = TypeVar("T")
Metadata = tuple[tuple[str, str], ...]
PieceCall = grpc.aio.UnaryStreamCall[Any, pb.Piece]

SERVICE = "aiagent.v1.AIAgentService"
_HEALTH_SECONDS = 5.0


class AgentSettings(BaseModel):
    """The keys that only providers of type `aiagent` have."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    ping_every: Duration = Field(
        default=30.0, ge=10, description="a connection that was quiet for so long is asked whether it lives"
    )
    ping_within: Duration = Field(
        default=10.0, gt=0, description="it is dropped when it has not said so by then"
    )
    whole_by_stream: bool = Field(
        default=False, description="ask for whole answers as streams: those have no limit of 4 MB"
    )


class AgentProvider(Provider):
    """One agent. It has no `endpoint`, so the router opens no HTTP clients for it: the channel is its own."""

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self._context = context
        self._settings: AgentSettings = context.settings
        self._open: grpc.aio.Channel | None = None
        if getattr(context.auth, "sign", None) is not None:
            raise ConfigError(f"provider {self.name!r}: what signs HTTP requests cannot sign calls of gRPC")

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        self.takes_only(request, *words.OPTIONS)
        message = words.chat_message(request, call.model)
        if self._settings.whole_by_stream:
            return await self._put_together(await self._stream("ChatStream", message, call))
        return await self._whole("Chat", message, call)

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        self.takes_only(request, *words.OPTIONS)
        return await self._stream("ChatStream", words.chat_message(request, call.model), call)

    async def generate(self, request: GenerateRequest, call: Call) -> ChatResponse:
        self.takes_only(request, *words.OPTIONS)
        message = words.generate_message(request, call.model)
        if self._settings.whole_by_stream:
            return await self._put_together(await self._stream("GenerateTextStream", message, call))
        return await self._whole("GenerateText", message, call)

    async def models(self) -> Sequence[ModelInfo]:
        return [ModelInfo(each, self.name) for each in (await self._health()).models]

    async def probe(self) -> None:
        if not (await self._health()).serving:
            raise Unavailable(f"{self.name} says that it does not serve")

    async def aclose(self) -> None:
        channel, self._open = self._open, None
        if channel is not None:
            await channel.close()

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _channel(self) -> grpc.aio.Channel:
        """The one channel of this agent, opened by its first call: whoever builds a router opens nothing."""
        if self._open is None:
            address = urlsplit(self._context.base_url or "")
            target = f"{address.hostname}:{address.port or (443 if address.scheme == 'https' else 80)}"
            options = (
                ("grpc.keepalive_time_ms", round(self._settings.ping_every * 1e3)),
                ("grpc.keepalive_timeout_ms", round(self._settings.ping_within * 1e3)),
                ("grpc.enable_retries", 0),  # the router retries, and elsewhere first
                ("grpc.service_config_disable_resolution", 1),  # nor does a DNS record have a say in it
                ("grpc.max_reconnect_backoff_ms", 5_000),
                ("grpc.use_local_subchannel_pool", 1),  # no connection shared with another provider
                ("grpc.primary_user_agent", "pointsman"),
            )
            if address.scheme == "https":
                self._open = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options)
            else:
                self._open = grpc.aio.insecure_channel(target, options)
        return self._open

    async def _whole(self, method: str, message: ProtoMessage, call: Call) -> ChatResponse:
        ask = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=_bytes,
            response_deserializer=pb.Reply.FromString,
        )

        async def once(metadata: Metadata, seconds: float) -> ChatResponse:
            rpc = ask(message, timeout=seconds, metadata=metadata)
            return words.response(await rpc, _id(await rpc.initial_metadata()))

        return await self._asked(once, call)

    async def _stream(self, method: str, message: ProtoMessage, call: Call) -> AgentStream:
        ask = self._channel.unary_stream(
            f"/{SERVICE}/{method}",
            request_serializer=_bytes,
            response_deserializer=pb.Piece.FromString,
        )

        async def once(metadata: Metadata, seconds: float) -> AgentStream:
            rpc = ask(message, timeout=seconds, metadata=metadata)
            first = await rpc.read()  # or the status: only now is it known whether the agent takes the call
            return AgentStream(self, rpc, first, _id(await rpc.initial_metadata()))

        return await self._asked(once, call)

    async def _put_together(self, stream: AgentStream) -> ChatResponse:
        said = Assembly()
        try:
            while (events := await stream.next()) is not None:
                said.extend(events)
        finally:
            await stream.aclose()
        return said.response(stream.upstream_request_id)

    async def _asked(self, once: Callable[[Metadata, float], Awaitable[T]], call: Call) -> T:
        """What `once` returns, in the time of `call`; once more when there is another credential by then."""
        until = call.timeouts.until(self.now())
        secret = await self._context.credential()
        try:
            return await self._tried(once, self._metadata(call, secret), until)
        except AuthenticationFailed:
            if secret is None or not self._context.auth.rejected(secret):
                raise
        return await self._tried(once, self._metadata(call, await self._context.credential()), until)

    async def _tried(
        self, once: Callable[[Metadata, float], Awaitable[T]], metadata: Metadata, until: float
    ) -> T:
        seconds = until - self.now()
        if seconds <= 0:
            raise AttemptTimeout(f"{self.name} was not asked in time")
        try:
            return await once(metadata, seconds)
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure, self.name) from None
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and not task.cancelling():
                raise ConnectionFailed(f"the channel to {self.name} was closed") from None
            raise

    def _metadata(self, call: Call, secret: Secret | None) -> Metadata:
        metadata = tuple(call.headers.items())
        if secret is None:
            return metadata
        authorization = f"Bearer {secret.reveal()}"
        if not (authorization.isascii() and authorization.isprintable()):
            # gRPC would say so with the credential in its words.
            raise AuthenticationFailed(f"the credential of {self.name} holds what no metadata can")
        return (*metadata, ("authorization", authorization))

    async def _health(self) -> pb.HealthCheckReply:
        ask = self._channel.unary_unary(
            f"/{SERVICE}/HealthCheck",
            request_serializer=_bytes,
            response_deserializer=pb.HealthCheckReply.FromString,
        )
        try:
            return await ask(pb.HealthCheckRequest(), timeout=_HEALTH_SECONDS)
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure, self.name) from None

    def now(self) -> float:
        """Seconds on the router's clock."""
        return self._context.clock.now()


class AgentStream(EventStream):
    """One streamed answer: whole when a piece gave a finish_reason and the status is OK."""

    def __init__(self, agent: AgentProvider, rpc: PieceCall, first: object, upstream_request_id: str) -> None:
        self.upstream_request_id = upstream_request_id
        self._agent = agent
        self._rpc = rpc
        self._first: object | None = first
        self._finished = self._ended = False

    async def next(self, until: float | None = None) -> Sequence[StreamEvent] | None:
        if self._ended:
            return None
        piece, self._first = self._first, None
        if piece is None:
            piece = await self._read(None if until is None else max(0.0, until - self._agent.now()))
        if isinstance(piece, pb.Piece):
            self._finished = self._finished or bool(piece.finish_reason)
            return words.events(piece)
        if not self._finished:
            raise Truncated(f"the answer of {self._agent.name} ended without its last piece")
        self._ended = True
        return None

    async def _read(self, seconds: float | None) -> object:
        try:
            async with asyncio.timeout(seconds):
                return await self._rpc.read()
        except TimeoutError:
            raise AttemptTimeout(f"{self._agent.name} sent nothing in time") from None
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure, self._agent.name) from None

    def abort(self) -> None:
        self._rpc.cancel()

    async def aclose(self) -> None:
        self._rpc.cancel()  # does nothing once it is over


def _bytes(message: ProtoMessage) -> bytes:
    return message.SerializeToString()


def _id(metadata: grpc.aio.Metadata) -> str:
    return request_id_of({key: value for key, value in metadata if isinstance(value, str)})
