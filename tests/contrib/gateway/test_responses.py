"""OpenAI's Responses API through a gateway: the official client, agents' requests, and what is kept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateways import MODEL, Served, configuration, gateway_for
from pydantic import BaseModel

from pointsman import Router
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.reading import gateway_settings
from pointsman_simulator import Fault, Reply, Simulator, Upstream

FORECAST: Any = {
    "type": "function",
    "name": "forecast",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
CODEX = {
    "instructions": "You are a coding agent.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Sandbox: on."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix it."}]},
    ],
    "tools": [
        {
            "type": "function",
            "name": "exec",
            "strict": False,
            "parameters": {"type": "object", "properties": {}},
        },
        {
            "type": "custom",
            "name": "apply_patch",
            "format": {"type": "grammar", "syntax": "lark", "definition": "a"},
        },
        {"type": "namespace", "name": "mcp__git", "description": "", "tools": [FORECAST | {"name": "log"}]},
        {"type": "web_search", "external_web_access": False},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199",
    "extra_body": {"client_metadata": {"x": "y"}},
}
"""What Codex CLI sends, but for the name of the model."""


class Leg(BaseModel):
    stop: str


@asynccontextmanager
async def serving(
    *upstreams: Upstream, kept: Path | None = None, **settings: Any
) -> AsyncIterator[tuple[openai.AsyncOpenAI, Served]]:
    """The official client of a gateway; answers are kept in `kept`."""
    own = {} if kept is None else {"responses": {"path": str(kept), **settings}}
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(
            gateway_for(*upstreams, settings={"surfaces": {"openai": own}})
        )
        client = openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
        yield await stack.enter_async_context(client), served


@pytest.fixture(params=["claude", "localai", "ollama", "openai"])
async def upstream(request: pytest.FixtureRequest, simulator: Simulator) -> Upstream:
    return await simulator.add(request.param)


async def test_the_official_client_is_answered_whatever_stands_behind(upstream: Upstream) -> None:
    upstream.script(Reply(text="Hello there"), Reply(text="Hello there"), Reply(call_first_tool=True))

    async with serving(upstream) as (client, _):
        whole = await client.responses.create(model=MODEL, input="Hi")
        async with client.responses.stream(model=MODEL, input="Hi") as stream:
            streamed = await stream.get_final_response()
        called = await client.responses.create(model=MODEL, input="Hi", tools=[FORECAST])

    assert whole.output_text == streamed.output_text == "Hello there"
    assert (whole.model, whole.status, whole.store) == (MODEL, "completed", False)
    assert whole.usage is not None
    assert whole.usage.total_tokens > 0
    call = called.output[-1]
    assert call.type == "function_call"
    assert call.name == "forecast"


async def test_an_answer_has_the_form_that_was_asked(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama")

    async with serving(upstream) as (client, _):
        parsed = await client.responses.parse(model=MODEL, input="Hi", text_format=Leg)

    assert isinstance(parsed.output_parsed, Leg)


async def test_a_turn_of_an_agent_with_tools_of_all_kinds_is_completed(upstream: Upstream) -> None:
    upstream.script(
        Reply(text="", tool_calls=(("apply_patch", {"input": "*** Begin"}), ("mcp__git__log", {}))),
        Reply(text="Done."),
    )

    async with serving(upstream) as (client, _):
        first = await _events(client, CODEX)
        output = first[-1]["response"]["output"]
        results = [
            {"type": "custom_tool_call_output", "call_id": output[-2]["call_id"], "output": "ok"},
            {"type": "function_call_output", "call_id": output[-1]["call_id"], "output": "ok"},
        ]
        second = await _events(client, {**CODEX, "input": [*CODEX["input"], *output, *results]})

    assert (output[-2]["type"], output[-2]["input"]) == ("custom_tool_call", "*** Begin")
    assert (output[-1]["namespace"], output[-1]["name"]) == ("mcp__git", "log")
    assert second[-1]["type"] == "response.completed"
    assert second[-1]["response"]["output"][-1]["content"][0]["text"] == "Done."


async def _events(client: openai.AsyncOpenAI, body: Mapping[str, Any]) -> list[Any]:
    stream = await client.responses.create(**{**body, "model": MODEL})
    return [each.model_dump() async for each in stream]


async def test_what_is_left_out_is_named(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Done."))

    async with serving(upstream) as (client, _):
        raw = await client.responses.with_raw_response.create(**{**CODEX, "model": MODEL, "stream": False})

    assert "tools[3] (web_search)" in raw.headers["x-pointsman-ignored"]


async def test_what_no_other_wire_can_say_is_refused_by_name(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama")

    async with serving(upstream) as (client, _):
        with pytest.raises(openai.BadRequestError, match="conversation"):
            await client.responses.create(model=MODEL, input="Hi", conversation="conv_1")
        with pytest.raises(openai.BadRequestError, match=f"compaction with the model {MODEL}"):
            await client.responses.compact(model=MODEL, input="Hi")

    assert upstream.requests == []


async def test_an_error_before_the_first_event_has_a_status(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama", default=Reply(fault=Fault.status(429)))

    async with serving(upstream) as (client, _):
        with pytest.raises(openai.RateLimitError):
            await client.responses.create(model=MODEL, input="Hi", stream=True)


async def test_a_stream_that_is_cut_upstream_ends_failed(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="a b c d", fault=Fault.truncate_after(2)))

    async with serving(upstream) as (client, _):
        events = await _events(client, {"input": "Hi", "stream": True})

    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["output"][0]["content"][0]["text"].startswith("a b")


async def test_a_body_of_this_api_on_the_path_of_chats_is_answered_as_a_chat(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Hello there"))
    body = {"model": MODEL, "input": [{"role": "user", "content": "Hi"}], "tools": [FORECAST]}

    async with serving(upstream) as (_, served), httpx.AsyncClient(base_url=served.url) as client:
        whole = (await client.post("/v1/chat/completions", json=body)).json()
        streamed = (await client.post("/v1/chat/completions", json={**body, "stream": True})).text

    assert whole["choices"][0]["message"]["content"] == "Hello there"
    assert "chat.completion.chunk" in streamed
    assert streamed.endswith("data: [DONE]\n\n")


async def test_a_websocket_is_refused_at_once_so_that_the_client_speaks_http(simulator: Simulator) -> None:
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
    }

    async with (
        serving(await simulator.add("ollama")) as (_, served),
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        answer = await client.get("/v1/responses", headers=upgrade)
        plain = await client.get("/v1/responses")

    assert (answer.status_code, plain.status_code) == (426, 405)
    assert answer.json()["error"]["message"]


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_conversation_goes_on_from_an_answer_that_was_kept(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.script(Reply(text="First."), Reply(text="Second."), Reply(text="Third."))

    async with serving(upstream, kept=tmp_path / "kept.db") as (client, _):
        first = await client.responses.create(model=MODEL, input="One?", instructions="Be brief.")
        async with client.responses.stream(
            model=MODEL, input="Two?", previous_response_id=first.id
        ) as stream:
            second = await stream.get_final_response()
        third = await client.responses.create(model=MODEL, input="Three?", previous_response_id=second.id)

    said = json.dumps(upstream.requests[-1].body)
    assert [said.index(each) for each in ("One?", "First.", "Two?", "Second.", "Three?")] == sorted(
        said.index(each) for each in ("One?", "First.", "Two?", "Second.", "Three?")
    )
    assert "Be brief." not in said
    assert third.store


async def test_tokens_are_counted_with_those_of_what_was_said_before(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Hello there"))

    async with serving(upstream, kept=tmp_path / "kept.db") as (client, _):
        alone = await client.responses.input_tokens.count(model=MODEL, input="And?")
        made = await client.responses.create(model=MODEL, input="Hi " * 100)
        after = await client.responses.input_tokens.count(
            model=MODEL, input="And?", previous_response_id=made.id
        )
        with pytest.raises(openai.NotFoundError):
            await client.responses.input_tokens.count(model="other", input="And?")

    assert 0 < alone.input_tokens < after.input_tokens
    assert alone.object == "response.input_tokens"
    assert len(upstream.requests) == 1


async def test_what_was_kept_may_be_named_in_place_of_said_again(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("claude")
    upstream.script(Reply(text="Moin."), Reply(text="Bonn."), Reply(text="Again."))
    question = {"role": "user", "content": "Hi"}

    async with serving(upstream, kept=tmp_path / "kept.db") as (client, _):
        first = await client.responses.create(model=MODEL, input="Hi")
        named: Any = [question, {"type": "item_reference", "id": first.output[-1].id}, question]
        second = await client.responses.create(model=MODEL, input=named)
        third = await client.responses.create(model=MODEL, input="And?", previous_response_id=second.id)

    assert (second.output_text, third.output_text) == ("Bonn.", "Again.")
    for each in upstream.requests[-2:]:
        assert json.dumps(each.body).count("Moin.") == 1


async def test_what_nobody_kept_and_is_only_named_is_refused(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("ollama")
    named: Any = [{"type": "item_reference", "id": f"msg_{'0' * 36}"}, {"role": "user", "content": "Hi"}]

    async with serving(upstream, kept=tmp_path / "kept.db") as (client, _):
        with pytest.raises(openai.BadRequestError, match="item_reference"):
            await client.responses.create(model=MODEL, input=named)


async def test_an_answer_that_was_kept_can_be_looked_at_and_deleted(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Hello there"))

    async with serving(upstream, kept=tmp_path / "kept.db") as (client, _):
        made = await client.responses.create(model=MODEL, input="Hi")
        found = await client.responses.retrieve(made.id)
        await client.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.delete(made.id)

    assert found.output_text == "Hello there"
    assert (tmp_path / "kept.db").stat().st_mode & 0o777 == 0o600


async def test_what_is_not_to_be_kept_is_not(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Hello there"))

    async with serving(upstream, kept=tmp_path / "kept.db") as (client, _):
        made = await client.responses.create(model=MODEL, input="Hi", store=False)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(made.id)

    assert made.store is False


async def test_to_go_on_from_an_answer_that_was_deleted_is_refused_as_not_found(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Hello there"))

    async with serving(upstream, kept=tmp_path / "kept.db") as (client, _):
        made = await client.responses.create(model=MODEL, input="Hi")
        await client.responses.delete(made.id)
        with pytest.raises(openai.BadRequestError, match=f"previous response with id '{made.id}' not found"):
            await client.responses.create(model=MODEL, input="And?", previous_response_id=made.id)


async def test_without_a_store_nothing_is_kept_and_the_answer_says_so(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Hello there"))

    async with serving(upstream) as (client, _):
        made = await client.responses.create(model=MODEL, input="Hi", store=True)
        with pytest.raises(openai.NotFoundError, match="none are kept"):
            await client.responses.retrieve(made.id)
        with pytest.raises(openai.BadRequestError, match="previous_response_id"):
            await client.responses.create(model=MODEL, input="Hi", previous_response_id=made.id)

    assert made.store is False


async def test_answers_outlive_the_gateway(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Hello there"))
    async with serving(upstream, kept=tmp_path / "kept.db") as (client, _):
        made = await client.responses.create(model=MODEL, input="Hi")

    async with serving(upstream, kept=tmp_path / "kept.db") as (client, _):
        found = await client.responses.retrieve(made.id)

    assert found.output_text == "Hello there"


async def test_answers_are_kept_beside_the_configuration_wherever_it_was_started(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Hello there"))
    own = {"listen": "127.0.0.1:0", "surfaces": {"openai": {"responses": {"path": "kept.db"}}}}
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "pointsman.json"
    file.write_text(json.dumps(configuration(upstream, gateway=own)))
    monkeypatch.chdir(tmp_path / "elsewhere")

    config = Router.check(file)
    async with (
        Router.from_config(config) as router,
        Gateway(router, gateway_settings(config)) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client,
    ):
        await client.responses.create(model=MODEL, input="Hi")

    assert (tmp_path / "kept.db").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_a_stream_of_what_is_kept_is_refused_by_name(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Hello there"))

    async with serving(upstream, kept=tmp_path / "kept.db") as (client, _):
        made = await client.responses.create(model=MODEL, input="Hi")
        with pytest.raises(openai.BadRequestError, match="stream"):
            await client.responses.retrieve(made.id, stream=True)


async def test_nobody_goes_on_from_what_another_caller_was_answered(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Hello there"))
    keys = {name: f"pm-{name}-0123456789abcdef0123456789" for name in ("a", "b")}
    access = {"keys": [{"name": name, "key": key} for name, key in keys.items()]}
    own = {"openai": {"responses": {"path": str(tmp_path / "kept.db")}}}

    async with gateway_for(upstream, settings={"surfaces": own, "access": access}) as served:
        async with openai.AsyncOpenAI(
            base_url=f"{served.url}/v1", api_key=keys["a"], max_retries=0
        ) as client:
            made = await client.responses.create(model=MODEL, input="Hi")
            other = client.with_options(api_key=keys["b"])
            with pytest.raises(openai.NotFoundError):
                await other.responses.retrieve(made.id)
            with pytest.raises(openai.NotFoundError):
                await other.responses.delete(made.id)
            with pytest.raises(openai.BadRequestError) as refused:
                await other.responses.create(model=MODEL, input="And?", previous_response_id=made.id)
            named: Any = [
                {"type": "item_reference", "id": made.output[-1].id},
                {"role": "user", "content": "?"},
            ]
            with pytest.raises(openai.BadRequestError, match="item_reference"):
                await other.responses.create(model=MODEL, input=named)
            assert (await client.responses.retrieve(made.id)).output_text == "Hello there"

    assert refused.value.param == "previous_response_id"
    assert len(upstream.requests) == 1
