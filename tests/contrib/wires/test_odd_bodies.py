"""Whatever stands in a body, it is read or refused, and never a failure of ours."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from pointsman.plugin import RequestError
from pointsman_wires import openai_chat, openai_completions, openai_embeddings

_ODD = (None, True, 1, 0.5, -1, 10**30, "x", "", "\ud800", [], {}, [None], [[]], [{}], {"a": 1}, {"type": []})
_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_BODIES = {
    openai_chat: {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be kind"},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}],
            },
            {
                "role": "assistant",
                "tool_calls": [_CALL, {"id": "d", "type": "custom", "custom": {"name": "g"}}],
            },
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "tool", "tool_call_id": "c", "content": "1"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [{"type": "function"}]},
        },
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        "stream": True,
        "stream_options": {"include_usage": True},
        "stop": ["a"],
        "metadata": {"a": "b"},
        "logit_bias": {"1": 2},
        "reasoning_effort": "low",
        "max_completion_tokens": 3,
    },
    openai_completions: {
        "model": "m",
        "prompt": ["a"],
        "stream": True,
        "stop": ["a"],
        "max_tokens": 3,
        "n": 1,
    },
    openai_embeddings: {"model": "m", "input": ["a", "b"], "dimensions": 3, "encoding_format": "base64"},
}


def _variants(value: Any) -> Iterator[Any]:
    """`value` with each thing in it, at any depth, replaced by something odd or left out."""
    yield from _ODD
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            rest = copy.copy(value)
            del rest[key]
            yield rest
            for odd in _variants(value[key]):
                changed = copy.copy(value)
                changed[key] = odd
                yield changed


@pytest.mark.parametrize("wire", _BODIES, ids=lambda wire: wire.__name__)
def test_whatever_stands_in_a_body_is_read_or_refused(wire: Any) -> None:
    read = 0
    for body in _variants(_BODIES[wire]):
        try:
            understood = wire.read(json.dumps(body).encode(), request_id="r", wall=0)
        except RequestError as refused:
            assert refused.message
        else:
            read += 1
            assert isinstance(understood.request.model, str)
    assert read > 10
