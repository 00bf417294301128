"""What programs do with Anthropic's official SDK, at the address and models of the command line.

Prints JSON: the version of the SDK, and for each model and feature "ok" or what went wrong. It runs with the
SDK of today and with one of the generation before, in an environment of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import anthropic

MESSAGES: Any = [{"role": "user", "content": "Where do the points lie?"}]
TOOLS: Any = [
    {
        "name": "forecast",
        "description": "the weather",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    }
]


def message(client: Any, model: str) -> None:
    """A whole answer with its token counts and ids."""
    said = client.messages.create(model=model, max_tokens=50, messages=MESSAGES, system="be brief")
    assert said.id.startswith("msg_")
    assert (said.type, said.role, said.model) == ("message", "assistant", model)
    assert "".join(block.text for block in said.content)
    assert (said.stop_reason, said.stop_sequence) == ("end_turn", None)
    assert said.usage.input_tokens > 0
    assert said.usage.output_tokens > 0
    assert said._request_id


def stream(client: Any, model: str) -> None:
    """The same as raw events, in their order."""
    events = list(client.messages.create(model=model, max_tokens=50, messages=MESSAGES, stream=True))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert events[0].message.model == model
    assert events[-2].usage.output_tokens > 0


def stream_helper(client: Any, model: str) -> None:
    """The helper that puts a stream together, with a call in it."""
    with client.messages.stream(model=model, max_tokens=50, messages=MESSAGES, tools=TOOLS) as helper:
        for _ in helper:
            pass
        final = helper.get_final_message()
    (call,) = [block for block in final.content if block.type == "tool_use"]
    assert isinstance(call.input["city"], str)
    assert (final.stop_reason, final.model) == ("tool_use", model)


def tools(client: Any, model: str) -> None:
    """A call, and the answer that follows its result."""
    asked = {"model": model, "max_tokens": 50, "tools": TOOLS}
    first = client.messages.create(messages=MESSAGES, **asked)
    (call,) = [block for block in first.content if block.type == "tool_use"]
    assert (first.stop_reason, call.name, call.id != "") == ("tool_use", "forecast", True)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "rain"}]}
    answered = [
        *MESSAGES,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": [result, {"type": "text", "text": "and tomorrow?"}]},
    ]
    second = client.messages.create(messages=answered, **asked)
    assert second.type == "message"


def limit(client: Any, model: str) -> None:
    """An answer that is cut off says so."""
    said = client.messages.create(model=model, max_tokens=2, messages=MESSAGES)
    assert said.stop_reason == "max_tokens"


def count_tokens(client: Any, model: str) -> None:
    """How long a prompt is."""
    assert client.messages.count_tokens(model=model, messages=MESSAGES, tools=TOOLS).input_tokens > 0


def models(client: Any, model: str) -> None:
    """The list of models, and one of them."""
    assert model in [each.id for each in client.models.list(limit=1000)]
    assert client.models.retrieve(model).id == model


def errors(client: Any, model: str) -> None:
    """An unknown model, and a wrong body."""
    try:
        client.messages.create(model=f"{model}-none", max_tokens=5, messages=MESSAGES)
    except anthropic.NotFoundError as error:
        assert error.body["error"]["type"] == "not_found_error"
        assert error.request_id
    else:
        raise AssertionError("no NotFoundError")
    try:
        client.messages.create(model=model, max_tokens=5, messages=[{"role": "robot", "content": ""}])
    except anthropic.BadRequestError as error:
        assert error.body["error"]["type"] == "invalid_request_error"
        assert "messages.0.role" in error.body["error"]["message"]
    else:
        raise AssertionError("no BadRequestError")


FEATURES: tuple[Callable[[Any, str], None], ...] = (
    message,
    stream,
    stream_helper,
    tools,
    limit,
    count_tokens,
    models,
    errors,
)


def tried(feature: Callable[[Any, str], None], client: Any, model: str) -> str:
    try:
        feature(client, model)
    except Exception as error:
        return f"{type(error).__name__}: {error}" if str(error) else repr(error)
    return "ok"


def main(base_url: str, *names: str) -> None:
    with anthropic.Anthropic(base_url=base_url, api_key="none", max_retries=0, timeout=10) as client:
        found = {
            name: {feature.__name__: tried(feature, client, name) for feature in FEATURES} for name in names
        }
    json.dump({"version": anthropic.__version__, "found": found}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
