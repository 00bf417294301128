"""`httpx.AsyncClient`: one client, one POST for each call, no limit to its connections."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import traffic


class Client:
    async def setup(self, url: str) -> None:
        self._url = f"{url}/chat/completions"
        self._client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {traffic.KEY}"},
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            timeout=60,
        )

    async def call(self) -> str:
        body = {"model": traffic.MODEL, "messages": traffic.MESSAGES}
        response = await self._client.post(self._url, json=body)
        response.raise_for_status()
        return response.json()["choices"][0]["message"]["content"]

    async def stream(self, seen: Callable[[str], None]) -> None:
        body = {"model": traffic.MODEL, "messages": traffic.MESSAGES, "stream": True}
        async with self._client.stream("POST", self._url, json=body) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    text = json.loads(line[6:])["choices"][0]["delta"].get("content")
                    if text:
                        seen(text)

    async def close(self) -> None:
        await self._client.aclose()
