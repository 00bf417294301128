"""What callers of a gateway see when a budget is used up, by the clients of OpenAI and Anthropic, over sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import httpx
import openai
import pytest
from gateways import MODEL, Served, gateway_for

from pointsman.clock import LoopClock
from pointsman_simulator import Reply, Simulator
from pointsman_simulator.script import Usage as Tokens

MESSAGES: Any = [{"role": "user", "content": "Why?"}]
TOKENS = Tokens(500, 500)
CI, QA = "key-of-ci-0123456789abcdef", "key-of-qa-0123456789abcdef"
KEYS = {"access": {"keys": [{"name": "ci", "key": CI}, {"name": "qa", "key": QA}]}}


def budgets(**rule: Any) -> dict[str, Any]:
    return {"database": None, "rules": [{"name": "r", "per": "all", **rule}]}


def refused(served: Served) -> int:
    return sum(each.refused for each in served.router.status().budgets)


async def test_openais_client_raises_its_error_of_a_quota_and_asks_once(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(usage=TOKENS))
    async with gateway_for(upstream, budgets=budgets(requests="1/day")) as served:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
            await client.chat.completions.create(model=MODEL, messages=MESSAGES)
            with pytest.raises(openai.RateLimitError) as raised:
                await client.chat.completions.create(model=MODEL, messages=MESSAGES)
            assert (raised.value.status_code, raised.value.code) == (429, "insufficient_quota")
            assert "the budget 'r' allows 1 request/day" in str(raised.value)
            assert raised.value.response.headers["x-should-retry"] == "false"
            assert refused(served) == 1
            with pytest.raises(openai.RateLimitError):
                await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
            with pytest.raises(openai.RateLimitError):
                await client.embeddings.create(model=MODEL, input="hi")
            assert refused(served) == 3
    assert len(upstream.requests) == 1


async def test_anthropics_client_raises_its_error_of_a_bill_and_asks_once(simulator: Simulator) -> None:
    upstream = await simulator.add("claude", default=Reply(usage=TOKENS))
    async with gateway_for(upstream, budgets=budgets(tokens="1k/day")) as served:
        async with anthropic.AsyncAnthropic(base_url=served.url, api_key="none") as client:
            await client.messages.create(model=MODEL, max_tokens=9, messages=MESSAGES)
            with pytest.raises(anthropic.APIStatusError) as raised:
                await client.messages.create(model=MODEL, max_tokens=9, messages=MESSAGES)
            assert raised.value.status_code == 402
            assert raised.value.body["error"]["type"] == "billing_error"  # type: ignore[index]
            assert refused(served) == 1
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("wire", ["openai", "claude"])
async def test_of_200_calls_of_one_key_at_once_over_sockets_as_many_are_answered_as_there_is_room_for(
    simulator: Simulator, wire: str
) -> None:
    upstream = await simulator.add(wire, default=Reply(usage=TOKENS))  # type: ignore[arg-type]
    path = "/v1/chat/completions" if wire == "openai" else "/v1/messages"
    body = {"model": MODEL, "max_tokens": 500, "messages": MESSAGES}
    rule = {"name": "r", "per": "caller", "tokens": "20k/day"}
    async with (
        gateway_for(upstream, settings=KEYS, budgets={"database": None, "rules": [rule]}) as served,
        httpx.AsyncClient(base_url=served.url, headers={"authorization": f"Bearer {CI}"}) as client,
    ):
        answers = await asyncio.gather(*(client.post(path, json=body) for _ in range(200)))
        let = sum(each.status_code == 200 for each in answers)
        assert {each.status_code for each in answers} <= {200, 402, 429}
        (account,) = served.router.status().budgets
        assert (account.subject, account.held, account.spent) == ("ci", 0, 1000 * let)
        # Each was held at 500 and some tokens, and took 1,000.
        assert account.spent <= 20_000 + 500 * let
        assert len(upstream.requests) == let
        again = [await client.post(path, json=body) for _ in range(10)]
        assert {each.status_code for each in again} == {429 if wire == "openai" else 402}
        other = {"authorization": f"Bearer {QA}"}
        assert (await client.post(path, json=body, headers=other)).status_code == 200


async def test_operators_see_how_it_stands_with_budgets(
    simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    from pointsman_cli.overview import print_budgets
    from pointsman_telemetry.metrics import Metrics

    upstream = await simulator.add("openai", default=Reply(usage=TOKENS))
    price = {"input": 1, "output": 1}
    models = {
        MODEL: {
            "deployments": [
                {"provider": upstream.name, "model": next(iter(upstream.site.models)), "price": price}
            ]
        }
    }
    rules = [{"name": "r", "per": "all", "money": "0.01 USD/day"}, {"name": "s", "requests": "1/hour"}]
    async with gateway_for(upstream, models=models, budgets={"database": None, "rules": rules}) as served:
        metrics = Metrics(served.router, clock=LoopClock())
        async with httpx.AsyncClient(base_url=served.url) as client:
            for _ in range(2):
                await client.post("/v1/chat/completions", json={"model": MODEL, "messages": MESSAGES})
            told = (await client.get("/admin/v1/budgets", headers={"x-pointsman-csrf": "1"})).json()[
                "budgets"
            ]
        assert [(each["rule"], each["spent"], each["refused"]) for each in told] == [
            ("r", 100_000, 0),
            ("s", 1, 1),
        ]
        print_budgets(served.router.status().to_dict())
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith(
            "budget s: 1 request of 1 request/hour used, refused: 1; some is free again in "
        )
        assert said[1].startswith("budget r: 0.001 USD of 0.01 USD/day used; some is free again in ")
        gauges = {
            (sample.name, *sample.labels.values()): sample.value
            for family in metrics.states()
            for sample in family.samples
            if sample.name.startswith("pointsman_budget")
        }
        assert gauges["pointsman_budget_spent", "r", "", "usd"] == 0.001
        assert gauges["pointsman_budget_limit", "s", "", "requests"] == 1
        metrics.close()


async def test_what_is_held_of_several_answers_is_held_for_each(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(usage=Tokens(5, 1)))
    body = {"model": MODEL, "max_tokens": 10, "messages": MESSAGES}
    async with (
        gateway_for(upstream, budgets=budgets(tokens="50/day")) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        answers = [await client.post("/v1/chat/completions", json={**body, "n": n}) for n in (5, 1)]
        assert [each.status_code for each in answers] == [429, 200]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "asks",
    [{"n": 2, "prompt": ["x"] * 3}, {"best_of": 6, "prompt": "x"}, {"n": 2, "best_of": 6, "prompt": "x"}],
    ids=["several of each prompt", "the best of several", "some of several"],
)
async def test_what_is_made_of_a_plain_completion_is_held_whatever_is_handed_out(
    simulator: Simulator, asks: dict[str, Any]
) -> None:
    upstream = await simulator.add("openai", default=Reply(usage=Tokens(5, 1)))
    body = {"model": MODEL, "max_tokens": 10, **asks}
    async with (
        gateway_for(upstream, budgets=budgets(tokens="50/day")) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        answer = await client.post("/v1/completions", json=body)
    assert answer.status_code == 429
    assert not upstream.requests


@pytest.mark.parametrize("n", [1e9, "1000000000", 2.5, [9], 0, -1])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_answers_that_cannot_be_counted_are_not_asked_for(
    simulator: Simulator, path: str, n: Any
) -> None:
    upstream = await simulator.add("openai")
    asked = {"messages": MESSAGES} if "chat" in path else {"prompt": "x"}
    async with (
        gateway_for(upstream, budgets=budgets(tokens="5000/day")) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        answer = await client.post(path, json={"model": MODEL, "max_tokens": 10, **asked, "n": n})
    assert (answer.status_code, len(upstream.requests)) == (400, 0)


async def test_of_several_answers_that_nobody_counted_each_counts(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply("word " * 400, omit_usage=True))
    spent = []
    for n in (1, 3):
        async with (
            gateway_for(upstream, budgets=budgets(tokens="1M/day")) as served,
            httpx.AsyncClient(base_url=served.url) as client,
        ):
            body = {"model": MODEL, "max_tokens": 9, "messages": MESSAGES, "n": n}
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
            spent.append(served.router.status().budgets[0].spent)
    assert spent[1] - spent[0] >= 2 * 400
