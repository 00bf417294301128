"""WebSockets of callers who send what costs us more than them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import uvicorn
from gateways import gateway_for
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from pointsman_gateway.exchange.health import Health
from pointsman_gateway.listening.socket_protocol import MOST_FRAGMENTS, LimitedSocket
from pointsman_simulator import Reply, Simulator

WITHIN = 10.0


class Pausing(asyncio.Transport):
    """A transport that notes whether it is read from."""

    reads = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        """Nobody reads it."""


async def test_who_does_not_read_the_answers_to_its_pings_is_not_read_from() -> None:
    config = uvicorn.Config(Health(), ws=LimitedSocket, log_config=None)
    config.load()
    socket = LimitedSocket(config, ServerState(), {})
    transport = Pausing()
    socket.connection_made(transport)

    socket.handle_ping()
    while_there_is_room = transport.reads
    socket.pause_writing()
    socket.handle_ping()
    while_there_is_none = transport.reads
    socket.resume_writing()

    assert while_there_is_room
    assert not while_there_is_none
    assert transport.reads


async def test_a_message_in_endless_pieces_ends_its_connection(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    async with gateway_for(upstream) as served, asyncio.timeout(WITHIN):
        async with connect(f"{served.url.replace('http', 'ws', 1)}/api/v1/ai/ws", proxy=None) as socket:
            first = Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True)
            further = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)
            socket.transport.write(first + further * (MOST_FRAGMENTS + 1))
            with pytest.raises(ConnectionClosed, match="1009"):
                await socket.recv()


async def test_what_callers_do_to_a_socket_is_no_error_in_the_log(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = await simulator.add("openai", default=Reply("word " * 20, tokens_per_second=100.0))
    with caplog.at_level(logging.ERROR):
        async with gateway_for(upstream) as served, asyncio.timeout(WITHIN):
            url = f"{served.url.replace('http', 'ws', 1)}/api/v1/ai/ws"
            with pytest.raises(InvalidStatus, match="403"):
                await connect(url, proxy=None, origin="http://evil.example").__aenter__()  # type: ignore[arg-type]
            async with connect(url, proxy=None) as socket:
                await socket.send('{"id": "a", "type": "generate", "prompt": "x", "stream": true}')
                await socket.recv()
                socket.transport.abort()

    assert not [each for each in caplog.records if each.name.startswith(("pointsman", "uvicorn"))]
