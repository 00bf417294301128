"""Recorded requests, read into our types and translated again: what arrives must mean the same."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from replay import RECORDED, Exchange, exchanges, recorded

from pointsman._internal import jsonio
from pointsman.types import (
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from pointsman_claude.wire import Wire, messages_body

EXTRA = ("thinking", "service_tier", "cache_control", "container", "context_management", "mcp_servers")
CHOICES = {"auto": "auto", "none": "none", "any": "required"}


class Inexpressible(Exception):
    """The body says what our types have no word for."""


def blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def part(block: Mapping[str, Any]) -> Part:
    match block:
        case {"type": "text", "text": text, **rest} if not rest and text.strip():
            return Text(text)
        case {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}, **rest} if (
            not rest
        ):
            return Image(base64.b64decode(data), kind)
        case {"type": "image", "source": {"type": "url", "url": url}, **rest} if not rest:
            return Image(url=url)
        case {"type": "image", "source": {"type": "file", "file_id": id}, **rest} if not rest:
            return File(id=id, media_type="image/png")
        case {"type": "document", "source": source, **rest} if not rest.keys() - {"title"}:
            title = rest.get("title")
            match source:
                case {"type": "base64", "media_type": kind, "data": data}:
                    return File(base64.b64decode(data), kind, title)
                case {"type": "text", "media_type": kind, "data": data}:
                    return File(data.encode(), kind, title)
                case {"type": "url", "url": url}:
                    return File(url=url, filename=title)
                case {"type": "file", "file_id": id}:
                    return File(id=id, filename=title)
    raise Inexpressible(block)


def message(turn: Mapping[str, Any]) -> list[Message]:
    """One turn as our messages: results become messages of their own."""
    given = blocks(turn["content"])
    results = [block for block in given if block["type"] == "tool_result"]
    thoughts = [block for block in given if block["type"] in ("thinking", "redacted_thinking")]
    calls = [block for block in given if block["type"] == "tool_use"]
    rest = [block for block in given if block not in results + thoughts + calls]
    if given != results + thoughts + rest + calls or turn["role"] not in ("user", "assistant"):
        raise Inexpressible("the order of blocks, or a role")
    if any("cache_control" in block or "caller" in block for block in results + calls):
        raise Inexpressible("cache_control")
    messages = [
        Message(
            "tool",
            [part(block) for block in blocks(result.get("content", []))],
            tool_call_id=result["tool_use_id"],
            is_error=result.get("is_error", False),
        )
        for result in results
    ]
    if thoughts or calls or rest:
        content = [part(block) for block in rest]
        messages.append(
            Message(
                turn["role"],
                content,
                tool_calls=[
                    ToolCall(call["id"], call["name"], json.dumps(call["input"]), n)
                    for n, call in enumerate(calls)
                ],
                reasoning_blocks=thoughts,
            )
        )
    return messages


def as_request(body: dict[str, Any]) -> ChatRequest:
    body = dict(body)
    messages = [
        Message.system(part(block).text)  # type: ignore[union-attr]  # text blocks only
        for block in blocks(body.pop("system", []))
    ]
    for turn in body.pop("messages"):
        messages += message(turn)
    tools = []
    for tool in body.pop("tools", None) or []:
        if tool.keys() - {"name", "description", "input_schema", "strict"}:
            raise Inexpressible(tool)
        tools.append(
            Tool(tool["name"], tool.get("description", ""), tool["input_schema"], tool.get("strict"))
        )
    options: dict[str, Any] = {}
    if choice := body.pop("tool_choice", None):
        mode = CHOICES.get(choice["type"], "tool")
        options["tool_choice"] = ToolChoice(mode, choice.get("name"))  # type: ignore[arg-type]  # one of its modes
        if choice.get("disable_parallel_tool_use"):
            options["parallel_tool_calls"] = False
    extra = {name: body.pop(name) for name in EXTRA if name in body}
    if config := dict(body.pop("output_config", None) or {}):
        options["reasoning_effort"] = config.pop("effort", None)
        if "format" in config:
            options["response_format"] = ResponseFormat("schema", config.pop("format")["schema"])
        if config:
            extra["output_config"] = config
    if "stop_sequences" in body:
        options["stop"] = body.pop("stop_sequences")
    for name in ("max_tokens", "temperature", "top_p", "top_k"):
        options[name] = body.pop(name, None)
    if "metadata" in body:
        options["user"] = body.pop("metadata")["user_id"]
    options["extra"] = extra
    body.pop("model"), body.pop("stream", None)
    if body:
        raise Inexpressible(body)
    return ChatRequest("public", messages, tools, **options)


def normal(body: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with its several ways of saying one thing made one."""
    same = {name: value for name, value in body.items() if value not in ([], None, False)}
    if "system" in same:
        same["system"] = "\n\n".join(block["text"] for block in blocks(same["system"]))
    turns: list[dict[str, Any]] = []
    for turn in same["messages"]:
        content = [
            {**block, "content": blocks(block.get("content", []))}
            if block["type"] == "tool_result"
            else block
            for block in blocks(turn["content"])
        ]
        content = [
            {name: value for name, value in block.items() if (name, value) != ("is_error", False)}
            for block in content
        ]
        if turns and turns[-1]["role"] == turn["role"]:
            turns[-1]["content"] += content
        else:
            turns.append({"role": turn["role"], "content": content})
    same["messages"] = turns
    if "tools" in same:
        same["tools"] = [
            {
                "description": "",
                **tool,
                "input_schema": {"type": "object", "properties": {}, **tool["input_schema"]},
            }
            for tool in same["tools"]
        ]
    if same.get("tool_choice", {}).get("disable_parallel_tool_use") is False:
        same["tool_choice"] = {"type": same["tool_choice"]["type"]}
    return same


def sent(exchange: Exchange) -> bool:
    return (
        exchange.path == "/v1/messages"
        and exchange.id.startswith("recorded/")
        and isinstance(exchange.request, dict)
        and not any(isinstance(each, str) for each in exchange.request["messages"])
    )


def expressible(exchange: Exchange) -> bool:
    try:
        as_request(exchange.request)
    except Inexpressible:
        return False
    return True


REQUESTS = exchanges("anthropic", where=lambda e: sent(e) and expressible(e))


@pytest.mark.parametrize("exchange", REQUESTS)
def test_a_recorded_request_is_said_again(exchange: Exchange) -> None:
    request = as_request(exchange.request)

    said = messages_body(
        request,
        model=exchange.request["model"],
        wire=Wire(),
        stream=exchange.request.get("stream") is True,
    )

    assert normal(json.loads(jsonio.dumps(said))) == normal(exchange.request)


def test_most_recorded_requests_can_be_said() -> None:
    if not RECORDED.is_dir():
        pytest.skip("the recorded exchanges are not beside the project")

    # The others mark cache breakpoints, use the upstream's own tools, or break its rules on purpose.
    assert len(REQUESTS) >= 79
    assert sum(map(sent, recorded("anthropic"))) - len(REQUESTS) <= 38
