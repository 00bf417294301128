"""Who was refused before the router was asked is told of all the same: one event for each, and one record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import MODEL, gateway_for

from pointsman import CallerRefused
from pointsman_simulator import Simulator

KEY, OTHER = "a-key-of-somebody-1234", "a-key-of-somebody-else-1"
KEYS = [
    {"name": "ci", "key": KEY, "limits": {"requests": "1/h"}},
    {"name": "narrow", "key": OTHER, "models": ["another"]},
]
SETTINGS = {"access": {"keys": KEYS, "loopback": False}}
ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "a canary word"}]}


async def ask(url: str, key: str, path: str = "/v1/chat/completions", **more: Any) -> int:
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}) as client:
        return (await client.post(path, json={**ASKED, **more}, headers={"x-request-id": "r1"})).status_code


@pytest.mark.parametrize(
    ("key", "path", "told"),
    [
        ("a-key-that-is-made-up-1", "/v1/chat/completions", ("openai", "", "", "invalid_api_key", 401)),
        (OTHER, "/v1/chat/completions", ("openai", MODEL, "narrow", "model_not_allowed", 403)),
        (OTHER, "/v1/messages", ("anthropic", MODEL, "narrow", "model_not_allowed", 403)),
        (KEY, "/admin/v1/reload", ("operator", "", "ci", "not_an_operator", 403)),
    ],
    ids=["key", "model", "model of anthropic", "operator"],
)
async def test_who_is_refused_is_told_of_once_with_who_and_why(
    simulator: Simulator, key: str, path: str, told: tuple[str, str, str, str, int]
) -> None:
    heard: list[Any] = []
    async with gateway_for(await simulator.add("openai"), settings=SETTINGS) as served:
        served.router.listen(heard.append)
        status = await ask(served.url, key, path, max_tokens=9)

    (event,) = heard
    assert isinstance(event, CallerRefused)
    assert (event.surface, event.model, event.caller, event.code, event.status) == told
    assert (status, event.request_id) == (event.status, "r1")
    assert key not in repr(event)


async def test_who_is_above_a_limit_is_told_of_and_stands_in_the_audit(
    simulator: Simulator, tmp_path: Path
) -> None:
    audit = [{"type": "jsonl", "path": str(tmp_path / "audit")}]
    async with gateway_for(await simulator.add("openai"), settings=SETTINGS, audit=audit) as served:
        assert [await ask(served.url, KEY) for _ in range(2)] == [200, 429]

    lines = [
        json.loads(each) for file in (tmp_path / "audit").iterdir() for each in file.read_text().splitlines()
    ]
    (refused,) = [each for each in lines if each["event"] == "refused"]
    assert (refused["caller"], refused["error"], refused["status"]) == ("ci", "caller_rate_limited", 429)
    assert "canary" not in json.dumps(lines)


async def test_a_request_that_is_badly_written_or_answered_is_no_refusal(simulator: Simulator) -> None:
    heard: list[CallerRefused] = []
    async with gateway_for(await simulator.add("openai")) as served:
        served.router.listen(heard.append, kinds=[CallerRefused])
        statuses = [await ask(served.url, KEY), await ask(served.url, KEY, temperature="hot")]
        statuses.append(await ask(served.url, KEY, model="made-up"))

    assert statuses == [200, 400, 404]
    assert heard == []
