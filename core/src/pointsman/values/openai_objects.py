"""Answers as the objects of OpenAI's API, with the members that compatible servers add. Pure.

What gateways write and what `to_openai` gives comes from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointsman.types import ChatResponse, EmbedResponse, FinishReason, JsonObject, Usage

FINISH: Mapping[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "error": "stop",
    "other": "stop",
}
"""Why an answer ended, in the words that clients know: these four and no others."""
DETAILS = "reasoning_details"
"""The member for reasoning that only its maker can read. OpenAI's own chat has none."""
_ARGUMENTS = {"function": "arguments", "custom": "input"}
_DIGITS = 16


def completion(
    answer: ChatResponse,
    head: Mapping[str, Any],
    *,
    finish: str | None = None,
    logprobs: bool = True,
    choices: int = 1,
) -> dict[str, Any]:
    """The `chat.completion` of an answer.

    Args:
        head: its `id`, `created` and `model`, and what else stands beside them.
        finish: why it ended, where none of `FINISH` is to say so.
        logprobs: whether to look for them in what the upstream sent.
        choices: how often the answer is given.
    """
    choice = {
        "message": _message(answer, head["id"]),
        "logprobs": _logprobs_of(answer.raw) if logprobs else None,
        "finish_reason": FINISH[answer.finish_reason] if finish is None else finish,
    }
    body = {
        **head,
        "object": "chat.completion",
        "choices": [{"index": index, **choice} for index in range(choices)],
    }
    if (counted := usage(answer.usage)) is not None:
        body["usage"] = counted
    return body


def _message(answer: ChatResponse, answer_id: str) -> dict[str, Any]:
    nothing_said = not answer.text and (answer.tool_calls or answer.refusal)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if nothing_said else answer.text,
        "refusal": answer.refusal,
        "annotations": [],
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.reasoning_blocks:
        message[DETAILS] = list(answer.reasoning_blocks)
    if answer.tool_calls:
        message["tool_calls"] = [
            tool_call(each.id or call_id(answer_id, each.index), each.name, each.arguments, each.extra)
            for each in answer.tool_calls
        ]
    return {**answer.extra, **message}


def tool_call(id: str, name: str, arguments: str, extra: JsonObject) -> dict[str, Any]:
    """A call of a function, or of a custom tool where its `extra` says so."""
    kind = "custom" if extra.get("type") == "custom" else "function"
    inside = {**_mapping(extra.get(kind)), "name": name, _ARGUMENTS[kind]: arguments}
    ours = {"id": id, "type": kind, kind: inside}
    return {**ours, **{key: value for key, value in extra.items() if key not in (*ours, "index")}}


def arguments_piece(kind: str, arguments: str) -> dict[str, str]:
    """A further piece of what a call of that type was given."""
    return {_ARGUMENTS.get(kind, "arguments"): arguments}


def call_id(answer_id: str, index: int) -> str:
    """An id for tool call number `index` of an answer, where the upstream gave none."""
    seed = f"{answer_id}\0{index}".encode("utf-8", "surrogatepass")
    return f"call_{blake2b(seed, digest_size=_DIGITS).hexdigest()[:24]}"


def usage(usage: Usage) -> dict[str, Any] | None:
    """The `usage` member; None where nothing was counted. What a part is not known of is left out."""
    if usage.prompt is None and usage.completion is None:
        return None
    prompt, said = usage.prompt or 0, usage.completion or 0
    told: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
    }
    if usage.cached is not None or usage.cache_write is not None:
        told["prompt_tokens_details"] = details = {"cached_tokens": usage.cached or 0, "audio_tokens": 0}
        if usage.cache_write is not None:
            details["cache_write_tokens"] = usage.cache_write
    if usage.reasoning is not None:
        told["completion_tokens_details"] = {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }
    return told


def embeddings(
    answer: EmbedResponse, model: str, vector: Callable[[Sequence[float]], Any] = list
) -> dict[str, Any]:
    """The list of embeddings of an answer. Args: vector: writes one."""
    tokens = answer.usage.prompt or 0
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": vector(each)}
            for index, each in enumerate(answer.vectors)
        ],
        "model": model,
        # SDKs read it without looking whether it is there.
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _mapping(value: Any) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _logprobs_of(raw: Any) -> Any:
    """Those of the first choice: of a whole answer of this wire, or of a stream's pieces."""
    raw = _mapping(raw)
    choices = raw.get("choices")
    if isinstance(choices, list) and choices:
        raw = _mapping(choices[0])
    told = raw.get("logprobs")
    return told if isinstance(told, Mapping) else None  # other wires have a list of that name
