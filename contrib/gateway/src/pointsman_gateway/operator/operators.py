"""The operators' API, as the document has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from pointsman_gateway.calls.accounts import Phase
from pointsman_gateway.operator.configuring import SUFFIXES
from pointsman_gateway.operator.describing import (
    ANY,
    COUNT,
    FLAG,
    NUMBER,
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
from pointsman_gateway.operator.journal import kinds
from pointsman_gateway.operator.recorded import FILTERS, MOST

_REQUEST: Mapping[str, Schema] = {
    "id": TEXT, "at": {"type": "string", "format": "date-time"}, "operation": TEXT, "caller": TEXT,
    "model": TEXT, "pool": TEXT, "deployment": TEXT, "result": TEXT, "error": TEXT, "detail": TEXT,
    "seconds": NUMBER, "usage": maybe(ANY), "cost_microcents": maybe(COUNT),
    "tags": {"type": "object", "additionalProperties": TEXT},
    "attempts": array(ref("Attempt")),
}  # fmt: skip
_COUNTS: Schema = {"type": "object", "additionalProperties": COUNT}
_TIMES: Schema = {
    **array(array(NUMBER)),
    "description": "milliseconds, to 5 %, each with how many took so long; those of several minutes add up",
}
OPERATOR_SCHEMAS: Mapping[str, Schema] = {
    "Error": obj(
        error={
            "type": "object",
            "properties": {
                "code": TEXT,
                "message": TEXT,
                "domain": {"enum": ["gateway", "policy", "upstream", "caller"]},
                "param": maybe(TEXT),
                "request_id": TEXT,
                "problems": array(ANY),
            },
            "required": ["code", "message", "domain", "request_id"],
        }
    ),
    "Deployment": {
        **obj(id=TEXT, provider=TEXT, model=TEXT, state=TEXT, in_flight=COUNT, weight=COUNT),
        "description": "the live state of one deployment: breaker, limits, outcomes, times and more",
        "additionalProperties": True,
    },
    "DeploymentState": obj(id=TEXT, state=TEXT, in_flight=COUNT),
    "Drained": obj(id=TEXT, state=TEXT, in_flight=COUNT, drained=FLAG),
    "Running": {
        **obj(
            id=TEXT, model=TEXT, caller=TEXT, seconds=NUMBER, phase={"enum": [*get_args(Phase)]},
            deployment=TEXT, attempts=COUNT,
        ),
        "description": "one that runs: in line, waiting for the first of an answer, streaming, or pausing "
        "between attempts; `deployment` and `attempts` are of those of which something has come",
    },
    "Status": {
        **obj(
            version=TEXT,
            config=maybe(TEXT),
            running=array(ref("Running")),
            models=ANY,
            selectors=ANY,
            state=maybe(ANY),
            in_flight=COUNT,
            configuration=ref("InUse"),
        ),
        "description": "the state of the router: its models with their deployments, and what runs",
    },
    "InUse": {
        **obj(
            file=maybe(TEXT), loaded_at=NUMBER, changes=array(TEXT),
            refused=maybe(obj(at=NUMBER, problems=array(ANY))),
        ),
        "description": "the configuration that the router runs on; `refused`: a later one that is wrong",
    },
    "Config": {
        **obj(file=maybe(TEXT), values=ANY, origins={"type": "object", "additionalProperties": TEXT}),
        "description": "what holds, secrets masked; `origins` says of what was said where that is",
    },
    "Explanation": {
        **obj(model=TEXT, pick=maybe(TEXT), chain=array(ANY)),
        "description": "where a request would go now, and why not elsewhere; nobody is called",
        "additionalProperties": True,
    },
    "Attempt": obj(
        deployment=TEXT, model=TEXT, outcome=TEXT, error=TEXT, detail=TEXT, status=maybe(COUNT),
        seconds=NUMBER, first_token=maybe(NUMBER), hedge=FLAG, cost_microcents=maybe(COUNT),
    ),
    "Request": obj(**_REQUEST),
    "OneRequest": obj(**_REQUEST, contents=maybe(ref("Contents"))),
    "Contents": {
        **obj(asked=ref("Asked"), answered=maybe(ref("Answered"))),
        "description": "kept with `gateway: {contents: true}`, without secrets; `cut` says how many "
        "characters are missing, `left_out` how many messages, texts, options or calls",
    },
    "Asked": with_optional(
        obj(options=ANY, cut=COUNT, left_out=COUNT),
        messages=array(ANY), prompt=TEXT, suffix=TEXT, system=TEXT, images=array(ANY), texts=array(TEXT),
    ),
    "Answered": {
        **with_optional(
            obj(whole=FLAG, usage=ANY),
            text=TEXT, tool_calls=array(ANY), refusal=maybe(TEXT), reasoning=maybe(TEXT),
            finish_reason=maybe(TEXT), cut=COUNT, left_out=COUNT, vectors=COUNT,
        ),
        "description": "`whole` is false where a stream ended before its end: `text` is what there was of it",
    },
    "Requests": obj(requests=array(ref("Request")), running=array(ref("Running"))),
    "Records": {
        **obj(place=TEXT, places=COUNT, records=array(ANY), before=maybe(TEXT)),
        "description": "audit records, the last one first; `before` leads to those before them",
    },
    "Verified": obj(
        ok=FLAG,
        places=array(
            obj(
                place=TEXT, ok=FLAG, records=COUNT, erased=COUNT, missing=COUNT, checkpoints=COUNT,
                findings=array(obj(file=TEXT, seq=COUNT, kind=TEXT, text=TEXT)),
            )
        ),
    ),
    "History": {
        **obj(
            now=NUMBER, since=NUMBER, seconds=COUNT, lost=COUNT, minutes=array(ref("Minute")),
            changes=array(ANY),
        ),
        "description": "the last hour, minute by minute, since the gateway began; `seconds` is how long one "
        "lasts. Minutes without anything are left out; so are `lost` events, where too many came at a time. "
        "`changes`: of breakers, checks, the configuration and "
        "the shared state, as the events tell them",
    },
    "Minute": {
        **obj(
            at=COUNT, requests=COUNT, results=_COUNTS, errors=_COUNTS, refused=_COUNTS, prompt_tokens=COUNT,
            completion_tokens=COUNT, cost_microcents=COUNT, first_token_ms=_TIMES, models=_COUNTS,
            answers={"type": "object", "additionalProperties": _COUNTS},
            deployments={"type": "object", "additionalProperties": ref("MinuteOfDeployment")},
        ),
        "description": "requests that ended in it: `errors` by whose doing they are, `refused` before the "
        "router by the code of why; `models` by the name that was asked for; `answers` by the model that "
        "answered, after fallbacks, and its deployment",
    },
    "MinuteOfDeployment": obj(
        attempts=COUNT, failed=COUNT, prompt_tokens=COUNT, cached_tokens=COUNT, completion_tokens=COUNT,
        cost_microcents=COUNT, busy_seconds=NUMBER, first_token_ms=_TIMES,
    ),
    "Cancelled": obj(id=TEXT, cancelled=FLAG),
    "Session": {
        **with_optional(
            obj(name=TEXT, operator=FLAG, models=maybe(array(TEXT)), csrf=maybe(TEXT)), offers=array(TEXT)
        ),
        "description": "`offers`: what operators reach by packages in use: `callers`, `spend`",
    },
    "Reloaded": obj(config=maybe(TEXT)),
    "PostedConfig": with_optional(obj(text=TEXT), format={"enum": [*SUFFIXES]}),
    "CheckedConfig": {
        **obj(ok=FLAG, problems=array(ANY), warnings=array(ANY), changes=array(TEXT)),
        "description": "what is wrong, with its line; `changes`: what it would change, in words",
    },
    "Nothing": {"type": "object", "properties": {}},
    "Question": {
        "type": "object",
        "properties": {
            "model": TEXT, "messages": {"anyOf": [TEXT, array(ANY)]}, "stream": FLAG, "options": ANY,
        },
        "required": ["model"],
    },
}  # fmt: skip

_ADMIN = "/admin/v1"
_ONE = f"{_ADMIN}/deployments/{{id}}"
_EXACT = "only those of exactly this one"
_ROUTES: Sequence[Described] = (
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
        query={"timeout": (TEXT, "how long to wait, such as `30s`; without it `timeouts.drain`")},
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
        f"{_ADMIN}/config/check",
        "What is wrong with another configuration, or what it would change",
        "CheckedConfig",
        takes="PostedConfig",
        description="It is written nowhere and does not hold. It reads only those variables and files that "
        "the configuration which holds reads, too, and follows no `include`.",
    ),
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
            "caller": (TEXT, _EXACT),
            "model": (TEXT, _EXACT),
            "deployment": (TEXT, _EXACT),
            "result": (TEXT, "`ok`, `error`, `cancelled`, `abandoned`, `answered` or `cached`"),
            "limit": ({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "how many at most"),
        },
    ),
    Described(
        "GET", f"{_ADMIN}/requests/{{id}}", "One of the latest requests", "OneRequest", statuses=(404,)
    ),
    Described(
        "POST", f"{_ADMIN}/requests/{{id}}/cancel", "End a request that runs", "Cancelled", statuses=(404,)
    ),
    Described(
        "GET",
        f"{_ADMIN}/audit",
        "Audit records, the last one first",
        "Records",
        query={
            **dict.fromkeys(FILTERS, (TEXT, _EXACT)),
            "since": (TEXT, "told then or later: a time in ISO 8601, or seconds since 1970"),
            "until": (TEXT, "told before then"),
            "limit": ({"type": "integer", "minimum": 1, "maximum": MOST, "default": 100}, "how many at most"),
            "before": (TEXT, "as the page before this one says it"),
            "place": ({"type": "integer", "default": 0}, "which of the places with records"),
        },
        statuses=(404,),
        description="Needs the package pointsman-audit, and a sink `jsonl`, `sqlite` or `postgres`.",
    ),
    Described(
        "GET",
        f"{_ADMIN}/audit/verify",
        "Whether all audit records are as they were written",
        "Verified",
        statuses=(404,),
        description="Reads all of them, one such question at a time.",
    ),
    Described("GET", f"{_ADMIN}/history", "How it went in the last hour", "History"),
    Described(
        "GET",
        f"{_ADMIN}/events",
        "What happens, as server-sent events; goes on behind `Last-Event-ID`",
        "text/event-stream",
        description=f"Kinds of events: {', '.join(kinds())}.",
    ),
    Described("GET", f"{_ADMIN}/session", "Who asks", "Session", open="caller"),
    Described(
        "POST", f"{_ADMIN}/login", "Exchange a key for a session cookie", "Session", statuses=(429,),
        open="caller",
    ),
    Described(
        "POST", f"{_ADMIN}/logout", "End the session", "Nothing", statuses=(429,), open="caller"
    ),
    Described("GET", "/openapi.json", "This document", "application/json", open="public"),
    Described("GET", "/console", "The page for browsers, or how to get it", "text/html", open="public"),
    Described("GET", "/docs", "This document, for people", "text/html", open="public"),
)  # fmt: skip
OPERATOR = Family(
    "Error",
    {
        "public": (400, 403, 500, 503),
        "caller": (400, 401, 403, 500, 503),
        "operator": (400, 401, 403, 500, 503),
    },
    _ROUTES,
)
"""503 while the gateway shuts down, and where the keys of a token's issuer cannot be had."""
