"""What each wire sends for an answer of a Python type, and that the answer is read as one."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from pointsman import Router
from pointsman_simulator import Reply, Simulator

TEXT = '{"colour": "blue", "height": 3, "seen": null}'


class Sky(BaseModel):
    """What is above."""

    colour: Literal["blue", "red"]
    height: int = Field(default=1, ge=0, description="in km")
    seen: str | None = None


SCHEMA = {
    "type": "object",
    "description": "What is above.",
    "properties": {
        "colour": {"type": "string", "enum": ["blue", "red"]},
        "height": {"type": "integer", "description": "in km (minimum: 0)"},
        "seen": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["colour", "height", "seen"],
    "additionalProperties": False,
}
WRAPPED = {"type": "json_schema", "json_schema": {"name": "Sky", "schema": SCHEMA, "strict": True}}
SENT: dict[str, tuple[str, Any]] = {
    "openai": ("response_format", WRAPPED),
    "localai": ("response_format", WRAPPED),
    "claude": ("output_config", {"format": {"type": "json_schema", "schema": SCHEMA}}),
    "ollama": ("format", SCHEMA),
}


@pytest.mark.parametrize("type", SENT)
async def test_each_wire_sends_the_same_closed_schema(type: str) -> None:
    name, sent = SENT[type]
    async with Simulator(seed=1) as simulator:
        upstream = await simulator.add(type, name="up", models=["x"])  # type: ignore[arg-type]
        upstream.script(Reply(text=TEXT), Reply(text=TEXT))
        config = {
            "providers": {"up": {"type": type, "base_url": upstream.base_url, "api_key": "k"}},
            "models": {"m": {"deployments": ["up/x"], "defaults": {"max_tokens": 50}}},
        }
        if type in ("ollama", "localai"):
            del config["providers"]["up"]["api_key"]
        async with Router.from_config(config) as router:
            reply = await router.chat("m", "sky?", response_format=Sky)
            async with router.stream("m", "sky?", response_format=Sky) as stream:
                async for _ in stream:
                    pass
        bodies = [each.body for each in upstream.requests if each.body and "messages" in each.body]

    assert [each[name] for each in bodies] == [sent, sent]
    assert reply.parsed == stream.response.parsed == Sky(colour="blue", height=3)
