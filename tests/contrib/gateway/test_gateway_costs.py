"""What a call through the gateway cost is the same wherever it is said."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import httpx
import pytest
from gateways import MODEL, configuration, gateway_for
from hypothesis import given
from hypothesis import strategies as st
from routers import Heard

from pointsman import Router
from pointsman_gateway.calls.field_values import usd
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.settings import GatewaySettings
from pointsman_simulator import Fault, Reply, Simulator, Upstream
from pointsman_simulator.script import Usage as Tokens
from pointsman_telemetry.request_log import RequestLog

ASKED = {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": "Why?"}]}
OURS = {"x-pointsman-csrf": "1"}
PRICE = {"input": 2.5, "output": 10.1, "cached": 0.25}
REPLY = Reply(usage=Tokens(1001, 203, cached=400))
COST = 601 * 250 + 400 * 25 + 203 * 1010
"""Of that reply, in millionths of a cent."""
LAST = {
    "/v1/chat/completions": r'data: (\{.*"finish_reason":"stop".*\})',
    "/v1/messages": r'data: (\{"type":"message_delta".*\})',
}


def models(*upstreams: Upstream) -> dict[str, Any]:
    deployments = [
        {"provider": each.name, "model": next(iter(each.site.models)), "price": PRICE, "priority": place}
        for place, each in enumerate(upstreams)
    ]
    return {MODEL: {"deployments": deployments}}


@pytest.mark.parametrize("wire", ["openai", "claude", "ollama"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_head_body_last_frame_metric_ring_and_log_say_what_the_event_says(
    simulator: Simulator, wire: str, path: str
) -> None:
    upstream = await simulator.add(wire, default=REPLY)  # type: ignore[arg-type]  # its names are these
    translated = (wire, path) not in (("openai", "/v1/chat/completions"), ("claude", "/v1/messages"))
    cost = 1001 * 250 + 203 * 1010 if wire == "ollama" else COST  # which counts nothing as cached
    lines = io.StringIO()

    async with Router.from_config(configuration(upstream, models=models(upstream))) as router:
        heard, settings = Heard(router), GatewaySettings.model_validate({"listen": "127.0.0.1:0"})
        async with (
            Gateway(router, settings, log=RequestLog(lines)) as gateway,
            httpx.AsyncClient(base_url=gateway.url) as client,
        ):
            whole = await client.post(path, json=ASKED)
            stream = await client.post(path, json={**ASKED, "stream": True})
            metrics = (await client.get("/metrics")).text
            ring = (await client.get("/admin/v1/requests", headers=OURS)).json()["requests"]

    assert [each.cost_microcents for each in heard.requests] == [cost, cost]
    assert whole.headers["x-pointsman-cost-usd"] == usd(cost)
    assert "x-pointsman-cost-usd" not in stream.headers, "nobody knows it when the head leaves"
    (last,) = re.findall(LAST[path], stream.text)
    for body in (whole.json(), json.loads(last)):
        said = {"pointsman": body["pointsman"]["cost"]} if "pointsman" in body else {}
        assert said == ({"pointsman": cost / 10**8} if translated else {})
    deployment = heard.requests[0].deployment
    labels = f'{{deployment="{deployment}",model="{MODEL}"}}'
    assert f"pointsman_cost_usd_total{labels} {2 * cost / 10**8}\n" in metrics
    assert [each["cost_microcents"] for each in ring] == [cost, cost]
    assert [each["attempts"][0]["cost_microcents"] for each in ring] == [cost, cost]
    told = [json.loads(each) for each in lines.getvalue().splitlines()]
    assert [each["cost_microcents"] for each in told if each["path"] == path] == [cost, cost]


async def test_an_answer_that_was_kept_cost_nothing_and_one_without_a_price_says_nothing(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add("openai", default=REPLY)
    guards = [{"type": "cache"}]
    unpriced: dict[str, Any] = {"prices": []}  # or a server on this machine would be free of charge
    for more, costs in (({"models": models(upstream)}, [usd(COST), "0"]), (unpriced, [None, "0"])):
        async with gateway_for(upstream, guards=guards, **more) as served, httpx.AsyncClient() as client:
            url = f"{served.url}/v1/chat/completions"
            answers = [await client.post(url, json=ASKED) for _ in range(2)]
        assert [each.headers.get("x-pointsman-cost-usd") for each in answers] == costs
        assert [each.json()["usage"]["total_tokens"] for each in answers] == [1204, 1204]


async def test_a_stream_that_broke_and_the_call_after_it_are_both_in_the_metric(simulator: Simulator) -> None:
    counts_first = await simulator.add("claude", name="a")
    counts_first.script(
        Reply(text="one two three", usage=Tokens(900, 3), fault=Fault.truncate_after(2)), REPLY
    )

    async with gateway_for(counts_first, models=models(counts_first)) as served:
        heard = Heard(served.router)
        async with httpx.AsyncClient(base_url=served.url) as client:
            await client.post("/v1/messages", json={**ASKED, "stream": True})
            whole = await client.post("/v1/messages", json=ASKED)
            metrics = (await client.get("/metrics")).text

    broken, answered = heard.requests
    assert (broken.result, answered.result) == ("error", "ok")
    assert broken.cost_microcents is not None
    assert broken.cost_microcents >= 900 * 250, "the prompt was counted in its first frame"
    assert whole.headers["x-pointsman-cost-usd"] == usd(COST)
    (counted,) = re.findall(r"pointsman_cost_usd_total\{.*\} (.*)", metrics)
    assert float(counted) == (broken.cost_microcents + COST) / 10**8


@given(st.integers(0, 10**18))
def test_a_cost_in_a_head_has_all_its_digits_and_no_exponent(microcents: int) -> None:
    said = usd(microcents)

    whole, _, parts = said.partition(".")
    assert whole.isdecimal()
    assert int(whole) * 10**8 + int(parts.ljust(8, "0")) == microcents
    assert not parts.endswith("0")
