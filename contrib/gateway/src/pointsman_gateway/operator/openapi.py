"""Our own routes as an OpenAPI document: tables, from which the document and the page are made.

The APIs of vendors are not in it: their own documents say what they take, and nobody changes that here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from pointsman_gateway.operator.asides import ASIDE_SCHEMAS, HEALTH, METRICS
from pointsman_gateway.operator.described_callers import CALLER_SCHEMAS, CALLERS
from pointsman_gateway.operator.described_models import MODEL_SCHEMAS, MODELS
from pointsman_gateway.operator.described_spend import SPEND, SPEND_SCHEMAS
from pointsman_gateway.operator.describing import ANY, TEXT, Described, Family, Schema, obj, ref
from pointsman_gateway.operator.operators import OPERATOR, OPERATOR_SCHEMAS

_SHARED: Mapping[str, Schema] = {
    "Anything": ANY,
    "NoWebSocket": obj(error=obj(message=TEXT, type=TEXT)),
}
_OF_BODIES = (413, 504)
"""Statuses of requests that may have a body, whether it is looked at or not."""
_OF_HEADS = (400, 408, 431)
"""In plain text, before anybody looks at what is asked for."""
_MEANINGS = {
    101: "it is open",
    201: "it was made",
    400: "the request is wrong; the message says what",
    401: "a key is needed, or the one that was sent is not known",
    402: "the budget, or the quota at the upstream, is used up",
    403: "whoever asks may not",
    404: "there is no such thing",
    408: "the head did not come in time",
    409: "it cannot be so beside what there is; of a wrong configuration `problems` says where",
    413: "the body is too large",
    426: "no WebSocket is spoken here, or nothing else",
    429: "too often; `Retry-After` says when again",
    431: "the head is too large",
    500: "a mistake of ours; the log has it by the id of the request",
    501: "what does this is not installed here",
    502: "the upstream failed",
    503: "not now",
    504: "it took too long",
}


def families() -> Sequence[Family]:
    """All routes, by how they say why there is no answer."""
    from pointsman_gateway.surfaces.ai.described import AI  # with models: for who reads the document

    return (OPERATOR, MODELS, CALLERS, SPEND, AI, HEALTH, METRICS)


def routes() -> Sequence[Described]:
    """All of them."""
    return [route for family in families() for route in family.routes]


@cache
def document() -> Mapping[str, Any]:
    """The OpenAPI document of all routes."""
    from pointsman_gateway.surfaces.ai.described import ai_schemas

    paths: dict[str, dict[str, Any]] = {}
    for family in families():
        for each in family.routes:
            paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, family)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pointsman gateway",
            "version": version("pointsman-gateway"),
            "description": "Routes of the gateway itself. Those of OpenAI, Anthropic and Ollama are theirs.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                **OPERATOR_SCHEMAS,
                **MODEL_SCHEMAS,
                **CALLER_SCHEMAS,
                **SPEND_SCHEMAS,
                **ai_schemas(),
                **ASIDE_SCHEMAS,
                **_SHARED,
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "session": {"type": "apiKey", "in": "cookie", "name": "pointsman_session"},
            },
        },
    }


def _operation(route: Described, family: Family) -> Mapping[str, Any]:
    said: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "tags": ["operators" if route.open == "operator" else "everybody"],
        "parameters": [*_path_parameters(route.path), *_query_parameters(route.query)],
        "responses": {str(status): each for status, each in sorted(_responses(route, family).items())},
        "security": [] if route.open == "public" else [{"bearer": []}, {"key": []}, {"session": []}],
    }
    if route.gives == "text/event-stream":
        said["parameters"] = [
            *said["parameters"],
            {"name": "Last-Event-ID", "in": "header", "required": False, "schema": TEXT},
        ]
    if route.description:
        said["description"] = route.description
    if route.takes:
        said["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": ref(route.takes)}},
        }
    return said


def _operation_id(route: Described) -> str:
    path = re.sub(r"{\w+}", "one", route.path.removeprefix("/admin/v1").removeprefix("/api/v1"))
    return "_".join((route.method.lower(), *re.split(r"[./-]", path.strip("/"))))


def _path_parameters(path: str) -> list[Mapping[str, Any]]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in names]


def _query_parameters(query: Mapping[str, tuple[Schema, str]]) -> list[Mapping[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "description": said, "schema": schema}
        for name, (schema, said) in query.items()
    ]


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────


def _responses(route: Described, family: Family) -> Mapping[int, Mapping[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    if route.gives:
        content = _content(route.gives)
        if route.streams:
            content["text/event-stream"] = {"schema": TEXT}
        found[200] = {"description": "it is this", "content": content}
    if route.socket:
        found[101] = {"description": _MEANINGS[101]}
    for status, schema in route.answers.items():
        found[status] = {"description": _MEANINGS[status], "content": _content(schema)}
    bodies = _OF_BODIES if family.takes_bodies and not route.socket else ()
    for status in {*family.usual[route.open], *route.statuses, *bodies}:
        found[status] = {"description": _MEANINGS[status], "content": _content(family.error or "text/plain")}
    for status in _OF_HEADS:
        said = found.setdefault(status, {"description": _MEANINGS[status], "content": {}})
        said["content"]["text/plain"] = {"schema": TEXT}
    found[426] = {"description": _MEANINGS[426], "content": _content("NoWebSocket")}
    return found


def _content(gives: str) -> dict[str, Any]:
    """By media type; `gives` is the name of a schema, or media types."""
    if "/" not in gives:
        return {"application/json": {"schema": ref(gives)}}
    return {each: {"schema": {"type": "object"} if each.endswith("json") else TEXT} for each in gives.split()}
