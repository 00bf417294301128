"""The Ollama API: chat, generate, embed."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pointsman.plugin import (
    ChatResponse,
    Done,
    EmbedResponse,
    ReasoningDelta,
    TextDelta,
    ToolCall,
)
from pointsman_simulator.exchange import Answer, Ask, Call, Completion, Stream
from pointsman_simulator.site import Site
from pointsman_simulator.wires import ollama_models, ollama_v1
from pointsman_simulator.wires.answers import answer_of, vectors_of
from pointsman_simulator.wires.base import (
    EDGE_PAGE,
    bearer,
    dumps,
    json_answer,
    seconds_text,
    text_of,
)
from pointsman_wires.ollama import AnswerWriter, EmbeddingsWriter, EmbeddingWriter

_JSON = "application/json; charset=utf-8"
_NDJSON = "application/x-ndjson"
_FRACTION = 0.123456  # seconds: instants have more digits than some programs read
_SMALL_NS = 41_000_000  # what a server reports for a model that was in memory already

_ERRORS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "invalid request"),
    "context_length": (400, "the input length exceeds the context length"),
    "content_filter": (400, "the request was blocked"),
    "authentication": (401, "unauthorized"),
    "billing": (402, "payment required"),
    "forbidden": (403, "cloud is disabled"),
    "not_found": (404, "model '{model}' not found"),
    "timeout": (500, "timed out waiting for llama runner to start"),
    "too_large": (413, "http: request body too large"),
    "rate_limit": (429, "you have reached your hourly usage limit, please upgrade to continue"),
    "slow_down": (429, "too many concurrent requests"),
    "quota": (429, "you have reached your weekly usage limit, please upgrade to continue"),
    "server_error": (500, "llama-server process has terminated: signal: killed"),
    "edge": (502, "upstream is unreachable"),
    "overloaded": (503, "server busy, please try again.  maximum pending requests exceeded"),
}

_OPENAI = "/v1/"
_INFERENCE = {
    "/api/chat": "chat",
    "/api/generate": "text",
    "/api/embed": "embeddings",
    "/api/embeddings": "embeddings",
}


class Ollama:
    """`ollama serve`; with an API key, the cloud."""

    name = "ollama"
    suffix = ""
    default_models: tuple[str, ...] = ("llama3.2",)

    def refuse(self, call: Call, site: Site) -> Answer | None:
        if site.takes(bearer(call.headers)):
            return None
        body = {"error": "unauthorized", "signin_url": f"{site.origin}/connect?name={site.name}"}
        return json_answer(401, body, content_type=_JSON)

    def manage(self, call: Call, site: Site) -> Answer | Stream | None:
        if call.path.startswith(_OPENAI):
            return ollama_v1.manage(call, site)
        if call.path in _INFERENCE:
            if call.method == "POST":
                return None
            return Answer(405, b"405 method not allowed", "text/plain")
        return ollama_models.manage(call, site)

    def understand(self, call: Call, site: Site) -> Ask | Answer:
        if call.path.startswith(_OPENAI):
            return ollama_v1.understand(call, site)
        if call.broken:
            return _error(
                400, "missing request body" if call.body is None else "invalid character in request body"
            )
        problem = _problem(call.body)
        if problem is not None:
            return _error(400, problem)
        body = call.body
        model = ollama_models.find(str(body["model"]), site)
        if model is None:
            return _error(404, f"model '{body['model']}' not found")
        for field, capability in (("tools", "tools"), ("think", "thinking")):
            if body.get(field) and capability not in site.capabilities:
                name = (
                    f"registry.ollama.ai/library/{body['model']}"
                    if field == "tools"
                    else f'"{body["model"]}"'
                )
                return _error(400, f"{name} does not support {capability}")
        return _ask(_INFERENCE[call.path], model, body)

    def answer(self, call: Call, ask: Ask, completion: Completion) -> Answer:
        if call.path.startswith(_OPENAI):
            return ollama_v1.answer(call, ask, completion)
        if ask.kind == "embeddings":
            return Answer(200, _embeddings(call, completion), _JSON)
        return Answer(200, _Writer(call, ask, completion).whole(_answer(call, completion)), _JSON)

    def stream(self, call: Call, ask: Ask, completion: Completion) -> Stream:
        if call.path.startswith(_OPENAI):
            return ollama_v1.stream(call, ask, completion)
        writer = _Writer(call, ask, completion)
        said = [
            *(writer.events([ReasoningDelta(piece)]) for piece in completion.reasoning),
            *(writer.events([TextDelta(piece)]) for piece in completion.pieces),
        ]
        *calls, last = writer.events([Done(_answer(call, completion))]).splitlines(keepends=True)
        return Stream(_NDJSON, content=(*said, *calls), terminator=last)

    def error(self, call: Call, status: int, kind: str, model: str) -> Answer:
        if kind == "edge":
            return Answer(status, EDGE_PAGE, "text/html")
        if kind == "empty":
            return Answer(status)
        if call.path.startswith(_OPENAI):
            message = _ERRORS.get(kind, _ERRORS["server_error"])[1].replace("{model}", model)
            return ollama_v1.error(status, message)
        if status == 401:
            return json_answer(401, {"error": "unauthorized", "signin_url": "/connect"}, content_type=_JSON)
        return _error(status, _ERRORS.get(kind, _ERRORS["server_error"])[1].replace("{model}", model))

    def error_frames(self, call: Call, ask: Ask, kind: str) -> bytes:
        if call.path.startswith(_OPENAI):
            return ollama_v1.error_frames(call, ask)
        message = _ERRORS.get(kind, _ERRORS["server_error"])[1].replace("{model}", ask.model)
        if kind == "server_error":
            message = "an error was encountered while running the model: unexpected EOF"
        return f"{dumps({'error': message})}\n".encode()

    def loading(self, call: Call, model: str, seconds: float) -> Answer | None:
        return None

    def retry_headers(self, retry_after: float | str) -> dict[str, str]:
        return {"retry-after": seconds_text(retry_after)}

    def junk(self, call: Call, ask: Ask) -> bytes:
        return b'data: {"id":\n\n' if call.path.startswith(_OPENAI) else b'{"model":"x","crea\n'

    def ping(self, call: Call, ask: Ask) -> bytes:
        if call.path.startswith(_OPENAI):
            return b": ping\n\n"
        # Lines cannot be empty in this API, so the nearest thing to a ping is a line without text.
        said = '"message":{"role":"assistant","content":""}' if call.path == "/api/chat" else '"response":""'
        head = f'{{"model":{dumps(call.body["model"])},"created_at":"{_created_at(call)}"'
        return f'{head},{said},"done":false}}\n'.encode()

    def status_of(self, kind: str) -> int:
        return _ERRORS[kind][0] if kind in _ERRORS else 500


def _error(status: int, message: str) -> Answer:
    return json_answer(status, {"error": message}, content_type=_JSON)


def _problem(body: Mapping[str, Any]) -> str | None:
    """The first mistake in a body, in the server's words (Go's decoder where types are wrong)."""
    if not body.get("model"):
        return "model is required"
    for message in body.get("messages") or []:
        if isinstance(message.get("content"), list):
            return "json: cannot unmarshal array into Go struct field .messages.content of type string"
        for tool in message.get("tool_calls") or []:
            if isinstance(tool["function"].get("arguments"), str):
                return "json: cannot unmarshal string into Go struct field .function.arguments of type map"
        if message.get("role") not in ("system", "user", "assistant", "tool", "developer"):
            return f"invalid role: {message.get('role')}"
    wanted = body.get("format")
    if wanted not in (None, "", "json") and not isinstance(wanted, Mapping):
        return f'invalid format: "{wanted}"; expected "json" or a valid JSON Schema object'
    stop = (body.get("options") or {}).get("stop")
    if stop is not None and not isinstance(stop, list):
        return 'option "stop" must be of type array'
    if not isinstance(body.get("input", ""), str | list):
        return "invalid input type"
    return None


def _ask(kind: str, model: str, body: Mapping[str, Any]) -> Ask:
    keep_alive = _seconds(body.get("keep_alive"))
    if kind == "embeddings":
        inputs = body.get("input", body.get("prompt", ""))
        inputs = (inputs,) if isinstance(inputs, str) and inputs else tuple(inputs)
        dimensions = body.get("dimensions")
        return Ask("embeddings", model, inputs=inputs, dimensions=dimensions, keep_alive=keep_alive)
    stream = body.get("stream") is not False
    if kind == "text":
        prompt = str(body.get("prompt") or "")
    else:
        prompt = " ".join(text_of(message.get("content")) for message in body.get("messages") or [])
    if not (body.get("messages") if kind == "chat" else body.get("prompt")):
        return Ask("load", model, stream, keep_alive=keep_alive)
    functions = [tool["function"] for tool in body.get("tools") or []]
    limit = (body.get("options") or {}).get("num_predict")
    return Ask(
        "chat" if kind == "chat" else "text",
        model,
        stream,
        prompt,
        schema=_schema(body.get("format")),
        stop=tuple((body.get("options") or {}).get("stop") or ()),
        tools=tuple((function["name"], function.get("parameters") or {}) for function in functions),
        max_tokens=limit if isinstance(limit, int) and limit >= 0 else None,
        keep_alive=keep_alive,
    )


def _schema(wanted: Any) -> Mapping[str, Any] | None:
    if isinstance(wanted, Mapping):
        return wanted
    return {} if wanted == "json" else None


_DURATION = re.compile(r"(-?\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(keep_alive: Any) -> float | None:
    """`keep_alive` in seconds: a number, or a Go duration such as "1h30m"; None when absent."""
    if keep_alive is None or isinstance(keep_alive, bool):
        return None
    if isinstance(keep_alive, int | float):
        return float(keep_alive)
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(str(keep_alive)))


def _created_at(call: Call) -> str:
    return datetime.fromtimestamp(call.ids.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456Z")


def _end(ask: Ask, call: Call, completion: Completion) -> dict[str, Any]:
    """The members of the last object; a count of zero is left out, as the server does."""
    if ask.kind == "load":
        return {"done": True, "done_reason": "unload" if ask.keep_alive == 0 else "load"}
    reason = {"tool_calls": "stop", "content_filter": "stop"}.get(completion.finish, completion.finish)
    end: dict[str, Any] = {"done": True, "done_reason": reason}
    if completion.usage is None:
        return end
    load = _nanoseconds(completion.load_s) or _SMALL_NS
    prompt, pace = _nanoseconds(completion.wait_s), _nanoseconds(completion.eval_s)
    cached = completion.usage.cached >= completion.usage.prompt
    counts = {
        "total_duration": load + prompt + pace,
        "load_duration": load,
        "prompt_eval_count": 0 if cached else completion.usage.prompt,
        "prompt_eval_duration": prompt,
        "eval_count": completion.usage.completion,
        "eval_duration": pace,
    }
    end |= {name: count for name, count in counts.items() if count}
    return end | {"context": [1, 2, 3]} if call.path == "/api/generate" and not call.body.get("raw") else end


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


class _Writer(AnswerWriter):
    """Ends with the word that is scripted, whatever it is; arguments that are no object stay so."""

    def __init__(self, call: Call, ask: Ask, completion: Completion) -> None:
        super().__init__(call.body["model"], wall=call.ids.created + _FRACTION, chat=call.path == "/api/chat")
        self._told = call, ask, completion

    def ending(self, answer: ChatResponse) -> dict[str, Any]:
        call, ask, completion = self._told
        return _end(ask, call, completion)

    def arguments_of(self, call: ToolCall) -> Any:
        return self._told[2].tool_calls[call.index].arguments


def _answer(call: Call, completion: Completion) -> ChatResponse:
    ids = [f"call_{call.ids.hex_of(index)[:8]}" for index in range(len(completion.tool_calls))]
    return answer_of(completion, ids)


class _Embeddings(EmbeddingsWriter):
    """Tells what it took."""

    def __init__(self, call: Call, completion: Completion) -> None:
        super().__init__(call.body["model"])
        self._completion = completion

    def counts(self, answer: EmbedResponse) -> dict[str, Any]:
        load = _nanoseconds(self._completion.load_s) or _SMALL_NS
        told = {"total_duration": load + _nanoseconds(self._completion.wait_s), "load_duration": load}
        return told | ({"prompt_eval_count": answer.usage.prompt} if answer.usage.prompt else {})


def _embeddings(call: Call, completion: Completion) -> bytes:
    writer = EmbeddingWriter() if call.path == "/api/embeddings" else _Embeddings(call, completion)
    return writer.whole(vectors_of(completion))
