"""What callers ask of gateways: the head and the body of each request, made before the clock starts."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import traffic

MESSAGES: list[dict[str, Any]] = [
    {"role": each["role"], "content": f"{each['content']} {each['content']}"} for each in traffic.MESSAGES
]
"""Ten messages, about two kilobytes."""


def body(model: str, *, stream: bool = False, messages: list[dict[str, Any]] = MESSAGES) -> bytes:
    """A chat request for `model`, as the SDKs write it."""
    asked = {"model": model, "messages": messages, "temperature": 0.2, "max_tokens": 200}
    if stream:
        asked["stream"] = True
    return json.dumps(asked, separators=(",", ":")).encode()


def plain(model: str) -> list[bytes]:
    """What is asked for whole answers."""
    return [body(model)]


def short(model: str) -> list[bytes]:
    """A single question."""
    return [json.dumps({"model": model, "messages": [MESSAGES[-1]]}).encode()]


def streaming(model: str) -> list[bytes]:
    """What is asked for streams."""
    return [body(model, stream=True)]


@cache
def long(model: str) -> list[bytes]:
    """Streams again, of twenty calls with a long conversation, which differ at its end."""
    return [body(model, stream=True, messages=long_messages(number)) for number in range(20)]


def long_messages(number: int) -> list[dict[str, Any]]:
    """An agent's conversation of 400 KB, about 100,000 tokens; its last message is that of call `number`."""
    line = '    if signal.state == "clear" and track[%d]:\n        return "proceed"  # as the book says\n'
    turns = [
        {
            "role": ("user", "assistant")[turn % 2],
            "content": "".join(line % (turn * 40 + n) for n in range(40)),
        }
        for turn in range(100)
    ]
    system = {"role": "system", "content": "You look after the points and signals of one station. " * 10}
    return [system, *turns, {"role": "user", "content": f"What follows for train {number}?"}]
