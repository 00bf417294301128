"""The HTTP calls of one Ollama server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeVar

from msgspec.structs import replace

from pointsman.plugin import (
    Answer,
    Call,
    CallError,
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    EventStream,
    GenerateRequest,
    HttpEventStream,
    HttpProvider,
    Message,
    ModelInfo,
    OpenAnswer,
    PerOptions,
    ProviderContext,
    Relaying,
    Request,
    has_large_parts,
    written_in_thread,
)
from pointsman_ollama import decode, manage, wire
from pointsman_ollama.errors import NOT_OLLAMA, error_for
from pointsman_ollama.manage import ModelDetails, Pull, RunningModel
from pointsman_ollama.settings import OllamaSettings

R = TypeVar("R", ChatResponse, EmbedResponse)

_PROBE_SECONDS = 5.0
_LONGEST_PULL_SECONDS = 7 * 86_400.0


@cache  # a module is looked for anew by each import in a function, for 8,000 instructions
def _relaying() -> Callable[..., Relaying]:
    from pointsman_ollama.relaying import of  # only gateways relay

    return of


class OllamaProvider(HttpProvider):
    """One Ollama server, or ollama.com, through its native API."""

    wires: Sequence[str] = ("ollama", "ollama.generate")
    default_base_url = "http://127.0.0.1:11434"
    address_hint = NOT_OLLAMA

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        settings: OllamaSettings = context.settings
        fields = {"keep_alive": settings.keep_alive, "think": settings.think}
        defaults = wire.Defaults(
            {name: value for name, value in fields.items() if value is not None}, settings.options
        )
        self._defaults = PerOptions(self.name, defaults, defaults.overridden)
        self._stream_underneath = settings.stream_underneath

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        """The whole answer. Without messages the model is only loaded, and the answer is empty."""
        stream = self._stream_underneath
        make = partial(wire.chat_body, request, call.model, self._defaults(call), stream=stream)
        body = await written_in_thread(make) if has_large_parts(request.messages) else make()
        return await self._whole(call, "/api/chat", body, prompted=bool(request.messages), stream=stream)

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        """The answer's events; the wait for a model that is being loaded falls under `first_token`."""
        make = partial(wire.chat_body, request, call.model, self._defaults(call), stream=True)
        body = await written_in_thread(make) if has_large_parts(request.messages) else make()
        decoder = decode.StreamDecoder(_seed(call), prompted=bool(request.messages))
        return await self._events(call, "/api/chat", body, decoder, timely=True)

    async def generate(self, request: GenerateRequest, call: Call) -> ChatResponse:
        """A plain completion; with a suffix, of what stands between the two."""
        stream = self._stream_underneath
        make = partial(wire.generate_body, request, call.model, self._defaults(call), stream=stream)
        body = (
            await written_in_thread(make) if has_large_parts((Message("user", request.images),)) else make()
        )
        return await self._whole(call, "/api/generate", body, prompted=bool(request.prompt), stream=stream)

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        """One vector for each text, in order, each of length 1 in the Euclidean norm."""
        body = wire.embed_body(request, call.model, self._defaults(call))
        return await self._ask(
            call, "/api/embed", body, lambda content, answer: self._vectors(request, answer, content)
        )

    # ── management ───────────────────────────────────────────────────────────────────────────────────

    async def probe(self) -> None:
        """Return when the server answers with its version, within 5 seconds."""
        await self._version(_PROBE_SECONDS)

    async def version(self) -> str:
        """The server's version, such as `0.32.14`."""
        return await self._version()

    async def models(self) -> Sequence[ModelInfo]:
        """The models that the server has on its disk."""
        return manage.model_list(await self.manage("GET", "/api/tags"), self.name)

    async def ps(self) -> Sequence[RunningModel]:
        """The models that are in memory now."""
        return manage.running(await self.manage("GET", "/api/ps"))

    async def in_memory(self) -> Sequence[str]:
        """The names of the models that are in memory now."""
        return [each.name for each in await self.ps()]

    async def show(self, model: str) -> ModelDetails:
        """What the server knows about one model. Raises ModelNotFound."""
        return manage.details(await self.manage("POST", "/api/show", {"model": model}, model=model), model)

    def pull(self, model: str, *, insecure: bool = False, idle: float = 300.0) -> Pull:
        """Fetch a model: an async iterator of PullProgress that begins with its first step.

        Args:
            insecure: accept a registry without TLS.
            idle: seconds without any progress after which to give up; checking the digest of a large
                model is silent for minutes.
        """
        body = {"model": model, **({"insecure": True} if insecure else {})}
        return self._progress("/api/pull", body, model, idle=idle)

    def create(self, model: str, *, idle: float = 300.0, **members: Any) -> Pull:
        """Make a model: an async iterator of PullProgress that begins with its first step.

        Args:
            idle: as of `pull`; to quantize a large model is silent for minutes.
            members: what it is made of, in Ollama's words: `from`, `files`, `adapters`, `template`, `system`,
                `parameters`, `messages`, `quantize`, `license`.
        """
        return self._progress("/api/create", {**members, "model": model}, model, idle=idle)

    async def copy(self, source: str, destination: str) -> None:
        """Give a model a second name. Raises ModelNotFound."""
        body = {"source": source, "destination": destination}
        await self.exchange("POST", "/api/copy", body, model=source)

    async def delete(self, model: str) -> None:
        """Delete a model from the server's disk. Raises ModelNotFound."""
        await self.exchange("DELETE", "/api/delete", {"model": model}, model=model)

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────

    def relaying(self, request: Request, call: Call) -> Relaying:
        return _relaying()(request, call, self._defaults(call), seed=_seed(call), vectors=self._vectors)

    def error_of(self, answer: Answer, content: bytes, *, model: str = "") -> CallError:
        return error_for(answer.status, answer.headers, content, wall=self.context.clock.wall(), model=model)

    def _vectors(self, request: EmbedRequest, answer: Answer, content: bytes) -> EmbedResponse:
        count, dimensions = len(request.texts), request.dimensions
        usual = decode.usual_embed_response(content, count=count, dimensions=dimensions)
        if usual is not None:
            return usual
        return decode.embed_response(self.value(answer, content), count=count, dimensions=dimensions)

    async def _whole(self, call: Call, path: str, body: Any, *, prompted: bool, stream: bool) -> ChatResponse:
        """A whole answer, asked for as a `stream` or in one piece."""
        decoder = decode.StreamDecoder(_seed(call), prompted=prompted)
        if stream:
            events = await self._events(call, path, body, decoder, timely=False)
            return decode.with_texts(await events.whole())
        return await self._ask(call, path, body, lambda content, _: decode.chat_response(content, decoder))

    async def _events(
        self, call: Call, path: str, body: Any, decoder: decode.StreamDecoder, *, timely: bool
    ) -> HttpEventStream:
        """The events of an answer; a `timely` one must begin within `first_token`."""
        answer = await self.send(path, body, call, timely=timely)
        return HttpEventStream(answer, decode.Lines(), decoder)

    async def _ask(self, call: Call, path: str, body: Any, read: Callable[[bytes, Answer], R]) -> R:
        """What `read` makes of the answer; it and its errors carry the upstream's id of the call."""
        answer, content = await self.fetch(path, body, call)
        try:
            response = read(content, answer)
        except CallError as error:
            error.upstream_request_id = answer.request_id
            raise
        return replace(response, upstream_request_id=answer.request_id) if answer.request_id else response

    def _progress(self, path: str, body: Mapping[str, Any], model: str, *, idle: float) -> Pull:
        """What takes long and tells of its steps."""
        client = self.client

        async def begin() -> OpenAnswer:
            timeouts = replace(client.within(_LONGEST_PULL_SECONDS), first_token=idle, idle=idle)
            answer = await client.send("POST", path, {**body, "stream": True}, timeouts=timeouts, stream=True)
            if answer.status >= 400:
                raise self.refused(answer, await answer.read(), model=model)
            return answer

        return Pull(begin, client, idle=idle)

    async def _version(self, seconds: float | None = None) -> str:
        return manage.version(await self.manage("GET", "/api/version", seconds=seconds))


def _seed(call: Call) -> str:
    """What tells the tool calls of this call from those of any other."""
    return f"{call.request_id}/{call.attempt}"
