"""The OpenAI API: chat completions, completions, embeddings, models."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from pointsman.plugin import (
    ChatResponse,
    Done,
    EmbedResponse,
    RawDelta,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
)
from pointsman_simulator.compose import cut
from pointsman_simulator.exchange import Answer, Ask, Call, Completion, Stream
from pointsman_simulator.site import Site
from pointsman_simulator.wires import openai_responses
from pointsman_simulator.wires.answers import answer_of, vectors_of
from pointsman_simulator.wires.base import (
    EDGE_PAGE,
    arguments_text,
    bearer,
    dumps,
    json_answer,
    seconds_text,
    text_of,
)
from pointsman_simulator.wires.openai_checks import BAD, ERRORS, error_object, problem
from pointsman_wires.encoding import DONE
from pointsman_wires.openai_chat import ChatWriter
from pointsman_wires.openai_completions import CompletionWriter
from pointsman_wires.openai_embeddings import EmbeddingsWriter

_INFERENCE = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text",
    "/v1/embeddings": "embeddings",
    **dict.fromkeys(openai_responses.PATHS, "responses"),
}


class OpenAI:
    """`https://api.openai.com`, as far as a router talks to it."""

    name = "openai"
    suffix = "/v1"
    default_models: tuple[str, ...] = ("gpt-4.1-mini",)

    def refuse(self, call: Call, site: Site) -> Answer | None:
        if site.takes(bearer(call.headers)):
            return None
        if bearer(call.headers) is None:
            return self._bad(call, "You didn't provide an API key.", code=None, status=401)
        return self.error(call, 401, "authentication", "")

    def manage(self, call: Call, site: Site) -> Answer | None:
        if call.path in _INFERENCE:
            if call.method == "POST":
                return None
            return self._bad(call, f"Not allowed to {call.method} on {call.path}.", code=None, status=405)
        if call.path == "/v1/models" and call.method == "GET":
            listed = [_model(name) for name in site.models]
            return self._json(call, 200, {"object": "list", "data": listed})
        if call.path.startswith("/v1/models/") and call.method == "GET":
            name = call.path.removeprefix("/v1/models/")
            if name in site.models:
                return self._json(call, 200, _model(name))
            return self._unknown_model(call, name)
        return self._bad(call, f"Invalid URL ({call.method} {call.path})", code=None, status=404)

    def understand(self, call: Call, site: Site) -> Ask | Answer:
        if call.broken:
            return self._bad(call, "We could not parse the JSON body of your request.", code=None)
        kind = _INFERENCE[call.path]
        if kind == "responses":
            return self._understand_responses(call, site)
        mistake = problem(kind, call.body, lenient=site.lenient)
        if mistake is not None:
            message, param, code = mistake
            return self._bad(call, message, param=param, code=code)
        if call.body["model"] not in site.models:
            return self._unknown_model(call, call.body["model"])
        return openai_ask(kind, call.body)

    def _understand_responses(self, call: Call, site: Site) -> Ask | Answer:
        asked = openai_responses.ask_of(call)
        if not isinstance(asked, Ask):
            message, param, code = asked
            return self._bad(call, message, param=param, code=code)
        return asked if asked.model in site.models else self._unknown_model(call, asked.model)

    def answer(self, call: Call, ask: Ask, completion: Completion) -> Answer:
        if call.path in openai_responses.PATHS:
            if call.path.endswith("/compact"):
                return self._json(call, 200, openai_responses.compacted(call, completion))
            body = openai_responses.whole(call, completion, _call_ids(call, completion))
            return Answer(200, body, headers=self._headers(call))
        if ask.kind == "embeddings":
            encoded = call.body.get("encoding_format") == "base64"
            body = _EmbeddingsWriter(model=ask.model, encoded=encoded).whole(vectors_of(completion))
        elif ask.kind == "text":
            body = _text_writer(call, ask).whole(answer_of(completion))
        else:
            told = {"logprobs": logprobs(ask, completion.pieces)}
            body = _chat_writer(call, ask).whole(answer_of(completion, _call_ids(call, completion), told))
        return Answer(200, body, headers=self._headers(call))

    def stream(self, call: Call, ask: Ask, completion: Completion) -> Stream:
        if call.path in openai_responses.PATHS:
            ids = _call_ids(call, completion)
            return openai_responses.frames(call, completion, ids, self._headers(call))
        render = _text_stream if ask.kind == "text" else _chat_stream
        opening, content, closing = render(call, ask, completion)
        return Stream(
            "text/event-stream; charset=utf-8",
            opening,
            content,
            (closing.removesuffix(DONE),),
            DONE,
            self._headers(call),
        )

    def error(self, call: Call, status: int, kind: str, model: str) -> Answer:
        if kind == "edge":
            return Answer(status, EDGE_PAGE, "text/html; charset=UTF-8")
        if kind == "empty":
            return Answer(status, headers=self._headers(call))
        return self._json(call, status, {"error": error_object(kind)})

    def error_frames(self, call: Call, ask: Ask, kind: str) -> bytes:
        if call.path in openai_responses.PATHS:
            return openai_responses.failed(error_object(kind))
        return f"data: {dumps({'error': error_object(kind)})}\n\n".encode()

    def loading(self, call: Call, model: str, seconds: float) -> Answer | None:
        return self.error(call, 503, "overloaded", model)

    def retry_headers(self, retry_after: float | str) -> dict[str, str]:
        if isinstance(retry_after, str) or float(retry_after).is_integer():
            return {"retry-after": seconds_text(retry_after)}
        milliseconds = seconds_text(round(retry_after * 1000, 3))
        return {"retry-after": str(ceil(retry_after)), "retry-after-ms": milliseconds}

    def junk(self, call: Call, ask: Ask) -> bytes:
        return b'data: {"id":"chatcmpl-broken","choices":[{"index":0,\n\n'

    def ping(self, call: Call, ask: Ask) -> bytes:
        return b": ping\n\n"

    def status_of(self, kind: str) -> int:
        return 502 if kind == "edge" else ERRORS[kind][0] if kind in ERRORS else 500

    def _json(self, call: Call, status: int, value: Any) -> Answer:
        return json_answer(status, value, self._headers(call))

    def _headers(self, call: Call) -> dict[str, str]:
        return {
            "x-request-id": f"req_{call.ids.hex}",
            "openai-version": "2020-10-01",
            "openai-processing-ms": "1",
        }

    def _bad(
        self, call: Call, message: str, *, param: str | None = None, code: str | None, status: int = 400
    ) -> Answer:
        return self._json(
            call, status, {"error": {"message": message, "type": BAD, "param": param, "code": code}}
        )

    def _unknown_model(self, call: Call, name: str) -> Answer:
        message = f"The model `{name}` does not exist or you do not have access to it."
        return self._bad(call, message, code="model_not_found", status=404)


def openai_ask(kind: str, body: Mapping[str, Any]) -> Ask:
    """What a body in OpenAI's form asks for; LocalAI and Ollama read the same one."""
    model = body["model"]
    if kind == "embeddings":
        return Ask("embeddings", model, inputs=_inputs(body.get("input")), dimensions=body.get("dimensions"))
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    stream = bool(body.get("stream"))
    stop = body.get("stop") or ()
    stop = (stop,) if isinstance(stop, str) else tuple(stop)
    if kind == "text":
        prompt = " ".join(_inputs(body.get("prompt", "")))
        return Ask("text", model, stream, prompt, stop=stop, max_tokens=limit)
    prompt = " ".join(text_of(message.get("content")) for message in body["messages"])
    functions = [tool["function"] for tool in body.get("tools") or [] if tool.get("type") == "function"]
    tools = tuple((function["name"], function.get("parameters") or {}) for function in functions)
    return Ask(
        "chat",
        model,
        stream,
        prompt,
        tools=() if body.get("tool_choice") == "none" else tools,
        forced=_forced(body.get("tool_choice"), tools),
        schema=_schema(body.get("response_format")),
        stop=stop,
        logprobs=(body.get("top_logprobs") or 0) if body.get("logprobs") else None,
        max_tokens=limit,
        n=body.get("n") or 1,
    )


def _forced(choice: Any, tools: tuple[tuple[str, Any], ...]) -> str | None:
    if isinstance(choice, Mapping):
        return str((choice.get("function") or choice).get("name"))
    return tools[0][0] if choice == "required" and tools else None


def _schema(wanted: Any) -> Mapping[str, Any] | None:
    kind = wanted.get("type") if isinstance(wanted, Mapping) else wanted
    match kind:
        case "json_object":
            return {}
        case "json_schema" if isinstance(wanted, Mapping):
            return dict((wanted.get("json_schema") or {}).get("schema") or {})
    return None


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1700000000, "owned_by": "system"}


def _inputs(value: Any) -> tuple[str, ...]:
    """The texts of `input` or `prompt`: a text, a list of texts, tokens, or a list of token lists."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(token, int) for token in value):
        return (" ".join(map(str, value)),)
    return tuple(item if isinstance(item, str) else " ".join(map(str, item)) for item in value or ())


class _ChatWriter(ChatWriter):
    """Ends with the word that is scripted, whatever it is."""

    def reason(self, answer: ChatResponse) -> str:
        return answer.native_finish_reason or ""


class _CompletionWriter(CompletionWriter):
    """The same."""

    def reason(self, answer: ChatResponse) -> str:
        return answer.native_finish_reason or ""


class _EmbeddingsWriter(EmbeddingsWriter):
    """Leaves out what is not counted."""

    def body(self, answer: EmbedResponse) -> dict[str, Any]:
        made = super().body(answer)
        if answer.usage.prompt is None:
            del made["usage"]
        return made


def _chat_writer(call: Call, ask: Ask) -> ChatWriter:
    return _ChatWriter(
        id=f"chatcmpl-{call.ids.hex}",
        created=call.ids.created,
        model=ask.model,
        include_usage=_include_usage(call),
        logprobs=ask.logprobs is not None,
        members={"service_tier": "default", "system_fingerprint": None},
        choices=ask.n,
    )


def _text_writer(call: Call, ask: Ask) -> CompletionWriter:
    return _CompletionWriter(
        id=f"cmpl-{call.ids.hex}",
        created=call.ids.created,
        model=ask.model,
        include_usage=_include_usage(call),
    )


def _include_usage(call: Call) -> bool:
    return bool((call.body.get("stream_options") or {}).get("include_usage"))


def _call_ids(call: Call, completion: Completion) -> list[str]:
    return [f"call_{call.ids.hex_of(index)[:24]}" for index in range(len(completion.tool_calls))]


_Frames = tuple[tuple[bytes, ...], tuple[bytes, ...], bytes]
"""Before the content, with it, and after it."""


def _chat_stream(call: Call, ask: Ask, completion: Completion) -> _Frames:
    writer, ids = _chat_writer(call, ask), _call_ids(call, completion)
    opening = writer.begin(content=None if completion.tool_calls and not completion.pieces else "")
    content = tuple(writer.events(events) for events in _events(ask, completion, ids))
    return (opening,), content, writer.events([Done(answer_of(completion, ids))])


def _events(ask: Ask, completion: Completion, ids: Sequence[str]) -> Iterator[list[StreamEvent]]:
    """What happens at once."""
    for piece in completion.reasoning:
        yield [ReasoningDelta(piece)]
    for piece in completion.pieces:
        told = logprobs(ask, (piece,))
        yield [TextDelta(piece), *([RawDelta({"logprobs": told})] if told else ())]
    for index, tool in enumerate(completion.tool_calls):
        yield [ToolCallDelta(index, ids[index], tool.name)]
        for fragment in cut(arguments_text(tool.arguments), 3):
            yield [ToolCallDelta(index, arguments=fragment)]


def _text_stream(call: Call, ask: Ask, completion: Completion) -> _Frames:
    writer = _text_writer(call, ask)
    return (), tuple(map(writer.piece, completion.pieces)), writer.end(answer_of(completion))


def logprobs(ask: Ask, pieces: Sequence[str]) -> dict[str, Any] | None:
    """What `choices[].logprobs` says of `pieces`, each taken for a token; None when nobody asked."""
    if ask.logprobs is None:
        return None

    def told(token: str, rank: int) -> dict[str, Any]:
        return {"token": token, "logprob": -0.1 * (rank + 1), "bytes": list(token.encode("utf-8", "replace"))}

    content = [
        told(piece, 0)
        | {
            "top_logprobs": [
                told(piece if rank == 0 else f"{piece}~{rank}", rank) for rank in range(ask.logprobs)
            ]
        }
        for piece in pieces
    ]
    return {"content": content, "refusal": None}
