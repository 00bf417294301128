"""The SDK `openai`, asynchronous, as it comes."""

from __future__ import annotations

from collections.abc import Callable

import openai
import traffic


class Client:
    async def setup(self, url: str) -> None:
        self._client = openai.AsyncOpenAI(base_url=url, api_key=traffic.KEY, timeout=60)

    async def call(self) -> str:
        answer = await self._client.chat.completions.create(model=traffic.MODEL, messages=traffic.MESSAGES)
        return answer.choices[0].message.content

    async def stream(self, seen: Callable[[str], None]) -> None:
        chunks = await self._client.chat.completions.create(
            model=traffic.MODEL, messages=traffic.MESSAGES, stream=True
        )
        async for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                seen(chunk.choices[0].delta.content)

    async def close(self) -> None:
        await self._client.close()
