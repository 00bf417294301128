"""No frame that an error has come through holds a credential in the open, for tools that report its variables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pointsman import PointsmanError, Router
from pointsman.testing.canaries import Canaries, chain_of

ANSWERS = {
    "an error": b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\n{}",
    "a wrong key": b"HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\n{}",
    "no answer": b"garbage\r\n\r\n",
    "nothing": b"",
}


async def failing(answer: bytes) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def variables(error: BaseException) -> list[str]:
    """What the frames of `error` and of all that it came of hold, outside of this file."""
    shown = []
    for each in chain_of(error):
        trace = each.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename != __file__:
                shown += [f"{name} = {value!r}" for name, value in trace.tb_frame.f_locals.items()]
            trace = trace.tb_next
    return shown


@pytest.mark.parametrize("transport", ["h1", "aiohttp", "httpx"])
@pytest.mark.parametrize("answer", ANSWERS)
async def test_the_frames_of_a_failed_call_hold_no_credential(transport: str, answer: str) -> None:
    key, header, password = Canaries.one(), f"canary-of-a-header-{id(answer)}", "canary-of-a-password"
    async for port in failing(ANSWERS[answer]):
        provider: dict[str, object] = {
            "type": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "api_key": key,
            "headers": {"x-own": header}, "proxy": f"http://me:{password}@127.0.0.1:{port}",
        }  # fmt: skip
        if transport == "h1":
            del provider["proxy"]  # it has none
        config = {"providers": {"a": provider}, "models": {"m": {"deployments": ["a/x"]}}, "retry": "none"}
        async with Router.from_config({**config, "transport": transport}) as router:
            with pytest.raises(PointsmanError) as raised:
                await router.chat("m", "hi")

    shown = variables(raised.value)
    assert len(shown) > 5
    assert Canaries((key, header, password)).in_text("\n".join(shown)) == []
