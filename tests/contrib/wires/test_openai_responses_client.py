"""The official client, and its helper that demands the events in order, read what the writer of Responses writes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import BaseModel

from pointsman.plugin import (
    ChatResponse,
    Done,
    ProblemDetails,
    ReasoningDelta,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from pointsman_wires import openai_responses

TOOL: Any = {
    "type": "function",
    "name": "forecast",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
ANSWER = ChatResponse(
    "Hello", (ToolCall("call_1", "forecast", '{"city":"Ulm"}'),), "tool_calls", Usage(3, 4), reasoning="Hm"
)
EVENTS: Sequence[StreamEvent] = (
    Started(),
    ReasoningDelta("H"),
    ReasoningDelta("m"),
    TextDelta("Hel"),
    TextDelta("lo"),
    ToolCallDelta(0, "call_1", "forecast", '{"city":'),
    ToolCallDelta(0, arguments='"Ulm"}'),
    Done(ANSWER),
)
BROKEN = ProblemDetails("upstream", "the upstream failed", "unavailable", "upstream", "r")

Serve = Callable[[ChatResponse, Sequence[StreamEvent]], Awaitable[openai.AsyncOpenAI]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Makes a client of a server that answers everything the same way; without `Done` a stream fails."""
    servers: list[Any] = []

    async def start(answer: ChatResponse, events: Sequence[StreamEvent]) -> openai.AsyncOpenAI:
        async def respond(asked: web.Request) -> web.StreamResponse:
            understood = openai_responses.read(await asked.read(), request_id="r", wall=1.0)
            writer = understood.writer
            if not understood.stream:
                return web.Response(body=writer.whole(answer), content_type=writer.content_type)
            reply = web.StreamResponse(headers={"content-type": writer.stream_type})
            await reply.prepare(asked)
            for each in events:
                await reply.write(writer.heartbeat() + writer.events([each]))
            if not events or type(events[-1]) is not Done:
                await reply.write(writer.failure(BROKEN))
            return reply

        app = web.Application()
        app.router.add_post("/v1/responses", respond)
        server = TestServer(app)
        await server.start_server()
        client = openai.AsyncOpenAI(base_url=str(server.make_url("/v1")), api_key="none", max_retries=0)
        servers.extend((client, server))
        return client

    yield start
    for each in servers:
        await each.close()


async def test_a_whole_answer_is_read(serve: Serve) -> None:
    client = await serve(ANSWER, EVENTS)

    response = await client.responses.create(model="m", input="Hi", tools=[TOOL])

    assert response.output_text == "Hello"
    assert [each.type for each in response.output] == ["reasoning", "message", "function_call"]
    assert response.usage is not None
    assert response.usage.total_tokens == 7


async def test_the_helper_puts_a_stream_together(serve: Serve) -> None:
    client = await serve(ANSWER, EVENTS)

    async with client.responses.stream(model="m", input="Hi", tools=[TOOL]) as stream:
        seen = [each async for each in stream]
        final = await stream.get_final_response()

    assert [each.snapshot for each in seen if each.type == "response.output_text.delta"] == ["Hel", "Hello"]
    assert final.output_text == "Hello"
    call = final.output[2]
    assert call.type == "function_call"
    assert (call.arguments, call.parsed_arguments) == ('{"city":"Ulm"}', {"city": "Ulm"})


async def test_what_was_asked_as_a_class_comes_as_an_object(serve: Serve) -> None:
    class Leg(BaseModel):
        stop: str

    text = json.dumps({"stop": "Ulm"})
    client = await serve(ChatResponse(text), [TextDelta(text), Done(ChatResponse(text))])

    parsed = await client.responses.parse(model="m", input="Hi", text_format=Leg)
    async with client.responses.stream(model="m", input="Hi", text_format=Leg) as stream:
        final = await stream.get_final_response()

    assert parsed.output_parsed == final.output_parsed == Leg(stop="Ulm")


async def test_a_refusal_is_one(serve: Serve) -> None:
    client = await serve(ChatResponse(), [RefusalDelta("No"), Done(ChatResponse(refusal="No"))])

    async with client.responses.stream(model="m", input="Hi") as stream:
        final = await stream.get_final_response()

    message = final.output[0]
    assert message.type == "message"
    assert message.content[0].type == "refusal"


async def test_a_failure_after_the_beginning_is_an_event_and_no_answer(serve: Serve) -> None:
    client = await serve(ANSWER, EVENTS[:4])

    async with client.responses.stream(model="m", input="Hi") as stream:
        seen = [each async for each in stream]
        with pytest.raises(RuntimeError, match=r"response\.completed"):
            await stream.get_final_response()

    assert seen[-1].type == "response.failed"


async def test_a_failure_before_the_beginning_is_raised(serve: Serve) -> None:
    client = await serve(ANSWER, [])

    with pytest.raises(openai.APIError, match="the upstream failed"):
        async for _ in await client.responses.create(model="m", input="Hi", stream=True):
            pass
