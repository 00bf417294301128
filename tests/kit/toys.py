"""Providers that do all right, for a small wire that exists nowhere; each wrong one differs in one thing.

`POST /chat` takes `{"model", "messages": [{"role", "content"}], "stream", …}`, answers
`{"text", "why", "tokens": [in, out]}`, and as a stream lines: `{"text"}` any number of times, `{"why", "tokens"}`.
`POST /complete` takes `{"model", "prompt"}` and answers the same; `POST /embed` takes `{"model", "texts"}` and
answers `{"vectors", "tokens": [in]}`; `GET /models` answers `{"models": […]}`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from pointsman.plugin import (
    BadResponse,
    Call,
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    EventStream,
    Finished,
    GenerateRequest,
    HttpEventStream,
    HttpProvider,
    JsonLineFramer,
    Message,
    ModelInfo,
    ModelNotFound,
    ProviderContext,
    ProviderError,
    ProviderFactory,
    RateLimited,
    SseEvent,
    StreamEvent,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    Truncated,
    Unavailable,
    Usage,
    UsageUpdate,
    base64_of,
    check_vectors,
    json_or_none,
)
from pointsman.plugin import Image as Picture
from pointsman.testing.contract import (
    CannedBreak,
    CannedChat,
    CannedEmbeddings,
    CannedError,
    CannedModels,
    CannedStream,
    ProviderContract,
)

REASONS = {"end": "stop", "cut": "length", "tool": "tool_calls", "filter": "content_filter"}
OPTIONS = ("temperature", "top_p", "max_tokens", "seed")
USAGE = Usage(prompt=5, completion=3)


class ToySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ToyTests(ProviderContract):
    """What the author of a provider of this wire writes."""

    # The bodies are small, and there are a hundred providers.
    examples = 10
    chat_ok = CannedChat(
        body=b'{"text":"The sky is blue","why":"end","tokens":[5,3]}', text="The sky is blue", usage=USAGE
    )
    stream_ok = CannedStream(
        body=b'{"text":"The"}\n{"text":" heaven"}\n{"why":"cut","tokens":[5,3]}\n',
        end=b'"why"',
        text="The heaven",
        finish_reason="length",
        usage=USAGE,
    )
    stream_tools = CannedStream(
        body=b'{"call":["c1","weather","{}"]}\n{"call":["c2","time","{}"]}\n{"why":"tool"}\n',
        end=b'"why"',
        finish_reason="tool_calls",
        tool_calls=(ToolCall("c1", "weather", "{}"), ToolCall("c2", "time", "{}", 1)),
    )
    mid_stream_error = CannedBreak(
        body=b'{"text":"The"}\n{"error":"out of blue"}\n', text="The", kind=Unavailable
    )
    more_ok = (CannedChat(body=b'{"text":"no idea","why":"end"}', text="no idea"),)
    finish_words: ClassVar = {f'"{word}"'.encode(): meant for word, meant in REASONS.items()}
    generate_ok = CannedChat(body=b'{"text":" is blue","why":"cut"}', text=" is blue", finish_reason="length")
    embed_ok = CannedEmbeddings(
        body=b'{"vectors":[[0.5,1],[2,3],[4,5]],"tokens":[7]}',
        texts=("one", "two", "three"),
        vectors=((0.5, 1.0), (2.0, 3.0), (4.0, 5.0)),
        usage=Usage(prompt=7),
    )
    models_ok = CannedModels(body=b'{"models":["small","large"]}', ids=("small", "large"))
    errors = (
        CannedError(status=404, body=b'{"error":"no such model"}', kind=ModelNotFound),
        CannedError(status=429, body=b"", headers={"retry-after": "3"}, kind=RateLimited, retry_after=3.0),
    )

    @classmethod
    def offering(cls, provider: Any) -> dict[str, Any]:
        return {"factory": ProviderFactory("toy", ToySettings, provider)}


class ToyDecoder:
    """The events of one answer."""

    def __init__(self) -> None:
        self.done = False
        self.calls = 0

    def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
        line = as_object(json_or_none(frame.data))
        if isinstance(error := line.get("error"), str):
            raise Unavailable(error)
        if isinstance(call := line.get("call"), list):
            return self.called(call)
        if "why" in line:
            self.done = True
            return [UsageUpdate(usage_of(line)), self.finished(line)]
        text = line.get("text")
        return [TextDelta(text)] if isinstance(text, str) and text else []

    def finished(self, line: dict[str, Any]) -> Finished:
        return Finished(reason_of(line), str(line["why"]))

    def called(self, call: list[Any]) -> Sequence[StreamEvent]:
        if len(call) != 3 or not all(isinstance(each, str) and each for each in call):
            raise BadResponse("a call is an id, a name and arguments")
        self.calls += 1
        return [ToolCallDelta(self.calls - 1, *call)]

    def close(self) -> Sequence[StreamEvent]:
        raise Truncated("the answer ended early")


class ToyFramer(JsonLineFramer):
    """A line ends with a line end; one without is not whole."""

    def close(self) -> list[SseEvent]:
        return []


class Toy(HttpProvider):
    """By way of `HttpProvider`."""

    tried_by: ClassVar[type] = ToyTests
    decoder: Callable[[], Any] = ToyDecoder
    framer: Callable[[], Any] = ToyFramer

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        answer, content = await self.fetch("/chat", self.body(request, call, stream=False), call)
        return self.response(as_object(self.value(answer, content)))

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        answer = await self.send("/chat", self.body(request, call, stream=True), call)
        return HttpEventStream(answer, self.framer(), self.decoder())

    async def generate(self, request: GenerateRequest, call: Call) -> ChatResponse:
        self.takes_only(request, *OPTIONS, "extra")
        body = {"model": call.model, "prompt": request.prompt, **options(request), **request.extra}
        answer, content = await self.fetch("/complete", body, call)
        return self.response(as_object(self.value(answer, content)))

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        self.takes_only(request, "dimensions", "extra")
        answer, content = await self.fetch("/embed", self.embed_body(request, call), call)
        return self.vectors(as_object(self.value(answer, content)), request)

    async def models(self) -> Sequence[ModelInfo]:
        return [ModelInfo(each, self.name) for each in self.ids(await self.manage("GET", "/models"))]

    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        self.takes_only(request, *OPTIONS, "stop", "tools", "images", "extra")
        return {
            "model": call.model,
            "messages": [self.message(each) for each in request.messages],
            "stream": stream,
            **options(request),
            **({"stop": list(request.stop)} if request.stop else {}),
            **({"tools": [self.tool(each) for each in request.tools]} if request.tools else {}),
            **request.extra,
        }

    def message(self, message: Message) -> dict[str, Any]:
        pictures = [self.picture(each) for each in message.parts if isinstance(each, Picture)]
        calls = [[each.id, each.name, each.arguments] for each in message.tool_calls]
        more = {"pictures": pictures, "calls": calls, "of": message.tool_call_id}
        return {"role": message.role, "content": message.text, **{k: v for k, v in more.items() if v}}

    def picture(self, picture: Picture) -> str:
        return picture.url if picture.url is not None else base64_of(picture.data)

    def tool(self, tool: Tool) -> dict[str, Any]:
        return {"name": tool.name, "about": tool.description, "parameters": tool.parameters}

    def embed_body(self, request: EmbedRequest, call: Call) -> dict[str, Any]:
        wanted = {} if request.dimensions is None else {"size": request.dimensions}
        return {"model": call.model, "texts": list(request.texts), **wanted, **request.extra}

    def response(self, value: dict[str, Any]) -> ChatResponse:
        text = value.get("text")
        if not isinstance(text, str) or not isinstance(value.get("why"), str):
            raise BadResponse("the answer has no text, or does not say why it ends")
        return ChatResponse(
            text=text,
            finish_reason=self.reason(value),
            native_finish_reason=value["why"],
            usage=self.usage(value),
            raw=value,
        )

    def reason(self, value: dict[str, Any]) -> Any:
        return reason_of(value)

    def usage(self, value: dict[str, Any]) -> Usage:
        return usage_of(value)

    def vectors(self, value: dict[str, Any], request: EmbedRequest) -> EmbedResponse:
        vectors = value.get("vectors")
        if not isinstance(vectors, list) or not all(isinstance(each, list) for each in vectors):
            raise BadResponse("the answer has no vectors")
        if len(vectors) != len(request.texts):
            raise BadResponse(f"{len(vectors)} vectors for {len(request.texts)} texts")
        check_vectors(vectors, request.dimensions)
        return EmbedResponse(vectors, usage_of(value), raw=value)

    def ids(self, value: Any) -> list[str]:
        models = as_object(value).get("models")
        if not isinstance(models, list) or not all(isinstance(each, str) for each in models):
            raise BadResponse("the answer has no list of models")
        return list(dict.fromkeys(models))


def options(request: Any) -> dict[str, Any]:
    said = {name: getattr(request, name) for name in OPTIONS}
    return {name: value for name, value in said.items() if value is not None}


def as_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadResponse("the answer is no JSON object")
    return value


def reason_of(value: dict[str, Any]) -> Any:
    why = value["why"]
    return REASONS.get(why, "other") if isinstance(why, str) else "other"


def usage_of(value: dict[str, Any]) -> Usage:
    tokens = value.get("tokens")
    counted = tokens if isinstance(tokens, list) else []
    counted = [each if isinstance(each, int) and each >= 0 else None for each in [*counted, None, None]]
    return Usage(prompt=counted[0], completion=counted[1])


__all__ = ["ProviderContext", "ProviderError"]
