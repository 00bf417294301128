"""A provider that is written by hand over `call.client`, for the wire of `toys`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from toys import ToyDecoder, ToyFramer, ToyTests, as_object, options, reason_of, usage_of

from pointsman.plugin import (
    Answer,
    BadResponse,
    Call,
    ChatRequest,
    ChatResponse,
    Endpoint,
    EventStream,
    HttpEventStream,
    ModelInfo,
    Provider,
    ProviderContext,
    error_for_status,
    json_or_none,
    snippet,
)


class HandTests(ToyTests):
    generate_ok = None
    embed_ok = None


class Hand(Provider):
    """Does itself what `HttpProvider` does, for whole answers, streams and models."""

    tried_by: ClassVar[type] = HandTests

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.context = context
        self.endpoint: Endpoint = Endpoint(context.base_url or "http://127.0.0.1:7007")
        self.own: Any = None

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        answer = await self.post(request, call, stream=False)
        value = as_object(json_or_none(await answer.read()))
        if not isinstance(value.get("text"), str) or "why" not in value:
            raise BadResponse("the answer has no text, or does not say why it ends")
        return ChatResponse(text=value["text"], finish_reason=reason_of(value), usage=usage_of(value))

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        return HttpEventStream(await self.post(request, call, stream=True), ToyFramer(), ToyDecoder())

    async def models(self) -> Sequence[ModelInfo]:
        self.own = self.own or self.context.open(self.endpoint)
        answer = await self.own.send("GET", "/models", timeouts=self.own.within(30))
        await self.check(answer)
        models = as_object(json_or_none(await answer.read())).get("models")
        if not isinstance(models, list) or not all(isinstance(each, str) for each in models):
            raise BadResponse("the answer has no list of models")
        return [ModelInfo(each, self.name) for each in dict.fromkeys(models)]

    async def aclose(self) -> None:
        own, self.own = self.own, None
        if own is not None:
            await own.aclose()

    async def post(self, request: ChatRequest, call: Call, *, stream: bool) -> Any:
        answer = await call.client.send(
            "POST",
            "/chat",
            self.body(request, call, stream=stream),
            timeouts=call.timeouts,
            headers=call.headers,
            stream=stream,
        )
        await self.check(answer)
        return answer

    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        self.takes_only(request, "temperature", "top_p", "max_tokens", "seed", "extra")
        said = [[each.role, each.text] for each in request.messages]
        return {"model": call.model, "said": said, "stream": stream, **options(request), **request.extra}

    async def check(self, answer: Answer | Any) -> None:
        if answer.status >= 400:
            body = await answer.read()
            wall = self.context.clock.wall()
            raise error_for_status(answer.status, answer.headers, snippet(body), wall=wall)
