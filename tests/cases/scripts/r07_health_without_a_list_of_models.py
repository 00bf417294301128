"""`health` is on, and one of two OpenAI-compatible upstreams has no GET /models (404); its chats work.

Expected: a 404 from a live server is no illness, or checks can be turned off for one provider.
"""

import asyncio
import sys

from upstream import OK, Upstream, config, reply

from pointsman import Router


async def main():
    lacks = lambda _n, head, _body: (
        reply({"detail": "Not Found"}, 404) if head.startswith(b"GET") else reply(OK)
    )
    has = lambda _n, head, _body: reply({"data": []}) if head.startswith(b"GET") else reply(OK)
    health = {"interval": "100ms", "fall": 2, "timeout": "1s"}
    async with Upstream(lacks) as a, Upstream(has) as b:
        async with Router.from_config(config("openai", a.url, b.url, health=health)) as router:
            await asyncio.sleep(1)
            for _ in range(10):
                await router.chat("x", "hi")
    chats = [sum(head.startswith(b"POST") for head in each.heads) for each in (a, b)]
    print("chats:", chats)
    return chats[0] == 0


sys.exit(asyncio.run(main()))
