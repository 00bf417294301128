"""The surface of OpenAI's API keeps what every surface owes the gateway."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from pointsman.plugin import Surface
from pointsman.testing import SurfaceHost
from pointsman.testing.contract import CannedAsk, SurfaceContract
from pointsman_gateway.surfaces.openai import FACTORY, OpenAISettings

MESSAGES = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "Is it raining?"}]
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


def ask(path: str, *, stream: bool = False, **members: Any) -> CannedAsk:
    body = {"model": "small-7f", **members, **({"stream": True} if stream else {})}
    return CannedAsk(
        path=path, body=json.dumps(body).encode(), model="small-7f", text="Is it raining?", stream=stream
    )


class TestOpenAISurface(SurfaceContract):
    asks: ClassVar[Sequence[CannedAsk]] = (
        ask("/v1/chat/completions", messages=MESSAGES, tools=TOOLS, max_completion_tokens=50),
        ask("/v1/chat/completions", messages=MESSAGES, stream=True, stream_options={"include_usage": True}),
        ask("/v1/completions", prompt="Is it raining?", stop=["."]),
        ask("/v1/embeddings", input=["Is it raining?", "or not"], encoding_format="float"),
    )

    def make(self, host: SurfaceHost) -> Surface:
        return host.make(FACTORY, OpenAISettings())
