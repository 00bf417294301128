"""Whatever is asked of the gateway's own routes, the answer is one that their document describes.

    uv run python benchmarks/route_fuzz.py [--cases 20000] [--seed N]

A real gateway on a free port, in front of a simulated upstream that often fails. Requests go by the OpenAPI
document: valid ones, nearly valid ones and hostile ones, in their method, path, query, head, body and
framing, and as messages over a WebSocket. Looked for: a 500, a status or a media type that the document
does not name, a body that does not fit its schema, no answer at all, and a traceback or the name of an
exception in a body or in the log.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, urlencode

from msgspec import Struct
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pointsman import Router
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.operator.openapi import document
from pointsman_gateway.settings import GatewaySettings
from pointsman_simulator import Fault, Reply, Simulator, Upstream

DOCUMENT: Any = json.loads(json.dumps(document()))
MODEL = "assistant"
WITHIN = 20.0
"""Seconds for one answer; every one comes long before."""
BODY_LIMIT = 64 * 1024
KEYS = {"root": "root-" + "k" * 32, "ci": "ci-" + "k" * 32, "few": "few-" + "k" * 32}


# ── one gateway ──────────────────────────────────────────────────────────────────────────────────────


class Served(Struct, frozen=True, eq=False):
    """A gateway that runs, its router, and the upstream behind it."""

    host: str
    port: int
    router: Router
    upstream: Upstream


@asynccontextmanager
async def gateway_in_front_of(upstream: Upstream) -> AsyncIterator[Served]:
    """With keys, for callers without one on this machine too, and small limits."""
    config: dict[str, Any] = {
        "providers": {"up": {"type": upstream.wire, "base_url": upstream.base_url}},
        "models": {MODEL: {"deployments": [f"up/{next(iter(upstream.site.models))}"], "retry": "none"}},
        "timeouts": {"total": "2s", "first_token": "1s", "idle": "1s"},
    }
    access = {
        "loopback": True,
        "keys": [
            {"name": "root", "key": KEYS["root"], "operator": True},
            {"name": "ci", "key": KEYS["ci"], "models": [MODEL]},
            {"name": "few", "key": KEYS["few"], "limits": {"requests": "1/s", "burst_requests": 1}},
        ],
    }
    settings = {"listen": "127.0.0.1:0", "access": access, "body_limit": BODY_LIMIT}
    with TemporaryDirectory() as folder:
        config["callers"] = {"database": f"{folder}/keys.db", "pepper": "p" * 32}
        async with _served(config, settings, upstream) as served:
            yield served


@asynccontextmanager
async def _served(
    config: Mapping[str, Any], settings: Mapping[str, Any], upstream: Upstream
) -> AsyncIterator[Served]:
    async with (
        Router.from_config(config, rng=random.Random(1)) as router,
        Gateway(router, GatewaySettings.model_validate(settings)) as gateway,
    ):
        at = next(iter(gateway.listeners.values()))
        yield Served(at.host, at.port, router, upstream)


class Caught(logging.Handler):
    """What was logged that nobody should have to read."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info or "Traceback" in text or record.name == "asyncio":
            self.found.append(f"{record.name}: {logging.Formatter().format(record)}")


# ── what is asked ────────────────────────────────────────────────────────────────────────────────────


class Asked(Struct, frozen=True):
    """One request as it goes over the wire, with what it was made of.

    Attributes:
        path: as the document writes it.
        elsewhere: that path and method are no longer those of the document.
    """

    method: str
    path: str
    sent: bytes
    elsewhere: bool


WORDS = (
    "", "0", "-1", "x" * 300, "\u2066", "a/b", "../..", "{id}", "null", "true", "1e999", "a b",
    "\U0001f600", "' OR 1=1 --", "<script>", "${jndi:ldap://x}", "*", "30s", "\x00", "\ud7ff", "9" * 40,
    "\u0662", "up/gpt-5-mini", "limit", "1", "1000",
)  # fmt: skip
RAW_PATHS = ("%ff%fe", "%2e%2e", "%00", "%", "%zz", ";a=b", "..%2f..", "~", "%E2%80%A6")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "PURGE")
HOSTILE: Sequence[Any] = (
    None, True, 0, -1, 1.5, 1e308, 10**30, "", "x", "x" * 3000, "\x00\x1b[2J", "\u2028", "\ud83d\ude00", [],
    {}, [[]], [None], {"": None}, {"role": "user"}, {"role": "tool", "content": None},
    [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}],
    {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
    {"a": {"b": [{"c": [[[]]]}]}}, "assistant", "user", [{"type": "text", "text": "x"}],
    {"name": "f", "arguments": "{"}, {"id": "a", "name": "f", "arguments": "{}"}, "none", "auto",
)  # fmt: skip
SPOILED: Sequence[bytes] = (
    b"", b"[]", b"null", b"{", b"{}", b"\x00\xff", b"\xef\xbb\xbf{}", b"[" * 5000, b'{"a":' * 200,
    b'{"model": NaN}', b'{"prompt": "\xff"}', b'{"prompt": "\\ud800", "model": "assistant"}',
    b'{"model": "a", "model": "b"}', b'{"prompt": 1e999}', b'{"prompt":"' + b"x" * 70_000 + b'"}',
    b"x=1&y=2", "{}".encode("utf-16"), b'{"prompt": "x"} ,', b'{"prompt": "\\u0000"}',
)  # fmt: skip
FIELDS: Sequence[tuple[str, Sequence[str]]] = (
    ("accept", ("*/*", "text/event-stream", "application/openmetrics-text; version=1.0.0", "x" * 200, ",;=")),
    ("origin", ("https://elsewhere.test", "null", "http://127.0.0.1", "x")),
    ("sec-fetch-site", ("cross-site", "same-origin", "?")),
    ("cookie", ("pointsman_session=", "pointsman_session=x", "pointsman_session=" + "x" * 200, ";;=")),
    ("x-request-id", ("mine", "x" * 129, "a b", "\xff", "")),
    ("traceparent", ("00-" + "a" * 32 + "-" + "b" * 16 + "-01", "x" * 300)),
    ("x-pointsman-timeout", ("1s", "soon", "-1", "9" * 30 + "s", "0")),
    ("x-pointsman-priority", ("low", "highest", "")),
    ("x-pointsman-require", ("local=true", "local", "=", "a=b,a=c")),
    ("x-pointsman-affinity", ("abc", "x" * 300, "\xff")),
    ("x-pointsman-tags", ("a,b", ",", "surface", "x" * 5000)),
    ("x-pointsman-timout", ("1s",)),
    ("x-forwarded-for", ("10.0.0.1", "x", "::1, 127.0.0.1")),
    ("last-event-id", ("0", "x-1", "\xff", "9" * 30)),
    ("expect", ("100-continue", "x")),
    ("upgrade", ("websocket", "h2c", "x")),
    ("connection", ("close", "Upgrade", "x")),
    ("host", ("elsewhere.test", "localhost", "127.0.0.1:1", "", "[::1", "a b")),
    ("content-encoding", ("gzip", "x")),
    ("x-forwarded-proto", ("https", "x")),
)  # fmt: skip
CONTENT_TYPES = (
    "text/plain",
    "application/json; charset=x",
    "application/x-www-form-urlencoded",
    "",
    "json",
    "\xff",
)


_KNOWN = ("up/gpt-4.1-mini", "mine")
"""A deployment and a request that there are, mostly."""


def requests(rng: random.Random) -> Iterator[Asked]:
    """Endless requests: of each operation, and of those that ask a model more often."""
    operations = [
        (path, method, said)
        for path, of in DOCUMENT["paths"].items()
        for method, said in of.items()
        for _ in range(5 if path.endswith(("/chat", "/generate")) else 1)
    ]
    while True:
        rng.shuffle(operations)
        for path, method, said in operations:
            yield request(rng, path, method.upper(), said)


def request(rng: random.Random, path: str, method: str, said: Mapping[str, Any]) -> Asked:
    """One, more or less as `said` describes it."""
    changed = rng.random() < 0.08
    sent_method = rng.choice(METHODS) if changed else method
    word = _word(rng)
    target = re.sub(r"{\w+}", lambda _: word, path)
    # What is none of these may hold a slash, or half of one, and be another path.
    known = target == path or ("{id}" in path and word in _KNOWN)
    elsewhere = not known or (changed and sent_method != method)
    if rng.random() < 0.05:
        target, elsewhere = _misspelt(rng, target), True
    target += _query(rng, said)
    fields = _fields(rng)
    body = _body(rng, said) if method == "POST" or rng.random() < 0.05 else None
    return Asked(sent_method, path, _written(rng, sent_method, target, fields, body), elsewhere)


def _word(rng: random.Random) -> str:
    if rng.random() < 0.4:
        return rng.choice(_KNOWN)
    if rng.random() < 0.2:
        return rng.choice(RAW_PATHS)
    return quote(rng.choice(WORDS) or "x", safe=rng.choice(("/", "")))


def _misspelt(rng: random.Random, path: str) -> str:
    return rng.choice(
        (path + "/", path.upper(), "/" + path, path.replace("/", "//"), path[:-1], path + "%00", path + "/x")
    )


def _query(rng: random.Random, said: Mapping[str, Any]) -> str:
    names = [each["name"] for each in said["parameters"] if each["in"] == "query"]
    found = [(name, rng.choice(WORDS)) for name in names if rng.random() < 0.4]
    if rng.random() < 0.05:
        found.append((rng.choice(WORDS), rng.choice(WORDS)))
    if rng.random() < 0.02:
        return "?" + rng.choice(("%", "%ff=%fe", "&&&", "a=b=c", "=", "limit=1&limit=2", "?" * 50))
    return "?" + urlencode(found, errors="replace") if found else ""


def _fields(rng: random.Random) -> list[tuple[str, str]]:
    fields = [("host", "127.0.0.1")]
    key = rng.choices(("root", "ci", "few", "wrong", ""), (8, 4, 1, 1, 6))[0]
    if key:
        value = KEYS.get(key, "nobody-knows-this-one-" + "x" * 10)
        fields.append(rng.choice((("authorization", f"Bearer {value}"), ("x-api-key", value))))
    if rng.random() < 0.7:
        fields.append(("x-pointsman-csrf", "1"))
    if rng.random() < 0.2:
        fields.append(("x-request-id", "mine"))
    while rng.random() < 0.2:
        name, values = rng.choice(FIELDS)
        if name == "host":
            fields[0] = (name, rng.choice(values))
        else:
            fields.append((name, rng.choice(values)))
    if rng.random() < 0.01:
        fields += rng.choice(([("x-long", "x" * 40_000)], [(f"x-{n}", "x") for n in range(150)]))
    if rng.random() < 0.02:
        fields.append(rng.choice(fields))  # twice
    return fields


def _body(rng: random.Random, said: Mapping[str, Any]) -> bytes:
    if "requestBody" not in said:
        return rng.choice((b"", b"{}", b"x"))
    if rng.random() < 0.15:
        return rng.choice(SPOILED)
    value = valid(rng, said["requestBody"]["content"]["application/json"]["schema"])
    while rng.random() < 0.35:
        value = spoiled(rng, value)
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "replace")


def _written(
    rng: random.Random, method: str, target: str, fields: list[tuple[str, str]], body: bytes | None
) -> bytes:
    if body is not None:
        wrong_type = rng.random() < 0.1
        fields = [*fields, ("content-type", rng.choice(CONTENT_TYPES) if wrong_type else "application/json")]
        if rng.random() < 0.15 and body:
            fields.append(("transfer-encoding", "chunked"))
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            fields.append(("content-length", str(len(body))))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace") + (body or b"")


# ── values by their schemas ──────────────────────────────────────────────────────────────────────────


def valid(rng: random.Random, schema: Mapping[str, Any], name: str = "") -> Any:
    """A value that is as `schema` says, of a member of that `name`."""
    if name == "model" and rng.random() < 0.9:
        return MODEL
    if name == "role" and rng.random() < 0.7:
        return "user"
    if "$ref" in schema:
        return valid(rng, _named(schema), name)
    if "anyOf" in schema:
        return valid(rng, schema["anyOf"][0] if rng.random() < 0.7 else rng.choice(schema["anyOf"]), name)
    for fixed in ("const", "enum"):
        if fixed in schema:
            return schema[fixed] if fixed == "const" else rng.choice(schema[fixed])
    match schema.get("type"):
        case "object":
            return _object(rng, schema)
        case "array":
            return [valid(rng, schema["items"]) for _ in range(rng.randrange(1, 4))]
        case "string":
            return rng.choice(("Why?", "x", "a longer text of some words", "\u00e9\u4e16", *WORDS[:6]))
        case "integer":
            return rng.choice((1, 2, 100))
        case "number":
            return rng.choice((0, 0.5, 1))
        case "boolean":
            return rng.random() < 0.5
        case "null":
            return None
    return rng.choice(HOSTILE)


_OFTEN = {"model": 0.5, "stream": 0.5, "tools": 0.05, "toolCalls": 0.05, "options": 0.1}
"""How often members that may be missing are there, by their names."""


def _object(rng: random.Random, schema: Mapping[str, Any]) -> dict[str, Any]:
    known, required = schema.get("properties", {}), schema.get("required", ())
    made = {
        name: valid(rng, each, name)
        for name, each in known.items()
        if name in required or rng.random() < _OFTEN.get(name, 0.2)
    }
    further = schema.get("additionalProperties")
    if not known and further and rng.random() < 0.7:
        names = ("topP", "seed", "num_ctx", "reasoningEffort", "responseFormat", "toolChoice", "user", "x")
        made[rng.choice(names)] = valid(rng, further) if isinstance(further, dict) else rng.choice(HOSTILE)
    return made


def spoiled(rng: random.Random, value: Any) -> Any:
    """`value`, with something somewhere in it that is not as it should be."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        match rng.randrange(4):
            case 0:
                return {key: each for key, each in value.items() if key != name}
            case 1:
                return {**value, rng.choice(WORDS): rng.choice(HOSTILE)}
            case 2:
                return {**value, name: rng.choice(HOSTILE)}
            case _:
                return {**value, name: spoiled(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return [spoiled(rng, each) if n == at else each for n, each in enumerate(value)]
    return rng.choice(HOSTILE)


_TYPES = {"string": str, "integer": int, "number": int | float, "boolean": bool, "null": type(None)}


def fits(value: Any, schema: Any) -> bool:
    """Whether `value` is as `schema` says, as far as our document goes."""
    if "$ref" in schema:
        return fits(value, _named(schema))
    if "anyOf" in schema:
        return any(fits(value, each) for each in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if "const" in schema:
        return bool(value == schema["const"])
    if schema["type"] == "array":
        return isinstance(value, list) and all(fits(each, schema["items"]) for each in value)
    if schema["type"] != "object":
        kind = _TYPES[schema["type"]]
        return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not isinstance(value, dict) or not set(schema.get("required", ())) <= value.keys():
        return False
    known, further = schema.get("properties", {}), schema.get("additionalProperties")
    return all(
        fits(each, known[name])
        if name in known
        else further is not False and (not isinstance(further, dict) or fits(each, further))
        for name, each in value.items()
    )


def _named(schema: Mapping[str, Any]) -> Any:
    return DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]


# ── what is answered ─────────────────────────────────────────────────────────────────────────────────


class Answer(Struct, frozen=True):
    """The head and the body of an answer; `status` 0 where there was none."""

    status: int
    media: str = ""
    body: bytes = b""


async def answer_to(served: Served, asked: Asked) -> Answer:
    """What comes back; of streams that never end the beginning."""
    reader, writer = await asyncio.open_connection(served.host, served.port)
    try:
        writer.write(asked.sent)
        async with asyncio.timeout(WITHIN):
            return await _read(reader, bare=asked.method == "HEAD", endless=asked.path.endswith("/events"))
    except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
        return Answer(0)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, *, bare: bool, endless: bool) -> Answer:
    status = 100
    while status == 100:  # to go on, after `expect`
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    media = fields.get("content-type", "").partition(";")[0]
    if bare or status in (101, 204, 304):
        return Answer(status, media)
    if "content-length" in fields:
        return Answer(status, media, await reader.readexactly(int(fields["content-length"])))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
        if endless:
            break
    return Answer(status, media, body)


_OF_PYTHON = re.compile(
    rb"Traceback|File \"/|\b[A-Z][A-Za-z]*(?:Error|Exception)\b(?! )|pointsman_gateway\.|site-packages"
)
"""What a body has that tells of the inside; the names of schemas are not followed by a blank."""


def wrong_with(asked: Asked, answer: Answer) -> str | None:
    """What is wrong with `answer`; None when it is one that is described."""
    if answer.status == 0:
        return "no answer"
    if answer.status == 500:
        return "a 500"
    described = asked.path in ("/openapi.json", "/docs") and answer.status == 200
    if not described and _OF_PYTHON.search(answer.body):
        return "the inside shows"
    operations = DOCUMENT["paths"][asked.path]
    method = "get" if asked.method == "HEAD" else asked.method.lower()
    responses = operations.get(method, next(iter(operations.values())))["responses"]
    if asked.elsewhere and answer.status in (200, 204, 403, 404, 405):
        return _wrong_elsewhere(answer)
    if str(answer.status) not in responses:
        return "a status that is not documented"
    content = responses[str(answer.status)].get("content", {})
    if answer.media and answer.media not in content:
        return f"{answer.media or 'a body without a type'} is not documented with that status"
    if answer.media != "application/json" or asked.method == "HEAD":
        return None
    try:
        value = json.loads(answer.body)
    except ValueError:
        return "no JSON"
    return None if fits(value, content[answer.media]["schema"]) else "not as its schema says"


def _wrong_elsewhere(answer: Answer) -> str | None:
    """Of another path or method, or of none: an error in the shape of whichever surface is near."""
    if not answer.body or answer.media != "application/json" or answer.status == 200:
        return None
    value = json.loads(answer.body)
    return (
        None
        if isinstance(value, dict) and ({"error", "code", "status", "type"} & value.keys())
        else "no error"
    )


# ── WebSockets ───────────────────────────────────────────────────────────────────────────────────────

SOCKET = "/api/v1/ai/ws"


async def talk(served: Served, rng: random.Random) -> str | None:
    """Send some messages over a WebSocket; what is wrong with what comes back, or None."""
    fields = [(name, value) for name, value in _fields(rng) if name.startswith(("x-", "authorization"))]
    try:
        async with connect(
            f"ws://{served.host}:{served.port}{SOCKET}", additional_headers=fields, open_timeout=WITHIN
        ) as socket:
            for n in range(rng.randrange(1, 4)):
                message = _message(rng, str(n))
                await socket.send(message)
                if (wrong := await _wrong_talk(socket, message)) is not None:
                    return wrong
    except InvalidStatus as refused:
        response = refused.response
        media = response.headers.get("content-type", "").partition(";")[0]
        asked = Asked("GET", SOCKET, b"", False)
        return wrong_with(asked, Answer(response.status_code, media, response.body or b""))
    except ConnectionClosed as closed:
        return f"closed: {closed}"
    return None


def _message(rng: random.Random, id: str) -> str | bytes:
    if rng.random() < 0.1:
        return rng.choice(
            ("", "{", "[]", "null", '{"id": 1}', '{"id": ""}', b"\xff\xfe", b"{}", '{"id": "x"}', "[" * 500)
        )
    kind = rng.choice(("generate", "chat"))
    name = "GenerateBody" if kind == "generate" else "ChatBody"
    value = valid(rng, DOCUMENT["components"]["schemas"][name])
    while rng.random() < 0.4:
        value = spoiled(rng, value)
    value = value if isinstance(value, dict) else {}
    return json.dumps({**value, "id": id, "type": kind})


async def _wrong_talk(socket: Any, sent: str | bytes) -> str | None:
    """Read to the end of one call."""
    while True:
        async with asyncio.timeout(WITHIN):
            text = await socket.recv()
        said = json.loads(text)
        if _OF_PYTHON.search(text.encode()):
            return f"the inside shows: {text!r} to {sent!r}"
        match said.get("type"):
            case "delta":
                continue
            case "error" if (
                fits({"requestId": "", **said}, {"$ref": "#/components/schemas/AiError"})
                and said["code"] != "internal"
            ):
                return None
            case "done" if (
                fits({"text": "", **said}, {"$ref": "#/components/schemas/AiAnswer"}) and said["requestId"]
            ):
                return None
            case _:
                return f"{text!r} to {sent!r}"


# ── all of it ────────────────────────────────────────────────────────────────────────────────────────

REPLIES = (
    *(Reply(text="Because.") for _ in range(12)),
    *(Reply(fault=Fault.status(each)) for each in (400, 401, 402, 403, 404, 413)),
    *(Reply(fault=Fault.status(each)) for each in (422, 429, 500, 502, 503, 529)),
    Reply(fault=Fault.status(400, kind="context_length")),
    Reply(fault=Fault.status(400, kind="content_filter")),
    Reply(fault=Fault.status(429, kind="quota")),
    Reply(fault=Fault.status(503, retry_after=1)),
    Reply(fault=Fault.status(502, kind="edge")),
    Reply(fault=Fault.reset()),
    Reply(text="one two three", fault=Fault.truncate_after(1)),
    Reply(text="one two three", fault=Fault.error_after(1)),
    Reply(text="one two three", fault=Fault.invalid_json()),
    Reply(text="one two three", fault=Fault.invalid_utf8()),
)  # fmt: skip


class Outcome(Struct, frozen=True):
    """What was asked in vain: complaints, each with what was sent; and which statuses came."""

    wrong: Sequence[str]
    statuses: Mapping[str, Mapping[int, int]]
    logged: Sequence[str]


async def fuzz(cases: int, rng: random.Random, *, sockets: float = 0.1) -> Outcome:
    """Ask so often; of these, `sockets` as a share are WebSockets."""
    caught = Caught()
    logging.getLogger().addHandler(caught)
    wrong: list[str] = []
    statuses: dict[str, Counter[int]] = {}
    try:
        async with Simulator() as simulator:
            upstream = await simulator.add("openai")
            async with gateway_in_front_of(upstream) as served:
                asking = requests(rng)
                for _ in range(cases):
                    _make_ready(served, rng)
                    if rng.random() < sockets:
                        complaint = await talk(served, rng)
                        if complaint is not None:
                            wrong.append(f"WebSocket: {complaint}"[:600])
                        continue
                    asked = next(asking)
                    answer = await answer_to(served, asked)
                    statuses.setdefault(f"{asked.method} {asked.path}", Counter())[answer.status] += 1
                    if (complaint := wrong_with(asked, answer)) is not None:
                        wrong.append(
                            f"{complaint}: {answer.status} {answer.body[:300]!r} to {asked.sent[:1500]!r}"
                        )
    finally:
        logging.getLogger().removeHandler(caught)
    return Outcome(wrong, statuses, caught.found)


def _make_ready(served: Served, rng: random.Random) -> None:
    """Let the upstream take calls again, whatever it and operators have done, and fail once more or not."""
    for model in served.router.status().to_dict()["models"].values():
        for each in model["deployments"]:
            if rng.random() < 0.9:
                served.router.enable(each["id"])
                served.router.reset(each["id"])
    served.upstream.default = rng.choice(REPLIES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    logging.getLogger("pointsman").propagate = True
    began = time.perf_counter()
    outcome = asyncio.run(fuzz(options.cases, random.Random(options.seed)))
    total = Counter[int]()
    for each in outcome.statuses.values():
        total.update(each)
    for complaint in outcome.wrong[:20]:
        print(complaint)
    for line in outcome.logged[:5]:
        print(line)
    print(f"statuses: {dict(sorted(total.items()))}")
    print(
        f"{options.cases} cases of seed {options.seed} in {time.perf_counter() - began:.0f} s: "
        f"{len(outcome.wrong)} wrong answers, {len(outcome.logged)} lines in the log that should not be there"
    )
    raise SystemExit(bool(outcome.wrong or outcome.logged))


if __name__ == "__main__":
    main()
