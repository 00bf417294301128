"""The official clients talk to the simulated upstreams as to the real ones."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import ollama
import openai
import pytest
from pydantic import BaseModel

from pointsman_simulator import Fault, Reply, Simulator

MESSAGES: Any = [{"role": "user", "content": "Where do the points lie?"}]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 3}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "function": {"name": "other", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "forecast", "parameters": PARAMETERS}},
]
CLAUDE_TOOLS: Any = [
    {"name": "other", "input_schema": {"type": "object", "properties": {}}},
    {"name": "forecast", "input_schema": PARAMETERS},
]


class Leg(BaseModel):
    stop: str
    minutes: int


class Journey(BaseModel):
    name: str
    legs: list[Leg]
    return_by: str | None


@pytest.fixture(params=["openai", "localai", "ollama"])
async def client(request: pytest.FixtureRequest, simulator: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client, at each upstream that has its routes."""
    up = await simulator.add(request.param)
    base_url = up.base_url if request.param == "openai" else f"{up.base_url}/v1"
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as made:
        made.upstream = up  # type: ignore[attr-defined]
        yield made


@pytest.fixture
async def gpt(simulator: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    up = await simulator.add("openai", models=["gpt-4.1-mini", "gpt-5-mini", "text-embedding-3-small"])
    async with openai.AsyncOpenAI(base_url=up.base_url, api_key="none", max_retries=0) as made:
        made.upstream = up  # type: ignore[attr-defined]
        yield made


@pytest.fixture
async def claude(simulator: Simulator) -> AsyncIterator[anthropic.AsyncAnthropic]:
    up = await simulator.add("claude")
    async with anthropic.AsyncAnthropic(base_url=up.base_url, api_key="none", max_retries=0) as made:
        made.upstream = up  # type: ignore[attr-defined]
        yield made


@pytest.fixture
async def llama(simulator: Simulator) -> AsyncIterator[ollama.AsyncClient]:
    up = await simulator.add("ollama")
    made = ollama.AsyncClient(host=up.base_url)
    made.upstream = up
    yield made
    await made._client.aclose()


def model(client: Any) -> str:
    return str(next(iter(client.upstream.site.models)))


# ── openai ───────────────────────────────────────────────────────────────────────────────────────────


async def test_openais_client_gets_an_answer_whole_and_streamed(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model=model(client), messages=MESSAGES)
    text = ""
    usage = None
    async with await client.chat.completions.create(
        model=model(client), messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as stream:
        async for chunk in stream:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            usage = chunk.usage or usage

    assert whole.choices[0].message.content == text
    assert text
    assert whole.choices[0].finish_reason == "stop"
    assert usage is not None
    assert whole.usage is not None
    assert (
        usage.total_tokens == whole.usage.total_tokens == len((MESSAGES[0]["content"] + " " + text).split())
    )


async def test_openais_client_parses_structured_output(client: openai.AsyncOpenAI) -> None:
    parsed = await client.chat.completions.parse(
        model=model(client), messages=MESSAGES, response_format=Journey
    )

    journey = parsed.choices[0].message.parsed
    assert isinstance(journey, Journey)
    assert journey.legs[0].stop


async def test_openais_helper_for_streams_parses_too(client: openai.AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        model=model(client), messages=MESSAGES, response_format=Journey
    ) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_completion()

    assert isinstance(final.choices[0].message.parsed, Journey)


async def test_openais_client_has_the_forced_tool_called(gpt: openai.AsyncOpenAI) -> None:
    named: Any = {"type": "function", "function": {"name": "forecast"}}
    for choice, expected in ((named, "forecast"), ("required", "other"), ("auto", None), ("none", None)):
        said = await gpt.chat.completions.create(
            model="gpt-4.1-mini", messages=MESSAGES, tools=TOOLS, tool_choice=choice
        )

        calls = said.choices[0].message.tool_calls or []
        assert [each.function.name for each in calls] == ([expected] if expected else [])  # type: ignore[union-attr]
        assert said.choices[0].finish_reason == ("tool_calls" if expected else "stop")
        if expected == "forecast":
            arguments = json.loads(calls[0].function.arguments)  # type: ignore[union-attr]
            assert isinstance(arguments["city"], str)
            assert 1 <= arguments["days"] <= 3


async def test_openais_client_goes_on_after_a_tool_has_answered(gpt: openai.AsyncOpenAI) -> None:
    named: Any = {"type": "function", "function": {"name": "forecast"}}
    first = await gpt.chat.completions.create(
        model="gpt-4.1-mini", messages=MESSAGES, tools=TOOLS, tool_choice=named
    )
    calls = first.choices[0].message.tool_calls
    assert calls is not None
    answered = [
        *MESSAGES,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": calls[0].id, "content": "rain"},
    ]

    second = await gpt.chat.completions.create(model="gpt-4.1-mini", messages=answered, tools=TOOLS)

    assert second.choices[0].message.content


async def test_openais_client_gets_logprobs_for_each_piece(gpt: openai.AsyncOpenAI) -> None:
    said = await gpt.chat.completions.create(
        model="gpt-4.1-mini", messages=MESSAGES, logprobs=True, top_logprobs=2
    )

    told = said.choices[0].logprobs
    assert told is not None
    assert told.content is not None
    assert "".join(each.token for each in told.content) == said.choices[0].message.content
    assert {len(each.top_logprobs) for each in told.content} == {2}


async def test_openais_client_gets_vectors_of_the_length_it_asks_for(client: openai.AsyncOpenAI) -> None:
    own = await client.embeddings.create(model=model(client), input="one")
    for dimensions in (5, 300):
        got = await client.embeddings.create(model=model(client), input=["one", "two"], dimensions=dimensions)

        # LocalAI takes no notice of it.
        is_read = client.upstream.wire != "localai"  # type: ignore[attr-defined]
        expected = dimensions if is_read else len(own.data[0].embedding)
        assert [len(each.embedding) for each in got.data] == [expected] * 2
        assert [each.index for each in got.data] == [0, 1]


async def test_openais_client_lists_models(client: openai.AsyncOpenAI) -> None:
    assert [each.id async for each in client.models.list()] == [model(client)]


async def test_openais_client_stops_where_it_is_told(client: openai.AsyncOpenAI) -> None:
    client.upstream.script(Reply(text="one two three"))  # type: ignore[attr-defined]

    said = await client.chat.completions.create(
        model=model(client), messages=MESSAGES, stop=[" three", " two"]
    )

    assert (said.choices[0].message.content, said.choices[0].finish_reason) == ("one", "stop")


CALLED = {"id": "call_1", "type": "function", "function": {"name": "other", "arguments": "{}"}}
REFUSED_BY_OPENAI: dict[str, tuple[dict[str, Any], str]] = {
    "a tool call without its answer": (
        {"messages": [*MESSAGES, {"role": "assistant", "tool_calls": [CALLED]}, *MESSAGES]},
        "did not have response messages: call_1",
    ),
    "a tool call without its answer at the end": (
        {"messages": [*MESSAGES, {"role": "assistant", "tool_calls": [CALLED]}]},
        "did not have response messages: call_1",
    ),
    "an answer without its call": (
        {"messages": [*MESSAGES, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]},
        "must be a response to a preceding message",
    ),
    "an answer to another call": (
        {
            "messages": [
                *MESSAGES,
                {"role": "assistant", "tool_calls": [CALLED]},
                {"role": "tool", "tool_call_id": "call_2", "content": "x"},
            ]
        },
        "must be a response to a preceding message",
    ),
    "a role that there is not": ({"messages": [{"role": "bot", "content": "x"}]}, "Invalid value: 'bot'"),
    "a user without content": (
        {"messages": [{"role": "user", "content": None}]},
        "expected a string, got null",
    ),
    "no messages": ({"messages": []}, "empty array"),
    "five stops": ({"stop": list("abcde")}, "maximum length 4"),
    "a temperature for a model that reasons": (
        {"model": "gpt-5-mini", "temperature": 0.2},
        "Only the default (1) value is supported",
    ),
    "stops for a model that reasons": ({"model": "gpt-5-mini", "stop": ["x"]}, "'stop' is not supported"),
    "max_tokens for a model that reasons": (
        {"model": "gpt-5-mini", "max_tokens": 5},
        "max_completion_tokens",
    ),
    "a temperature above 2": ({"temperature": 2.1}, "decimal above maximum value"),
    "alternatives without logprobs": ({"top_logprobs": 2}, "only allowed when 'logprobs' is enabled"),
    "a choice among no tools": ({"tool_choice": "required"}, "only allowed when 'tools' are specified"),
    "a choice that there is not": ({"tools": TOOLS, "tool_choice": "any"}, "Invalid value: 'any'"),
    "a tool that there is not": (
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "third"}}},
        "'third' not found in 'tools'",
    ),
    "a tool with blanks in its name": (
        {"tools": [{"type": "function", "function": {"name": "a b", "parameters": PARAMETERS}}]},
        "string does not match pattern",
    ),
    "JSON without the word": ({"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
    "an open schema that is strict": (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "strict": True, "schema": {"type": "object"}},
            }
        },
        "'additionalProperties' is required",
    ),
}


@pytest.mark.parametrize(("asked", "words"), REFUSED_BY_OPENAI.values(), ids=REFUSED_BY_OPENAI)
async def test_openai_refuses(asked: dict[str, Any], words: str, gpt: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await gpt.chat.completions.create(**{"model": "gpt-4.1-mini", "messages": MESSAGES} | asked)

    assert words in str(caught.value)


ERRORS: dict[str, tuple[Fault, type[openai.APIStatusError]]] = {
    "401": (Fault.status(401), openai.AuthenticationError),
    "404": (Fault.status(404), openai.NotFoundError),
    "429": (Fault.status(429), openai.RateLimitError),
    "503": (Fault.status(503), openai.InternalServerError),
}


@pytest.mark.parametrize(("fault", "kind"), ERRORS.values(), ids=ERRORS)
async def test_openais_client_raises_the_class_of_each_status(
    fault: Fault, kind: type[openai.APIStatusError], client: openai.AsyncOpenAI
) -> None:
    client.upstream.script(Reply(fault=fault))  # type: ignore[attr-defined]

    with pytest.raises(kind):
        await client.chat.completions.create(model=model(client), messages=MESSAGES)


async def test_openais_client_raises_an_error_in_mid_stream(gpt: openai.AsyncOpenAI) -> None:
    gpt.upstream.script(Reply(text="one two three", fault=Fault.error_after(2)))  # type: ignore[attr-defined]
    said = ""

    with pytest.raises(openai.APIError, match="had an error"):
        async with await gpt.chat.completions.create(
            model="gpt-4.1-mini", messages=MESSAGES, stream=True
        ) as stream:
            async for chunk in stream:
                said += chunk.choices[0].delta.content or ""

    assert said == "one two"


# ── anthropic ────────────────────────────────────────────────────────────────────────────────────────


def text(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


async def test_anthropics_client_gets_an_answer_whole_and_streamed(claude: anthropic.AsyncAnthropic) -> None:
    whole = await claude.messages.create(model=model(claude), messages=MESSAGES, max_tokens=100)
    async with claude.messages.stream(model=model(claude), messages=MESSAGES, max_tokens=100) as stream:
        pieces = [piece async for piece in stream.text_stream]
        final = await stream.get_final_message()

    assert text(whole) == text(final) == "".join(pieces) != ""
    assert whole.stop_reason == final.stop_reason == "end_turn"
    assert whole.usage.output_tokens == final.usage.output_tokens


async def test_anthropics_client_parses_structured_output(claude: anthropic.AsyncAnthropic) -> None:
    parsed = await claude.messages.parse(
        model=model(claude), messages=MESSAGES, max_tokens=1000, output_format=Journey
    )

    assert isinstance(parsed.parsed_output, Journey)


async def test_anthropics_client_has_the_forced_tool_called(claude: anthropic.AsyncAnthropic) -> None:
    for choice, expected in (
        ({"type": "tool", "name": "forecast"}, ["forecast"]),
        ({"type": "any"}, ["other"]),
        ({"type": "auto"}, []),
        ({"type": "none"}, []),
    ):
        asked: Any = {"tools": CLAUDE_TOOLS, "tool_choice": choice}
        said = await claude.messages.create(model=model(claude), messages=MESSAGES, max_tokens=100, **asked)

        assert [each.name for each in said.content if each.type == "tool_use"] == expected
        assert said.stop_reason == ("tool_use" if expected else "end_turn")


async def test_anthropics_client_is_told_which_text_stopped_the_answer(
    claude: anthropic.AsyncAnthropic,
) -> None:
    claude.upstream.script(Reply(text="one two three"))  # type: ignore[attr-defined]

    said = await claude.messages.create(
        model=model(claude), messages=MESSAGES, max_tokens=100, stop_sequences=[" three", " two"]
    )

    assert (text(said), said.stop_reason, said.stop_sequence) == ("one", "stop_sequence", " two")


async def test_anthropics_client_counts_tokens_and_lists_models(claude: anthropic.AsyncAnthropic) -> None:
    counted = await claude.messages.count_tokens(model=model(claude), messages=MESSAGES)
    listed = [each.id async for each in claude.models.list()]

    assert counted.input_tokens == len(MESSAGES[0]["content"].split())
    assert listed == [model(claude)]


async def test_a_conversation_may_begin_with_the_assistant(claude: anthropic.AsyncAnthropic) -> None:
    begun: Any = [{"role": "assistant", "content": "Hello."}, *MESSAGES]

    assert text(await claude.messages.create(model=model(claude), messages=begun, max_tokens=100))


USED = {"type": "tool_use", "id": "toolu_1", "name": "other", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}
REFUSED_BY_CLAUDE: dict[str, tuple[dict[str, Any], str]] = {
    "a tool call without its result": (
        {"messages": [*MESSAGES, {"role": "assistant", "content": [USED]}, *MESSAGES]},
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
    ),
    "a result without its call": (
        {"messages": [{"role": "user", "content": [RESULT]}]},
        "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1",
    ),
    "a result one turn too late": (
        {
            "messages": [
                *MESSAGES,
                {"role": "assistant", "content": [USED]},
                *MESSAGES,
                {"role": "user", "content": [RESULT]},
            ]
        },
        "without `tool_result` blocks immediately after",
    ),
    "a role that there is not": ({"messages": [{"role": "tool", "content": "x"}]}, "Input should be 'user'"),
    "an empty message": ({"messages": [{"role": "user", "content": ""}, *MESSAGES]}, "must have non-empty"),
    "an answer begun with a blank behind it": (
        {"messages": [*MESSAGES, {"role": "assistant", "content": "So "}]},
        "cannot end with trailing whitespace",
    ),
    "blank stop sequences": ({"stop_sequences": [" "]}, "must contain non-whitespace"),
    "a choice among no tools": ({"tool_choice": {"type": "any"}}, "while providing tools"),
    "a tool that there is not": (
        {"tools": CLAUDE_TOOLS, "tool_choice": {"type": "tool", "name": "third"}},
        "'third' not found",
    ),
    "a forced tool while thinking": (
        {
            "tools": CLAUDE_TOOLS,
            "tool_choice": {"type": "any"},
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "max_tokens": 2000,
        },
        "Thinking may not be enabled",
    ),
    "more thinking than answer": (
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 2000},
        "`max_tokens` must be greater",
    ),
}


@pytest.mark.parametrize(("asked", "words"), REFUSED_BY_CLAUDE.values(), ids=REFUSED_BY_CLAUDE)
async def test_claude_refuses(asked: dict[str, Any], words: str, claude: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        await claude.messages.create(
            **{"model": model(claude), "messages": MESSAGES, "max_tokens": 100} | asked
        )

    assert words in str(caught.value)


async def test_anthropics_client_raises_an_error_in_mid_stream(claude: anthropic.AsyncAnthropic) -> None:
    claude.upstream.script(  # type: ignore[attr-defined]
        Reply(text="one two three", fault=Fault.error_after(2, "overloaded"))
    )
    said = ""

    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        async with claude.messages.stream(model=model(claude), messages=MESSAGES, max_tokens=100) as stream:
            async for piece in stream.text_stream:
                said += piece

    assert said == "one two"


# ── ollama ───────────────────────────────────────────────────────────────────────────────────────────


async def test_ollamas_client_gets_an_answer_whole_and_streamed(llama: ollama.AsyncClient) -> None:
    whole = await llama.chat(model(llama), MESSAGES)
    pieces = [part.message.content async for part in await llama.chat(model(llama), MESSAGES, stream=True)]

    assert whole.message.content == "".join(piece or "" for piece in pieces) != ""
    assert whole.done_reason == "stop"


async def test_ollamas_client_gets_json_of_its_schema(llama: ollama.AsyncClient) -> None:
    said = await llama.chat(model(llama), MESSAGES, format=Journey.model_json_schema())
    plain = await llama.chat(model(llama), MESSAGES, format="json")

    assert Journey.model_validate_json(said.message.content or "").legs
    assert json.loads(plain.message.content or "") == {}


async def test_ollamas_client_embeds_lists_and_raises(llama: ollama.AsyncClient) -> None:
    vectors = (await llama.embed(model(llama), ["one", "two"], dimensions=7)).embeddings
    listed = [each.model for each in (await llama.list()).models]
    with pytest.raises(ollama.ResponseError, match="model 'other' not found") as caught:
        await llama.chat("other", MESSAGES)

    assert [len(each) for each in vectors] == [7, 7]
    assert listed == [f"{model(llama)}:latest"] or listed == [model(llama)]
    assert caught.value.status_code == 404


async def test_an_error_in_mid_stream_is_lost_on_ollamas_openai_routes(simulator: Simulator) -> None:
    up = await simulator.add("ollama")
    up.script(Reply(text="one two three", fault=Fault.error_after(2)))

    async with openai.AsyncOpenAI(base_url=f"{up.base_url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(model="llama3.2", messages=MESSAGES, stream=True)
        chunks = [chunk async for chunk in stream]

    assert "".join(each.choices[0].delta.content or "" for each in chunks) == "one two"
    assert {each.choices[0].finish_reason for each in chunks} == {None}
