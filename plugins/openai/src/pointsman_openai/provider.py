"""The HTTP calls of the OpenAI dialect."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from pointsman._internal import jsonio
from pointsman.errors import CallError, ConfigError, InvalidRequest, ProviderError
from pointsman.http.client import Answer, AttemptTimeouts, Client, Endpoint, bearer
from pointsman.http.event_stream import HttpEventStream
from pointsman.http.framing import SseFramer
from pointsman.provider import Call, PerOptions, Provider, ProviderContext
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    GenerateRequest,
    ModelInfo,
)
from pointsman.wire.large_bodies import is_large, written
from pointsman.wire.retry_after import RateHeaders
from pointsman.wire.status_errors import json_or_none, snippet
from pointsman_openai import answers, shapes, wire
from pointsman_openai.address import is_wrong_address, not_json, wrong_address
from pointsman_openai.decode import ChatDecoder, chat_of_events, is_events
from pointsman_openai.errors import error_of_answer
from pointsman_openai.settings import OpenAISettings, WireSettings
from pointsman_openai.wire import Dialect

DEFAULT_BASE_URL = "https://api.openai.com/v1"
_MANAGEMENT_SECONDS = 15.0


_RATES = RateHeaders(
    requests=("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    tokens=("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
)


class OpenAIProvider(Provider):
    """api.openai.com, or any server that speaks its Chat Completions dialect.

    Another provider of the dialect overrides `prefix` and what stands under
    "for subclasses".
    """

    prefix = ""
    """What stands between the base URL and the paths of the dialect."""
    option_settings: type[BaseModel] = WireSettings
    """Those of the settings that a deployment's options may say otherwise."""

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self._context = context
        self.endpoint: Endpoint = self._make_endpoint(context)
        self._dialect = self._make_dialect(context.settings)
        self._dialects = PerOptions(self._with_options)
        self._stream_underneath: bool = context.settings.stream_underneath
        self._own: Client | None = None

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        if self._stream_underneath and not request.logprobs and request.extra.get("n") in (None, 1):
            return await (await self.stream(request, call, timely=False)).whole()
        body: Any
        if is_large(request.messages):
            body = await written(lambda: self._body(request, call, stream=False))
        else:
            body = self._body(request, call, stream=False)
        answer, content = await self._send("/chat/completions", body, call)
        request_id = answer.request_id
        if (usual := shapes.chat_response(content, request_id=request_id)) is not None:
            return usual
        if content[:1] != b"{" and is_events(content):
            return chat_of_events(content, request_id=request_id)
        return answers.chat_response(self._value(answer, content), content, request_id=request_id)

    async def stream(self, request: ChatRequest, call: Call, *, timely: bool = True) -> HttpEventStream:
        """The events of an answer; a `timely` one must begin within `first_token`."""
        body: Any
        if is_large(request.messages):
            body = await written(lambda: self._body(request, call, stream=True))
        else:
            body = self._body(request, call, stream=True)
        client = self._client_of(call)
        path = self.prefix + "/chat/completions"
        answer = await client.send(
            "POST", path, body, limits=call.limits, headers=call.headers, stream=timely
        )
        if answer.status >= 400:
            raise await self._error(answer, client)
        return HttpEventStream(
            answer, SseFramer(), ChatDecoder(request_id=answer.request_id, address=self._address())
        )

    async def generate(self, request: GenerateRequest, call: Call) -> ChatResponse:
        body = wire.completion_body(request, call.model, self._dialect_of(call))
        answer, content = await self._send("/completions", body, call)
        return answers.completion_response(self._value(answer, content), request_id=answer.request_id)

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        body = wire.embed_body(request, call.model, self._dialect_of(call))
        answer, content = await self._send("/embeddings", body, call)
        request_id = answer.request_id
        if (usual := shapes.embed_response(content, request, request_id=request_id)) is not None:
            return usual
        return answers.embed_response(self._value(answer, content), request, request_id=request_id)

    async def models(self) -> Sequence[ModelInfo]:
        value = await self._manage("GET", self.prefix + "/models")
        return answers.model_infos(value, provider=self.name)

    async def aclose(self) -> None:
        if self._own is not None:
            own, self._own = self._own, None
            await own.aclose()

    # ── for subclasses ───────────────────────────────────────────────────────────────────────────────

    def _make_endpoint(self, context: ProviderContext) -> Endpoint:
        settings: OpenAISettings = context.settings
        headers = {}
        if settings.organization:
            headers["openai-organization"] = settings.organization
        if settings.project:
            headers["openai-project"] = settings.project
        return Endpoint(
            (context.base_url or DEFAULT_BASE_URL).rstrip("/"),
            headers,
            bearer if settings.key_header == "authorization" else _Bare(settings.key_header),
            _RATES,
        )

    def _make_dialect(self, settings: Any) -> Dialect:
        official = _is_official(self.endpoint.base_url)
        if official and settings.extra_sampling:
            raise ConfigError(
                f"provider {self.name!r}: extra_sampling is for compatible servers; api.openai.com does not "
                "take top_k, min_p or repeat_penalty"
            )
        return Dialect(
            name=f"provider {self.name!r}",
            official=official,
            sampling_hint="api.openai.com does not take it" if official else Dialect().sampling_hint,
            **{name: getattr(settings, name) for name in WireSettings.model_fields},
        )

    async def _manage(
        self, method: str, path: str, body: Any = None, *, seconds: float = _MANAGEMENT_SECONDS
    ) -> Any:
        """The JSON value of a management call's answer. Raises the error of its status."""
        client = self._client()
        return self._value(*await self._exchange(client, method, path, body, client.within(seconds), {}))

    def _client(self) -> Client:
        if self._own is None:
            self._own = self._context.open(self.endpoint)
        return self._own

    async def _exchange(
        self,
        client: Client,
        method: str,
        path: str,
        body: Any,
        limits: AttemptTimeouts,
        headers: Mapping[str, str],
    ) -> tuple[Answer, bytes]:
        answer, content = await client.fetch(method, path, body, limits=limits, headers=headers)
        if answer.status >= 400:
            raise self._error_of(answer, content, client)
        return answer, content

    def _value(self, answer: Answer, content: bytes) -> Any:
        """The JSON value of a success. Raises BadResponse that says what came instead."""
        try:
            return jsonio.loads(content)
        except ValueError:
            error = not_json(content, answer.status, self._address(), request_id=answer.request_id)
            raise answer.mask(error) from None

    def _address(self) -> str:
        """What the base URL should look like."""
        return "https://host" + ("" if self.prefix else "/v1")

    async def _error(self, answer: Answer, client: Client) -> CallError:
        """The error of an answer of status 400 or above, also when its body cannot be read."""
        try:
            content = await answer.read()
        except ProviderError:
            content = b""
        return self._error_of(answer, content, client)

    def _error_of(self, answer: Answer, content: bytes, client: Client) -> CallError:
        """The error of an answer of status 400 or above with this body."""
        value = json_or_none(content)
        fallback = "" if value is not None else snippet(content)
        if answer.status in (404, 405) and is_wrong_address(value):
            return wrong_address(answer.status, value, content, self._address(), request_id=answer.request_id)
        return error_of_answer(answer.status, answer.headers, value, wall=client.wall(), fallback=fallback)

    def _body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        """The body of a chat call. Raises Unsupported, InvalidRequest."""
        return wire.chat_body(request, call.model, self._dialect_of(call), stream=stream)

    def _client_of(self, call: Call) -> Client:
        """The client that makes the call. Raises when the call must not be made with its credential."""
        return call.client

    def _dialect_of(self, call: Call) -> Dialect:
        """The dialect with what the deployment's own options say."""
        if not call.options:
            return self._dialect
        try:
            return self._dialects(call.options)
        except ValidationError as error:
            said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        except ConfigError as error:
            said = error.message
        raise InvalidRequest(
            f"the options of the deployment of {call.model!r} at provider {self.name!r}: {said}"
        )

    # ── private ──────────────────────────────────────────────────────────────────────────────────────

    def _send(self, path: str, body: Any, call: Call) -> Awaitable[tuple[Answer, bytes]]:
        return self._exchange(
            self._client_of(call), "POST", self.prefix + path, body, call.limits, call.headers
        )

    def _with_options(self, options: Mapping[str, Any]) -> Dialect:
        """Raises ValidationError, ConfigError."""
        model = self.option_settings
        said_before = {name: getattr(self._context.settings, name) for name in model.model_fields}
        return self._make_dialect(model.model_validate({**said_before, **options}))


class _Bare:
    """The credential alone, in a header of its own."""

    __slots__ = ("_header",)

    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, secret: str) -> Mapping[str, str]:
        return {self._header: secret}


def _is_official(base_url: str) -> bool:
    host = (urlsplit(base_url).hostname or "").lower()
    return host == "api.openai.com" or host.endswith(".api.openai.com")
