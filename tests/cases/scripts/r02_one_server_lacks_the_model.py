"""Two Ollama servers behind one name, and one of them lacks the model (404).

Expected: the other answers; the one that lacks it is left alone for a while.
"""

import asyncio
import sys

from upstream import Upstream, config, reply

from pointsman import Router

HAS = {"model": "m", "message": {"role": "assistant", "content": "ok"}, "done": True, "done_reason": "stop"}


async def main():
    async with (
        Upstream(lambda *_: reply({"error": "model 'm' not found"}, 404)) as lacks,
        Upstream(lambda *_: reply(HAS)) as has,
        Router.from_config(config("ollama", lacks.url, has.url)) as router,
    ):
        got = [(await asyncio.gather(router.chat("x", "hi"), return_exceptions=True))[0] for _ in range(10)]
    failed = [type(each).__name__ for each in got if isinstance(each, Exception)]
    print(f"{len(failed)} of 10 failed {set(failed)}; asked: {len(lacks.bodies)} and {len(has.bodies)}")
    return bool(failed)


sys.exit(asyncio.run(main()))
