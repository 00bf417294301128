"""Answers of OpenAI's Responses API: whole ones and streams. Pure.

Such a request only comes as its caller wrote it, and its answer goes back as it is: what is read here is for
the books, for guards, and for the rules about failures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pointsman.plugin import (
    BadResponse,
    ChatResponse,
    Finished,
    FinishReason,
    JsonObject,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    SseEvent,
    Started,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Truncated,
    Usage,
    UsageUpdate,
    jsonio,
    well_formed,
)
from pointsman_openai.errors import error_of_body
from pointsman_openai.usage import counted, served
from pointsman_openai.values import as_count, as_list, as_object, as_text

_CALLS = ("function_call", "custom_tool_call")
_CUSTOM: JsonObject = {"type": "custom"}
"""What is said beside a call of a tool that takes a text."""
_INCOMPLETE: Mapping[str, FinishReason] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}


def response(body: Any, *, request_id: str = "") -> ChatResponse:
    """The answer of POST /responses and of POST /responses/compact. Raises the error in it; BadResponse."""
    if not isinstance(body, dict) or not isinstance(body.get("output"), list):
        _check(body, request_id)
        raise BadResponse("the upstream's response has no output", upstream_request_id=request_id)
    _check(body, request_id)
    said: dict[str, list[str]] = {"output_text": [], "refusal": [], "reasoning": []}
    calls: list[ToolCall] = []
    blocks: list[JsonObject] = []
    for item in map(as_object, body["output"]):
        match item.get("type"):
            case "message":
                for part in map(as_object, as_list(item.get("content"))):
                    kind = "refusal" if part.get("type") == "refusal" else "output_text"
                    said[kind].append(as_text(part.get("refusal" if kind == "refusal" else "text")))
            case "reasoning":
                said["reasoning"] += _thoughts(item)
                blocks += _sealed(item)
            case "function_call" | "custom_tool_call":
                calls.append(_call(item, len(calls)))
    reason, native = _finish(body, calls=bool(calls))
    return ChatResponse(
        well_formed("".join(said["output_text"])),
        tuple(calls),
        reason,
        usage_of(body) or Usage(),
        as_text(body.get("model")),
        as_text(body.get("id")),
        well_formed("\n\n".join(said["reasoning"])) or None,
        tuple(blocks),
        well_formed("".join(said["refusal"])) or None,
        native,
        request_id,
        body,
    )


def usage_of(body: Mapping[str, Any]) -> Usage | None:
    """The token counts of a response, None when it has none."""
    usage = as_object(body.get("usage"))
    if not usage:
        return None
    asked = as_object(usage.get("input_tokens_details"))
    found = counted(
        as_count(usage.get("input_tokens")),
        as_count(usage.get("output_tokens")),
        as_count(asked.get("cached_tokens")),
        as_count(asked.get("cache_write_tokens")),
        as_count(as_object(usage.get("output_tokens_details")).get("reasoning_tokens")),
        as_count(usage.get("total_tokens")),
    )
    return served(found, body.get("service_tier"))


class ResponsesDecoder:
    """The events of POST /responses."""

    __slots__ = ("_calls", "_request_id", "_started", "_unsaid", "done")

    def __init__(self, *, request_id: str = "") -> None:
        self.done = False
        self._request_id = request_id
        self._started = False
        self._calls: dict[Any, int] = {}
        """The numbers of calls, by the places of their items."""
        self._unsaid: set[int] = set()
        """The numbers of calls of whose arguments nothing has come."""

    def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
        """The events of one frame. Raises the error that it holds; BadResponse when it is not the wire."""
        if not frame.data.strip():
            return ()
        try:
            given = jsonio.loads(frame.data)
        except ValueError as error:
            raise BadResponse(
                f"the upstream's stream holds a frame that is not JSON: {error}",
                upstream_request_id=self._request_id,
            ) from error
        if not isinstance(given, dict):
            raise BadResponse(
                "the upstream's stream holds a frame that is no object", upstream_request_id=self._request_id
            )
        read = _READERS.get(as_text(given.get("type")) or frame.event)
        if read is None:
            if given.get("error") and not given.get("type"):
                raise error_of_body(given, request_id=self._request_id)
            return ()
        return read(self, given)

    def run_of(self, _frame: bytes, /) -> Sequence[list[str]]:
        """As of a `RunDecoder`."""
        return ()

    def close(self) -> Sequence[StreamEvent]:
        """The body has ended without the event that ends an answer. Raises Truncated."""
        raise Truncated(
            "the upstream's stream ended without response.completed", upstream_request_id=self._request_id
        )

    def _start(self, given: JsonObject) -> Sequence[StreamEvent]:
        if self._started:
            return ()
        self._started = True
        begun = as_object(given.get("response"))
        return (Started(as_text(begun.get("id")), as_text(begun.get("model"))),)

    def _text(self, given: JsonObject) -> Sequence[StreamEvent]:
        return (TextDelta(well_formed(as_text(given.get("delta")))),)

    def _refusal(self, given: JsonObject) -> Sequence[StreamEvent]:
        return (RefusalDelta(well_formed(as_text(given.get("delta")))),)

    def _thought(self, given: JsonObject) -> Sequence[StreamEvent]:
        return (ReasoningDelta(well_formed(as_text(given.get("delta")))),)

    def _item(self, given: JsonObject) -> Sequence[StreamEvent]:
        item = as_object(given.get("item"))
        if item.get("type") not in _CALLS:
            return ()
        call = _call(item, len(self._calls))
        self._calls[given.get("output_index")] = call.index
        self._unsaid.add(call.index)
        return (ToolCallDelta(call.index, call.id, call.name, "", call.extra),)

    def _arguments(self, given: JsonObject) -> Sequence[StreamEvent]:
        index, piece = self._calls.get(given.get("output_index")), as_text(given.get("delta"))
        if index is None or not piece:
            return ()
        self._unsaid.discard(index)
        return (ToolCallDelta(index, arguments=well_formed(piece)),)

    def _item_done(self, given: JsonObject) -> Sequence[StreamEvent]:
        """What only its maker can read of reasoning; arguments of a call that did not come in pieces."""
        item, place = as_object(given.get("item")), given.get("output_index")
        events: list[StreamEvent] = [ReasoningBlock(each) for each in _sealed(item)]
        if item.get("type") in _CALLS and place not in self._calls:
            events += self._item(given)
        index = self._calls.get(place)
        if index in self._unsaid and (arguments := _call(item, index).arguments):
            self._unsaid.discard(index)
            events.append(ToolCallDelta(index, arguments=arguments))
        return events

    def _end(self, given: JsonObject) -> Sequence[StreamEvent]:
        ended = as_object(given.get("response"))
        events = [*self._start(given)]
        if (usage := usage_of(ended)) is not None:
            events.append(UsageUpdate(usage))
        self.done = True
        return (*events, Finished(*_finish(ended, calls=bool(self._calls))))

    def _fail(self, given: JsonObject) -> Sequence[StreamEvent]:
        failed = as_object(given.get("response"))
        raise error_of_body(
            {"error": failed.get("error") or given.get("error") or dict(given)}, request_id=self._request_id
        )


_READERS: Mapping[str, Callable[[ResponsesDecoder, JsonObject], Sequence[StreamEvent]]] = {
    "response.created": ResponsesDecoder._start,
    "response.in_progress": ResponsesDecoder._start,
    "response.output_text.delta": ResponsesDecoder._text,
    "response.refusal.delta": ResponsesDecoder._refusal,
    "response.reasoning_summary_text.delta": ResponsesDecoder._thought,
    "response.reasoning_text.delta": ResponsesDecoder._thought,
    "response.output_item.added": ResponsesDecoder._item,
    "response.function_call_arguments.delta": ResponsesDecoder._arguments,
    "response.custom_tool_call_input.delta": ResponsesDecoder._arguments,
    "response.output_item.done": ResponsesDecoder._item_done,
    "response.completed": ResponsesDecoder._end,
    "response.incomplete": ResponsesDecoder._end,
    "response.failed": ResponsesDecoder._fail,
    "error": ResponsesDecoder._fail,
}


def _check(body: Any, request_id: str) -> None:
    """Raise the error in a body, if there is one."""
    given = as_object(body)
    if given.get("error") or given.get("status") == "failed":
        raise error_of_body({"error": given.get("error") or "failed"}, request_id=request_id)


def _finish(body: JsonObject, *, calls: bool) -> tuple[FinishReason, str | None]:
    status = as_text(body.get("status"))
    if status == "incomplete":
        why = as_text(as_object(body.get("incomplete_details")).get("reason"))
        return _INCOMPLETE.get(why, "other"), why or status
    if status in ("completed", ""):
        return ("tool_calls" if calls else "stop"), status or None
    return "other", status


def _call(item: JsonObject, index: int) -> ToolCall:
    custom = item.get("type") == "custom_tool_call"
    arguments = well_formed(as_text(item.get("input" if custom else "arguments")))
    given_id, name = as_text(item.get("call_id")), as_text(item.get("name"))
    return ToolCall(given_id, name, arguments, index, _CUSTOM if custom else {})


def _sealed(item: JsonObject) -> list[JsonObject]:
    blob = as_text(item.get("encrypted_content")) if item.get("type") == "reasoning" else ""
    return [{"type": "reasoning", "encrypted_content": blob}] if blob else []


def _thoughts(item: JsonObject) -> list[str]:
    told = as_list(item.get("content")) or as_list(item.get("summary"))
    return [text for each in told if (text := as_text(as_object(each).get("text")))]
