"""The routes of an Ollama server in OpenAI's form: what it reads of them, and how it answers."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pointsman_simulator.exchange import Answer, Ask, Call, Completion, Stream
from pointsman_simulator.script import Usage
from pointsman_simulator.site import Site
from pointsman_simulator.wires import ollama_models
from pointsman_simulator.wires.base import arguments_text, dumps, encoded, json_answer
from pointsman_simulator.wires.openai import openai_ask
from pointsman_wires.openai_embeddings import base64_vector

_INFERENCE = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text",
    "/v1/embeddings": "embeddings",
}
_IDS = 999
_IGNORED = ("max_completion_tokens", "tool_choice", "n")
_IMAGES = ("data:image/jpeg;base64,", "data:image/jpg;base64,", "data:image/png;base64,", "data:;base64,")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "max", "xhigh", "ultra")
_TYPES = {400: "invalid_request_error", 404: "not_found_error"}


def manage(call: Call, site: Site) -> Answer | None:
    """The answer of a route that does no inference; None for those that do."""
    if call.path in _INFERENCE:
        return None if call.method == "POST" else Answer(405, b"405 method not allowed", "text/plain")
    if call.method == "GET" and call.path == "/v1/models":
        listed = [_model(name) for name in site.models]
        return json_answer(200, {"object": "list", "data": listed or None})
    if call.method == "GET" and call.path.startswith("/v1/models/"):
        name = call.path.removeprefix("/v1/models/")
        found = ollama_models.find(name, site)
        return error(404, f"model '{name}' not found") if found is None else json_answer(200, _model(found))
    return Answer(404, b"404 page not found", "text/plain")


def understand(call: Call, site: Site) -> Ask | Answer:
    """What a request wants; what the server does not read is passed over."""
    if call.broken:
        return error(400, "invalid character in request body")
    body = {name: value for name, value in call.body.items() if name not in _IGNORED}
    model = ollama_models.find(str(body.get("model") or ""), site)
    problem = _problem(body, _INFERENCE[call.path])
    if problem is not None:
        return error(400, problem)
    if model is None:
        return error(404, f"model '{body.get('model')}' not found")
    if body.get("tools") and "tools" not in site.capabilities:
        return error(400, f"registry.ollama.ai/library/{body['model']} does not support tools")
    return replace(openai_ask(_INFERENCE[call.path], body), model=model)


def answer(call: Call, ask: Ask, completion: Completion) -> Answer:
    """The whole body."""
    if ask.kind == "embeddings":
        return json_answer(200, _embeddings(call, completion))
    if ask.kind == "text":
        choice: dict[str, Any] = {"text": completion.text, "index": 0, "finish_reason": completion.finish}
    else:
        choice = {"index": 0, "message": _message(call, completion), "finish_reason": completion.finish}
    body = _head(call, ask, "text_completion" if ask.kind == "text" else "chat.completion")
    return json_answer(200, body | {"choices": [choice]} | _usage(completion.usage))


def stream(call: Call, ask: Ask, completion: Completion) -> Stream:
    """The same, frame by frame."""
    text = ask.kind == "text"
    head = _head(call, ask, "text_completion" if text else "chat.completion.chunk")

    def frame(choices: list[dict[str, Any]], **more: Any) -> str:
        return f"data: {dumps(head | {'choices': choices} | more)}\n\n"

    def choice(said: dict[str, Any], finish: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0} | said | {"finish_reason": finish}]

    if text:
        content = [frame(choice({"text": piece})) for piece in completion.pieces]
        closing = [frame(choice({"text": ""}, completion.finish))]
    else:
        deltas = list(_deltas(call, completion))
        content = [
            frame(choice({"delta": ({} if i else {"role": "assistant"}) | delta}))
            for i, delta in enumerate(deltas)
        ]
        closing = [frame(choice({"delta": {}}, completion.finish))]
    if (call.body.get("stream_options") or {}).get("include_usage") and completion.usage is not None:
        closing.append(frame([], **_usage(completion.usage)))
    return Stream("text/event-stream", (), encoded(content), encoded(closing), b"data: [DONE]\n\n")


def error(status: int, message: str) -> Answer:
    """An error in OpenAI's form; its type goes by the status alone."""
    said = {"message": message, "type": _TYPES.get(status, "api_error"), "param": None, "code": None}
    return json_answer(status, {"error": said})


def error_frames(call: Call, ask: Ask) -> bytes:
    """What becomes of an error inside a stream: it is lost, an empty chunk comes, and the body ends."""
    empty = _head(call, replace(ask, model=""), "chat.completion.chunk")
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    return f"data: {dumps(empty | {'choices': [choice]})}\n\n".encode()


def _problem(body: Mapping[str, Any], kind: str) -> str | None:
    """The first thing in a body that the server refuses."""
    if kind == "embeddings":
        return None if body.get("input") else "invalid input"
    if kind == "text":
        return None
    if not body.get("messages"):
        return "[] is too short - 'messages'"
    for message in body["messages"]:
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            if part.get("type") == "image_url":
                image = part["image_url"]
                url = image if isinstance(image, str) else image["url"]
                if not url.startswith(_IMAGES):
                    return "invalid image input"
    effort = body.get("reasoning_effort")
    if effort is not None and effort not in _EFFORTS:
        return f'invalid reasoning value: "{effort}" (must be "high", "medium", "low", "max", or "none")'
    return None


def _head(call: Call, ask: Ask, kind: str) -> dict[str, Any]:
    letters = "cmpl" if ask.kind == "text" else "chatcmpl"
    return {
        "id": f"{letters}-{int(call.ids.hex, 16) % _IDS}",  # not unique there either
        "object": kind,
        "created": call.ids.created,
        "model": call.body["model"] if ask.model else "",
        "system_fingerprint": "fp_ollama",
    }


def _message(call: Call, completion: Completion) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": completion.text}
    if completion.reasoning:
        message["reasoning"] = completion.thinking
    if completion.tool_calls:
        message["tool_calls"] = [_tool(call, i, completion) for i in range(len(completion.tool_calls))]
    return message


def _deltas(call: Call, completion: Completion) -> Iterator[dict[str, Any]]:
    for piece in completion.reasoning:
        yield {"content": "", "reasoning": piece}
    for piece in completion.pieces:
        yield {"content": piece}
    for i in range(len(completion.tool_calls)):
        yield {"content": "", "tool_calls": [_tool(call, i, completion)]}


def _tool(call: Call, index: int, completion: Completion) -> dict[str, Any]:
    tool = completion.tool_calls[index]
    function = {"name": tool.name, "arguments": arguments_text(tool.arguments)}
    return {
        "index": index, "id": f"call_{call.ids.hex_of(index)[:8]}", "type": "function", "function": function
    }  # fmt: skip


def _usage(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    total = usage.prompt + usage.completion
    return {
        "usage": {
            "prompt_tokens": usage.prompt, "completion_tokens": usage.completion, "total_tokens": total
        }
    }  # fmt: skip


def _embeddings(call: Call, completion: Completion) -> dict[str, Any]:
    as_base64 = call.body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "embedding": base64_vector(v) if as_base64 else list(v), "index": i}
        for i, v in enumerate(completion.vectors)
    ]
    tokens = 0 if completion.usage is None else completion.usage.prompt
    return {
        "object": "list", "data": data, "model": call.body["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }  # fmt: skip


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "library"}
