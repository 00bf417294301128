"""What is said in the benchmarks: the request that every client sends, and the answers of the mock upstream.

Needs nothing but the standard library, because it is imported in every client's environment.
"""

from __future__ import annotations

import json
from typing import Any

MODEL = "bench"
KEY = "k-for-tests"

MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "You answer briefly, in whole sentences, and say so when you do not know."},
    *(
        {"role": role, "content": f"{text} ({turn})"}
        for turn in range(1, 5)
        for role, text in (
            ("user", "What did the signalman write into the book after the night train had passed?"),
            ("assistant", "The hour, the number of the train, and the track that it had been given."),
        )
    ),
    {"role": "user", "content": "And what did the driver say about it?"},
]
"""Ten messages, about one kilobyte."""

TEXT = (
    "The driver said that the points had been set before he saw the signal, and that he was glad of it. " * 2
)
_USAGE = {"prompt_tokens": 211, "completion_tokens": 46, "total_tokens": 257}
_COMMON = {"id": "chatcmpl-b3nchm4rk", "created": 1_760_000_000, "model": MODEL}


def whole() -> bytes:
    """The body of a whole answer, half a kilobyte."""
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    answer = {**_COMMON, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    return json.dumps(answer).encode()


def piece(number: int) -> str:
    """The text of chunk `number` of a stream."""
    return f"word{number} "


def streamed(chunks: int) -> str:
    """The whole text of a stream of `chunks`."""
    return "".join(map(piece, range(chunks)))


def frames(chunks: int) -> list[bytes]:
    """The server-sent events of a stream with `chunks` pieces of content."""
    said = [
        _frame({"role": "assistant", "content": piece(0)} if n == 0 else {"content": piece(n)})
        for n in range(chunks)
    ]
    return [*said, _frame({}, finish="stop"), b"data: [DONE]\n\n"]


def failure() -> bytes:
    """The body of an answer with status 503."""
    error = {"message": "overloaded for once", "type": "server_error", "param": None, "code": None}
    return json.dumps({"error": error}).encode()


def _frame(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = {**_COMMON, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
