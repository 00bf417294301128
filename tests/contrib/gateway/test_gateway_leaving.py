"""Callers that go away, or do not read: the upstream's call ends, whatever is waited for just then."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import pytest
import uvicorn
from gateways import MODEL, PLAIN, Served, gateway_for
from raw_callers import WITHIN, RawCaller
from uvicorn.server import ServerState

from pointsman.plugin import Queued, RequestEnded
from pointsman_gateway.exchange.health import Health
from pointsman_gateway.listening import protocol
from pointsman_simulator import Fault, Reply, Simulator, Upstream

E = TypeVar("E", Queued, RequestEnded)
ASKED = {"model": MODEL, "text": "Why?"}


def next_of(served: Served, kind: type[E]) -> asyncio.Future[E]:
    """The next event of that kind."""
    heard: asyncio.Future[E] = asyncio.get_running_loop().create_future()

    def hear(event: E) -> None:
        if not heard.done():
            heard.set_result(event)

    served.router.listen(hear, kinds=[kind])
    return heard


async def gone(upstream: Upstream) -> str | None:
    """How the first request of `upstream` ended."""
    record = await upstream.arrived()
    async with asyncio.timeout(WITHIN):
        await record.ended.wait()
    return record.outcome


@pytest.mark.parametrize("wire", ["openai", "ollama"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_leaves_before_the_first_byte_ends_the_call(
    simulator: Simulator, wire: str, stream: bool
) -> None:
    upstream = await simulator.add(wire, default=Reply(fault=Fault.stall()))

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        caller.post("/v1/say", {**ASKED, "stream": stream})
        await upstream.arrived()
        hearing = next_of(served, RequestEnded)
        caller.leave()

        assert await gone(upstream) == "aborted by client"
        assert (await hearing).result == "cancelled"
        assert served.router.status().in_flight == 0


async def test_a_caller_who_leaves_in_the_midst_of_a_stream_ends_the_call(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="one two", fault=Fault.stall_after(1)))

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        caller.post("/v1/say", {**ASKED, "stream": True})
        await caller.read_until(b"one")
        caller.leave()

        assert await gone(upstream) == "aborted by client"
        assert served.router.status().in_flight == 0


async def test_what_came_of_a_stream_that_is_left_counts_against_the_limit_of_tokens(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add(
        "openai", default=Reply(text="x" * 4000 + " two", fault=Fault.stall_after(1))
    )
    key = {"name": "ci", "key": "key-of-ci-0123456789abcdef", "limits": {"tokens": "100/min"}}

    async with gateway_for(upstream, surfaces=[PLAIN], settings={"access": {"keys": [key]}}) as served:
        statuses = []
        for _ in range(2):
            caller = await RawCaller.connect(served.url)
            hearing = next_of(served, RequestEnded)
            caller.post("/v1/say", {**ASKED, "stream": True}, authorization=f"Bearer {key['key']}")
            statuses.append((await caller.read_until(b"\r\n"))[:12])
            if len(statuses) == 1:
                await caller.read_until(b"xxx")
                caller.leave()
                assert (await hearing).delivered >= 1000
            caller.leave()

    assert statuses == [b"HTTP/1.1 200", b"HTTP/1.1 429"]


async def test_a_caller_who_sent_several_at_once_ends_the_one_that_runs(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="one two", fault=Fault.stall_after(1)))

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        for _ in range(3):
            caller.post("/v1/say", {**ASKED, "stream": True})
        await caller.read_until(b"one")
        caller.leave()

        assert await gone(upstream) == "aborted by client"
        assert len(upstream.requests) == 1


async def test_a_caller_who_leaves_the_queue_is_never_sent_on(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(fault=Fault.stall()))
    model = next(iter(upstream.site.models))
    one = {"provider": upstream.name, "model": model, "max_in_flight": 1}
    models = {MODEL: {"deployments": [one]}}

    async with gateway_for(upstream, surfaces=[PLAIN], models=models) as served:
        first, second = await RawCaller.connect(served.url), await RawCaller.connect(served.url)
        first.post("/v1/say", ASKED)
        await upstream.arrived()
        queued = next_of(served, Queued)
        second.post("/v1/say", ASKED)
        await queued
        hearing = next_of(served, RequestEnded)
        second.leave()

        assert (await hearing).attempts == 0
        first.leave()
        await gone(upstream)
        assert len(upstream.requests) == 1


async def test_a_caller_who_leaves_while_the_body_is_on_its_way_is_nobodys_request(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add("openai")

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        caller.send(b"POST /v1/say HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n")
        caller.send(b"content-length: 100\r\n\r\n{")
        caller.leave()

    assert not upstream.requests


async def test_a_caller_who_does_not_read_is_given_up(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(chunks=("x" * 100_000,) * 200))

    async with gateway_for(upstream, surfaces=[PLAIN], write_within=0.2) as served:
        caller = await RawCaller.connect(served.url, limit=1024)
        hearing = next_of(served, RequestEnded)
        caller.post("/v1/say", {**ASKED, "stream": True})

        assert (await hearing).result == "cancelled"
        assert await gone(upstream) == "aborted by client"
        caller.leave()


async def test_a_silent_stream_tells_that_it_lives(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="one two", fault=Fault.stall_after(1)))

    async with gateway_for(upstream, surfaces=[PLAIN], settings={"heartbeat": "20ms"}) as served:
        caller = await RawCaller.connect(served.url)
        caller.post("/v1/say", {**ASKED, "stream": True})

        assert (await caller.read_until(b"~")).count(b"one") == 1
        await caller.read_until(b"~")
        caller.leave()


class Unread(asyncio.Transport):
    """A transport with less and less to be read, up to an end."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self._sizes = iter(sizes)
        self.aborted = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        return next(self._sizes)

    def abort(self) -> None:
        self.aborted.set()

    def is_closing(self) -> bool:
        return self.aborted.is_set()

    def close(self) -> None:
        """It is."""


async def test_a_connection_whose_answer_nobody_reads_is_ended_and_a_slow_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "READ_WITHIN", 0.01)
    config = uvicorn.Config(Health(), log_config=None)
    config.load()
    connection = protocol.LimitedProtocol(config, ServerState(), {})
    sizes = [300_000, 200_000, 100_000, 100_000]
    transport = Unread(*sizes)
    connection.connection_made(transport)

    connection.pause_writing()
    async with asyncio.timeout(WITHIN):
        await transport.aborted.wait()

    with pytest.raises(StopIteration):
        transport.get_write_buffer_size()
    connection.connection_lost(None)
