"""What a caller says of its own calls: ids, tags and names in events and records, and words of other libraries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from routers import Heard, config, router

from pointsman.builtin.audit import line
from pointsman.errors import InvalidRequest, Unavailable, UnknownModel
from pointsman.requests.call_options import OPTION_NAMES, split_options
from pointsman.requests.foreign_options import INSTEAD
from pointsman.requests.parsing import chat_request, embed_request, generate_request
from pointsman.testing import Scripted
from pointsman.types import ChatRequest

SAID = {"request_id": "job-17/a", "caller": "team-a", "tags": {"feature": "search", "tier": "1"}}


async def test_what_a_caller_says_of_a_call_is_in_its_events_and_records() -> None:
    upstream = Scripted()
    upstream.script("a", Unavailable("no"))
    async with router(upstream) as r:
        heard = Heard(r)
        reply = await r.chat("m", "hi", **SAID)
        async with r.stream("m", "hi", **SAID) as stream:
            async for _ in stream:
                pass
        with pytest.raises(UnknownModel) as unknown:
            await r.chat("nobody", "hi", **SAID)

    events = [*heard.attempts, *heard.requests]
    assert {each.request_id for each in events} == {"job-17/a"}
    assert {each.caller for each in events} == {"team-a"}
    assert all(each.tags == SAID["tags"] for each in events)
    assert reply.request_id == stream.response.request_id == unknown.value.request_id == "job-17/a"
    for each in events:
        written = json.loads(line(each, seq=1, wall=0.0))
        assert {name: written[name] for name in SAID} == SAID


async def test_of_what_a_caller_says_only_the_id_is_handed_to_the_provider() -> None:
    upstream = Scripted()
    async with router(upstream) as r:
        await r.chat("m", "hi", **SAID)

    ((_, request, call),) = upstream.calls
    assert call.headers["x-pointsman-request-id"] == "job-17/a"
    assert "team-a" not in f"{request!r} {call!r}"
    assert "search" not in f"{request!r} {call!r}"


async def test_a_call_that_says_nothing_has_an_id_of_ours_and_neither_caller_nor_tags() -> None:
    async with router(Scripted()) as r:
        heard = Heard(r)
        await r.chat("m", "hi")

    (event,) = heard.requests
    assert event.request_id.startswith("req_")
    assert (event.caller, event.tags) == ("", {})
    assert not {"caller", "tags"} & json.loads(line(event, seq=1, wall=0.0)).keys()


def test_tags_are_those_of_the_moment_of_the_call() -> None:
    given = {"a": "1"}
    options, rest = split_options({"tags": given, "seed": 1})
    given["a"] = "2"

    assert (options.tags, rest) == ({"a": "1"}, {"seed": 1})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"request_id": 7}, "request_id is 7; expected text"),
        ({"request_id": "x" * 201}, "request_id has 201 characters; at most 200 go"),
        ({"request_id": "a\nb"}, "request_id must be printable ASCII"),
        ({"request_id": "é"}, "request_id must be printable ASCII"),
        ({"request_id": " a"}, "without a blank at either end"),
        ({"caller": "x" * 257}, "caller has 257 characters; at most 256 go"),
        ({"caller": "\ud800"}, "caller holds half a character"),
        ({"tags": ["a"]}, "tags is a list; expected a mapping of texts"),
        ({"tags": {"a": 1}}, "tags['a'] is 1; expected text"),
        ({"tags": {1: "a"}}, "the name of a tag is 1; expected text"),
        ({"tags": {"a": "x" * 257}}, "tags['a'] has 257 characters"),
        ({"tags": {"x" * 65: "a"}}, "the name of a tag has 65 characters"),
        ({"tags": {str(n): "" for n in range(17)}}, "there are 17 tags; at most 16 go"),
        ({"tags": {"a": "\udfff"}}, "holds half a character"),
    ],
)
def test_what_no_record_can_hold_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        split_options(options)

    assert said in raised.value.message


@pytest.mark.parametrize(
    "options", [{"request_id": "x" * 200}, {"tags": {}}, {"caller": ""}, {"request_id": ""}]
)
async def test_what_is_just_right_is_taken(options: dict[str, Any]) -> None:
    async with router(Scripted(), config("a")) as r:
        assert (await r.chat("m", "hi", **options)).text == "ok"


# ── names of other libraries ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", INSTEAD)
def test_no_name_that_stands_in_the_table_is_an_option_of_a_chat(name: str) -> None:
    assert name not in OPTION_NAMES
    with pytest.raises(InvalidRequest) as raised:
        chat_request("m", "hi", {name: 1})

    assert raised.value.message == f"unknown option {name!r}; {INSTEAD[name]}"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("max_completion_tokens", "it is max_tokens here"),
        ("timeout_ms", "it is timeout here, in seconds"),
        ("num_retries", "under `retry` in the configuration"),
        ("fallback", "it is fallbacks here"),
        ("api_base", "belongs to a provider in the configuration"),
        ("functions", "they are tools here"),
        ("fairness_key", "it is caller here"),
        ("tiemout", "did you mean 'timeout'?"),
        ("request_ids", "did you mean 'request_id'?"),
        ("keep_alive", "pass it through with extra={...}"),
        ("page", "pass it through with extra={...}"),
        ("image", "['What is this?', Image(data)]"),
        ("schema", "it is response_format here"),
        ("context_window_fallbacks", "under `fallback` in the configuration"),
        ("content_policy_fallbacks", "under `fallback` in the configuration"),
        ("retry_policy", "under `retry` in the configuration"),
        ("retry_strategy", "under `retry` in the configuration"),
        ("caching", "under `guards` in the configuration"),
        ("guardrails", "under `guards` in the configuration"),
        ("allowed_fails", "is said in the configuration"),
        ("mock_response", "pointsman.testing.Scripted"),
        ("mock_timeout", "pointsman.testing.Scripted"),
        ("litellm_session_id", "it is affinity here"),
        ("litellm_call_id", "it is request_id here"),
        ("rpm", "of a deployment in the configuration"),
        ("input_cost_per_token", "of a deployment in the configuration"),
        ("model_list", "under `models` in the configuration"),
    ],
)
def test_a_foreign_name_is_refused_with_what_to_write_here(name: str, said: str) -> None:
    for make in (
        lambda: chat_request("m", "hi", {name: 1}),
        lambda: generate_request("m", "hi", {name: 1}),
        lambda: embed_request("m", "hi", {name: 1}),
    ):
        with pytest.raises(InvalidRequest) as raised:
            make()
        assert said in raised.value.message


def test_every_hint_names_what_there_is() -> None:
    named = {word for hint in INSTEAD.values() for word in hint.split() if "_" in word}

    assert named <= {*OPTION_NAMES, *ChatRequest.__struct_fields__}
