"""The LocalAI server: OpenAI's routes in its own shapes, health, downloads."""

from dataclasses import replace
from typing import Any

from pointsman_simulator.compose import cut
from pointsman_simulator.exchange import Answer, Ask, Call, Completion, Stream
from pointsman_simulator.script import Usage
from pointsman_simulator.site import Job, Site
from pointsman_simulator.wires.base import (
    EDGE_PAGE,
    arguments_text,
    bearer,
    dumps,
    encoded,
    json_answer,
    seconds_text,
    whole_seconds,
)
from pointsman_simulator.wires.openai import openai_ask
from pointsman_wires.openai_embeddings import base64_vector

_ERRORS: dict[str, tuple[int, str, str]] = {
    # kind: status, type, message
    "bad_request": (
        400,
        "",
        "code=400, message=failed parsing request body: code=400, message=Unmarshal type error",
    ),
    "context_length": (500, "", "rpc error: code = Internal desc = the prompt exceeds the context size"),
    "content_filter": (400, "", "blocked"),
    "authentication": (401, "invalid_request_error", "An authentication key is required"),
    "billing": (429, "quota_exceeded", "quota exceeded"),
    "forbidden": (403, "model_disabled", 'model "{model}" is disabled and cannot be loaded.'),
    "not_found": (404, "", "Resource not found"),
    "timeout": (500, "", "rpc error: code = DeadlineExceeded desc = context deadline exceeded"),
    "too_large": (413, "", "Request Entity Too Large"),
    "rate_limit": (429, "quota_exceeded", "quota exceeded"),
    "slow_down": (429, "quota_exceeded", "quota exceeded"),
    "quota": (429, "quota_exceeded", "quota exceeded"),
    "server_error": (500, "", "rpc error: code = Unavailable desc = error reading from server: EOF"),
    "overloaded": (503, "", "backend inference capacity reached (max_concurrent=1024); retry after 1s"),
}

_INFERENCE = {"/chat/completions": "chat", "/completions": "text", "/embeddings": "embeddings"}
_PUBLIC = ("/healthz", "/readyz")
_LOOKS_PER_JOB = 4


class LocalAI:
    """`mudler/LocalAI` on one host, without user management."""

    name = "localai"
    suffix = ""
    default_models: tuple[str, ...] = ("qwen3-4b",)

    def refuse(self, call: Call, site: Site) -> Answer | None:
        if site.api_key is None or call.path in _PUBLIC:
            return None
        headers = call.headers
        given = (bearer(headers), headers.get("x-api-key"), headers.get("xi-api-key"))
        return None if any(map(site.takes, given)) else self.error(call, 401, "authentication", "")

    def manage(self, call: Call, site: Site) -> Answer | None:
        path = call.path.removeprefix("/v1")
        if path in _INFERENCE and call.method == "POST":
            return None
        match call.method, path:
            case "POST", "/backend/load" if not call.broken and call.body.get("model") in site.models:
                return None
            case "GET", "/healthz":
                return Answer(200)
            case "GET", "/readyz":
                starting = {"status": "starting", "reason": "startup preload in progress"}
                return Answer(200) if site.ready else json_answer(503, starting)
            case "GET", "/version":
                return json_answer(200, {"version": "v4.9.0 (82c191a)"})
            case "GET", "/models":
                listed = [{"id": name, "object": "model"} for name in site.models]
                return json_answer(200, {"object": "list", "data": listed})
            case "GET", "/system":
                loaded = [{"id": entry.model, "backend": "llama-cpp"} for entry in site.loaded()]
                return json_answer(200, {"backends": ["llama-cpp"], "loaded_models": loaded})
        return self._manage_models(call, site, path)

    def understand(self, call: Call, site: Site) -> Ask | Answer:
        path = call.path.removeprefix("/v1")
        if path == "/backend/load":
            return Ask("load", call.body["model"])
        if call.broken:
            return self.error(call, 400, "bad_request", "")
        body = call.body
        metadata = body.get("metadata")
        if metadata and not all(isinstance(value, str) for value in metadata.values()):
            return self.error(call, 400, "bad_request", "")
        model = body.get("model") or next(iter(site.models), "")
        if model not in site.models:
            return self._unknown(call, model)
        kind = _INFERENCE[path]
        if kind == "chat" and not isinstance(body.get("messages"), list):
            return self.error(call, 400, "bad_request", "")
        ask = replace(openai_ask(kind, {**body, "model": model}), dimensions=None)  # which it does not read
        prompt = body.get("prompt")
        if kind == "text" and ask.stream and isinstance(prompt, list) and len(prompt) != 1:
            return self._json(
                call, 400, _envelope(400, "cannot handle more than 1 `PromptStrings` when Streaming")
            )
        return ask

    def answer(self, call: Call, ask: Ask, completion: Completion) -> Answer:
        if ask.kind == "load":
            return self._json(call, 200, {"loaded": [ask.model], "message": "model loaded"})
        if ask.kind == "embeddings":
            return self._json(call, 200, _embeddings(call, ask, completion))
        if ask.kind == "text":
            choices = [{"index": 0, "finish_reason": "stop", "text": completion.text}]
            return self._json(call, 200, _body(call, ask, "text_completion", choices, completion.usage))
        message: dict[str, Any] = {
            "role": "assistant",
            "content": completion.text if completion.pieces or not completion.tool_calls else None,
        }
        if completion.reasoning:
            message["reasoning"] = completion.thinking
        if completion.tool_calls:
            message["tool_calls"] = [
                _tool_fragment(call, i, tool.name, arguments_text(tool.arguments))
                for i, tool in enumerate(completion.tool_calls)
            ]
        choices = [{"index": i, "finish_reason": completion.finish, "message": message} for i in range(ask.n)]
        return self._json(call, 200, _body(call, ask, "chat.completion", choices, completion.usage))

    def stream(self, call: Call, ask: Ask, completion: Completion) -> Stream:
        head, tail = _chunk_head(call, ask), "}]}\n\n"
        finish = f"{head}{dumps(completion.finish if ask.kind == 'chat' else 'stop')}"
        piece_head = f"{head}null,"
        if ask.kind == "text":
            opening: list[str] = []
            content = [f'{piece_head}"text":{dumps(piece)}{tail}' for piece in completion.pieces]
            closing = [f'{finish},"text":""{tail}']
        else:
            opening = [f'{piece_head}"delta":{{"role":"assistant","content":null}}{tail}']
            content = [f'{piece_head}"delta":{delta}{tail}' for delta in _deltas(call, completion)]
            closing = [f'{finish},"delta":{{"content":null}}{tail}']
        if completion.usage is not None and (call.body.get("stream_options") or {}).get("include_usage"):
            trailer = {
                "id": _id(call),
                "created": call.ids.created,
                "model": ask.model,
                "object": "chat.completion.chunk",
                "choices": [],
                "usage": _usage(completion.usage),
            }
            closing.append(f"data: {dumps(trailer)}\n\n")
        return Stream(
            "text/event-stream",
            encoded(opening),
            encoded(content),
            encoded(closing),
            b"data: [DONE]\n\n",
            self._headers(call) | {"cache-control": "no-cache"},
        )

    def error(self, call: Call, status: int, kind: str, model: str) -> Answer:
        if kind == "edge":
            return Answer(status, EDGE_PAGE, "text/html")
        if kind == "empty":
            return Answer(status)
        _, type_, message = _ERRORS.get(kind, _ERRORS["server_error"])
        headers = self._headers(call) | ({"www-authenticate": "Bearer"} if status == 401 else {})
        return json_answer(status, _envelope(status, message.format(model=model), type_), headers)

    def error_frames(self, call: Call, ask: Ask, kind: str) -> bytes:
        message = _ERRORS.get(kind, _ERRORS["server_error"])[2].format(model=ask.model)
        if ask.kind == "text":
            # LocalAI's completions route really sends its failure as text and ends without [DONE].
            text = dumps(f"Internal error: {message}")
            return f'{_chunk_head(call, ask)}"stop","text":{text}}}]}}\n\n'.encode()
        error = {"error": {"code": "server_error", "message": message, "type": "server_error"}}
        return f"data: {dumps(error)}\n\ndata: [DONE]\n\n".encode()

    def loading(self, call: Call, model: str, seconds: float) -> Answer | None:
        message = f"model {model} is staging on node worker-1 (42%, ETA ~{whole_seconds(seconds)}s)"
        body = {"error": {"code": "model_loading", "message": message, "type": "model_loading"}}
        state = {
            "model": model,
            "state": "staging",
            "node": "worker-1",
            "progress": 42.5,
            "bytes_sent": 1500000000,
            "total_bytes": 3530000000,
            "file_index": 1,
            "total_files": 2,
            "eta_seconds": int(whole_seconds(seconds)),
        }
        return self._json(call, 503, body | {"loading": state})

    def retry_headers(self, retry_after: float | str) -> dict[str, str]:
        return {"retry-after": seconds_text(retry_after)}

    def junk(self, call: Call, ask: Ask) -> bytes:
        return b'data: {"created":1,"choices":[{"index":0,\n\n'

    def ping(self, call: Call, ask: Ask) -> bytes:
        return b": ping\n\n"

    def status_of(self, kind: str) -> int:
        return 502 if kind == "edge" else _ERRORS[kind][0] if kind in _ERRORS else 500

    def _manage_models(self, call: Call, site: Site, path: str) -> Answer:
        if call.method == "GET" and path.startswith("/models/jobs/"):
            return self._job(call, site, path.removeprefix("/models/jobs/"))
        if call.method != "POST":
            return self.error(call, 404, "not_found", "")
        if call.broken:
            return self.error(call, 400, "bad_request", "")
        match path:
            case "/tokenize":
                words = str(call.body.get("content", "")).split()
                return json_answer(200, {"tokens": [sum(map(ord, word)) for word in words]})
            case "/models/apply":
                wanted = call.body.get("name") or call.body.get("id") or call.body.get("url") or ""
                site.jobs[call.ids.uuid] = Job(str(wanted).rpartition("@")[2])
                status = f"{site.origin}/models/jobs/{call.ids.uuid}"
                return json_answer(200, {"uuid": call.ids.uuid, "status": status})
            case "/backend/load":
                message = f"model {call.body.get('model')!r} not found"
                return json_answer(400, {"loaded": [], "message": message})
            case "/backend/shutdown":
                site.unload(str(call.body.get("model")))
                return Answer(200)
        if path.startswith("/models/delete/"):
            site.models.pop(path.removeprefix("/models/delete/"), None)
            site.jobs[call.ids.uuid] = Job("", looks=_LOOKS_PER_JOB)
            return json_answer(
                200, {"uuid": call.ids.uuid, "status": f"{site.origin}/models/jobs/{call.ids.uuid}"}
            )
        return self.error(call, 404, "not_found", "")

    def _job(self, call: Call, site: Site, uuid: str) -> Answer:
        job = site.jobs.get(uuid)
        if job is None:
            return self._json(call, 500, _envelope(500, "could not find any status for ID"))
        job.looks += 1
        if job.looks >= _LOOKS_PER_JOB and job.model and "missing" not in job.model:
            site.models.setdefault(job.model)
        return json_answer(200, _progress(job))

    def _unknown(self, call: Call, model: str) -> Answer:
        if "/" in model:
            # A name with a slash is taken for an id of the model hub and fails when it is loaded.
            message = f"failed to load model with internal loader: could not load model {model}"
            return self._json(call, 500, _envelope(500, message))
        message = f'model "{model}" not found. To see available models, call GET /v1/models'
        return self._json(call, 404, _envelope(404, message, "invalid_request_error"))

    def _json(self, call: Call, status: int, value: Any) -> Answer:
        return json_answer(status, value, self._headers(call))

    def _headers(self, call: Call) -> dict[str, str]:
        return {"x-correlation-id": _id(call)}


def _id(call: Call) -> str:
    return call.headers.get("x-correlation-id") or call.ids.uuid


def _envelope(code: int, message: str, type_: str = "") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": type_}}


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
    }


def _body(
    call: Call, ask: Ask, kind: str, choices: list[dict[str, Any]], usage: Usage | None
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "created": call.ids.created,
        "object": kind,
        "id": _id(call),
        "model": ask.model,
        "choices": choices,
    }
    return body if usage is None else body | {"usage": _usage(usage)}


def _embeddings(call: Call, ask: Ask, completion: Completion) -> dict[str, Any]:
    as_base64 = call.body.get("encoding_format") == "base64"
    data = [
        {"embedding": base64_vector(v) if as_base64 else list(v), "index": i, "object": "embedding"}
        for i, v in enumerate(completion.vectors)
    ]
    return {"created": call.ids.created, "object": "list", "id": _id(call), "model": ask.model, "data": data}


def _chunk_head(call: Call, ask: Ask) -> str:
    kind = "text_completion" if ask.kind == "text" else "chat.completion.chunk"
    return (
        f'data: {{"created":{call.ids.created},"object":"{kind}","id":{dumps(_id(call))},'
        f'"model":{dumps(ask.model)},"choices":[{{"index":0,"finish_reason":'
    )


def _tool_fragment(call: Call, index: int, name: str | None, arguments: str) -> dict[str, Any]:
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"index": index, "id": f"{_id(call)}-{index}", "type": "function", "function": function}


def _deltas(call: Call, completion: Completion) -> list[str]:
    deltas = [f'{{"content":null,"reasoning":{dumps(piece)}}}' for piece in completion.reasoning]
    deltas += [f'{{"content":{dumps(piece)}}}' for piece in completion.pieces]
    for i, tool in enumerate(completion.tool_calls):
        fragments = [_tool_fragment(call, i, tool.name, "")]
        fragments += [_tool_fragment(call, i, None, text) for text in cut(arguments_text(tool.arguments), 1)]
        deltas += [dumps({"role": "assistant", "content": None, "tool_calls": [part]}) for part in fragments]
    return deltas


def _progress(job: Job) -> dict[str, Any]:
    failed = "missing" in job.model
    done = failed or job.looks >= _LOOKS_PER_JOB
    share = 0.0 if failed else min(1.0, job.looks / _LOOKS_PER_JOB)
    total = 2_400_000_000
    error = f'no model found with name "{job.model}"'
    status: dict[str, Any] = {
        "deletion": not job.model,
        "file_name": "" if done else f"{job.model}.gguf",
        "processed": done,
        "message": f"error: {error}" if failed else "completed" if done else f"Downloading {job.model}.gguf",
        "progress": 100 * share,
        "file_size": "" if failed else "2.2 GiB",
        "downloaded_size": "" if failed else f"{2.2 * share:.1f} GiB",
        "gallery_element_name": job.model,
        "cancelled": False,
        "cancellable": not done,
    }
    if failed:
        return status | {"error": error}
    if done:
        return status
    return status | {"phase": "downloading", "current_bytes": int(total * share), "total_bytes": total}
