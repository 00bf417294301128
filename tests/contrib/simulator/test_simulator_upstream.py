"""The server around the wires: script, accounting, disconnects, loss, repeatability."""

import asyncio
import gc
import socket
from contextlib import ExitStack
from random import Random
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_simulator import Fault, Reply, RequestRecord, Simulator, Vram
from pointsman_simulator.exchange import Stream
from pointsman_simulator.plan import plan_stream


async def test_scripted_replies_come_in_order_and_then_the_default(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("ollama", default=Reply(text="default"))
    up.script(Reply(text="first"), Reply(text="second"))

    got = [(await client.ask(up)).json["message"]["content"] for _ in range(4)]

    assert got == ["first", "second", "default", "default"]


async def test_a_chooser_is_asked_after_the_script(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("ollama", default=Reply(text="default"))
    up.script(Reply(text="scripted"))

    def choose(record: RequestRecord, rng: Random) -> Reply | None:
        return Reply(text=f"chosen {rng.random():.3f}") if record.number == 2 else None

    up.respond = choose
    got = [(await client.ask(up)).json["message"]["content"].split()[0] for _ in range(3)]

    assert got == ["scripted", "chosen", "default"]


async def test_a_request_is_remembered(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("openai")

    await client.ask(up, user="me")

    record = up.requests[0]
    assert (record.method, record.path, record.status) == ("POST", "/v1/chat/completions", 200)
    assert record.body["user"] == "me"
    assert record.headers["content-type"] == "application/json"
    assert (record.outcome, record.aborted_at) == ("completed", None)
    assert up.counts["/v1/chat/completions", "completed"] == 1


async def test_latency_comes_before_the_first_byte_and_pace_between_the_pieces(
    simulator: Simulator, client: Any, wire: str
) -> None:
    up = await simulator.add(wire, latency=0.05, tokens_per_second=100)
    up.script(Reply(text="a b c d e f"))
    loop = asyncio.get_running_loop()

    started = loop.time()
    async with client.post(up, stream=True) as response:
        first = loop.time() - started
        await response.read()
    took = loop.time() - started

    assert first >= 0.05
    assert took >= 0.05 + 5 / 100


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_before_the_first_byte_is_noticed_within_100_ms(
    simulator: Simulator, client: Any, wire: str, stream: bool
) -> None:
    up = await simulator.add(wire, default=Reply(latency=60))
    task = asyncio.create_task(client.ask(up, stream=stream))
    record = await up.arrived()

    left_at = asyncio.get_running_loop().time()
    task.cancel()
    await asyncio.wait_for(record.ended.wait(), 5)

    assert record.outcome == "aborted by client"
    assert record.aborted_at is not None
    assert record.aborted_at - left_at < 0.1
    assert up.in_flight == 0


async def test_a_client_that_leaves_mid_stream_is_noticed_within_100_ms(
    simulator: Simulator, client: Any, wire: str
) -> None:
    up = await simulator.add(wire, default=Reply(text="word " * 1000, tokens_per_second=20))

    async with client.post(up, stream=True) as response:
        await response.content.readany()
        record = up.requests[0]
        left_at = asyncio.get_running_loop().time()
        response.close()
    await asyncio.wait_for(record.ended.wait(), 5)

    assert record.outcome == "aborted by client"
    assert record.aborted_at is not None
    assert record.aborted_at - left_at < 0.1
    assert record.events_sent < 1000


async def test_a_stopped_upstream_loses_its_connections_and_comes_back_on_its_port(
    simulator: Simulator, client: Any, wire: str
) -> None:
    up = await simulator.add(wire, default=Reply(latency=60))
    url = up.base_url
    task = asyncio.create_task(client.ask(up))
    record = await up.arrived()

    await up.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await task
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.ask(up)
    await up.restart()
    up.default = Reply(text="back")
    got = await client.ask(up)

    assert record.outcome == "killed"
    assert up.base_url == url
    assert "back" in got.text


async def test_restart_also_drops_idle_connections(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("ollama")
    await client.ask(up)

    await up.restart()

    assert (await client.ask(up)).status == 200
    assert not up.in_flight


async def test_concurrent_requests_are_counted(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("openai")
    up.default = Reply(latency=60)

    tasks = [asyncio.create_task(client.ask(up)) for _ in range(10)]
    await up.arrived(10)
    assert up.in_flight == 10
    for task in tasks:
        task.cancel()
    await up.idle()

    assert (up.in_flight, up.max_in_flight_seen) == (0, 10)
    assert up.counts["/v1/chat/completions", "aborted by client"] == 10


async def test_a_thousand_streams_at_once_all_end(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("openai", default=Reply(text="a b", latency=(0.2, 0.4)))

    got = await asyncio.gather(*(client.ask(up, stream=True) for _ in range(1000)))

    assert {g.text.count("[DONE]") for g in got} == {1}
    assert up.max_in_flight_seen > 100
    assert up.in_flight == 0


async def _bodies(seed: int, wire: str, client: Any) -> list[bytes]:
    async with Simulator(seed=seed) as simulator:
        up = await simulator.add(wire, name="same", default=Reply(call_first_tool=True, latency=(0, 0.001)))
        up.script(Reply(), Reply(text="x", reasoning="y", tool_calls=(("f", {"a": 1}),)))
        return [(await client.ask(up, stream=stream)).body for stream in (False, True, True, False)]


async def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(client: Any, wire: str) -> None:
    first, again, other = [await _bodies(seed, wire, client) for seed in (7, 7, 8)]

    assert first == again
    assert all(a != b for a, b in zip(first[:1] + first[2:], other[:1] + other[2:], strict=True))


async def test_two_upstreams_of_one_simulator_are_apart(simulator: Simulator, client: Any) -> None:
    one, two = await simulator.add("ollama"), await simulator.add("ollama")
    one.script(Reply(text="one"))

    assert "one" in (await client.ask(one)).text
    assert (len(one.requests), len(two.requests)) == (1, 0)
    assert one.port != two.port


async def test_a_name_is_taken_once_and_a_wire_must_exist(simulator: Simulator) -> None:
    await simulator.add("ollama", name="gpu")

    with pytest.raises(ValueError, match="gpu"):
        await simulator.add("openai", name="gpu")
    with pytest.raises(ValueError, match="claude, localai, ollama, openai"):
        await simulator.add("gemini")


async def test_a_cold_model_loads_once_and_the_next_request_finds_it_warm(
    simulator: Simulator, client: Any
) -> None:
    up = await simulator.add("ollama", models=["a", "b"], vram=Vram(load_time=0.05))

    cold, warm, other = [(await client.ask(up, model=model)).json for model in "aab"]
    shown = await client.call(up, "GET", "/api/ps")

    assert (cold["load_duration"], other["load_duration"]) == (50_000_000, 50_000_000)
    assert warm["load_duration"] < 50_000_000
    assert up.cold_loads == 2
    assert [m["name"] for m in shown.json["models"]] == ["b:latest"]
    assert shown.json["models"][0]["expires_at"].endswith("Z")


async def test_keep_alive_zero_and_an_empty_request_unload(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("ollama", vram=Vram(load_time=0))

    loaded = await client.ask(up, messages=[])
    listed = await client.call(up, "GET", "/api/ps")
    unloaded = await client.ask(up, messages=[], keep_alive=0)
    empty = await client.call(up, "GET", "/api/ps")

    assert (loaded.json["done_reason"], unloaded.json["done_reason"]) == ("load", "unload")
    assert (len(listed.json["models"]), empty.json["models"]) == (1, [])


async def test_requests_for_one_model_wait_for_each_other(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("ollama", vram=Vram(load_time=0, parallel=1), default=Reply(latency=60))
    first = asyncio.create_task(client.ask(up))
    await up.arrived()
    up.default = Reply(text="second")
    second = asyncio.create_task(client.ask(up))
    await up.arrived(2)

    assert not second.done()
    first.cancel()
    got = await second

    assert "second" in got.text


async def test_a_full_queue_answers_busy(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("ollama", vram=Vram(load_time=60, max_queue=1))
    waiting = asyncio.create_task(client.ask(up))
    await up.arrived()

    got = await client.ask(up)
    waiting.cancel()
    await up.idle()

    assert got.status == 503
    assert got.json == {"error": "server busy, please try again.  maximum pending requests exceeded"}


async def test_localai_shows_what_is_loaded_and_shuts_it_down(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("localai", models=["a", "b"], vram=Vram(load_time=0))

    await client.call(up, "POST", "/backend/load", json={"model": "b"})
    loaded = (await client.call(up, "GET", "/system")).json["loaded_models"]
    await client.call(up, "POST", "/backend/shutdown", json={"model": "b"})
    gone = (await client.call(up, "GET", "/system")).json["loaded_models"]

    assert loaded == [{"id": "b", "backend": "llama-cpp"}]
    assert gone == []


frames = st.lists(st.binary(min_size=1, max_size=9), max_size=8).map(tuple)


@settings(max_examples=100, deadline=None)
@given(frames, frames, frames, st.integers(1, 7), st.sampled_from([None, 10.0, 1000.0]))
def test_however_a_stream_is_cut_and_paced_its_bytes_are_the_same(
    opening: tuple[bytes, ...],
    content: tuple[bytes, ...],
    closing: tuple[bytes, ...],
    size: int,
    pace: float | None,
) -> None:
    stream = Stream("x/y", opening, content, closing, b"end")
    whole = b"".join((*opening, *content, *closing, b"end"))

    for reply in (
        Reply(tokens_per_second=pace),
        Reply(tokens_per_second=pace, split_bytes=size),
        Reply(tokens_per_second=pace, fault=Fault.drip(size)),
    ):
        plan = plan_stream(stream, reply, junk=b"", ping=b"", error=b"")
        assert b"".join(write.data for write in plan.writes) == whole
        assert sum(write.events for write in plan.writes) == len(content)
        if pace and reply.fault is None:
            gaps = max(0, len(content) - 1)
            assert sum(write.delay for write in plan.writes) == pytest.approx(gaps / pace)


@given(frames, st.integers(0, 9))
def test_a_fault_after_n_events_lets_exactly_n_pass(content: tuple[bytes, ...], n: int) -> None:
    stream = Stream("x/y", (b"open",), content, (b"close",), b"end")

    for fault in (Fault.truncate_after(n), Fault.cut_after(n), Fault.reset_after(n), Fault.stall_after(n)):
        plan = plan_stream(stream, Reply(fault=fault), junk=b"", ping=b"", error=b"")
        assert b"".join(write.data for write in plan.writes) == b"open" + b"".join(content[:n])


async def test_a_connection_that_comes_while_the_server_stops_is_closed_too(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    port = int(upstream.base_url.rpartition(":")[2].partition("/")[0])
    with ExitStack() as sockets:
        for _ in range(20):
            sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
        for _ in range(2):  # now they are taken, and their transports are about to be made
            await asyncio.sleep(0)
        await upstream.stop()
    await asyncio.sleep(0)
    gc.collect()  # a transport that nobody closed complains here, and warnings are errors
