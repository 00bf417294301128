"""Two calls are in flight at one deployment; both are refused with `retry-after: 1`, the second 0.2 s later.

Expected: both wait and succeed: attempts, budget and the ten minutes of the deadline are all there.
"""

import asyncio
import sys

from upstream import OK, Upstream, config, limited, reply

from pointsman import Router


def answer(n, _head, _body):
    return reply(OK) if n > 2 else [0.02 if n == 1 else 0.25, *limited(retry_after="1")]


async def main():
    async with Upstream(answer) as up, Router.from_config(config("openai", up.url)) as router:
        got = await asyncio.gather(*[router.chat("x", "hi") for _ in range(2)], return_exceptions=True)
    print(
        [
            f"{type(each).__name__}: {each}"[:140] if isinstance(each, Exception) else "answered"
            for each in got
        ]
    )
    return any(isinstance(each, Exception) for each in got)


sys.exit(asyncio.run(main()))
