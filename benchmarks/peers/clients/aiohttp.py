"""aiohttp, bare: one session, one POST for each call, orjson, no limit to its connections."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import orjson
import traffic


class Client:
    async def setup(self, url: str) -> None:
        self._url = f"{url}/chat/completions"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers={"authorization": f"Bearer {traffic.KEY}", "content-type": "application/json"},
        )

    async def call(self) -> str:
        body = orjson.dumps({"model": traffic.MODEL, "messages": traffic.MESSAGES})
        async with self._session.post(self._url, data=body) as response:
            response.raise_for_status()
            answer = orjson.loads(await response.read())
        return answer["choices"][0]["message"]["content"]

    async def stream(self, seen: Callable[[str], None]) -> None:
        body = orjson.dumps({"model": traffic.MODEL, "messages": traffic.MESSAGES, "stream": True})
        async with self._session.post(self._url, data=body) as response:
            response.raise_for_status()
            async for line in response.content:
                if line.startswith(b"data: {"):
                    text = orjson.loads(line[6:])["choices"][0]["delta"].get("content")
                    if text:
                        seen(text)

    async def close(self) -> None:
        await self._session.close()
