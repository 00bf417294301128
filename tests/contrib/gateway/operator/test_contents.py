"""What was asked and answered, where the configuration has it kept: cut, bounded, and without secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from gateways import MODEL, PlainSurface, Served, configuration, gateway_for
from hypothesis import given
from hypothesis import strategies as st

from pointsman import Config
from pointsman.plugin import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    GenerateRequest,
    Image,
    Message,
    SurfaceContext,
    SurfaceFactory,
    Text,
    Tool,
    ToolCall,
    Usage,
)
from pointsman_gateway.operator.contents import Contents, answered, asked, delivered
from pointsman_gateway.settings import GatewaySettings
from pointsman_simulator import Fault, Reply, Simulator, Upstream

OURS = {"x-pointsman-csrf": "1"}
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}], "temperature": 0.5}
CHAT, EMBED = "/v1/chat/completions", "/v1/embeddings"


@asynccontextmanager
async def kept(
    *upstreams: Upstream, contents: bool = True, **more: Any
) -> AsyncIterator[tuple[Served, httpx.AsyncClient]]:
    settings = {"contents": contents, **more}
    async with (
        gateway_for(*upstreams, settings=settings, retry="none") as served,
        httpx.AsyncClient(base_url=served.url, headers=OURS) as client,
    ):
        yield served, client


async def looked_at(client: httpx.AsyncClient, id: str) -> Any:
    return (await client.get(f"/admin/v1/requests/{id}")).json()["contents"]


async def say(client: httpx.AsyncClient, id: str, path: str = CHAT, **body: Any) -> httpx.Response:
    return await client.post(path, json={**BODY, **body}, headers={"x-request-id": id})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", ["openai", "ollama"])  # relayed, and translated
async def test_what_was_asked_and_answered_is_there_to_be_read(
    simulator: Simulator, wire: str, stream: bool
) -> None:
    upstream = await simulator.add(wire, default=Reply(text="Because it is so."))
    async with kept(upstream) as (_, client):
        await say(client, "one", stream=stream)
        contents = await looked_at(client, "one")
        listed = await client.get("/admin/v1/requests")

    assert contents["asked"] == {
        "messages": [{"role": "user", "content": "Why?"}],
        "options": {"temperature": 0.5},
        "cut": 0,
        "left_out": 0,
    }
    said = contents["answered"]
    assert (said["text"], said["finish_reason"], said["whole"]) == ("Because it is so.", "stop", True)
    assert said["usage"]["completion"] > 0
    assert "Because" not in listed.text


async def test_by_default_nothing_of_it_is_kept_and_surfaces_ask_the_router_itself(
    simulator: Simulator,
) -> None:
    calls: list[Any] = []

    class Seen(PlainSurface):
        def __init__(self, context: SurfaceContext) -> None:
            super().__init__(context)
            calls.append(context.calls)

    upstream = await simulator.add("openai")
    surface = SurfaceFactory("plain", None, Seen)
    async with (
        gateway_for(upstream, surfaces=[surface]) as served,
        httpx.AsyncClient(base_url=served.url, headers=OURS) as client,
    ):
        said = {"x-request-id": "one"}
        await client.post("/v1/say", json={"model": MODEL, "text": "Why?"}, headers=said)
        contents = await looked_at(client, "one")

    assert contents is None
    assert [each.router for each in calls] == [served.router]


async def test_it_begins_and_ends_with_a_reload_and_then_all_is_gone(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    config = Config.from_mapping(configuration(upstream, retry="none"))
    found = []
    async with kept(upstream, contents=False) as (served, _):
        for id, contents in (("a", True), ("b", True), ("c", False), ("d", True)):
            settings = GatewaySettings.model_validate({"listen": "127.0.0.1:0", "contents": contents})
            await served.gateway.reload(settings, config)
            async with httpx.AsyncClient(base_url=served.gateway.url, headers=OURS) as fresh:
                await say(fresh, id)
                each = [await looked_at(fresh, one) for one in "abcd"[: "abcd".index(id) + 1]]
            found.append([one is not None for one in each])

    assert found == [[True], [True, True], [False] * 3, [False, False, False, True]]


async def test_of_a_stream_that_breaks_there_is_what_was_delivered(simulator: Simulator) -> None:
    broken = Reply(text="one two three", chunks=3, fault=Fault.cut_after(1))
    async with kept(await simulator.add("openai", default=broken)) as (_, client):
        async with client.stream(
            "POST", CHAT, json={**BODY, "stream": True}, headers={"x-request-id": "one"}
        ) as answer:
            async for _ in answer.aiter_raw():
                pass
        said = (await looked_at(client, "one"))["answered"]

    assert said["text"].startswith("one")
    assert "three" not in said["text"]
    assert (said["whole"], said["finish_reason"]) == (False, None)


async def test_of_a_caller_who_leaves_there_is_what_came_until_then(simulator: Simulator) -> None:
    slow = Reply(text="one two three", chunks=3, fault=Fault.stall_after(1))
    async with kept(await simulator.add("openai", default=slow)) as (_, client):
        said = {"x-request-id": "one"}
        async with client.stream("POST", CHAT, json={**BODY, "stream": True}, headers=said) as answer:
            await anext(answer.aiter_raw())
        while (await client.get("/admin/v1/requests/one")).status_code == 404:
            pass
        contents = await looked_at(client, "one")

    assert contents["answered"]["text"].startswith("one")
    assert contents["answered"]["whole"] is False


async def test_of_a_call_that_failed_there_is_what_it_asked(simulator: Simulator) -> None:
    async with kept(await simulator.add("openai", default=Reply(fault=Fault.status(500)))) as (_, client):
        for stream in (False, True):
            await say(client, f"r{stream}", stream=stream)
        found = [await looked_at(client, f"r{stream}") for stream in (False, True)]

    assert [each["answered"] for each in found] == [None, None]
    assert all(each["asked"]["messages"][0]["content"] == "Why?" for each in found)


async def test_no_secret_is_shown_even_where_a_caller_wrote_it(simulator: Simulator) -> None:
    key = "the-key-of-the-upstream-42"
    upstream = await simulator.add("openai", api_key=key, default=Reply(text=f"It is {key}."))
    async with kept(upstream) as (_, client):
        await say(client, "one", messages=[{"role": "user", "content": f"Is it {key}?"}], user=key)
        answer = await client.get("/admin/v1/requests/one")

    assert key not in answer.text
    assert answer.json()["contents"]["asked"]["messages"][0]["content"] == "Is it ***?"
    assert answer.json()["contents"]["answered"]["text"] == "It is ***."


async def test_of_vectors_there_is_their_number(simulator: Simulator) -> None:
    async with kept(await simulator.add("openai")) as (_, client):
        body = {"model": MODEL, "input": ["a", "b"]}
        await client.post(EMBED, json=body, headers={"x-request-id": "one"})
        contents = await looked_at(client, "one")

    assert contents["asked"]["texts"] == ["a", "b"]
    assert contents["answered"]["vectors"] == 2


# ── what is written ──────────────────────────────────────────────────────────────────────────────────


def test_the_latest_messages_are_kept_and_it_is_said_what_is_missing() -> None:
    messages = [Message.system("s" * 100), Message.user("u" * 100), Message.user("last")]

    said = asked(ChatRequest("m", messages), most=100)

    assert [each["content"] for each in said["messages"]] == ["u" * 32, "last"]
    assert (said["cut"], said["left_out"]) == (68, 1)


def test_an_option_is_kept_whole_or_not_at_all() -> None:
    request = ChatRequest("m", [], stop=["x" * 100], seed=7)

    said = asked(request, most=50)

    assert (said["options"], said["left_out"]) == ({"seed": 7}, 1)


def test_of_what_is_no_text_there_is_how_large_it_is_and_of_extra_nothing() -> None:
    message = Message.user([Text("See"), Image(b"12345", "image/png"), Image(url="https://x/?sig=secret")])
    request = ChatRequest("m", [message], tools=[Tool("look", extra={"authorization": "secret"})],
                          extra={"mcp": {"authorization": "secret"}})  # fmt: skip

    said = asked(request)

    assert said["messages"][0]["content"] == [
        {"type": "text", "text": "See"},
        {"type": "image", "media_type": "image/png", "bytes": 5},
        {"type": "image", "media_type": "image/png", "bytes": 0},
    ]
    assert said["options"] == {"tools": ["look"]}
    assert "secret" not in str(said)


def test_calls_of_tools_are_shown() -> None:
    said = answered(ChatResponse(tool_calls=[ToolCall("1", "look", '{"at":')], finish_reason="tool_calls"))

    assert said["tool_calls"] == [{"id": "1", "name": "look", "arguments": '{"at":'}]
    assert said["finish_reason"] == "tool_calls"


def test_other_kinds_of_requests_are_shown_as_what_they_are() -> None:
    assert asked(GenerateRequest("m", "Once", suffix="end", top_k=3)) == {
        "prompt": "Once", "suffix": "end", "options": {"top_k": 3}, "cut": 0, "left_out": 0,
    }  # fmt: skip
    assert asked(EmbedRequest("m", ["a"], dimensions=2))["options"] == {"dimensions": 2}
    assert answered(EmbedResponse([[1.0]], Usage(prompt=1))) == {
        "vectors": 1, "usage": {"prompt": 1}, "whole": True,
    }  # fmt: skip
    assert delivered("") is None


@given(st.lists(st.text(max_size=60), max_size=20), st.integers(0, 300))
def test_no_more_is_kept_than_there_is_room_for_and_all_of_it_is_counted(texts: list[str], most: int) -> None:
    said = asked(ChatRequest("m", [Message.user(each) for each in texts]), most)

    shown = [each["content"] for each in said["messages"]]
    assert sum(map(len, shown)) <= most
    assert len(shown) + said["left_out"] == len(texts)
    of_these = texts[said["left_out"] :]
    assert sum(map(len, of_these)) - sum(map(len, shown)) == said["cut"]


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────

SIDE = {"text": "x" * 1000}


def present(contents: Contents, ids: str) -> str:
    return "".join(id for id in ids if contents.find(id, "ci", str) is not None)


def test_the_oldest_goes_where_there_is_no_room_by_number_or_by_size() -> None:
    few, small = Contents(2), Contents(100, in_all=3_600)  # two of 1,012 and 4 bytes, and 512 each
    for id in "abc":
        few.keep(id, "ci", SIDE, None)
        small.keep(id, "ci", SIDE, None)

    assert present(few, "abc") == "bc"
    assert present(small, "abc") == "bc"


def test_what_is_kept_twice_or_forgotten_takes_no_room() -> None:
    contents = Contents(100, in_all=3_600)
    for _ in range(10):
        contents.keep("a", "ci", SIDE, None)
        contents.keep("b", "ci", SIDE, None)
        contents.forget("a")
        contents.keep("a", "ci", SIDE, None)

    assert present(contents, "ab") == "ab"


def test_what_one_caller_asked_is_not_shown_as_a_request_of_another_with_the_same_id() -> None:
    contents = Contents(2)
    contents.keep("same", "ci", SIDE, None)

    assert contents.find("same", "root", str) is None


@pytest.mark.parametrize("odd", ["half \ud83d", "a\x00b", "\u2028"])
def test_every_text_can_be_kept_and_read_again(odd: str) -> None:
    contents = Contents(2)
    contents.keep("a", "ci", {"text": odd, "seed": 2**80}, None)

    found = contents.find("a", "ci", str)

    assert found is not None
    assert found["asked"] == {"text": odd.replace("\ud83d", "\ufffd"), "seed": 2**80}
    found["asked"]["text"].encode()
