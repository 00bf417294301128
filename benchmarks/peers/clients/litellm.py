"""LiteLLM's Router over four deployments, with three retries."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # nothing is fetched at import

import litellm
import traffic


class Client:
    async def setup(self, url: str) -> None:
        logging.disable(logging.CRITICAL)
        litellm.telemetry = False
        litellm.suppress_debug_info = True
        deployment = {
            "model": f"openai/{traffic.MODEL}",
            "api_base": url,
            "api_key": traffic.KEY,
            "timeout": 60,
        }
        self._router = litellm.Router(
            model_list=[
                {"model_name": "m", "litellm_params": deployment, "model_info": {"id": f"d{n}"}}
                for n in range(4)
            ],
            num_retries=3,
        )

    async def call(self) -> str:
        answer = await self._router.acompletion("m", traffic.MESSAGES)
        return answer.choices[0].message.content

    async def stream(self, seen: Callable[[str], None]) -> None:
        async for chunk in await self._router.acompletion("m", traffic.MESSAGES, stream=True):
            if chunk.choices and chunk.choices[0].delta.content:
                seen(chunk.choices[0].delta.content)

    async def close(self) -> None:
        self._router.discard()
