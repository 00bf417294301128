"""The HTTP calls of OpenAI's API, and the base of providers for compatible servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec
from pydantic import BaseModel

from pointsman.plugin import (
    Answer,
    Call,
    CallError,
    ChatRequest,
    ChatResponse,
    ConfigError,
    EmbedRequest,
    EmbedResponse,
    Endpoint,
    GenerateRequest,
    HttpEventStream,
    HttpProvider,
    InvalidRequest,
    ModelInfo,
    Original,
    Outcome,
    PerOptions,
    PluginError,
    ProviderContext,
    RateHeaders,
    Relaying,
    Request,
    SseFramer,
    TextMessages,
    Unsupported,
    bearer,
    has_large_parts,
    json_or_none,
    jsonio,
    snippet,
    written_in_thread,
)
from pointsman_openai import wire
from pointsman_openai.settings import OpenAISettings, WireSettings
from pointsman_openai.wire import Quirks

# `answers` and `decode` are imported where they are used: a whole answer of the usual shape needs neither.
# That is 4 M instructions of the start.

_RATES = RateHeaders(
    requests=("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    tokens=("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
)


class OpenAIProvider(HttpProvider):
    """api.openai.com, or any server that speaks its Chat Completions API.

    A provider of a compatible server derives from it and says what differs: in `default_base_url`, `prefix`,
    `quirks` and `server`; where that does not do, in the methods under "what another server may say
    otherwise" and in those of `HttpProvider`. Its settings derive from `OpenAISettings`.
    """

    to_override = ("make_quirks", "chat_body")
    wires: Sequence[str] = ("openai.chat", "openai.completions", "openai.embeddings")
    responses_wires: ClassVar[Sequence[str]] = ("openai.responses", "openai.responses.compact")
    """Those of the Responses API, which few other servers have."""
    default_base_url = "https://api.openai.com/v1"
    management_seconds = 15.0
    prefix: ClassVar[str] = ""
    """What stands between the base URL and the paths of the API."""
    server: ClassVar[str] = ""
    """What the server is called in errors, beside the name of the provider."""
    quirks: ClassVar[Mapping[str, Any]] = {}
    """Members of `Quirks`: how servers of this type differ. What a configuration says of one of them wins."""
    option_settings: ClassVar[type[BaseModel]] = WireSettings
    """Those of the settings that are members of `Quirks`; a deployment's options may say them otherwise."""

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        if self.quirks != {}:
            _check_quirks(self.quirks, f"provider {self.name!r}: quirks of {type(self).__name__}")
        self._quirks = self.make_quirks(context.settings)
        self._expect("make_quirks", self._quirks, Quirks)
        self.quirks_of = PerOptions(self.name, self._quirks, self._with_options)
        if not getattr(context.settings, "relayed", True):  # not every type of server is asked
            self.wires = ()
        has_responses = getattr(context.settings, "responses", None)
        if self._quirks.official if has_responses is None else has_responses:
            self.wires = (*self.wires, *self.responses_wires)
        self.writes_as_we_do = type(self).chat_body is OpenAIProvider.chat_body
        # Bound here, so that a body of ours is not looked at in every call.
        self._chat_body = self.chat_body if self.writes_as_we_do else self._written_body
        self._fetch_is_ours = type(self).fetch is OpenAIProvider.fetch
        self._chats = self.prefix + "/chat/completions"
        self._stream_underneath: bool = context.settings.stream_underneath

    @cached_property
    def _usual(self) -> Any:
        """The reading of usual answers, whose decoders take 7 M instructions to make: with the first one."""
        from pointsman_openai import shapes

        return shapes

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        if self._stream_underneath and not request.logprobs and request.extra.get("n") in (None, 1):
            return await (await self.stream(request, call, timely=False)).whole()
        body: Any
        if type(request.messages) is TextMessages:
            body = self._text_body(request, call, stream=False)
        elif has_large_parts(request.messages):
            body = await written_in_thread(lambda: self._chat_body(request, call, stream=False))
        else:
            body = self._chat_body(request, call, stream=False)
        if self._fetch_is_ours:
            # As it does it, but nearly all calls come by here, and a coroutine in between takes 2 % of one.
            answer, content = await self.client_of(call).fetch(
                "POST", self._chats, body, timeouts=call.timeouts, headers=call.headers
            )
            if answer.status >= 400:
                raise self.refused(answer, content, model=call.model)
        else:
            answer, content = await self.fetch(self._chats, body, call)
        usual: ChatResponse | None = self._usual.chat_response(content, request_id=answer.request_id)
        if usual is not None:
            return usual
        return self._unusual_chat(answer, content)

    async def stream(self, request: ChatRequest, call: Call, *, timely: bool = True) -> HttpEventStream:
        """The events of an answer; a `timely` one must begin within `first_token`."""
        from pointsman_openai.decode import ChatDecoder

        body: Any
        if type(request.messages) is TextMessages:
            body = self._text_body(request, call, stream=True)
        elif has_large_parts(request.messages):
            body = await written_in_thread(lambda: self._chat_body(request, call, stream=True))
        else:
            body = self._chat_body(request, call, stream=True)
        answer = await self.send(self._chats, body, call, timely=timely)
        return HttpEventStream(
            answer, SseFramer(), ChatDecoder(request_id=answer.request_id, address=self.address())
        )

    async def generate(self, request: GenerateRequest, call: Call) -> ChatResponse:
        body = wire.completion_body(request, call.model, self.quirks_of(call))
        return self.completion(*await self.fetch(self.prefix + "/completions", body, call))

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        body = wire.embed_body(request, call.model, self.quirks_of(call))
        return self.vectors(request, *await self.fetch(self.prefix + "/embeddings", body, call))

    async def models(self) -> Sequence[ModelInfo]:
        from pointsman_openai import answers

        value = await self.manage("GET", self.prefix + "/models")
        return answers.model_infos(value, provider=self.name)

    async def count_tokens(self, request: ChatRequest, original: Original | None = None) -> int:
        """How many tokens the prompt of `request` has, as OpenAI counts; free of charge.

        `request.model` is the upstream's own name of the model here. Raises Unsupported at another server.

        Args: original: of no use here, as no caller's wire is that of this call.
        """
        if not self._quirks.official:
            raise Unsupported(f"provider {self.name!r}: only api.openai.com counts tokens")
        from pointsman_openai import counting

        return counting.input_tokens(
            await self.manage("POST", self.prefix + counting.PATH, counting.count_body(request))
        )

    # ── what another server may say otherwise ────────────────────────────────────────────────────────

    def make_endpoint(self) -> Endpoint:
        settings: OpenAISettings = self.context.settings
        headers = {}
        if settings.organization:
            headers["openai-organization"] = settings.organization
        if settings.project:
            headers["openai-project"] = settings.project
        authorize = bearer if settings.key_header == "authorization" else _Bare(settings.key_header)
        return Endpoint(super().make_endpoint().base_url, headers, authorize, _RATES)

    def make_quirks(self, settings: Any) -> Quirks:
        """How the server differs: by `quirks`, and by what `settings` say. Raises ConfigError."""
        official = _is_official(self.endpoint.base_url)
        if official and settings.extra_sampling:
            raise ConfigError(
                f"provider {self.name!r}: extra_sampling is for compatible servers; api.openai.com does not "
                "take top_k, min_p or repeat_penalty"
            )
        fields = self.option_settings.model_fields
        said = {name: getattr(settings, name) for name in fields if name in settings.model_fields_set}
        return Quirks(
            name=f"provider {self.name!r}" + (f" ({self.server})" if self.server else ""),
            official=official,
            sampling_hint="api.openai.com does not take it" if official else Quirks().sampling_hint,
            **{**{name: getattr(settings, name) for name in fields}, **self.quirks, **said},
        )

    def chat_body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        """The body of a chat call. Raises Unsupported, InvalidRequest."""
        quirks = self.quirks_of(call) if call.options else self._quirks
        return wire.chat_body(request, call.model, quirks, stream=stream)

    def value(self, answer: Answer, content: bytes) -> Any:
        try:
            return jsonio.loads(content)
        except ValueError:
            from pointsman_openai.address import not_json

            error = not_json(content, answer.status, self.address(), request_id=answer.request_id)
            raise answer.mask(error) from None

    def error_of(self, answer: Answer, content: bytes, *, model: str = "") -> CallError:
        from pointsman_openai.errors import error_of_answer

        value, status = json_or_none(content), answer.status
        if status in (404, 405):
            from pointsman_openai.address import is_wrong_address, wrong_address

            if is_wrong_address(value):
                return wrong_address(status, value, content, self.address(), request_id=answer.request_id)
        fallback = "" if value is not None else snippet(content)
        wall = self.context.clock.wall()
        return error_of_answer(status, answer.headers, value, wall=wall, fallback=fallback)

    def relaying(self, request: Request, call: Call) -> Relaying:
        return _relaying()(self, request, call)

    # ── private ──────────────────────────────────────────────────────────────────────────────────────

    def completion(self, answer: Answer, content: bytes) -> ChatResponse:
        """The answer of POST /completions. Raises the error that it holds."""
        from pointsman_openai import answers

        try:
            return answers.completion_response(self.value(answer, content), request_id=answer.request_id)
        except CallError as error:
            raise answer.meant(error) from None

    def response(self, answer: Answer, content: bytes) -> ChatResponse:
        """The answer of POST /responses. Raises the error that it holds."""
        from pointsman_openai import responses

        try:
            return responses.response(self.value(answer, content), request_id=answer.request_id)
        except CallError as error:
            raise answer.meant(error) from None

    def vectors(self, request: EmbedRequest, answer: Answer, content: bytes) -> EmbedResponse:
        """The answer of POST /embeddings. Raises the error that it holds."""
        request_id = answer.request_id
        usual: EmbedResponse | None = self._usual.embed_response(content, request, request_id=request_id)
        if usual is not None:
            return usual
        from pointsman_openai import answers

        try:
            return answers.embed_response(self.value(answer, content), request, request_id=request_id)
        except CallError as error:
            raise answer.meant(error) from None

    def chat_answer(self, answer: Answer, content: bytes) -> ChatResponse:
        """The answer of POST /chat/completions. Raises the error that it holds."""
        usual: ChatResponse | None = self._usual.chat_response(content, request_id=answer.request_id)
        return self._unusual_chat(answer, content) if usual is None else usual

    def _unusual_chat(self, answer: Answer, content: bytes) -> ChatResponse:
        """The answer in a body that is not as usual. Raises the error that it holds."""
        from pointsman_openai import answers, decode

        request_id = answer.request_id
        try:
            if content[:1] != b"{" and decode.is_events(content):
                return decode.chat_of_events(content, request_id=request_id)
            return answers.chat_response(self.value(answer, content), content, request_id=request_id)
        except CallError as error:
            raise answer.meant(error) from None

    def _text_body(self, request: ChatRequest, call: Call, *, stream: bool) -> Any:
        """The body of a conversation of plain text, as it is sent where nobody wants to see it before."""
        content = None
        if self.writes_as_we_do:
            quirks = self.quirks_of(call) if call.options else self._quirks
            content = wire.text_content(request, call.model, quirks, stream=stream)
        return self._chat_body(request, call, stream=stream) if content is None else content

    def _written_body(self, request: ChatRequest, call: Call, *, stream: bool) -> bytes:
        """What a `chat_body` that is not ours makes, as it is sent. Raises InvalidRequest, PluginError."""
        body: Any = self.chat_body(request, call, stream=stream)
        if not isinstance(body, dict):
            if type(body) is bytes:
                return body
            raise self._wrong_body(f"a {type(body).__name__}, expected a dict")
        try:
            return jsonio.dumps(body)
        except (TypeError, ValueError, RecursionError) as error:
            said = f"cannot be written as JSON: {error}"
            if self._is_written_by_us(request, call, stream=stream):
                raise self._wrong_body(f"what {said}") from error
            raise InvalidRequest(f"the request {said}") from error

    def _is_written_by_us(self, request: ChatRequest, call: Call, *, stream: bool) -> bool:
        """Whether what the caller gave can be written, all of which is in the body that we make of it."""
        ours: Any
        try:
            ours = OpenAIProvider.chat_body(self, request, call, stream=stream)
        except CallError:  # only the other `chat_body` can say that
            ours = dict(request.extra)
        try:
            jsonio.dumps(ours)
        except (TypeError, ValueError, RecursionError):
            return False
        return True

    def _wrong_body(self, what: str) -> PluginError:
        message = f"provider {self.name!r}: chat_body() of {type(self).__name__} made {what}"
        error = PluginError(message, kind="provider", plugin=self.name, method="chat_body")
        error.outcome = Outcome.UPSTREAM_FAULT  # another deployment may do
        error.retry_elsewhere = error.try_fallback = True
        return error

    def address(self) -> str:
        """What the base URL should look like."""
        return "https://host" + ("" if self.prefix else "/v1")

    def _with_options(self, options: Mapping[str, Any]) -> Quirks:
        """Raises ValidationError, ConfigError."""
        model, settings = self.option_settings, self.context.settings
        said_before = {
            name: getattr(settings, name) for name in model.model_fields if name in settings.model_fields_set
        }
        return self.make_quirks(model.model_validate({**said_before, **options}))


@cache  # a module is looked for anew by each import in a function, for 8,000 instructions
def _relaying() -> Callable[[OpenAIProvider, Request, Call], Relaying]:
    from pointsman_openai.relaying import of  # only gateways relay

    return of


class _Bare:
    """The credential alone, in a header of its own."""

    __slots__ = ("_header",)

    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, secret: str) -> Mapping[str, str]:
        return {self._header: secret}


_NO_QUIRKS = ("name", "official", "sampling_hint")
"""Members of `Quirks` that `make_quirks` knows itself."""


def _check_quirks(quirks: object, whose: str) -> None:
    """Raise ConfigError for what is no member of `Quirks`, and for a value that none of them has."""
    if not isinstance(quirks, Mapping):
        raise ConfigError(f"{whose}: a {type(quirks).__name__}, expected a mapping")
    known = [name for name in Quirks.__struct_fields__ if name not in _NO_QUIRKS]
    for name in map(str, quirks):
        if name not in known:
            from difflib import get_close_matches  # most programs never have anything to suggest

            near = get_close_matches(name, known, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"{whose}: unknown quirk {name!r}; {meant}")
    try:
        msgspec.convert(dict(quirks), Quirks)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{whose}: {error}") from None


def _is_official(base_url: str) -> bool:
    host = (urlsplit(base_url).hostname or "").lower()
    return host == "api.openai.com" or host.endswith(".api.openai.com")
