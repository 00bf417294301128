"""OpenAI's Responses API, as far as a router talks to it."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from pointsman.plugin import (
    ChatRequest,
    Done,
    InvalidRequest,
    ReasoningBlock,
    ReasoningDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    Understood,
)
from pointsman_simulator.compose import cut
from pointsman_simulator.exchange import Ask, Call, Completion, Stream
from pointsman_simulator.wires.answers import answer_of
from pointsman_simulator.wires.base import arguments_text, bearer, dumps
from pointsman_wires import openai_responses
from pointsman_wires.openai_responses.reasoning import seal_in, sealed

PATHS = ("/v1/responses", "/v1/responses/compact")

Mistake = tuple[str, str | None, str | None]
"""As (message, param, code)."""


def ask_of(call: Call) -> Ask | Mistake:
    """What the body of `call` asks for, or the first mistake in it.

    Reasoning is sealed for the credential that asked for it, and can be read with no other.
    """
    body = call.body
    if (earlier := body.get("previous_response_id")) is not None:
        message = f"Previous response with id '{earlier}' not found."
        return message, "previous_response_id", "previous_response_not_found"
    for n, item in enumerate(body["input"] if isinstance(body.get("input"), list) else ()):
        seal = item.get("encrypted_content") if isinstance(item, dict) else None
        if seal is not None and seal != _seal(call):
            message = "The encrypted content could not be verified."
            return message, f"input[{n}].encrypted_content", "invalid_encrypted_content"
    try:
        asked = _understood(call).request
    except InvalidRequest as error:
        return error.message, getattr(error, "param", None), "invalid_value"
    assert isinstance(asked, ChatRequest)
    choice = asked.tool_choice
    tools = tuple((each.name, each.parameters) for each in asked.tools)
    forced = None if choice is None else choice.name or (tools[0][0] if choice.mode == "required" else None)
    form = asked.response_format
    return Ask(
        "chat",
        asked.model,
        bool(body.get("stream")),
        " ".join(each.text for each in asked.messages),
        tools=() if choice is not None and choice.mode == "none" else tools,
        forced=forced,
        schema=None if form is None or form.kind == "text" else form.schema or {},
        max_tokens=asked.max_tokens,
    )


def whole(call: Call, completion: Completion, call_ids: Sequence[str]) -> bytes:
    """The body of an answer."""
    answer = answer_of(completion, call_ids)
    if completion.reasoning:
        answer = seal_in(answer, _seal(call))
    return _understood(call).writer.whole(answer)


def compacted(call: Call, completion: Completion) -> dict[str, Any]:
    """A conversation made shorter: all of it in one sealed item."""
    usage = completion.usage
    asked, said = (0, 0) if usage is None else (usage.prompt, usage.completion)
    return {
        "id": f"resp_{call.ids.hex}",
        "object": "response.compaction",
        "created_at": call.ids.created,
        "output": [{"id": f"cmp_{call.ids.hex}", "type": "compaction", "encrypted_content": _seal(call)}],
        "usage": {"input_tokens": asked, "output_tokens": said, "total_tokens": asked + said},
    }


def frames(call: Call, completion: Completion, call_ids: Sequence[str], headers: Mapping[str, str]) -> Stream:
    """The same as it comes."""
    write = _understood(call).writer.events
    thoughts: list[StreamEvent] = [ReasoningDelta(piece) for piece in completion.reasoning]
    if thoughts:
        thoughts.append(ReasoningBlock(sealed(_seal(call))))
    opening = write([Started()])
    content = [write([each]) for each in (*thoughts, *map(TextDelta, completion.pieces))]
    for index, (id, tool) in enumerate(zip(call_ids, completion.tool_calls, strict=True)):
        content.append(write([ToolCallDelta(index, id, tool.name)]))
        fragments = cut(arguments_text(tool.arguments), 3)
        content += [write([ToolCallDelta(index, arguments=each)]) for each in fragments]
    closing = write([Done(answer_of(completion, call_ids))])
    return Stream(
        "text/event-stream; charset=utf-8", (opening,), tuple(filter(None, content)), (), closing, headers
    )


def failed(error: Mapping[str, Any]) -> bytes:
    """An error inside a stream."""
    return f"event: error\ndata: {dumps({'type': 'error', 'error': dict(error)})}\n\n".encode()


def _understood(call: Call) -> Understood:
    body = dumps(call.body).encode("utf-8", "surrogatepass")
    return openai_responses.read(body, request_id=call.ids.hex, wall=float(call.ids.created), stored=True)


def _seal(call: Call) -> str:
    return "gAAAA" + sha256((bearer(call.headers) or "").encode()).hexdigest()
