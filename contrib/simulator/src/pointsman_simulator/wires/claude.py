"""The Anthropic API: messages, token counting, models."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pointsman_simulator.compose import cut
from pointsman_simulator.exchange import Answer, Ask, Call, Completion, Stream
from pointsman_simulator.script import Usage
from pointsman_simulator.site import Site
from pointsman_simulator.wires.base import (
    EDGE_PAGE,
    arguments_text,
    bearer,
    dumps,
    encoded,
    json_answer,
    seconds_text,
    text_of,
)
from pointsman_simulator.wires.claude_checks import choice_of, problem

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
            if given != site.api_key:
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
        blocks: list[dict[str, Any]] = []
        if completion.reasoning:
            blocks.append(
                {"type": "thinking", "thinking": completion.thinking, "signature": _signature(call)}
            )
        if completion.pieces:
            blocks.append({"type": "text", "text": completion.text})
        for i, tool in enumerate(completion.tool_calls):
            blocks.append(_tool_block(call, i, tool.name) | {"input": tool.arguments})
        body = _message(call, ask.model) | {"content": blocks} | _stopped(completion)
        if completion.usage is not None:
            body["usage"] = _usage(completion.usage)
        return self._json(call, 200, body)

    def stream(self, call: Call, ask: Ask, completion: Completion) -> Stream:
        message = _message(call, ask.model) | {"content": [], "stop_reason": None, "stop_sequence": None}
        if completion.usage is not None:
            message["usage"] = _usage(replace(completion.usage, reasoning=0)) | {"output_tokens": 1}
        else:
            message["usage"] = {"input_tokens": 0, "output_tokens": 0}
        content, last = _content(call, completion)
        ending: dict[str, Any] = {"delta": _stopped(completion)}
        if completion.usage is not None:
            ending["usage"] = {"output_tokens": completion.usage.completion}
        closing = [_frame("message_delta", **ending)]
        if last >= 0:
            closing.insert(0, _frame("content_block_stop", index=last))
        return Stream(
            "text/event-stream; charset=utf-8",
            encoded([_frame("message_start", message=message)]),
            encoded(content),
            encoded(closing),
            _frame("message_stop").encode(),
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


def _stopped(completion: Completion) -> dict[str, Any]:
    if completion.stopped_by:
        return {"stop_reason": "stop_sequence", "stop_sequence": completion.stopped_by}
    return {"stop_reason": _FINISH.get(completion.finish, completion.finish), "stop_sequence": None}


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


def _message(call: Call, model: str) -> dict[str, Any]:
    return {"id": f"msg_{call.ids.hex[:24]}", "type": "message", "role": "assistant", "model": model}


def _usage(usage: Usage) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "input_tokens": usage.prompt - usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    }
    if usage.reasoning:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return counts | {"service_tier": "standard"}


def _tool_block(call: Call, index: int, name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{call.ids.hex_of(index)[:24]}", "name": name, "input": {}}


def _frame(name: str, **fields: Any) -> str:
    return f"event: {name}\ndata: {dumps({'type': name} | fields)}\n\n"


def _content(call: Call, completion: Completion) -> tuple[list[str], int]:
    """The content events and the index of the block that is still open at their end (-1: none)."""
    blocks: list[tuple[dict[str, Any], list[str]]] = []
    if completion.reasoning:
        deltas = list(_deltas("thinking_delta", "thinking", completion.reasoning))
        deltas[-1] += _PLACE + _delta("signature_delta", "signature", _signature(call))
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
    if completion.pieces:
        blocks.append(({"type": "text", "text": ""}, list(_deltas("text_delta", "text", completion.pieces))))
    for i, tool in enumerate(completion.tool_calls):
        fragments = ("", *cut(arguments_text(tool.arguments), 3))
        deltas = list(_deltas("input_json_delta", "partial_json", fragments))
        blocks.append((_tool_block(call, i, tool.name), deltas))
    events: list[str] = []
    for index, (block, deltas) in enumerate(blocks):
        start = _frame("content_block_start", index=index, content_block=block)
        if index:
            start = _frame("content_block_stop", index=index - 1) + start
        head = f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":{index},"delta":'
        framed = [head + delta.replace(_PLACE, "}\n\n" + head) + "}\n\n" for delta in deltas]
        framed[0] = start + framed[0]
        events.extend(framed)
    return events, len(blocks) - 1


_PLACE = "\x00"  # between two deltas of one content event; JSON never contains it unescaped


def _deltas(type_: str, key: str, pieces: tuple[str, ...]) -> Iterator[str]:
    return (_delta(type_, key, piece) for piece in pieces)


def _delta(type_: str, key: str, piece: str) -> str:
    return f'{{"type":"{type_}","{key}":{dumps(piece)}}}'
