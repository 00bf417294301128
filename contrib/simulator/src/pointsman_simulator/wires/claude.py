"""The Anthropic API: messages, token counting, models."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from pointsman.plugin import (
    ChatResponse,
    Done,
    ReasoningBlock,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
)
from pointsman_simulator.compose import cut
from pointsman_simulator.exchange import Answer, Ask, Call, Completion, Stream
from pointsman_simulator.site import Site
from pointsman_simulator.wires.answers import answer_of, usage_of
from pointsman_simulator.wires.base import (
    EDGE_PAGE,
    arguments_text,
    bearer,
    dumps,
    json_answer,
    seconds_text,
    text_of,
)
from pointsman_simulator.wires.claude_checks import choice_of, problem
from pointsman_wires.anthropic import MessageWriter
from pointsman_wires.anthropic.usages import usage_object

_BAD = "invalid_request_error"

_ERRORS: dict[str, tuple[int, str, str | None, str]] = {
    # kind: status, type, details.error_code, message
    "bad_request": (400, _BAD, None, "Invalid request"),
    "context_length": (400, _BAD, None, "prompt is too long: 210000 tokens > 200000 maximum"),
    "content_filter": (400, _BAD, None, "Output blocked by content filtering policy"),
    "authentication": (401, "authentication_error", None, "invalid x-api-key"),
    "billing": (402, "billing_error", None, "Your credit balance is too low to access the API."),
    "forbidden": (
        403,
        "permission_error",
        None,
        "Your API key does not have permission to use the specified resource.",
    ),
    "not_found": (404, "not_found_error", None, "Not found"),
    "too_large": (413, "request_too_large", None, "Request exceeds the maximum size"),
    "rate_limit": (
        429,
        "rate_limit_error",
        None,
        "This request would exceed the rate limit for your organization of 30,000 input tokens per minute.",
    ),
    "slow_down": (
        429,
        "rate_limit_error",
        "ramp_limit_exceeded",
        "Usage increased too sharply; scale up gradually.",
    ),
    "quota": (429, "rate_limit_error", "enforced_spend_limit_reached", "Spend limit reached."),
    "server_error": (500, "api_error", None, "Internal server error"),
    "timeout": (504, "timeout_error", None, "The request timed out; consider streaming."),
    "overloaded": (529, "overloaded_error", None, "Overloaded"),
}

_FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

_COUNT = "/v1/messages/count_tokens"


class Claude:
    """`https://api.anthropic.com`, as far as a router talks to it."""

    name = "claude"
    suffix = ""
    default_models: tuple[str, ...] = ("claude-sonnet-5-5",)

    def refuse(self, call: Call, site: Site) -> Answer | None:
        if site.api_key is not None:
            given = call.headers.get("x-api-key") or bearer(call.headers)
            if given is None:
                return self._error(call, 401, "authentication_error", "x-api-key header is required")
            if not site.takes(given):
                return self.error(call, 401, "authentication", "")
        if "anthropic-version" not in call.headers:
            return self._error(call, 400, _BAD, "anthropic-version: header is required")
        return None

    def manage(self, call: Call, site: Site) -> Answer | None:
        if call.path == "/v1/messages" and call.method == "POST":
            return None
        if call.path == _COUNT and call.method == "POST":
            return self._count(call, site)
        if call.path == "/v1/models" and call.method == "GET":
            return self._list(call, site)
        if call.path.startswith("/v1/models/") and call.method == "GET":
            name = call.path.removeprefix("/v1/models/")
            if name in site.models:
                return self._json(call, 200, _model(name))
            return self._error(call, 404, "not_found_error", f"model: {name}")
        return self._error(call, 404, "not_found_error", "Not found")

    def understand(self, call: Call, site: Site) -> Ask | Answer:
        if call.broken:
            return self._error(call, 400, _BAD, "The request body is not valid JSON.")
        mistake = problem(call.body, call.headers["anthropic-version"], counting=False)
        if mistake is not None:
            return self._error(call, 400, _BAD, mistake)
        model = call.body["model"]
        if model not in site.models:
            return self._error(call, 404, "not_found_error", f"model: {model}")
        tools = tuple(
            (tool["name"], tool["input_schema"])
            for tool in call.body.get("tools") or ()
            if "input_schema" in tool
        )
        return Ask(
            "chat",
            model,
            bool(call.body.get("stream")),
            _prompt(call.body),
            tools=() if choice_of(call.body) == "none" else tools,
            forced=_forced(call.body, tools),
            schema=_schema(call.body),
            stop=tuple(call.body.get("stop_sequences") or ()),
            max_tokens=call.body["max_tokens"],
        )

    def answer(self, call: Call, ask: Ask, completion: Completion) -> Answer:
        body = _Writer(call, ask, completion).whole(_answer(call, completion))
        return Answer(200, body, headers=self._headers(call))

    def stream(self, call: Call, ask: Ask, completion: Completion) -> Stream:
        writer = _Writer(call, ask, completion)
        opening = writer.events([UsageUpdate(usage_of(completion.usage))])
        content = tuple(writer.events(events) for events in _events(call, completion))
        closing, marker, terminator = writer.events([Done(_answer(call, completion))]).partition(_MARKER)
        return Stream(
            "text/event-stream; charset=utf-8",
            (opening,),
            content,
            (closing,),
            marker + terminator,
            self._headers(call),
        )

    def error(self, call: Call, status: int, kind: str, model: str) -> Answer:
        if kind == "edge":
            return Answer(status, EDGE_PAGE, "text/html")
        if kind == "empty":
            return Answer(status, headers=self._headers(call))
        _, type_, code, message = _ERRORS.get(kind, _ERRORS["server_error"])
        return self._error(call, status, type_, message, code=code, quota=kind in ("quota", "billing"))

    def error_frames(self, call: Call, ask: Ask, kind: str) -> bytes:
        _, type_, code, message = _ERRORS.get(kind, _ERRORS["server_error"])
        return _frame("error", error=_error_object(type_, message, code)).encode()

    def loading(self, call: Call, model: str, seconds: float) -> Answer | None:
        return self.error(call, 529, "overloaded", model)

    def retry_headers(self, retry_after: float | str) -> dict[str, str]:
        return {"retry-after": seconds_text(retry_after)}

    def junk(self, call: Call, ask: Ask) -> bytes:
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,\n\n'

    def ping(self, call: Call, ask: Ask) -> bytes:
        return b'event: ping\ndata: {"type": "ping"}\n\n'

    def status_of(self, kind: str) -> int:
        return 529 if kind == "edge" else _ERRORS[kind][0] if kind in _ERRORS else 500

    def _count(self, call: Call, site: Site) -> Answer:
        if call.broken:
            return self._error(call, 400, _BAD, "The request body is not valid JSON.")
        mistake = problem(call.body, call.headers["anthropic-version"], counting=True)
        if mistake is not None:
            return self._error(call, 400, _BAD, mistake)
        if call.body["model"] not in site.models:
            return self._error(call, 404, "not_found_error", f"model: {call.body['model']}")
        return self._json(call, 200, {"input_tokens": len(_prompt(call.body).split())})

    def _list(self, call: Call, site: Site) -> Answer:
        names = list(site.models)
        after, before = call.query.get("after_id"), call.query.get("before_id")
        if after in site.models:
            names = names[names.index(after) + 1 :]
        if before in names:
            names = names[: names.index(before)]
        limit = call.query.get("limit", "20")
        page = names[: int(limit) if limit.isdigit() else 20]
        body = {
            "data": [_model(name) for name in page],
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
            "has_more": len(page) < len(names),
        }
        return self._json(call, 200, body)

    def _json(self, call: Call, status: int, value: Any) -> Answer:
        return json_answer(status, value, self._headers(call))

    def _headers(self, call: Call) -> dict[str, str]:
        return {"request-id": _request_id(call)}

    def _error(
        self,
        call: Call,
        status: int,
        type_: str,
        message: str,
        *,
        code: str | None = None,
        quota: bool = False,
    ) -> Answer:
        body = {
            "type": "error",
            "error": _error_object(type_, message, code),
            "request_id": _request_id(call),
        }
        headers = self._headers(call)
        if status in (429, 529):
            headers["x-should-retry"] = "false" if quota else "true"
        elif status < 500:
            headers["x-should-retry"] = "false"
        return json_answer(status, body, headers)


def _forced(body: Mapping[str, Any], tools: tuple[tuple[str, Any], ...]) -> str | None:
    match choice_of(body):
        case "tool":
            return str(body["tool_choice"]["name"])
        case "any" if tools:
            return tools[0][0]
    return None


def _schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    wanted = (body.get("output_config") or {}).get("format")
    return None if wanted is None else dict(wanted["schema"])


def _prompt(body: Mapping[str, Any]) -> str:
    parts = [text_of(body.get("system"))]
    for message in body["messages"]:
        content = message["content"]
        parts.append(text_of(content))
        blocks = content if isinstance(content, list) else []
        parts.extend(text_of(block.get("content")) for block in blocks if block.get("type") == "tool_result")
    return " ".join(part for part in parts if part)


def _request_id(call: Call) -> str:
    return f"req_{call.ids.hex[:24]}"


def _signature(call: Call) -> str:
    return f"sig{call.ids.hex}"


def _error_object(type_: str, message: str, code: str | None) -> dict[str, Any]:
    error: dict[str, Any] = {"type": type_, "message": message}
    return error | {"details": {"error_code": code}} if code else error


def _model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}


class _Writer(MessageWriter):
    """Ends with the word that is scripted, whatever it is; arguments that are no object stay so."""

    def __init__(self, call: Call, ask: Ask, completion: Completion) -> None:
        super().__init__(ask.model, message_id=f"msg_{call.ids.hex[:24]}")
        self._completion = completion

    def ending(self, answer: ChatResponse) -> dict[str, Any]:
        completion = self._completion
        if completion.stopped_by:
            return {"stop_reason": "stop_sequence", "stop_sequence": completion.stopped_by}
        return {"stop_reason": _FINISH.get(completion.finish, completion.finish), "stop_sequence": None}

    def counted(self, usage: Usage) -> dict[str, Any]:
        if usage.prompt is None:
            return {}
        told = usage_object(replace(usage, reasoning=usage.reasoning or None))
        return {"usage": {**told, "service_tier": "standard"}}

    def counted_at_start(self, usage: Usage) -> dict[str, Any]:
        told = self.counted(replace(usage, completion=1, reasoning=None))
        return told or {"usage": {"input_tokens": 0, "output_tokens": 0}}

    def counted_at_end(self, usage: Usage) -> dict[str, Any]:
        return {} if usage.prompt is None else {"usage": {"output_tokens": usage.completion}}

    def input_of(self, call: ToolCall) -> Any:
        return self._completion.tool_calls[call.index].arguments


_MARKER = b"event: message_stop\n"


def _answer(call: Call, completion: Completion) -> ChatResponse:
    ids = [_call_id(call, index) for index in range(len(completion.tool_calls))]
    answer = answer_of(completion, ids)
    if completion.reasoning:
        answer = replace(answer, reasoning_blocks=(_thinking(call, completion),))
    return answer


def _thinking(call: Call, completion: Completion) -> dict[str, Any]:
    return {"type": "thinking", "thinking": completion.thinking, "signature": _signature(call)}


def _call_id(call: Call, index: int) -> str:
    return f"toolu_{call.ids.hex_of(index)[:24]}"


def _events(call: Call, completion: Completion) -> Iterator[list[StreamEvent]]:
    """What happens at once."""
    for n, piece in enumerate(completion.reasoning, 1):
        ends = n == len(completion.reasoning)
        yield [ReasoningDelta(piece), *([ReasoningBlock(_thinking(call, completion))] if ends else ())]
    for piece in completion.pieces:
        yield [TextDelta(piece)]
    for index, tool in enumerate(completion.tool_calls):
        yield [ToolCallDelta(index, _call_id(call, index), tool.name)]
        for fragment in cut(arguments_text(tool.arguments), 3):
            yield [ToolCallDelta(index, arguments=fragment)]


def _frame(name: str, **fields: Any) -> str:
    return f"event: {name}\ndata: {dumps({'type': name} | fields)}\n\n"
