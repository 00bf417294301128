"""any-llm with its provider `openai`."""

from __future__ import annotations

from collections.abc import Callable

import any_llm
import traffic


class Client:
    async def setup(self, url: str) -> None:
        self._llm = any_llm.AnyLLM.create("openai", api_key=traffic.KEY, api_base=url)

    async def call(self) -> str:
        answer = await self._llm.acompletion(model=traffic.MODEL, messages=traffic.MESSAGES)
        return answer.choices[0].message.content

    async def stream(self, seen: Callable[[str], None]) -> None:
        chunks = await self._llm.acompletion(model=traffic.MODEL, messages=traffic.MESSAGES, stream=True)
        async for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                seen(chunk.choices[0].delta.content)

    async def close(self) -> None:
        close = getattr(getattr(self._llm, "client", None), "close", None)
        if close is not None:
            await close()
