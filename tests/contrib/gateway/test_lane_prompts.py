"""Bodies that go on as they came, but for what the configuration forces and the text around the system prompt."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from gateways import MODEL, configuration, gateway_for

from pointsman_simulator import Reply, Simulator

MARK = {"cache_control": {"type": "ephemeral"}}
P, S = {"type": "text", "text": "p\n\n"}, {"type": "text", "text": "\n\ns"}
TURNS: list[Any] = [
    {"role": "user", "content": [{"type": "text", "text": "Hi", **MARK}]},
    {"role": "assistant", "content": "Ho"},
    {"role": "user", "content": "And?", "novelty": {"a": 1.5}},
]
CLAUDE: dict[str, Any] = {
    "max_tokens": 9,
    "messages": [*TURNS[:2], {"role": "user", "content": "And?"}],
    "metadata": {"user_id": "u"},
    "service_tier": "auto",
}
SYSTEM = {"role": "system", "content": "Be kind.", "novelty": 1}


def with_turns(*before: Any) -> dict[str, Any]:
    return {"messages": [*before, *TURNS], "service_tier": "flex", "n": 1}


CASES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "openai, none": (
        "openai", "/v1/chat/completions",
        with_turns(), {"messages": [{"role": "system", "content": "p\n\ns"}, *TURNS]},
    ),
    "openai, a text": (
        "openai", "/v1/chat/completions",
        with_turns(SYSTEM), {"messages": [{**SYSTEM, "content": "p\n\nBe kind.\n\ns"}, *TURNS]},
    ),
    "openai, a developer and another": (
        "openai", "/v1/chat/completions",
        with_turns({**SYSTEM, "role": "developer"}, SYSTEM),
        {"messages": [{**SYSTEM, "role": "developer", "content": "p\n\nBe kind."}, {**SYSTEM, "content": "Be kind.\n\ns"}, *TURNS]},
    ),
    "openai, parts": (
        "openai", "/v1/chat/completions",
        with_turns({"role": "system", "content": [{"type": "text", "text": "Be kind.", **MARK}]}),
        {"messages": [{"role": "system", "content": [P, {"type": "text", "text": "Be kind.", **MARK}, S]}, *TURNS]},
    ),
    "anthropic, none": ("claude", "/v1/messages", CLAUDE, {"system": "p\n\ns"}),
    "anthropic, a text": ("claude", "/v1/messages", {**CLAUDE, "system": "Be kind."}, {"system": "p\n\nBe kind.\n\ns"}),
    "anthropic, blocks": (
        "claude", "/v1/messages",
        {**CLAUDE, "system": [{"type": "text", "text": "Be kind.", **MARK}]},
        {"system": [P, {"type": "text", "text": "Be kind.", **MARK}, S]},
    ),
    "ollama, none": (
        "ollama", "/api/chat",
        {"messages": [{"role": "user", "content": "Hi", "novelty": 1}], "stream": False, "keep_alive": "5m", "options": {"num_ctx": 99}},
        {"messages": [{"role": "system", "content": "p\n\ns"}, {"role": "user", "content": "Hi", "novelty": 1}]},
    ),
    "ollama, a text": (
        "ollama", "/api/chat",
        {"messages": [SYSTEM, {"role": "user", "content": "Hi"}], "stream": False, "options": {"num_ctx": 99}},
        {"messages": [{**SYSTEM, "content": "p\n\nBe kind.\n\ns"}, {"role": "user", "content": "Hi"}]},
    ),
    "ollama, a prompt": (
        "ollama", "/api/generate",
        {"prompt": "Hi", "system": "Be kind.", "stream": False, "novelty": 1}, {"system": "p\n\nBe kind.\n\ns"},
    ),
    "responses, none, and a text as input": (
        "openai", "/v1/responses", {"input": "Hi", "text": {"verbosity": "low"}}, {"instructions": "p\n\ns"},
    ),
    "responses, instructions, and items that only this wire has": (
        "openai", "/v1/responses",
        {"instructions": "Be kind.", "input": [{"role": "user", "content": "Hi"}, {"type": "web_search_call", "id": "ws_1", "status": "completed"}]},
        {"instructions": "p\n\nBe kind.\n\ns"},
    ),
    "responses, a system message as input": (
        "openai", "/v1/responses",
        {"input": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi", "novelty": 1}]},
        {"input": [{"role": "system", "content": "p\n\nBe kind.\n\ns"}, {"role": "user", "content": "Hi", "novelty": 1}]},
    ),
}  # fmt: skip


async def sent(
    simulator: Simulator, wire: str, path: str, body: dict[str, Any], **model: Any
) -> tuple[Any, Any]:
    """What the upstream got of a body for which the configuration says that of its model, and the answer."""
    upstream = await simulator.add(wire, default=Reply(text="Hello"))
    changes = configuration(upstream)
    changes["models"][MODEL] |= model
    if path == "/v1/responses":
        changes["providers"][upstream.name]["responses"] = True
    async with gateway_for(upstream, **changes) as served, httpx.AsyncClient(base_url=served.url) as client:
        answer = await client.post(
            path, json={"model": MODEL, **body}, headers={"anthropic-version": "2023-06-01"}
        )
    assert answer.status_code == 200, answer.text
    (seen,) = upstream.requests
    assert seen.body["model"] == next(iter(upstream.site.models))
    return {name: value for name, value in seen.body.items() if name != "model"}, answer


@pytest.mark.parametrize("case", CASES)
async def test_text_around_the_system_prompt_changes_that_and_nothing_else(
    simulator: Simulator, case: str
) -> None:
    wire, path, body, changed = CASES[case]

    got, answer = await sent(simulator, wire, path, body, system={"prefix": "p", "suffix": "s"})

    assert got == {**body, **changed}
    assert "pointsman" not in answer.json()  # it is the upstream's own


@pytest.mark.parametrize(
    ("wire", "path", "body", "changed"),
    [
        ("openai", "/v1/chat/completions", {**with_turns(), "temperature": 1, "max_completion_tokens": 9, "max_tokens": 10}, {"temperature": 0, "max_completion_tokens": 5}),
        ("openai", "/v1/chat/completions", {**with_turns(), "max_completion_tokens": 5, "max_tokens": 10}, {"temperature": 0}),
        ("openai", "/v1/chat/completions", with_turns(), {"temperature": 0, "max_tokens": 5}),
        ("claude", "/v1/messages", {**CLAUDE, "temperature": 1}, {"temperature": 0, "max_tokens": 5}),
        ("ollama", "/api/chat", {"messages": [{"role": "user", "content": "Hi"}], "stream": False, "options": {"num_ctx": 99, "num_predict": 9}}, {"options": {"num_ctx": 99, "temperature": 0, "num_predict": 5}}),
    ],
)  # fmt: skip
async def test_what_is_forced_is_written_over_what_the_caller_wrote(
    simulator: Simulator, wire: str, path: str, body: dict[str, Any], changed: dict[str, Any]
) -> None:
    got, _ = await sent(simulator, wire, path, body, forced={"temperature": 0, "max_tokens": 5})

    expected = {**body, **changed}
    if "max_completion_tokens" in expected:
        expected.pop("max_tokens", None)  # it would say the old value still
    assert got == expected


async def test_a_limit_that_is_not_said_hides_none_that_is(simulator: Simulator) -> None:
    body = {**with_turns(), "max_completion_tokens": None, "max_tokens": 5}

    got, _ = await sent(simulator, "openai", "/v1/chat/completions", body, forced={"max_tokens": 5})

    assert got.get("max_completion_tokens") is None
    assert got["max_tokens"] == 5


async def test_what_is_forced_is_said_by_no_other_name_that_servers_know(simulator: Simulator) -> None:
    body = {**with_turns(), "n_predict": 9999}

    got, answer = await sent(simulator, "openai", "/v1/chat/completions", body, forced={"max_tokens": 5})

    assert "n_predict" not in got
    assert got["max_tokens"] == 5
    assert "n_predict" in answer.headers["x-pointsman-ignored"]


@pytest.mark.parametrize("name", ["repeat_penalty", "repetition_penalty"])
async def test_a_forced_penalty_stands_once_whatever_the_caller_called_it(
    simulator: Simulator, name: str
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Hello"))
    changes = configuration(upstream)
    changes["models"][MODEL] |= {"forced": {"repeat_penalty": 1.1}}
    changes["providers"][upstream.name]["extra_sampling"] = True
    async with gateway_for(upstream, **changes) as served, httpx.AsyncClient(base_url=served.url) as client:
        await client.post("/v1/chat/completions", json={"model": MODEL, **with_turns(), name: 9})

    (seen,) = upstream.requests
    assert {key: value for key, value in seen.body.items() if "penalty" in key} == {name: 1.1}


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"raw": True}, 400),
        ({"template": "{{ .Prompt }}"}, 400),
        ({"template": "{{ .System }} {{ .Prompt }}"}, 200),
        ({"raw": False, "context": [1]}, 200),
    ],
)
async def test_no_body_leaves_out_text_around_its_system_prompt(
    simulator: Simulator, said: dict[str, Any], status: int
) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Hello"))
    changes = configuration(upstream)
    changes["models"][MODEL] |= {"system": {"prefix": "p"}}
    async with gateway_for(upstream, **changes) as served, httpx.AsyncClient(base_url=served.url) as client:
        body = {"model": MODEL, "prompt": "Hi", "stream": False, **said}
        answer = await client.post("/api/generate", json=body)

    assert answer.status_code == status, answer.text
    assert len(upstream.requests) == (status == 200)
