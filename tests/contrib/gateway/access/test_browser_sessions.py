"""A browser that signed in by a key: what its cookie lets it do on callers' routes, and what no other page can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest
from gateways import MODEL, gateway_for

from pointsman_simulator import Reply, Simulator

ROOT, CI = "root-" + "k" * 32, "ci-" + "k" * 32
KEYS = [
    {"name": "root", "key": ROOT, "operator": True},
    {"name": "ci", "key": CI, "models": [MODEL], "limits": {"requests": "3/min"}},
]
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}]}
LOCKED = {"access": {"keys": KEYS, "loopback": False}}


@asynccontextmanager
async def browser(
    simulator: Simulator, key: str = CI, settings: Mapping[str, object] = LOCKED
) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """One that has its cookie, and the token of its session."""
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    async with gateway_for(upstream, settings=settings) as served:
        ours = {"origin": served.url, "sec-fetch-site": "same-origin"}
        async with httpx.AsyncClient(base_url=served.url, headers=ours) as client:
            login = await client.post("/admin/v1/login", headers={"authorization": f"Bearer {key}"})
            assert "HttpOnly" in login.headers["set-cookie"]
            yield client, login.json()["csrf"]


@pytest.mark.parametrize("stream", [False, True])
async def test_it_chats_with_the_token_of_its_session(simulator: Simulator, stream: bool) -> None:
    async with browser(simulator) as (client, token):
        body = {**CHAT, "stream": stream}
        answer = await client.post("/v1/chat/completions", json=body, headers={"x-pointsman-csrf": token})

    assert answer.status_code == 200
    assert "Because." in answer.text


async def test_it_looks_without_one(simulator: Simulator) -> None:
    async with browser(simulator) as (client, _token):
        answers = [await client.get(each) for each in ("/v1/models", "/api/v1/ai/models", "/api/ps")]
        session = (await client.get("/admin/v1/session")).json()

    assert [each.status_code for each in answers] == [200] * 3
    assert (session["name"], session["operator"]) == ("ci", False)


@pytest.mark.parametrize("token", [None, "1", "of-another-session"])
async def test_it_changes_nothing_without_the_token(simulator: Simulator, token: str | None) -> None:
    fields = {} if token is None else {"x-pointsman-csrf": token}
    async with browser(simulator) as (client, _token):
        answer = await client.post("/v1/chat/completions", json=CHAT, headers=fields)

    assert answer.status_code == 403


@pytest.mark.parametrize(
    "sent", [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
)
async def test_no_page_of_others_uses_it(simulator: Simulator, sent: Mapping[str, str]) -> None:
    async with browser(simulator) as (client, token):
        if "origin" not in sent:
            del client.headers["origin"]
        fields = {**sent, "x-pointsman-csrf": token}
        asked = await client.post("/v1/chat/completions", json=CHAT, headers=fields)
        looked = await client.get("/v1/models", headers=fields)

    assert (asked.status_code, looked.status_code) == (403, 403)


async def test_it_may_what_its_key_may_and_uses_up_the_limit_of_its_key(simulator: Simulator) -> None:
    async with browser(simulator) as (client, token):
        said = {"x-pointsman-csrf": token}
        other = await client.post("/v1/chat/completions", json={**CHAT, "model": "other"}, headers=said)
        status = await client.get("/admin/v1/status", headers=said)
        asked = [await client.post("/v1/chat/completions", json=CHAT, headers=said) for _ in range(3)]

    assert other.status_code == 403
    assert status.status_code == 403
    # The login and the name that it may not ask for were requests, too.
    assert [each.status_code for each in asked][-1] == 429


async def test_who_signed_out_is_nobody(simulator: Simulator) -> None:
    async with browser(simulator) as (client, token):
        cookies = dict(client.cookies)
        await client.post("/admin/v1/logout", headers={"x-pointsman-csrf": token})
        fields = {"x-pointsman-csrf": token, "cookie": "; ".join(f"{a}={b}" for a, b in cookies.items())}
        answer = await client.post("/v1/chat/completions", json=CHAT, headers=fields)

    assert answer.status_code == 401


@pytest.mark.parametrize("fields", [{}, {"x-pointsman-csrf": "1"}])
async def test_on_this_machine_it_needs_neither_cookie_nor_token(
    simulator: Simulator, fields: Mapping[str, str]
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    async with gateway_for(upstream) as served, httpx.AsyncClient(base_url=served.url) as client:
        ours = {"origin": served.url, "sec-fetch-site": "same-origin", **fields}
        answer = await client.post("/v1/chat/completions", json=CHAT, headers=ours)
        foreign = await client.post(
            "/v1/chat/completions", json=CHAT, headers={**fields, "origin": "https://evil.example"}
        )

    assert (answer.status_code, foreign.status_code) == (200, 403)
