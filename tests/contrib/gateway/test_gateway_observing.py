"""What a gateway tells of its requests: metrics, one line each, and the heads of its answers."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import aiohttp
import pytest
from gateways import MODEL, configuration, gateway_for

from pointsman import Router
from pointsman.plugin import Caller
from pointsman_gateway.access.denials import denied
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.settings import GatewaySettings
from pointsman_simulator import Fault, Reply, Simulator
from pointsman_telemetry.request_log import RequestLog

ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "a canary word"}]}


async def chat(url: str, body: dict[str, Any] | None = None, **headers: str) -> tuple[Any, Any]:
    """The answer to a chat: its head and its body."""
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/v1/chat/completions", json=body or ASKED, headers=headers) as answer:
            return answer, await answer.read()


async def get(url: str, **headers: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.text(), answer.headers.get("content-type", "")


async def test_a_call_counts_by_its_surface_and_over_http(simulator: Simulator) -> None:
    upstream = await simulator.add("claude")
    async with gateway_for(upstream) as gateway:
        await chat(gateway.url)
        await chat(gateway.url, {**ASKED, "model": "made-up"})
        status, said, content_type = await get(f"{gateway.url}/metrics")
    assert (status, content_type.split(";")[0]) == (200, "text/plain")
    assert f'pointsman_requests_total{{error="",model="{MODEL}",result="ok",surface="openai"}} 1.0' in said
    assert 'ai_proxy_requests_total{method="POST",status="200"} 1.0' in said
    assert 'ai_proxy_requests_total{method="POST",status="404"} 1.0' in said
    assert 'pointsman_overhead_seconds_count{surface="openai"}' in said
    assert "made-up" not in said


async def test_metrics_are_for_operators_and_at_a_listener_that_says_so_for_all(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    keys = [
        {"name": "ci", "key": "a-key-of-somebody-1234"},
        {"name": "root", "key": "a-key-of-an-operator-1", "operator": True},
    ]
    settings = {
        "access": {"keys": keys, "loopback": False},
        "health": {"listen": "127.0.0.1:0", "metrics": True},
    }
    async with gateway_for(upstream, settings=settings) as gateway:
        unknown = await get(f"{gateway.url}/metrics")
        somebody = await get(f"{gateway.url}/metrics", authorization="Bearer a-key-of-somebody-1234")
        operator = await get(f"{gateway.url}/metrics", authorization="Bearer a-key-of-an-operator-1")
        at = next(str(each) for place, each in gateway.gateway.listeners.items() if place.health)
        aside = await get(f"http://{at}/metrics")
    assert (unknown[0], somebody[0], operator[0], aside[0]) == (401, 403, 200, 200)
    assert "pointsman_build_info" in operator[1]
    assert "pointsman_build_info" in aside[1]


async def test_metrics_wait_for_the_keys_of_an_issuer_as_all_else_does(simulator: Simulator) -> None:
    class Away:
        async def admit(self, _head: object, _route: object) -> Caller:
            raise denied("overloaded", "key_set_unavailable", "not now", domain="gateway", retry_after=2.0)

    upstream = await simulator.add("openai")
    async with gateway_for(upstream, access=Away()) as gateway:
        status, said, content_type = await get(f"{gateway.url}/metrics")
    assert (status, said, content_type.split(";")[0]) == (503, "gateway: not now\n", "text/plain")


async def test_metrics_are_not_told_to_the_page_of_somebody_else(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    async with gateway_for(upstream) as gateway:
        status, said, _ = await get(f"{gateway.url}/metrics", origin="https://elsewhere.example")
    assert status == 403
    assert "pointsman_build_info" not in said


async def test_the_head_of_an_answer_says_how_it_came_about(simulator: Simulator) -> None:
    bad, good = await simulator.add("openai"), await simulator.add("claude")
    bad.script(Reply(fault=Fault.status(503)))
    models = {
        MODEL: {"deployments": [f"{bad.name}/gpt-5-mini"], "strategy": "least_connections", "fallback": ["spare"]},
        "spare": {"deployments": [{"provider": good.name, "model": next(iter(good.site.models)), "price": {"input": 1, "output": 1}}]},
    }  # fmt: skip
    async with gateway_for(bad, good, models=models) as gateway:
        answer, body = await chat(gateway.url)
    said = answer.headers
    assert said["x-pointsman-deployment"].startswith(good.name)
    assert said["x-pointsman-attempts"] == "2"
    assert said["x-pointsman-fallback"] == "spare"
    assert said["x-pointsman-strategy"] == "round_robin"
    assert 0 <= float(said["x-pointsman-overhead-ms"]) < 60_000
    assert float(said["x-pointsman-cost-usd"]) > 0
    about = json.loads(body)["pointsman"]
    assert about == {
        "deployment": said["x-pointsman-deployment"],
        "attempts": 2,
        "cost": float(said["x-pointsman-cost-usd"]),
    }


@pytest.mark.parametrize("choice", ["id", "none"])
async def test_who_wants_less_in_the_head_has_less_in_the_body_too(simulator: Simulator, choice: str) -> None:
    upstream = await simulator.add("claude")
    async with gateway_for(upstream, settings={"headers": choice}) as gateway:
        answer, body = await chat(gateway.url)
        _answer, streamed = await chat(gateway.url, {**ASKED, "stream": True})
    assert b'"deployment"' not in streamed
    assert b"[DONE]" in streamed
    assert not [name for name in answer.headers if name.startswith("x-pointsman")]
    assert "pointsman" not in json.loads(body)


@pytest.mark.parametrize(("choice", "told"), [("full", True), ("id", False)])
async def test_the_plain_api_names_the_deployment_where_heads_do(
    simulator: Simulator, choice: str, told: bool
) -> None:
    upstream = await simulator.add("openai")
    async with (
        gateway_for(upstream, settings={"headers": choice}) as gateway,
        aiohttp.ClientSession() as session,
    ):
        asked = {"prompt": "Why?", "model": MODEL}
        async with session.post(f"{gateway.url}/api/v1/ai/generate", json=asked) as answer:
            data = (await answer.json())["data"]
    assert data["deployment"].startswith(upstream.name) is told
    assert bool(data["deployment"]) is told


async def test_a_stream_says_where_it_comes_from(simulator: Simulator) -> None:
    upstream = await simulator.add("claude")
    async with gateway_for(upstream) as gateway:
        answer, body = await chat(gateway.url, {**ASKED, "stream": True})
    assert answer.headers["x-pointsman-deployment"].startswith(upstream.name)
    assert answer.headers["x-pointsman-attempts"] == "1"
    assert b"[DONE]" in body


async def test_a_request_is_one_line_of_json_without_what_was_asked(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    stream = io.StringIO()
    async with Router.from_config(configuration(upstream)) as router:
        settings = GatewaySettings.model_validate({"listen": "127.0.0.1:0"})
        async with Gateway(router, settings, log=RequestLog(stream)) as gateway:
            await chat(gateway.url, **{"x-request-id": "mine-1"})
            await get(f"{gateway.url}/no\x1b[2Jwhere")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["request_id"] == "mine-1"
    assert (first["status"], first["surface"], first["model"], first["attempts"]) == (200, "openai", MODEL, 1)
    assert first["deployment"].startswith(upstream.name)
    assert first["completion_tokens"] > 0
    assert first["ms"] >= first["ours_ms"] >= 0
    assert (second["status"], second["error"]) == (404, "no_route")
    assert "canary" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


async def test_the_line_of_a_stream_that_broke_is_a_warning_and_that_of_a_wrong_request_is_none(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add("openai")
    upstream.script(Reply(text="one two three", fault=Fault.truncate_after(1)), Reply(text="one"))
    stream = io.StringIO()
    async with Router.from_config(configuration(upstream)) as router:
        settings = GatewaySettings.model_validate({"listen": "127.0.0.1:0"})
        async with Gateway(router, settings, log=RequestLog(stream)) as gateway:
            await chat(gateway.url, {**ASKED, "stream": True})
            await chat(gateway.url, {**ASKED, "stream": True})
            await chat(gateway.url, {**ASKED, "model": "made-up"})
    lines = map(json.loads, stream.getvalue().splitlines())
    assert [(each["status"], each.get("error"), each["level"]) for each in lines] == [
        (200, "stream_broken", "warning"),
        (200, None, "info"),
        (404, "unknown_model", "info"),
    ]


async def test_a_key_that_was_put_in_a_path_stands_in_no_line(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    stream = io.StringIO()
    keys = ["pm_Ab3dEf7h_" + "k9" * 24 + "Z", "sk-proj-0123456789abcdef"]
    async with Router.from_config(configuration(upstream)) as router:
        settings = GatewaySettings.model_validate({"listen": "127.0.0.1:0"})
        async with Gateway(router, settings, log=RequestLog(stream)) as gateway:
            for key in keys:
                await get(f"{gateway.url}/v1/{key}/models")
                await get(f"{gateway.url}/{'x' * 180}/{key}")
    paths = [json.loads(each)["path"] for each in stream.getvalue().splitlines()]
    assert paths == ["/v1/***/models", f"/{'x' * 180}/***"] * 2


async def test_a_line_says_why_a_request_was_refused_and_to_whom(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    stream = io.StringIO()
    key = {"name": "ci", "key": "ci-0123456789abcdef", "models": [MODEL], "limits": {"requests": "3/min"}}
    access = {"loopback": False, "keys": [key]}
    known = {"authorization": "Bearer ci-0123456789abcdef"}
    async with Router.from_config(configuration(upstream)) as router:
        settings = GatewaySettings.model_validate({"listen": "127.0.0.1:0", "access": access})
        async with Gateway(router, settings, log=RequestLog(stream)) as gateway:
            await chat(gateway.url)
            await chat(gateway.url, {**ASKED, "model": "another"}, **known)
            await chat(gateway.url, {**ASKED, "messages": []}, **known)
            await chat(gateway.url, **known)
            await chat(gateway.url, **known)
            await get(f"{gateway.url}/admin/v1/status", **known)
            await get(f"{gateway.url}/v1/models", **known)
    lines = map(json.loads, stream.getvalue().splitlines())
    assert [(each["status"], each.get("caller"), each.get("error")) for each in lines] == [
        (401, None, "missing_api_key"),
        (403, "ci", "model_not_allowed"),
        (400, "ci", "invalid_request"),
        (200, "ci", None),
        (429, "ci", "caller_rate_limited"),
        (403, "ci", "not_an_operator"),
        (200, "ci", None),
    ]


async def test_what_the_gateway_itself_refuses_counts_as_refused_with_its_reason(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add("openai")
    ci = {"authorization": "Bearer ci-0123456789abcdef"}
    root = {"authorization": "Bearer root-0123456789abcdef"}
    key = {"name": "ci", "key": "ci-0123456789abcdef", "models": [MODEL], "limits": {"requests": "4/min"}}
    operator = {"name": "root", "key": "root-0123456789abcdef", "operator": True}
    access = {"loopback": False, "keys": [key, operator]}
    async with gateway_for(upstream, settings={"access": access, "body_limit": "1kB"}) as gateway:
        await chat(gateway.url)
        await chat(gateway.url, {**ASKED, "model": "another"}, **ci)
        await chat(gateway.url, {**ASKED, "messages": []}, **ci)
        await chat(gateway.url, {**ASKED, "user": "x" * 2000}, **ci)
        await chat(gateway.url, **ci)
        await chat(gateway.url, **ci)
        await get(f"{gateway.url}/admin/v1/status", **ci)
        async with aiohttp.ClientSession() as session:
            await session.post(f"{gateway.url}/api/v1/ai/generate", json={}, headers=root)
        _, said, _ = await get(f"{gateway.url}/metrics", **root)

    counted = sorted(line for line in said.splitlines() if line.startswith("pointsman_requests_total{"))
    assert [re.sub(r',model="[^"]*"', "", line.partition("{")[2]) for line in counted] == [
        'error="",result="ok",surface="openai"} 1.0',
        'error="body_too_large",result="refused",surface="openai"} 1.0',
        'error="caller_rate_limited",result="refused",surface="openai"} 1.0',
        'error="invalid_request",result="refused",surface="ai"} 1.0',
        'error="invalid_request",result="refused",surface="openai"} 1.0',
        'error="missing_api_key",result="refused",surface="openai"} 1.0',
        'error="model_not_allowed",result="refused",surface="openai"} 1.0',
        'error="not_an_operator",result="refused",surface="operator"} 1.0',
    ]


async def test_a_trace_goes_on_under_the_request(simulator: Simulator) -> None:
    parent = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    upstream = await simulator.add("openai")
    tags: list[Any] = []
    async with gateway_for(upstream) as gateway:
        gateway.router.listen(lambda event: tags.append(getattr(event, "tags", {})))
        await chat(gateway.url, traceparent=parent)
        await chat(gateway.url, traceparent="nonsense")
        await chat(gateway.url)
    assert {"surface": "openai", "traceparent": parent} in tags
    told = [each.headers.get("traceparent") for each in upstream.requests]
    assert told == [parent, None, None]


def test_a_line_for_a_terminal_cannot_steer_it() -> None:
    stream = io.StringIO()
    RequestLog(stream, style="console").write("request", {"path": "/a\x1b[2Jb\nc", "status": 200})
    assert stream.getvalue().count("\n") == 1
    assert "\x1b[2J" not in stream.getvalue()


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    RequestLog(stream).write("request", {"status": 200})
