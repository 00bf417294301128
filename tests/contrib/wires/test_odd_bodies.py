"""Whatever stands in a body, it is read or refused, and never a failure of ours."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from pointsman.plugin import InvalidRequest, RequestError
from pointsman_wires import anthropic, ollama, openai_chat, openai_completions, openai_embeddings

_ODD = (None, True, 1, 0.5, -1, 10**30, "x", "", "\ud800", [], {}, [None], [[]], [{}], {"a": 1}, {"type": []})
_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_BLOCK = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}


class _Reader:
    def __init__(self, name: str, read: Any) -> None:
        self.__name__ = name
        self.read = read


def _of_ollama(name: str) -> Any:
    """A reader that takes a body which was decoded before, as the others."""
    read = getattr(ollama, f"read_{name}")
    more = {"wall": 0.0} if name == "generate" else {}

    def read_bytes(body: bytes, **_: Any) -> Any:
        given = json.loads(body)
        if not isinstance(given, dict):
            raise InvalidRequest("a route takes objects only")
        return read(given, **more)

    return _Reader(f"ollama.{name}", read_bytes)


_BODIES = {
    anthropic: {
        "model": "m",
        "max_tokens": 9,
        "system": [_BLOCK],
        "messages": [
            {
                "role": "user",
                "content": [
                    _BLOCK,
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="},
                    },
                    {"type": "document", "title": "t", "source": {"type": "content", "content": [_BLOCK]}},
                    {"type": "search_result", "title": "t", "source": "s", "content": [_BLOCK]},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [_BLOCK]}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
        "stop_sequences": ["a"],
        "metadata": {"user_id": "u"},
        "stream": True,
        "temperature": 0.5,
    },
    ollama: {
        "model": "m",
        "messages": [
            {"role": "user", "content": "a", "images": ["QQ=="]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            {"role": "tool", "content": "1", "tool_name": "f"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "format": {"type": "object"},
        "think": "low",
        "options": {"temperature": 0.5, "top_k": 4, "stop": ["a"], "num_predict": 5},
        "stream": True,
    },
    _of_ollama("generate"): {
        "model": "m",
        "prompt": "a",
        "suffix": "b",
        "system": "c",
        "images": ["QQ=="],
        "raw": True,
        "stream": False,
        "options": {"min_p": 0.5},
    },
    _of_ollama("embed"): {"model": "m", "input": ["a"], "dimensions": 3},
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


@pytest.mark.parametrize("several", [True, 0, -1, 1.0, 2.0, "2", [2], {"n": 2}])
@pytest.mark.parametrize(
    ("wire", "body", "name"),
    [
        (openai_chat, {"messages": [{"role": "user", "content": "a"}]}, "n"),
        (openai_completions, {"prompt": "a"}, "n"),
        (openai_completions, {"prompt": "a"}, "best_of"),
    ],
)
def test_how_many_answers_there_are_to_be_is_a_whole_number(
    wire: Any, body: dict[str, Any], name: str, several: Any
) -> None:
    """What an upstream might take for one would be held against budgets as one answer."""
    given = json.dumps({"model": "m", **body, name: several}).encode()
    with pytest.raises(InvalidRequest, match=f"{name} is no whole number of 1 or more"):
        wire.read(given, request_id="r", wall=0.0)
