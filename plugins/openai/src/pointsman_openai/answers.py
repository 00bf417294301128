"""JSON answers of the OpenAI wire as our values. Pure: no I/O.

Compatible servers leave out, rename and mistype almost anything; what can be understood is, and the rest
is a `BadResponse` that says which part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from pointsman.plugin import (
    ERROR_MEMBERS,
    BadResponse,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    JsonObject,
    ModelInfo,
    ToolCall,
    Usage,
    check_vectors,
    complaint,
    holds_complaint,
    is_complaint,
    well_formed,
    with_exact_numbers,
)
from pointsman_openai import vectors
from pointsman_openai.errors import error_of_body
from pointsman_openai.finish import failure_of, finish_of
from pointsman_openai.reasoning import blocks_of, text_of
from pointsman_openai.tool_calls import calls_of, has_object_arguments
from pointsman_openai.usage import usage_of
from pointsman_openai.values import as_count, as_list, as_object, as_text

_CONTEXT_WINDOW = ("context_window", "context_length", "max_model_len", "max_context_length")


def chat_response(body: Any, read_from: bytes | None = None, *, request_id: str = "") -> ChatResponse:
    """The answer of POST /chat/completions.

    Args:
        read_from: the bytes of `body`, for numbers in arguments that are too long for it.

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
        if read_from is not None and has_object_arguments(message):
            message = as_object(first_choice(with_exact_numbers(body, read_from), request_id).get("message"))
        calls = calls_of(message, answer_id)
    finish, native = finish_of(choice.get("finish_reason"), calls=bool(calls))
    if finish == "error":
        raise failure_of(str(native), request_id=request_id)
    if native is None and not (text or reasoning or calls or message.get("refusal")):
        raise BadResponse("the upstream's answer says nothing, not even why", upstream_request_id=request_id)
    blocks: Sequence[JsonObject] = ()
    if "reasoning_details" in message:
        blocks = blocks_of(message["reasoning_details"])
        reasoning = reasoning or text_of(blocks)
    response = ChatResponse(
        text if text.isascii() else well_formed(text),
        calls,
        finish,
        usage_of(body) or Usage(),
        as_text(body.get("model")),
        answer_id,
        well_formed(reasoning) if reasoning else None,
        blocks,
        well_formed(as_text(message["refusal"])) or None if message.get("refusal") else None,
        native,
        request_id,
        body,
    )
    if "extra_content" in message:
        return replace(response, extra={"extra_content": message["extra_content"]})
    return response


def completion_response(body: Any, *, request_id: str = "") -> ChatResponse:
    """The answer of POST /completions. Raises as `chat_response` does."""
    choice = first_choice(body, request_id)
    if not isinstance(choice.get("text"), str):
        raise BadResponse("the upstream's completion has no text", upstream_request_id=request_id)
    finish, native = finish_of(choice.get("finish_reason"), calls=False)
    if finish == "error":
        raise failure_of(str(native), request_id=request_id)
    return ChatResponse(
        text=well_formed(choice["text"]),
        finish_reason=finish,
        usage=usage_of(body) or Usage(),
        model=as_text(body.get("model")),
        id=as_text(body.get("id")),
        native_finish_reason=native,
        upstream_request_id=request_id,
        raw=body,
    )


def embed_response(body: Any, request: EmbedRequest, *, request_id: str = "") -> EmbedResponse:
    """The answer of POST /embeddings, its vectors in the order of the texts.

    Raises: the error in the body, if it has one; BadResponse, also when vectors are missing; Unsupported when
        they have other dimensions than were asked for.
    """
    _check(body, request_id)
    data = body.get("data")
    count = len(request.texts)
    if not isinstance(data, list) or len(data) != count:
        got = len(data) if isinstance(data, list) else "no"
        raise BadResponse(
            f"the upstream gave {got} vectors for {count} texts", upstream_request_id=request_id
        )
    items = [as_object(each) for each in data]
    if len({index for each in items if type(index := each.get("index")) is int}) == count:
        items.sort(key=lambda each: int(each["index"]))  # from 0, or from where the server begins to count
    kind = vectors.kind_asked(request.extra)
    found = [vectors.vector(each.get("embedding"), kind, request_id) for each in items]
    check_vectors(found, None if kind in vectors.PACKED else request.dimensions)
    return EmbedResponse(
        vectors=found,
        usage=usage_of(body) or Usage(),
        model=as_text(body.get("model")),
        upstream_request_id=request_id,
        raw=body,
    )


def model_infos(body: Any, *, provider: str) -> list[ModelInfo]:
    """The answer of GET /models. Raises: the error in the body, if it has one; BadResponse."""
    data = body.get("data", body.get("models")) if isinstance(body, dict) else body
    if not isinstance(data, list):
        if isinstance(body, dict) and is_complaint(body):
            raise error_of_body(body)
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
            if not ERROR_MEMBERS.isdisjoint(choice):
                check_inside(choice, request_id)
            return choice
    said = complaint(body).message
    raise BadResponse(
        "the upstream's answer has no choices" + (f"; it says: {said[:300]}" if said else ""),
        upstream_request_id=request_id,
    )


def check_inside(mapping: Mapping[str, Any], request_id: str) -> None:
    """Raise the error in a choice or a delta that has a member of `ERROR_MEMBERS`, if it holds one."""
    if is_complaint(mapping):
        raise error_of_body(mapping, request_id=request_id)


def content_of(content: Any) -> tuple[str, str]:
    """(text, reasoning) of a message's content: a string, null, or parts of which some are thoughts.

    A part may be but a string. Raises BadResponse for anything else that is not empty: it is an answer, and
    must not be lost.
    """
    if isinstance(content, str):
        return content, ""
    if content and not isinstance(content, list):
        raise BadResponse(f"the upstream's answer has a content that is a JSON {type(content).__name__}")
    text: list[str] = []
    thoughts: list[str] = []
    for part in as_list(content):
        if isinstance(part, str):
            text.append(part)
            continue
        part = as_object(part)
        text.append(as_text(part.get("text")) if part.get("type") in ("text", "output_text", None) else "")
        if part.get("type") == "thinking":
            thoughts.append(content_of(part.get("thinking"))[0])
    return "".join(text), "".join(thoughts)


def reasoning_of(message: Mapping[str, Any]) -> str:
    """The reasoning text of a message or delta; servers that send both fields send the same twice."""
    return as_text(message.get("reasoning_content")) or as_text(message.get("reasoning"))


def _check(body: Any, request_id: str) -> None:
    if not isinstance(body, dict):
        if holds_complaint(body):
            raise error_of_body(body, request_id=request_id)
        raise BadResponse(
            f"the upstream's answer is a JSON {type(body).__name__}, not an object",
            upstream_request_id=request_id,
        )
    if is_complaint(body):
        raise error_of_body(body, request_id=request_id)
