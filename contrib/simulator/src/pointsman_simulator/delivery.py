"""Carries out a plan on a connection."""

import asyncio
import struct
from socket import SO_LINGER, SOL_SOCKET

from aiohttp import web

from pointsman_simulator.plan import Plan
from pointsman_simulator.records import RequestRecord

_NO_LINGER = struct.pack("ii", 1, 0)


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Ends a connection as a dying process does: the peer gets a RST, unsent bytes are gone."""
    if transport is None or not isinstance(transport, asyncio.WriteTransport):
        return
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(SOL_SOCKET, SO_LINGER, _NO_LINGER)
    transport.abort()


async def never() -> None:
    """Waits until the task is cancelled, which happens when the connection is gone."""
    await asyncio.get_running_loop().create_future()


async def deliver(request: web.BaseRequest, plan: Plan, record: RequestRecord) -> web.StreamResponse:
    """Writes the answer; does not return when the plan leaves it unfinished."""
    record.status = plan.status
    if (
        len(plan.writes) == 1
        and plan.length is not None
        and plan.ending == "end"
        and not plan.writes[0].delay
    ):
        return web.Response(status=plan.status, headers=plan.headers, body=plan.writes[0].data)
    response = web.StreamResponse(status=plan.status, headers=plan.headers)
    if plan.length is None:
        response.enable_chunked_encoding()
    else:
        response.content_length = plan.length
    await response.prepare(request)
    await _write(response, plan, record)
    if plan.ending == "end":
        return response
    if plan.ending != "stall":
        await asyncio.sleep(plan.pause)
        record.outcome = "faulted"
        if plan.ending == "reset":
            reset(request.transport)
        elif request.transport is not None:
            request.transport.close()
    await never()
    raise AssertionError("unreachable")


async def _write(response: web.StreamResponse, plan: Plan, record: RequestRecord) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    for write in plan.writes:
        if write.delay:
            # Against the clock rather than one sleep after the other, so that the pace does not drift.
            due += write.delay
            await asyncio.sleep(due - loop.time())
        elif plan.apart:
            await asyncio.sleep(0)
        await response.write(write.data)
        record.events_sent += write.events
