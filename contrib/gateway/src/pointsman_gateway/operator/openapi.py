"""Our own routes as an OpenAPI document: one table, from which the document and the page are made.

The APIs of vendors are not in it: their own documents say what they take, and nobody changes that here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from msgspec import Struct

from pointsman_gateway.operator.journal import kinds

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer"}
_FLAG: Schema = {"type": "boolean"}
_ANY: Schema = {"type": "object", "additionalProperties": True}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(**members: Schema) -> Schema:
    return {"type": "object", "properties": members, "required": list(members)}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


SCHEMAS: Mapping[str, Schema] = {
    "Error": _object(
        error={
            "type": "object",
            "properties": {
                "code": _TEXT,
                "message": _TEXT,
                "domain": {"enum": ["gateway", "policy", "upstream", "caller"]},
                "param": _maybe(_TEXT),
                "request_id": _TEXT,
                "problems": _list(_ANY),
            },
            "required": ["code", "message", "domain", "request_id"],
        }
    ),
    "Deployment": {
        **_object(id=_TEXT, provider=_TEXT, model=_TEXT, state=_TEXT, in_flight=_COUNT, weight=_COUNT),
        "description": "the live state of one deployment: breaker, limits, outcomes, times and more",
        "additionalProperties": True,
    },
    "DeploymentState": _object(id=_TEXT, state=_TEXT, in_flight=_COUNT),
    "Drained": _object(id=_TEXT, state=_TEXT, in_flight=_COUNT, drained=_FLAG),
    "Running": _object(id=_TEXT, model=_TEXT, caller=_TEXT, seconds=_NUMBER),
    "Status": {
        **_object(
            version=_TEXT,
            config=_maybe(_TEXT),
            running=_list(_ref("Running")),
            models=_ANY,
            selectors=_ANY,
            state=_maybe(_ANY),
            in_flight=_COUNT,
        ),
        "description": "the state of the router: its models with their deployments, and what runs",
    },
    "Config": {
        **_object(file=_maybe(_TEXT), values=_ANY, origins={"type": "object", "additionalProperties": _TEXT}),
        "description": "what holds, secrets masked; `origins` has the places of what was said in the file",
    },
    "Explanation": {
        **_object(model=_TEXT, pick=_maybe(_TEXT), chain=_list(_ANY)),
        "description": "where a request would go now, and why not elsewhere; nobody is called",
        "additionalProperties": True,
    },
    "Attempt": _object(
        deployment=_TEXT, model=_TEXT, outcome=_TEXT, error=_TEXT, detail=_TEXT, status=_maybe(_COUNT),
        seconds=_NUMBER, first_token=_maybe(_NUMBER), hedge=_FLAG,
    ),
    "Request": _object(
        id=_TEXT, at={"type": "string", "format": "date-time"}, operation=_TEXT, caller=_TEXT, model=_TEXT,
        pool=_TEXT, deployment=_TEXT, result=_TEXT, error=_TEXT, detail=_TEXT, seconds=_NUMBER,
        usage=_maybe(_ANY), tags={"type": "object", "additionalProperties": _TEXT},
        attempts=_list(_ref("Attempt")),
    ),
    "Requests": _object(requests=_list(_ref("Request")), running=_list(_ref("Running"))),
    "Cancelled": _object(id=_TEXT, cancelled=_FLAG),
    "Session": _object(name=_TEXT, operator=_FLAG, models=_maybe(_list(_TEXT)), csrf=_maybe(_TEXT)),
    "Reloaded": _object(config=_maybe(_TEXT)),
    "Nothing": {"type": "object", "properties": {}},
    "Question": {
        "type": "object",
        "properties": {"model": _TEXT, "messages": {"anyOf": [_TEXT, _list(_ANY)]}},
        "required": ["model"],
    },
}  # fmt: skip


class Described(Struct, frozen=True):
    """One route.

    Attributes:
        gives: the schema of its answer, or a media type where that is no JSON.
        takes: the schema of its body; "" for none.
        query: names of parameters, each with its schema and what it is for.
        statuses: those of its refusals beside the ones that every route has.
        open: for whom: `public`, `caller` or `operator`.
    """

    method: str
    path: str
    summary: str
    gives: str
    takes: str = ""
    query: Mapping[str, tuple[Schema, str]] = {}
    statuses: Sequence[int] = ()
    open: str = "operator"


_ADMIN = "/admin/v1"
_ONE = f"{_ADMIN}/deployments/{{id}}"
_EXACT = "only those of exactly this one"
ROUTES: Sequence[Described] = (
    Described("GET", f"{_ADMIN}/status", "The state of the router, and what runs", "Status"),
    Described("GET", _ONE, "The state of one deployment", "Deployment", statuses=(404,)),
    Described(
        "POST", f"{_ONE}/disable", "Send no further calls there", "DeploymentState", statuses=(404,)
    ),
    Described("POST", f"{_ONE}/enable", "Send calls there again", "DeploymentState", statuses=(404,)),
    Described(
        "POST",
        f"{_ONE}/drain",
        "Send no further calls there, and answer when the running ones have ended",
        "Drained",
        query={"timeout": (_TEXT, "how long to wait, such as `30s`; without it `timeouts.drain`")},
        statuses=(404,),
    ),
    Described(
        "POST",
        f"{_ONE}/reset",
        "Forget what went wrong there: its breaker, cool-down and limits",
        "DeploymentState",
        statuses=(404,),
    ),
    Described(
        "POST", f"{_ADMIN}/reload", "Read the configuration anew; a wrong one changes nothing", "Reloaded",
        statuses=(409,),
    ),
    Described("GET", f"{_ADMIN}/config", "The configuration as it holds, without secrets", "Config"),
    Described(
        "POST",
        f"{_ADMIN}/explain",
        "Where a request would go now",
        "Explanation",
        takes="Question",
        statuses=(404,),
    ),
    Described(
        "GET",
        f"{_ADMIN}/requests",
        "The latest requests, the last one first, and those that run",
        "Requests",
        query={
            "caller": (_TEXT, _EXACT),
            "model": (_TEXT, _EXACT),
            "deployment": (_TEXT, _EXACT),
            "result": (_TEXT, "`ok`, `error`, `cancelled`, `abandoned`, `answered` or `cached`"),
            "limit": ({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "how many at most"),
        },
    ),
    Described("GET", f"{_ADMIN}/requests/{{id}}", "One of the latest requests", "Request", statuses=(404,)),
    Described(
        "POST", f"{_ADMIN}/requests/{{id}}/cancel", "End a request that runs", "Cancelled", statuses=(404,)
    ),
    Described(
        "GET",
        f"{_ADMIN}/events",
        "What happens, as server-sent events; goes on behind `Last-Event-ID`",
        "text/event-stream",
        statuses=(503,),
    ),
    Described("GET", f"{_ADMIN}/session", "Who asks", "Session", open="caller"),
    Described(
        "POST", f"{_ADMIN}/login", "Exchange a key for a session cookie", "Session", open="caller"
    ),
    Described("POST", f"{_ADMIN}/logout", "End the session", "Nothing", open="caller"),
    Described("GET", "/openapi.json", "This document", "application/json", open="public"),
    Described("GET", "/docs", "This document, for people", "text/html", open="public"),
)  # fmt: skip

_USUAL: Mapping[str, Sequence[int]] = {
    "public": (400, 403, 503),
    "caller": (400, 401, 403, 503),
    "operator": (400, 401, 403, 503),
}
"""Refusals that every route can answer with, by whom it is open to; 503 while the gateway shuts down."""
_OF_BODIES = (413, 504)
"""Those of requests that may have a body, whether it is looked at or not."""
_MEANINGS = {
    400: "the request is wrong; the message says what",
    401: "a key is needed, or the one that was sent is not known",
    403: "whoever asks may not",
    404: "there is no such thing",
    409: "the configuration is wrong; `problems` says where",
    413: "the body is too large",
    503: "not now",
    504: "the body did not come in time",
}


@cache
def document() -> Mapping[str, Any]:
    """The OpenAPI document of all routes in the table."""
    paths: dict[str, dict[str, Any]] = {}
    for each in ROUTES:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pointsman gateway",
            "version": version("pointsman-gateway"),
            "description": "Routes of the gateway itself. Those of OpenAI, Anthropic and Ollama are theirs.",
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "session": {"type": "apiKey", "in": "cookie", "name": "pointsman_session"},
            },
        },
    }


def _operation(route: Described) -> Mapping[str, Any]:
    refusals = sorted({*_USUAL[route.open], *(_OF_BODIES if route.method == "POST" else ()), *route.statuses})
    said: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "tags": ["operators" if route.open == "operator" else "everybody"],
        "parameters": [*_path_parameters(route.path), *_query_parameters(route.query)],
        "responses": {
            "200": _answer(route.gives),
            **{str(each): _refusal(each) for each in refusals},
        },
        "security": [] if route.open == "public" else [{"bearer": []}, {"key": []}, {"session": []}],
    }
    if route.gives == "text/event-stream":
        said["parameters"] = [
            *said["parameters"],
            {"name": "Last-Event-ID", "in": "header", "required": False, "schema": _TEXT},
        ]
        said["description"] = f"Kinds of events: {', '.join(kinds())}."
    if route.takes:
        said["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(route.takes)}},
        }
    return said


def _operation_id(route: Described) -> str:
    words = route.path.removeprefix(_ADMIN).replace("{id}", "one").replace(".", "_").strip("/").split("/")
    return "_".join((route.method.lower(), *words))


def _path_parameters(path: str) -> list[Mapping[str, Any]]:
    return [{"name": "id", "in": "path", "required": True, "schema": _TEXT}] if "{id}" in path else []


def _query_parameters(query: Mapping[str, tuple[Schema, str]]) -> list[Mapping[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "description": said, "schema": schema}
        for name, (schema, said) in query.items()
    ]


def _answer(gives: str) -> Mapping[str, Any]:
    if "/" in gives:
        schema = {"type": "object"} if gives == "application/json" else _TEXT
        return {"description": "it is this", "content": {gives: {"schema": schema}}}
    return {"description": "it is this", "content": {"application/json": {"schema": _ref(gives)}}}


def _refusal(status: int) -> Mapping[str, Any]:
    content = {"application/json": {"schema": _ref("Error")}}
    return {"description": _MEANINGS[status], "content": content}
