"""The whole way: router, provider plugins, transports, real sockets, simulated upstreams."""

from __future__ import annotations

import asyncio
import base64
import gc
import random
import time
from collections import Counter

import pytest

from pointsman import MidStreamError, NoDeploymentAvailable, Tool, Truncated
from pointsman.types import ToolCallDelta
from pointsman_simulator import Fault, Reply

WIRES = ["ollama", "openai", "claude", "localai"]
NO_BREAKER = {"circuit_breaker": {"enabled": False}}
WEATHER = Tool(
    "get_weather", "the weather of a city", {"type": "object", "properties": {"city": {"type": "string"}}}
)
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.mark.parametrize("wire", WIRES)
async def test_every_provider_answers_whole_and_streamed(fleet, wire: str) -> None:
    upstream = await fleet.add(wire, "one")
    upstream.script(Reply(text="héllo wörld ☀"), Reply(text="héllo wörld ☀", split_bytes=1))

    async with fleet.router() as router:
        reply = await router.chat("m", "hi", max_tokens=50)
        async with router.stream("m", "hi", max_tokens=50) as stream:
            pieces = [event.text async for event in stream]

    assert reply.text == "héllo wörld ☀"
    assert "".join(pieces) == stream.response.text == reply.text
    assert reply.finish_reason == stream.response.finish_reason == "stop"
    assert reply.usage.prompt is not None
    assert stream.response.usage.completion is not None
    assert reply.deployment.startswith("one/")


@pytest.mark.parametrize("wire", WIRES)
async def test_every_provider_calls_tools_and_takes_their_results(fleet, wire: str) -> None:
    upstream = await fleet.add(wire, "one")
    calls = [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})]
    upstream.script(Reply(tool_calls=calls), Reply(tool_calls=calls), Reply(text="cold"))

    async with fleet.router() as router:
        reply = await router.chat("m", "weather?", tools=[WEATHER], max_tokens=50)
        async with router.stream("m", "weather?", tools=[WEATHER], max_tokens=50) as stream:
            deltas = [event async for event in stream if isinstance(event, ToolCallDelta)]
        results = [{"role": "tool", "tool_call_id": call.id, "content": "3 °C"} for call in reply.tool_calls]
        last = await router.chat(
            "m",
            [{"role": "user", "content": "weather?"}, reply.message, *results],
            tools=[WEATHER],
            max_tokens=50,
        )

    for answer in (reply, stream.response):
        assert [(call.name, call.parsed()) for call in answer.tool_calls] == calls
        assert len({call.id for call in answer.tool_calls}) == 2
        assert answer.finish_reason == "tool_calls"
    assert {delta.index for delta in deltas} == {0, 1}
    assert last.text == "cold"


@pytest.mark.parametrize("wire", WIRES)
async def test_every_provider_takes_images_system_prompts_and_options(fleet, wire: str) -> None:
    upstream = await fleet.add(wire, "one")
    image = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + base64.b64encode(PNG).decode()},
    }

    async with fleet.router() as router:
        await router.chat(
            "m",
            [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [{"type": "text", "text": "what is it?"}, image]},
            ],
            stop=["END"],
            max_tokens=9,
        )

    sent = str(upstream.requests[-1].body)
    for expected in ("be brief", "what is it?", "END", "9", base64.b64encode(PNG).decode()):
        assert expected in sent


async def test_a_burst_of_90_on_three_idle_equal_deployments_goes_30_30_30(fleet) -> None:
    for name in "abc":
        await fleet.add("openai", name, latency=0.5)

    async with fleet.router(strategy="least_connections") as router:
        await asyncio.gather(*(router.chat("m", "hi") for _ in range(90)))
        status = router.status().to_dict()["models"]["m"]["deployments"]

    assert [each["outcomes"] for each in status] == [{"ok": 30}] * 3
    assert [len(upstream.requests) for upstream in fleet.upstreams.values()] == [30, 30, 30]
    assert [upstream.max_in_flight_seen for upstream in fleet.upstreams.values()] == [30, 30, 30]


async def test_one_of_two_dead_without_a_breaker_fails_none_of_a_thousand_calls(fleet) -> None:
    await fleet.add("openai", "alive")
    dead = await fleet.add("openai", "dead")
    await dead.stop()

    async with fleet.router(retry={"type": "exponential", "attempts": 3}, **NO_BREAKER) as router:
        answers = []
        for _ in range(20):
            answers += await asyncio.gather(*(router.chat("m", "hi") for _ in range(50)))
        status = router.status().to_dict()

    assert Counter(answer.deployment for answer in answers) == {"alive/gpt-4.1-mini": 1_000}
    assert status["in_flight"] == 0
    assert status["models"]["m"]["deployments"][1]["outcomes"]["upstream_fault"] > 300


async def test_an_upstream_lost_mid_burst_fails_no_call_and_only_the_streams_it_had_begun(fleet) -> None:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    chance = random.Random(seed)
    for wire in WIRES:
        await fleet.add(wire, wire, latency=(0.01, 0.1))
        fleet.upstreams[wire].default = Reply(tokens_per_second=200)
    ends: Counter[str] = Counter()

    async with fleet.router(strategy="least_connections") as router:

        async def chat() -> None:
            await asyncio.sleep(chance.random())
            await router.chat("m", "hi", max_tokens=20)
            ends["chat"] += 1

        async def stream() -> None:
            await asyncio.sleep(chance.random())
            delivered = ""
            try:
                async with router.stream("m", "hi", max_tokens=20) as events:
                    async for event in events:
                        delivered += event.text
            except MidStreamError as error:
                assert error.text == delivered != ""
                assert error.deployment.startswith("openai/")
                ends["broken"] += 1
            else:
                ends["stream"] += 1

        async def kill() -> None:
            await asyncio.sleep(0.5)
            await fleet.upstreams["openai"].stop()

        await asyncio.gather(kill(), *(chat() for _ in range(150)), *(stream() for _ in range(150)))
        assert router.status().in_flight == 0

    assert ends["chat"] == 150
    assert ends["stream"] + ends["broken"] == 150
    print(dict(ends))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("way", ["whole", "before the first byte", "mid-stream"])
async def test_a_caller_who_leaves_closes_the_upstream_connection_within_100_ms(
    fleet, wire: str, way: str
) -> None:
    upstream = await fleet.add(wire, "one")
    latency = 0 if way == "mid-stream" else 30
    upstream.default = Reply(text="word " * 500, tokens_per_second=20, latency=latency)
    loop = asyncio.get_running_loop()

    async with fleet.router() as router:

        async def call() -> None:
            if way == "whole":
                await router.chat("m", "hi", max_tokens=1000)
            else:
                async with router.stream("m", "hi", max_tokens=1000) as stream:
                    async for _ in stream:
                        begun.set()

        lags = []
        for n in range(1, 11):
            begun = asyncio.Event()
            task = asyncio.ensure_future(call())
            record = await upstream.arrived(n)
            if way == "mid-stream":
                await begun.wait()
            cancelled_at = loop.time()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(record.ended.wait(), 5)
            assert record.aborted_at is not None
            lags.append(record.aborted_at - cancelled_at)
        assert router.status().in_flight == 0
        assert fleet.open_requests == 0

    assert sorted(lags)[-2] < 0.1, f"upstream saw the abort after {max(lags) * 1e3:.0f} ms"


async def test_a_thousand_streams_ended_in_every_way_leave_nothing_in_flight(fleet) -> None:
    """Finish, error, cancel, timeout, abandon half-read, drop unstarted: on real sockets."""
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    chance = random.Random(seed)

    def respond(_record: object, rng: random.Random) -> Reply:
        return rng.choice(
            [
                Reply(),
                Reply(tokens_per_second=100),
                Reply(fault=Fault.status(503)),
                Reply(fault=Fault.error_after(2)),
                Reply(fault=Fault.reset_after(2)),
                Reply(fault=Fault.truncate_after(2)),
                Reply(fault=Fault.stall_after(2)),
            ]
        )

    for wire in WIRES:
        (await fleet.add(wire, wire)).respond = respond
    ways = ["finish", "cancel", "abandon", "drop unstarted", "leave early"]
    ends: Counter[str] = Counter()

    async with fleet.router(timeouts={"idle": "500ms", "first_token": "5s"}, **NO_BREAKER) as router:

        async def read(way: str) -> None:
            stream = router.stream("m", "hi", max_tokens=20)
            if way == "drop unstarted":
                return
            if way == "abandon":
                await anext(stream)
                return
            async with stream:
                n = 0
                async for _ in stream:
                    n += 1
                    if way == "leave early" and n == 2:
                        break

        for batch in range(5):
            tasks = []
            for n in range(200):
                way = ways[(n + batch) % len(ways)]
                tasks.append(asyncio.ensure_future(read(way)))
                if way == "cancel":
                    asyncio.get_running_loop().call_later(chance.random() * 0.3, tasks[-1].cancel)
            for end in await asyncio.gather(*tasks, return_exceptions=True):
                ends[type(end).__name__] += 1
        gc.collect()
        await asyncio.sleep(0)
        status = router.status().to_dict()
        assert status["in_flight"] == 0
        for upstream in fleet.upstreams.values():
            await upstream.idle()
        assert fleet.open_requests == 0

    print(dict(ends))
    assert sum(ends.values()) == 1_000
    assert ends["MidStreamError"] > 0
    assert ends["CancelledError"] > 0


@pytest.mark.parametrize("wire", WIRES)
async def test_a_stream_without_its_end_marker_is_an_error_and_never_a_success(fleet, wire: str) -> None:
    upstream = await fleet.add(wire, "one")
    upstream.default = Reply(text="one two three four", fault=Fault.truncate_after(2))

    async with fleet.router() as router:
        with pytest.raises(MidStreamError) as caught:
            async with router.stream("m", "hi", max_tokens=20) as stream:
                async for _ in stream:
                    pass

    assert isinstance(caught.value.cause, Truncated)


@pytest.mark.parametrize("wire", WIRES)
async def test_streams_reuse_their_connection(fleet, wire: str) -> None:
    upstream = await fleet.add(wire, "one")
    async with fleet.router() as router:
        for _ in range(10):
            async with router.stream("m", "hi", max_tokens=20) as stream:
                async for _ in stream:
                    pass
        ports = {record.headers.get("x-pointsman-attempt") for record in upstream.requests}
    assert ports == {"1"}
    assert len(upstream.requests) == 10


@pytest.mark.parametrize(
    ("wire", "headers"),
    [
        ("openai", {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"}),
        ("openai", {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "90s"}),
        (
            "claude",
            {"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": "90"},
        ),
    ],
)
async def test_what_an_upstream_says_is_left_lowers_our_limit_and_never_raises_it(
    fleet, wire: str, headers: dict[str, str]
) -> None:
    limits = {"requests": "10/min", "tokens": "100000/min"}
    upstream = await fleet.add(wire, "one", deployment={"limits": limits})
    plenty = {name: "1000000" for name in headers if "remaining" in name}
    upstream.script(Reply(text="ok", headers=plenty), Reply(text="ok", headers=headers))

    async with fleet.router(queue=None) as router:
        await router.chat("m", "hi", max_tokens=20)
        (scope,) = router.status().to_dict()["models"]["m"]["deployments"][0]["limits"]
        assert scope["requests"]["remaining"] == 9
        await router.chat("m", "hi", max_tokens=20)
        with pytest.raises(NoDeploymentAvailable) as caught:
            await router.chat("m", "hi", max_tokens=20)

    assert caught.value.retry_after == pytest.approx(90, abs=5)
