"""Requests of the Responses API that go on as they came, to an upstream that has it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateways import MODEL, configuration, gateway_for

from pointsman_simulator import Fault, Reply, Simulator, Upstream

BODY: dict[str, Any] = {
    "model": MODEL,
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi", "novelty": {"model": "x"}}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    ],
    "tools": [
        {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}},
        {"type": "namespace", "name": "n", "description": "", "tools": [{"type": "function", "name": "f"}]},
    ],
    "text": {"verbosity": "low"},
    "service_tier": "flex",
    "novelty": [1, 2.50, {"model": "inner"}],
    "prompt_cache_key": "0199",
}


@asynccontextmanager
async def serving(
    *upstreams: Upstream, kept: Path | None = None, **model: Any
) -> AsyncIterator[tuple[openai.AsyncOpenAI, str]]:
    """The official client and the address of a gateway whose upstreams of type openai have this API."""
    changes = configuration(*upstreams)
    for each in changes["providers"].values():
        if each["type"] == "openai":
            each["responses"] = True
    changes["models"][MODEL] |= model
    own = {} if kept is None else {"responses": {"path": str(kept)}}
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(
            gateway_for(*upstreams, settings={"surfaces": {"openai": own}}, **changes)
        )
        client = openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
        yield await stack.enter_async_context(client), served.url


async def test_nothing_of_a_request_is_lost_but_the_name_of_the_model(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Hello"))

    async with serving(upstream) as (_, url), httpx.AsyncClient(base_url=url) as client:
        whole = (await client.post("/v1/responses", json=BODY)).json()
        streamed = (await client.post("/v1/responses", json={**BODY, "stream": True})).text

    sent = [each.body for each in upstream.requests]
    assert sent == [BODY | {"model": "gpt-4.1-mini"}, BODY | {"model": "gpt-4.1-mini", "stream": True}]
    assert whole["model"] == MODEL
    assert "pointsman" not in whole
    named = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: ")]
    assert {each["response"]["model"] for each in named if "response" in each} == {MODEL}
    assert named[-1]["type"] == "response.completed"


async def test_the_official_client_does_not_notice(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Hello", reasoning="Hm"))

    async with serving(upstream) as (client, _):
        whole = await client.responses.create(model=MODEL, input="Hi")
        async with client.responses.stream(model=MODEL, input="Hi") as stream:
            streamed = await stream.get_final_response()

    assert whole.output_text == streamed.output_text == "Hello"
    assert whole.store


async def test_a_conversation_is_made_shorter_by_an_upstream_that_can(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")

    async with serving(upstream) as (client, _):
        made = await client.responses.compact(model=MODEL, input="Hi")

    assert made.object == "response.compaction"
    assert upstream.requests[-1].path == "/v1/responses/compact"


async def test_what_others_cannot_say_goes_to_the_upstream_that_can(simulator: Simulator) -> None:
    other = await simulator.add("ollama", default=Reply(text="From another"))
    upstream = await simulator.add("openai", default=Reply(text="Hello"))

    async with serving(other, upstream) as (client, _):
        answers = [
            await client.responses.create(model=MODEL, input="Hi", prompt={"id": "pmpt_1"}) for _ in range(3)
        ]

    assert [each.output_text for each in answers] == ["Hello"] * 3
    assert other.requests == []


async def test_an_upstream_that_fails_is_followed_by_one_of_another_wire(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(fault=Fault.status(500)))
    other = await simulator.add("ollama", default=Reply(text="From another"))

    async with serving(upstream, other) as (client, _):
        answer = await client.responses.create(model=MODEL, input="Hi")
        async with client.responses.stream(model=MODEL, input="Hi") as stream:
            streamed = await stream.get_final_response()

    assert answer.output_text == streamed.output_text == "From another"


@pytest.mark.parametrize("fault", [Fault.truncate_after(2), Fault.error_after(2, kind="server_error")])
async def test_a_stream_that_breaks_is_no_answer(simulator: Simulator, fault: Fault) -> None:
    upstream = await simulator.add("openai", default=Reply(text="a b c d", fault=fault))

    async with serving(upstream) as (client, _):
        events = [each async for each in await client.responses.create(model=MODEL, input="Hi", stream=True)]

    first, *_, latest, failed = events
    assert (first.type, failed.type) == ("response.created", "response.failed")
    assert failed.response.id == first.response.id
    assert failed.response.model == MODEL
    assert (failed.response.status, failed.response.error.code) == ("failed", "stream_broken")
    assert failed.sequence_number == latest.sequence_number + 1


async def test_what_was_answered_so_is_kept_and_gone_on_from(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Hello", reasoning="Hm"))

    async with serving(upstream, kept=tmp_path / "kept.db") as (client, _):
        first = await client.responses.create(model=MODEL, input="One?")
        async with client.responses.stream(
            model=MODEL, input="Two?", previous_response_id=first.id
        ) as stream:
            second = await stream.get_final_response()
        found = await client.responses.retrieve(second.id)

    assert found.output_text == "Hello"
    sent = upstream.requests[-1].body
    assert "previous_response_id" not in sent
    assert [each.get("type", "message") for each in sent["input"]] == [
        "message",
        "reasoning",
        "message",
        "message",
    ]
    assert [each["content"] for each in sent["input"] if each.get("role") == "user"] == ["One?", "Two?"]


async def test_an_answer_that_is_not_kept_here_may_be_known_upstream(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Hello"))

    async with serving(upstream, kept=tmp_path / "kept.db") as (client, _):
        with pytest.raises(openai.BadRequestError):
            await client.responses.create(model=MODEL, input="Two?", previous_response_id="resp_elsewhere")

    assert upstream.requests[-1].body["previous_response_id"] == "resp_elsewhere"


async def test_defaults_of_the_configuration_change_their_own_members_only(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Hello"))
    defaults = {"temperature": 0.5, "reasoning_effort": "low", "max_tokens": 100}
    asked = {**BODY, "reasoning": {"summary": "auto"}}

    async with (
        serving(upstream, defaults=defaults) as (_, url),
        httpx.AsyncClient(base_url=url) as client,
    ):
        await client.post("/v1/responses", json=asked)

    assert upstream.requests[-1].body == asked | {
        "model": "gpt-4.1-mini",
        "temperature": 0.5,
        "max_output_tokens": 100,
        "reasoning": {"summary": "auto", "effort": "low"},
    }


async def test_sealed_reasoning_goes_back_to_who_made_it_and_to_nobody_else(simulator: Simulator) -> None:
    reply = Reply(text="Hello", reasoning="Hm")
    first = await simulator.add("openai", name="first", api_key="sk-first-0123456789", default=reply)
    second = await simulator.add("openai", name="second", api_key="sk-second-0123456789", default=reply)
    again: Any = [{"role": "user", "content": "And?"}]

    async with serving(first, second, strategy="round_robin") as (client, _):
        whole = await client.responses.create(model=MODEL, input="Hi")
        async with client.responses.stream(model=MODEL, input="Hi") as stream:
            streamed = await stream.get_final_response()
        for made in (whole, streamed):
            output = [each.model_dump(exclude_none=True) for each in made.output]
            assert output[0]["encrypted_content"].startswith("pm.")
            asked = [{"role": "user", "content": "Hi"}, *output, *again]
            for _ in range(2):
                answer = await client.responses.create(model=MODEL, input=asked)
                assert answer.output_text == "Hello"

    sent = [sorted(map(kind, each.requests[-1].body["input"])) for each in (first, second)]
    assert sent[0] != sent[1]
    assert ["message", "message", "message", "reasoning"] in sent


def kind(item: Any) -> str:
    return str(item.get("type", "message"))


async def test_a_guard_that_changes_the_question_leaves_sealed_reasoning_in_its_place(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add(
        "openai", api_key="sk-first-0123456789", default=Reply(text="Hello", reasoning="Hm")
    )
    guards = [{"type": "redact", "find": ["personal"]}]

    async with serving(upstream, guards=guards) as (client, _):
        made = await client.responses.create(model=MODEL, input="Hi")
        output = [each.model_dump(exclude_none=True) for each in made.output]
        asked: Any = [
            {"role": "user", "content": "Hi"},
            *output,
            {"role": "user", "content": "I am a@b.example"},
        ]
        async with client.responses.stream(model=MODEL, input=asked) as stream:
            answer = await stream.get_final_response()

    sent = upstream.requests[-1].body["input"]
    assert [kind(each) for each in sent] == ["message", "reasoning", "message", "message"]
    assert sent[1]["id"] == output[0]["id"]
    assert "a@b.example" not in json.dumps(sent)
    assert answer.output_text == "Hello"
