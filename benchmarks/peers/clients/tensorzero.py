"""TensorZero's gateway, embedded in the process, with four providers and no database."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

os.environ.setdefault("RUST_LOG", "off")

import tensorzero
import traffic

_MODEL = """
[gateway]
observability.enabled = false
disable_pseudonymous_usage_analytics = true

[models.m]
routing = ["d0", "d1", "d2", "d3"]
"""
_PROVIDER = """
[models.m.providers.{name}]
type = "openai"
model_name = "{model}"
api_base = "{url}/"
api_key_location = "none"
"""


class Client:
    async def setup(self, url: str) -> None:
        self._input = {
            "system": traffic.MESSAGES[0]["content"],
            "messages": [dict(each) for each in traffic.MESSAGES[1:]],
        }
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(_MODEL)
            for n in range(4):
                file.write(_PROVIDER.format(name=f"d{n}", model=traffic.MODEL, url=url))
            file.flush()
            self._gateway = await tensorzero.AsyncTensorZeroGateway.build_embedded(config_file=file.name)

    async def call(self) -> str:
        answer = await self._gateway.inference(model_name="m", input=self._input)
        return answer.content[0].text

    async def stream(self, seen: Callable[[str], None]) -> None:
        async for chunk in await self._gateway.inference(model_name="m", input=self._input, stream=True):
            for each in chunk.content:
                if each.text:
                    seen(each.text)

    async def close(self) -> None:
        await self._gateway.close()
