"""`pointsman serve --demo`, where somebody watches and where nobody does."""

from __future__ import annotations

import asyncio
from io import StringIO
from itertools import islice
from pathlib import Path

import httpx
import pytest

from pointsman import AttemptEnded, RequestEnded, Router
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.listening.addresses import Address
from pointsman_gateway.process.demo import MODEL, MORTAL, demonstration
from pointsman_gateway.process.traffic import LogOfOthers, Moments, questions, traffic
from pointsman_gateway.reading import gateway_settings

WITHIN = 30


def test_one_seed_asks_the_same_questions_and_another_one_others() -> None:
    first, again, other = (list(islice(questions(seed), 200)) for seed in (3, 3, 4))

    assert first == again
    assert first != other


def test_each_model_is_asked_and_some_callers_leave() -> None:
    asked = list(islice(questions(), 300))

    assert {each.model for each in asked} == {MODEL, "coder", "batch"}
    assert any(each.leaves_after for each in asked)
    assert 0.3 < sum(each.pause for each in asked) / len(asked) < 2


@pytest.mark.parametrize("key", [None, "none", "sk-whatever"])
async def test_whatever_key_a_client_sends_does_as_well_as_none(key: str | None) -> None:
    fields = {} if key is None else {"authorization": f"Bearer {key}"}
    async with demonstration(watched=True) as demo, Router(demo.config) as router:
        settings = gateway_settings(demo.config).model_copy(update={"listen": (Address("127.0.0.1", 0),)})
        async with Gateway(router, settings) as gateway, traffic(demo, gateway):
            async with httpx.AsyncClient(base_url=gateway.url, headers=fields) as client:
                models = await client.get("/v1/models")
                status = await client.get("/admin/v1/status", headers={"x-pointsman-csrf": "1"})
                tunnelled = await client.get("/v1/models", headers={"x-forwarded-for": "203.0.113.7"})

    assert [each["id"] for each in models.json()["data"]] == [MODEL, "coder", "batch"]
    assert (status.status_code, tunnelled.status_code) == (200, 401)


async def test_where_nobody_watches_the_demo_is_four_servers_and_one_model() -> None:
    async with demonstration(watched=False) as demo:
        assert list(demo.config.models) == [MODEL]
        assert list(demo.config.providers) == ["openai", "claude", "ollama", "localai"]
        assert demo.config.audit == []


async def test_where_somebody_watches_each_page_has_something_to_show() -> None:
    async with demonstration(watched=True) as demo, Router(demo.config) as router:
        reply = await router.chat(MODEL, "Why?")
        status = router.status()

    assert reply.cost_microcents is not None
    assert {each.provider for each in status.credentials} == {"openai", "claude"}
    assert {each.rule for each in status.budgets} == {"everybody", "each-model"}
    assert [each.sink for each in status.audit] == ["jsonl"]
    assert any(each.limits for each in status.models[MODEL].deployments.values())


async def test_the_same_servers_answer_the_same_way_each_time() -> None:
    async with demonstration(watched=True) as one, demonstration(watched=True) as other:
        assert one.simulator.seed == other.simulator.seed
        assert list(one.simulator.upstreams) == list(other.simulator.upstreams)


@pytest.mark.parametrize("socket", [False, True])
async def test_somebody_asks_and_an_upstream_dies(socket: bool, tmp_path: Path) -> None:
    answered, died = asyncio.Event(), asyncio.Event()

    def hear(event: AttemptEnded | RequestEnded) -> None:
        if isinstance(event, AttemptEnded) and event.deployment.startswith(MORTAL) and event.error:
            died.set()
        if isinstance(event, RequestEnded) and event.result == "ok" and event.request_id.startswith("demo-"):
            answered.set()

    async with demonstration(watched=True) as demo, Router(demo.config) as router:
        at = Address(path=tmp_path / "s") if socket else Address("127.0.0.1", 0)
        settings = gateway_settings(demo.config).model_copy(update={"listen": (at,)})
        router.listen(hear, kinds=[AttemptEnded, RequestEnded])
        async with Gateway(router, settings) as gateway, asyncio.timeout(WITHIN):
            async with traffic(demo, gateway, moments=Moments(0.0, 60.0, 60.0)):
                await answered.wait()
                await died.wait()


def test_the_log_has_no_line_of_the_demo_itself() -> None:
    stream = StringIO()
    log = LogOfOthers(stream)

    log.write("request", {"request_id": "demo-1"})
    log.write("request", {"request_id": "req_1"})

    assert stream.getvalue().count("\n") == 1
    assert "req_1" in stream.getvalue()
