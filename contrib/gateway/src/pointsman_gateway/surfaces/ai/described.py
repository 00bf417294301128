"""The plain API, as the document has it. What it takes is described by the models that read it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pointsman_gateway.operator.describing import (
    COUNT,
    TEXT,
    Described,
    Family,
    Schema,
    array,
    maybe,
    obj,
    ref,
    with_optional,
)
from pointsman_gateway.surfaces.ai.body_models import ChatBody, GenerateBody

_AI = "/api/v1/ai"
_ASKED = (402, 404, 502)
"""Refusals of what asks a model: no budget, no such model, no answer of an upstream that is one."""


def _enveloped(data: str) -> Schema:
    return with_optional(
        obj(code={"const": 0}, message={"const": "ok"}, data=ref(data), requestId=TEXT),
        pointsman=ref("Origin"),
    )


_USAGE = obj(promptTokens=COUNT, completionTokens=COUNT, totalTokens=COUNT)
_CALL = obj(id=TEXT, name=TEXT, arguments=TEXT)
_TEXTS = obj(text=TEXT, model=TEXT, usage=_USAGE, finishReason=TEXT, deployment=TEXT)
_TURN = with_optional(obj(role={"const": "assistant"}, content=TEXT), toolCalls=array(ref("AiToolCall")))


@cache
def ai_schemas() -> Mapping[str, Schema]:
    """All of them, by name."""
    return {
        **_taken(GenerateBody),
        **_taken(ChatBody),
        "Origin": with_optional(obj(deployment=TEXT, attempts=COUNT), cost={"type": "number"}),
        "AiError": {
            **with_optional(
                obj(code=TEXT, message=TEXT, requestId=TEXT),
                details=array(obj(field=TEXT, message=TEXT)),
                retryAfter={**COUNT, "description": "seconds"},
            ),
            "description": "why there is no answer; `code` is stable, `details` are about fields",
        },
        "AiToolCall": {**_CALL, "description": "`arguments` is the text that the model wrote"},
        "AiAnswer": {
            **with_optional(
                _TEXTS,
                refusal=TEXT,
                message=_TURN,
                toolCalls=array(ref("AiToolCall")),
                sessionId=maybe(TEXT),
            ),
            "description": "`message`, `toolCalls` and `sessionId` are of conversations",
        },
        "AiAnswered": _enveloped("AiAnswer"),
        "AiModels": obj(
            models=array(obj(name=TEXT, capabilities=array(TEXT), contextLength=COUNT, family=TEXT))
        ),
        "AiModelsListed": _enveloped("AiModels"),
        "AiHealth": {
            **obj(
                status={"enum": ["healthy", "degraded", "down"]},
                models={"type": "object", "additionalProperties": TEXT},
            ),
            "description": "`models`: name, to how many of its deployments would take a call, of how many",
        },
        "AiHealthTold": _enveloped("AiHealth"),
        "AiTicket": obj(ticket=TEXT, expiresIn=COUNT),
        "AiTicketIssued": _enveloped("AiTicket"),
    }


def _taken(model: Any) -> Mapping[str, Schema]:
    """The schema of a body, and of what stands in it."""
    schema = dict(model.model_json_schema(ref_template="#/components/schemas/{model}"))
    return {**schema.pop("$defs", {}), model.__name__: schema}


_STREAM = (
    "With `stream: true` events `message` come, `{delta, isFinal}`, of which the last is final and has what"
    " a whole answer has but for its text; where it breaks, an event `error`, which is an `AiError`."
)
_SOCKET = (
    "A client sends `{id, type: generate, …}` and `{id, type: chat, …}` with the bodies of these routes, and"
    " `{id, type: cancel}`; many at a time. It hears `{id, type: delta, delta}`, `{id, type: done, …}` with"
    " what a whole answer has, and `{id, type: error, …}`, which has the members of an `AiError`, but no"
    " `requestId` where what was sent is no call. Browsers, which can send no header with it, bring a ticket"
    " in the query."
)
_LATER = "501 where the package is not installed."
AI = Family(
    "AiError",
    {"public": (400, 403, 500, 503), "caller": (400, 401, 403, 500, 503)},
    (
        Described(
            "POST", f"{_AI}/generate", "Ask a model a question", "AiAnswered", streams=True,
            takes="GenerateBody", statuses=(*_ASKED, 429, 504), open="caller", description=_STREAM,
        ),
        Described(
            "POST", f"{_AI}/chat", "Go on with a conversation", "AiAnswered", streams=True, takes="ChatBody",
            statuses=(*_ASKED, 429, 504), open="caller", description=_STREAM,
        ),
        Described("GET", f"{_AI}/models", "Models, and what they can do", "AiModelsListed", open="caller"),
        Described("GET", f"{_AI}/health", "How many deployments are ready", "AiHealthTold", open="public"),
        Described(
            "POST", f"{_AI}/ws-ticket", "What a browser opens a WebSocket with, once and soon",
            "AiTicketIssued", statuses=(429,), open="caller",
        ),
        Described(
            "GET", f"{_AI}/ws", "Many calls at a time over a WebSocket", "", open="caller", socket=True,
            query={"ticket": (TEXT, "of `/ws-ticket`")}, description=_SOCKET,
        ),
        *(
            Described(
                method, f"{_AI}{path}", what, "", takes="Anything" if method == "POST" else "", query=query,
                statuses=(429, 501) if method == "POST" else (501,), open="caller", description=_LATER,
            )
            for method, path, what, query in (
                ("POST", "/rag/search", "Search documents", {}),
                ("GET", "/rag/search", "Search documents", {"q": (TEXT, "what for")}),
                ("POST", "/rag/generate", "Ask a model about documents", {}),
                ("POST", "/agent/execute", "Have an agent do something", {}),
                ("POST", "/assist/{name}", "Have an assistant do something", {}),
            )
        ),
    ),
)  # fmt: skip
