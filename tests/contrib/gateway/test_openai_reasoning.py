"""Reasoning that only its maker can read, on OpenAI's surface: it goes back to whoever made it, and to no other."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from gateways import gateway_for

from pointsman_simulator import Reply, Simulator, Upstream

TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
MESSAGES: Any = [{"role": "user", "content": "Is it raining?"}]
THOUGHT = Reply(reasoning="I had better look.", tool_calls=(("look", {}),))


@pytest.fixture
async def claude(simulator: Simulator) -> Upstream:
    return await simulator.add("claude", default=THOUGHT)


async def turns(
    *upstreams: Upstream, stream: bool, models: dict[str, Any] | None = None, second: str = "assistant"
) -> None:
    """A call of a tool and its result, as a program does it that sends back what it was sent."""
    changes = {} if models is None else {"models": models}
    async with gateway_for(*upstreams, **changes) as served:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
            asked: Any = {
                "model": "assistant",
                "messages": MESSAGES,
                "tools": TOOLS,
                "reasoning_effort": "high",
            }
            if stream:
                async with client.chat.completions.stream(**asked) as helper:
                    message = (await helper.get_final_completion()).choices[0].message
            else:
                message = (await client.chat.completions.create(**asked)).choices[0].message
            said = message.model_dump(exclude_none=True, exclude={"parsed"})
            for call in said["tool_calls"]:
                call["function"].pop("parsed_arguments", None)
            result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "Yes."}
            asked |= {"model": second, "messages": [*MESSAGES, said, result]}
            await client.chat.completions.create(**asked)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_claude_thought_goes_back_to_it_as_it_was(claude: Upstream, stream: bool) -> None:
    await turns(claude, stream=stream)

    _, second = claude.requests
    (thought,) = [each for each in second.body["messages"][1]["content"] if each["type"] == "thinking"]
    assert sorted(thought) == ["signature", "thinking", "type"]
    assert thought["thinking"] == "I had better look."
    assert not thought["signature"].startswith("pm.")


@pytest.mark.parametrize("stream", [False, True])
async def test_what_claude_thought_goes_to_no_other(
    simulator: Simulator, claude: Upstream, stream: bool
) -> None:
    other = await simulator.add("openai")
    models = {
        "assistant": {"deployments": [f"{claude.name}/{next(iter(claude.site.models))}"]},
        "other": {"deployments": [f"{other.name}/{next(iter(other.site.models))}"]},
    }

    await turns(claude, other, stream=stream, models=models, second="other")

    (seen,) = other.requests
    assert "reasoning_details" not in seen.body["messages"][1]
    assert "pm." not in json.dumps(seen.body)
