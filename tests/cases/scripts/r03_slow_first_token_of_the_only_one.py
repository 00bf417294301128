"""The only deployment needs longer for its first token than `first_token` (a cold model, a long prompt).

Expected: with nowhere else to go the attempt goes on (within the deadline), or at least is not begun again from
the start: each retry throws away the work and queues the prompt once more.
"""

import asyncio
import json
import sys

from upstream import Upstream, config

from pointsman import Router

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
CHUNK = {"id": "c1", "choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}


async def main():
    script = [HEAD, 1.2, b"data: " + json.dumps(CHUNK).encode() + b"\n\ndata: [DONE]\n\n", "close"]
    times = {"first_token": "500ms", "total": "60s"}
    async with (
        Upstream(lambda *_: script) as up,
        Router.from_config(config("openai", up.url, timeouts=times)) as router,
    ):
        try:
            async with router.stream("x", "hi") as stream:
                async for _ in stream:
                    pass
            print("answered", stream.text, "requests:", len(up.bodies))
        except Exception as error:
            print(f"{type(error).__name__}, requests: {len(up.bodies)}")
            return True
    return len(up.bodies) > 1


sys.exit(asyncio.run(main()))
