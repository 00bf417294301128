"""The HTTP calls of the provider type `claude`: messages, token counts, models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, cast
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pointsman.plugin import (
    Answer,
    BadResponse,
    Call,
    CallError,
    ChatRequest,
    ChatResponse,
    Endpoint,
    HttpEventStream,
    HttpProvider,
    ModelInfo,
    Original,
    PerOptions,
    ProviderContext,
    RateHeaders,
    Relaying,
    Request,
    has_large_parts,
    json_or_none,
    jsonio,
    original_of,
    snippet,
    written_in_thread,
)
from pointsman_claude.decode import input_tokens, model_page
from pointsman_claude.errors import NOT_CLAUDE, failure
from pointsman_claude.frames import Frames
from pointsman_claude.stream import MessagesDecoder, whole_answer
from pointsman_claude.wire import ApiVersion, LateSystem, Wire, count_body, messages_body

_PAGES = 100

_Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]+$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ClaudeSettings(_Model):
    """The keys that only providers of type `claude` have."""

    api_version: ApiVersion = Field(
        default="2023-06-01",
        description="sent as `anthropic-version`; `2026-10-21` has no sampling parameters",
    )
    beta: list[_Token] = Field(default=[], description="sent as `anthropic-beta`")
    default_max_tokens: Annotated[int, Field(gt=0)] | None = Field(
        default=None,
        description="for requests that give no max_tokens, which the API demands; 4096 when not set",
    )
    workspace: _Token | None = Field(default=None, description="sent as `anthropic-workspace-id`")
    late_system: LateSystem = Field(
        default="hoist",
        description="a system message behind the first turn: `hoist` moves it to the system prompt, `native` "
        "sends it where it stands (newer models only), `refuse` leaves the request to other deployments",
    )
    stream_underneath: bool = Field(
        default=False,
        description="ask for whole answers as streams, too, and put them together: for answers that take "
        "minutes, and for servers that notice a client that is gone only when they send it a token",
    )


class ClaudeOptions(_Model):
    """The `options` of a deployment: what differs from model to model."""

    api_version: ApiVersion | None = None
    beta: list[_Token] | None = None
    late_system: LateSystem | None = None


class _Manner(Struct, frozen=True):
    """How one deployment is spoken to: in the body, and in the headers."""

    wire: Wire
    headers: Mapping[str, str]


_RATES = RateHeaders(
    requests=("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    tokens=("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
)


class ClaudeProvider(HttpProvider):
    """One account at Anthropic, or a server that speaks its Messages API."""

    wires: Sequence[str] = ("anthropic",)
    default_base_url = "https://api.anthropic.com"
    address_hint = NOT_CLAUDE

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self._settings: ClaudeSettings = context.settings
        self._stream_underneath = self._settings.stream_underneath
        self._manner = self._make_manner(ClaudeOptions())
        self._manners = PerOptions(
            self.name, self._manner, lambda options: self._make_manner(ClaudeOptions.model_validate(options))
        )

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        if self._stream_underneath:
            return await (await self.stream(request, call, timely=False)).whole()
        manner = self._manners(call)
        make = partial(messages_body, request, model=call.model, wire=manner.wire, stream=False)
        body = await written_in_thread(make) if has_large_parts(request.messages) else make()
        answer, content = await self.fetch("/v1/messages", body, call, headers=manner.headers)
        return whole_answer(content, request_id=answer.request_id)

    async def stream(self, request: ChatRequest, call: Call, *, timely: bool = True) -> HttpEventStream:
        """The events of an answer; a `timely` one must begin within `first_token`."""
        manner = self._manners(call)
        make = partial(messages_body, request, model=call.model, wire=manner.wire, stream=True)
        body = await written_in_thread(make) if has_large_parts(request.messages) else make()
        answer = await self.send("/v1/messages", body, call, timely=timely, headers=manner.headers)
        return HttpEventStream(answer, Frames(), MessagesDecoder(request_id=answer.request_id))

    async def models(self) -> Sequence[ModelInfo]:
        models: list[ModelInfo] = []
        path = "/v1/models?limit=1000"
        for _ in range(_PAGES):
            page, after = model_page(await self._asked("GET", path), self.name)
            models += page
            if after is None:
                return models
            path = f"/v1/models?limit=1000&after_id={quote(after, safe='')}"
        raise BadResponse(f"the upstream's list of models does not end within {_PAGES} pages")

    async def count_tokens(self, request: ChatRequest, original: Original | None = None) -> int:
        """How many tokens the prompt of `request` has, as Claude counts; free of charge.

        `request.model` is the upstream's own name of the model here. Options that are no part of the prompt
        do not matter.

        Args: original: the same as a caller wrote it for this API, who then gets an answer to just that.
        """
        headers = self._manner.headers
        if original is not None and original.wire in self.wires:
            written = original.body if original.opaque is None else original.opaque(original.body, self.mark)
            body = {**jsonio.loads(written), "model": request.model}
            headers = _with_theirs(headers, original.headers)
        else:
            body = count_body(request, model=request.model, wire=self._manner.wire)
        return input_tokens(await self.manage("POST", "/v1/messages/count_tokens", body, headers=headers))

    async def probe(self) -> None:
        await self._asked("GET", "/v1/models?limit=1")

    def make_endpoint(self) -> Endpoint:
        settings: ClaudeSettings = self.context.settings
        headers = {"anthropic-workspace-id": settings.workspace} if settings.workspace else {}
        base_url = super().make_endpoint().base_url.removesuffix("/v1")
        return Endpoint(base_url, headers, _api_key, _RATES)

    def relaying(self, request: Request, call: Call) -> Relaying:
        manner = self._manners(call)
        headers = _with_theirs(manner.headers, original_of(call).headers)
        # What the caller may say is for the version of the API that he wrote for.
        wire = replace(manner.wire, api_version=cast("ApiVersion", headers["anthropic-version"]))
        beta = "?beta=true" if original_of(call).query == "beta=true" else ""
        return Relaying(
            path="/v1/messages" + beta,
            write=partial(messages_body, model=call.model, wire=wire, stream=False),
            read=lambda answer, content: whole_answer(content, request_id=answer.request_id),
            events=lambda answer: (Frames(), MessagesDecoder(request_id=answer.request_id)),
            headers=headers,
            holder="message",
            opaque=(b'"signature', b'"redacted_thinking"'),
        )

    def error_of(self, answer: Answer, content: bytes, *, model: str = "") -> CallError:
        return failure(
            answer.status,
            answer.headers,
            json_or_none(content),
            otherwise=snippet(content),
            wall=self.context.clock.wall(),
        )

    async def _asked(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON value that a call outside of any request is answered with."""
        return await self.manage(method, path, body, headers=self._manner.headers)

    def _make_manner(self, options: ClaudeOptions) -> _Manner:
        settings = self._settings
        wire = Wire(
            api_version=options.api_version or settings.api_version,
            default_max_tokens=settings.default_max_tokens or Wire().default_max_tokens,
            late_system=options.late_system or settings.late_system,
        )
        headers: dict[str, str] = {"anthropic-version": wire.api_version}
        if beta := dict.fromkeys([*settings.beta, *(options.beta or ())]):
            headers["anthropic-beta"] = ",".join(beta)
        return _Manner(wire, headers)


def _with_theirs(ours: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, str]:
    """Our headers, with what a caller says of the API that he wrote for."""
    betas = [each.strip() for said in (ours, theirs) for each in said.get("anthropic-beta", "").split(",")]
    headers = {**ours, "anthropic-version": theirs.get("anthropic-version") or ours["anthropic-version"]}
    if beta := ",".join(dict.fromkeys(filter(None, betas))):
        headers["anthropic-beta"] = beta
    return headers


def _api_key(secret: str) -> dict[str, str]:
    return {"x-api-key": secret}
