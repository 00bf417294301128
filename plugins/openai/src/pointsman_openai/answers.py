"""JSON answers of the OpenAI dialect as our values. Pure: no I/O.

Compatible servers leave out, rename and mistype almost anything; what can be understood is, and the rest
is a `BadResponse` that says which part.
"""

from __future__ import annotations

import base64
import binascii
import json
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.errors import BadResponse
from pointsman.types import ChatResponse, EmbedResponse, FinishReason, ModelInfo, ToolCall, Usage
from pointsman_openai.errors import error_of_body

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
    # deprecated, or other servers' words
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_length": "length",
    "abort": "error",
    "insufficient_system_resource": "error",
}
_TOO_MANY = 1 << 63
_CONTEXT_WINDOW = ("context_window", "context_length", "max_model_len", "max_context_length")


def chat_response(body: Any, *, request_id: str = "") -> ChatResponse:
    """The answer of POST /chat/completions.

    Raises: the error in the body, if it has one; BadResponse.
    """
    choice = first_choice(body, request_id)
    message = as_object(choice.get("message"))
    answer_id = as_text(body.get("id"))
    content = message.get("content")
    text, reasoning = (content, "") if type(content) is str else content_of(content)
    if message.get("reasoning_content") or message.get("reasoning"):
        reasoning = reasoning_of(message) or reasoning
    calls: Sequence[ToolCall] = ()
    if message.get("tool_calls") or message.get("function_call"):
        calls = _tool_calls(message, answer_id)
    finish, native = finish_of(choice.get("finish_reason"), calls=bool(calls))
    return ChatResponse(
        text,
        calls,
        finish,
        usage_of(body) or Usage(),
        as_text(body.get("model")),
        answer_id,
        reasoning or None,
        (),  # the dialect has no signed pieces of reasoning
        as_text(message["refusal"]) or None if message.get("refusal") else None,
        native,
        request_id,
        body,
    )


def completion_response(body: Any, *, request_id: str = "") -> ChatResponse:
    """The answer of POST /completions. Raises as `chat_response` does."""
    choice = first_choice(body, request_id)
    if not isinstance(choice.get("text"), str):
        raise BadResponse("the upstream's completion has no text", upstream_request_id=request_id)
    finish, native = finish_of(choice.get("finish_reason"), calls=False)
    return ChatResponse(
        text=choice["text"],
        finish_reason=finish,
        usage=usage_of(body) or Usage(),
        model=as_text(body.get("model")),
        id=as_text(body.get("id")),
        native_finish_reason=native,
        upstream_request_id=request_id,
        raw=body,
    )


def embed_response(body: Any, *, count: int, request_id: str = "") -> EmbedResponse:
    """The answer of POST /embeddings for `count` texts, its vectors in the order of the texts.

    Raises: the error in the body, if it has one; BadResponse, also when vectors are missing.
    """
    _check(body, request_id)
    data = body.get("data")
    if not isinstance(data, list) or len(data) != count:
        got = len(data) if isinstance(data, list) else "no"
        raise BadResponse(
            f"the upstream gave {got} vectors for {count} texts", upstream_request_id=request_id
        )
    items = [as_object(each) for each in data]
    if sorted(index for each in items if isinstance(index := each.get("index"), int)) == list(range(count)):
        items.sort(key=lambda each: int(each["index"]))
    return EmbedResponse(
        vectors=[_vector(each.get("embedding"), request_id) for each in items],
        usage=usage_of(body) or Usage(),
        model=as_text(body.get("model")),
        upstream_request_id=request_id,
        raw=body,
    )


def model_infos(body: Any, *, provider: str) -> list[ModelInfo]:
    """The answer of GET /models. Raises BadResponse."""
    data = body.get("data", body.get("models")) if isinstance(body, dict) else body
    if not isinstance(data, list):
        raise BadResponse("the upstream's list of models is none")
    return [
        ModelInfo(
            id=each["id"],
            provider=provider,
            created=as_count(each.get("created")),
            context_window=next((n for key in _CONTEXT_WINDOW if (n := as_count(each.get(key)))), None),
            capabilities=tuple(str(one) for one in each["capabilities"])
            if isinstance(each.get("capabilities"), list)
            else (),
            raw=each,
        )
        for each in data
        if isinstance(each, dict) and isinstance(each.get("id"), str)
    ]


# ── pieces, also of streams ──────────────────────────────────────────────────────────────────────────


def first_choice(body: Any, request_id: str) -> Mapping[str, Any]:
    """The choice of index 0. Raises the error in the body or the choice; BadResponse when there is none."""
    _check(body, request_id)
    for choice in as_list(body.get("choices")):
        if isinstance(choice, dict) and choice.get("index") in (0, None):
            if choice.get("error"):
                raise error_of_body(choice, request_id=request_id)
            return choice
    raise BadResponse("the upstream's answer has no choices", upstream_request_id=request_id)


def usage_of(body: Mapping[str, Any]) -> Usage | None:
    """The token counts of an answer or chunk, None when it has none."""
    usage = body.get("usage")
    if type(usage) is not dict or not usage:
        usage = as_object(as_object(body.get("x_groq")).get("usage"))
        if not usage:
            return None
    cached = cache_write = reasoning = None
    if prompt := as_object(usage.get("prompt_tokens_details")):
        cached = as_count(prompt.get("cached_tokens"))
        cache_write = as_count(prompt.get("cache_write_tokens"))
    if completion := as_object(usage.get("completion_tokens_details")):
        reasoning = as_count(completion.get("reasoning_tokens"))
    if cached is None and "prompt_cache_hit_tokens" in usage:
        cached = as_count(usage.get("prompt_cache_hit_tokens"))
    return Usage(
        as_count(usage.get("prompt_tokens")),
        as_count(usage.get("completion_tokens")),
        cached,
        cache_write,
        reasoning,
    )


def finish_of(native: Any, *, calls: bool) -> tuple[FinishReason, str | None]:
    """Our finish reason and the upstream's own word.

    An unknown word counts as `stop`. Where there is none, tool calls tell: somebody has to answer them.
    """
    if not isinstance(native, str) or not native:
        return ("tool_calls" if calls else "stop"), None
    return _FINISH.get(native, "stop"), native


def content_of(content: Any) -> tuple[str, str]:
    """(text, reasoning) of a message's content: a string, null, or parts of which some are thoughts."""
    if isinstance(content, str):
        return content, ""
    text: list[str] = []
    thoughts: list[str] = []
    for part in as_list(content):
        part = as_object(part)
        text.append(as_text(part.get("text")) if part.get("type") in ("text", "output_text", None) else "")
        if part.get("type") == "thinking":
            thoughts.append(content_of(part.get("thinking"))[0])
    return "".join(text), "".join(thoughts)


def reasoning_of(message: Mapping[str, Any]) -> str:
    """The reasoning text of a message or delta; servers that send both fields send the same twice."""
    return as_text(message.get("reasoning_content")) or as_text(message.get("reasoning"))


def called(call: Mapping[str, Any]) -> tuple[str, str]:
    """(name, arguments) of a tool call or a piece of one. Raises BadResponse."""
    function = as_object(call.get("function"))
    if not function and (custom := as_object(call.get("custom"))):
        return as_text(custom.get("name")), as_text(custom.get("input"))
    arguments = function.get("arguments")
    if isinstance(arguments, dict | list):  # an object where the dialect wants its text
        try:
            arguments = json.dumps(arguments)
        except RecursionError as error:
            raise BadResponse("the upstream's tool call has arguments that are nested too deeply") from error
    return as_text(function.get("name")), as_text(arguments)


def unique_id(given: str, index: int, answer_id: str, used: set[str]) -> str:
    """An id for call number `index`, unlike the `used` ones, to which it is added."""
    wanted = given or (f"{answer_id}-{index}" if answer_id else f"call_{index}")
    if wanted in used:
        wanted = f"{wanted}-{index}"
    while wanted in used:
        wanted += "-"
    used.add(wanted)
    return wanted


def as_object(value: Any) -> Mapping[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> Sequence[Any]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else ()


def as_text(value: Any) -> str:
    """`value` if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def as_count(value: Any) -> int | None:
    """`value` if it is a whole number of 0 or more, else None."""
    if type(value) is int:
        return value if 0 <= value < _TOO_MANY else None
    if type(value) is not float or not 0 <= value < _TOO_MANY or not value.is_integer():
        return None
    return int(value)


def is_error(body: Mapping[str, Any]) -> bool:
    """Whether a body or chunk reports an error, whatever else it holds."""
    return bool(body.get("error")) or body.get("object") == "error"


def _check(body: Any, request_id: str) -> None:
    if not isinstance(body, dict):
        raise BadResponse(
            f"the upstream's answer is a JSON {type(body).__name__}, not an object",
            upstream_request_id=request_id,
        )
    if is_error(body):
        raise error_of_body(body, request_id=request_id)


def _tool_calls(message: Mapping[str, Any], answer_id: str) -> tuple[ToolCall, ...]:
    given = [as_object(each) for each in as_list(message.get("tool_calls"))]
    if not given and (function := as_object(message.get("function_call"))):
        given = [{"function": function}]
    used: set[str] = set()
    calls = []
    for index, each in enumerate(given):
        name, arguments = called(each)
        call_id = unique_id(as_text(each.get("id")), index, answer_id, used)
        calls.append(ToolCall(call_id, name, arguments, index))
    return tuple(calls)


def _vector(given: Any, request_id: str) -> Sequence[float]:
    if isinstance(given, str):
        return _from_base64(given, request_id)
    if isinstance(given, list) and all(type(each) in (float, int) for each in given):
        return given
    raise BadResponse("the upstream's embedding is not a list of numbers", upstream_request_id=request_id)


def _from_base64(given: str, request_id: str) -> Sequence[float]:
    """Little-endian 32-bit floats."""
    try:
        raw = base64.b64decode(given, validate=True)
        floats = array("f", raw)
    except (binascii.Error, ValueError) as error:
        raise BadResponse(
            f"the upstream's embedding is no base64 of 32-bit floats: {error}",
            upstream_request_id=request_id,
        ) from error
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()
