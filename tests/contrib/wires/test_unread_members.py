"""Members that no reader takes in are named, since no guard sees them and some upstreams get them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pointsman.plugin import Understood, jsonio
from pointsman_wires import anthropic, openai_chat, openai_responses

SAID = {"role": "user", "content": "hi"}
FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}
TOOL = {"type": "function", "function": FUNCTION}
SENT_BACK: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None, "status": None},
    {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "ho", "annotations": [], "logprobs": []}],
    },
    {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "done"},
]

READ: Mapping[str, tuple[Callable[..., Understood], dict[str, Any]]] = {
    "chat": (openai_chat.read, {"messages": [SAID]}),
    "messages": (anthropic.read, {"max_tokens": 9, "messages": [SAID]}),
    "responses": (openai_responses.read, {"input": [SAID]}),
}


def ignored(api: str, members: Mapping[str, Any]) -> list[str]:
    read, least = READ[api]
    body = jsonio.dumps({"model": "m", **least, **members})
    return list(read(body, request_id="req_1", wall=1.0).ignored)


@pytest.mark.parametrize(
    ("api", "members", "named"),
    [
        ("chat", {"new": 1}, "new"),
        ("chat", {"tools": [{**TOOL, "new": 1}]}, "tools[0].new"),
        ("chat", {"tools": [{**TOOL, "function": {**FUNCTION, "new": 1}}]}, "tools[0].function.new"),
        ("chat", {"tools": [{"type": "function", **FUNCTION, "new": 1}]}, "tools[0].new"),
        ("messages", {"new": 1}, "new"),
        ("messages", {"messages": [{**SAID, "new": 1}]}, "messages.new"),
        ("messages", {"tools": [{"name": "f", "input_schema": {}, "new": 1}]}, "tools.new"),
        ("responses", {"new": 1}, "new"),
        ("responses", {"metadata": {"a": "b"}}, "metadata"),
        ("responses", {"prompt_cache_key": "k"}, "prompt_cache_key"),
        ("responses", {"client_metadata": {"a": "b"}}, "client_metadata"),
        ("responses", {"safety_identifier": "k"}, "safety_identifier"),
        ("responses", {"input": [{**SAID, "new": 1}]}, "input.new"),
        (
            "responses",
            {"input": [{**SAID, "content": [{"type": "input_text", "text": "x", "new": 1}]}]},
            "input.new",
        ),
        ("responses", {"tools": [{"type": "function", **FUNCTION, "new": 1}]}, "tools[0].new"),
    ],
)
def test_what_nobody_reads_is_named(api: str, members: Mapping[str, Any], named: str) -> None:
    assert ignored(api, members) == [named]


@pytest.mark.parametrize(
    ("api", "members"),
    [
        ("chat", {"tools": [TOOL]}),
        ("chat", {"tools": [{"type": "function", **FUNCTION}]}),
        ("messages", {"tools": [{"name": "f", "description": "d", "input_schema": {}}]}),
        ("responses", {"input": SENT_BACK, "tools": [{"type": "function", **FUNCTION}]}),
    ],
)
def test_what_is_read_is_not(api: str, members: Mapping[str, Any]) -> None:
    assert ignored(api, members) == []
