"""The document of our own routes: complete, committed, and true."""

from __future__ import annotations

import html.parser
import json
import random
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from gateways import MODEL, PLAIN, gateway_for

from pointsman_gateway.operator import openapi, page
from pointsman_gateway.operator.surface import OperatorSurface
from pointsman_simulator import Simulator

COPY = Path(__file__).resolve().parents[4] / "docs" / "openapi.json"
DOCUMENT: Any = json.loads(json.dumps(openapi.document()))


def test_the_copy_in_the_docs_is_up_to_date() -> None:
    written = json.dumps(DOCUMENT, indent=2) + "\n"

    assert COPY.read_text("utf-8") == written, "run: python docs/tools/openapi_copy.py"


def test_every_route_is_in_it_and_nothing_else() -> None:
    routes = OperatorSurface.routes(OperatorSurface.__new__(OperatorSurface))

    served = {(each.method, re.sub(r"{(\w+)(:path)?}", r"{\1}", each.path)) for each in routes}
    operators = {(each.method, re.sub(":path", "", each.path)) for each in routes if each.operator}
    described = {(each.method, each.path): each.open for each in openapi.ROUTES}
    assert set(described) == served
    assert {route for route, open in described.items() if open == "operator"} == operators


class Resources(html.parser.HTMLParser):
    """What a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag in ("script", "img", "link", "iframe", "object", "form") or "src" in said:
            self.found.append(tag)
        self.found += [name for name in said if name.startswith("on") or name == "style"]
        if "id" in said:
            self.ids.add(said["id"] or "")
        if "href" in said:
            self.links.add(said["href"] or "")


def test_the_page_loads_and_runs_nothing_and_its_links_lead_somewhere() -> None:
    text = page.written(DOCUMENT).decode()
    resources = Resources()
    resources.feed(text)

    assert resources.found == []
    assert {each for each in resources.links if not each.startswith("#")} == {"/openapi.json"}
    assert {each[1:] for each in resources.links if each.startswith("#")} <= resources.ids
    assert "http:" not in text
    assert "https:" not in text
    assert all(each.path in text for each in openapi.ROUTES)


# ── asked in all ways ────────────────────────────────────────────────────────────────────────────────

SEED = random.randrange(2**32)
WORDS = (
    "", "0", "-1", "x" * 300, "\u2066", "a/b", "../..", "%2e%2e", "%00", "{id}", "null", "true", "1e999", "a b", "\U0001f600", "%ff%fe",
    "' OR 1=1 --", "<script>", "${jndi:ldap://x}", "*", "30s",
)  # fmt: skip
BODIES = (
    b"", b"{}", b"[]", b"null", b'{"model": 1}', b'{"model": "assistant"}', b'{"model": "\xff"}', b"[" * 5000,
    b'{"model": "assistant", "messages": [{}]}', b'{"model": "assistant", "messages": {"a": [[[]]]}}',
    b'{"model": "assistant", "model": "b"}', b'{"model": NaN}', b"\x00\xff", b'{"model": "' + b"x" * 70_000 + b'"}',
)  # fmt: skip


def asked(rng: random.Random, described: openapi.Described) -> dict[str, Any]:
    """One request for a route, more or less as it should be."""
    word = rng.choice(WORDS)
    path = described.path.replace("{id}", quote(word or "x", safe="/%"))
    query = {name: rng.choice(WORDS) for name in (*described.query, "odd") if rng.random() < 0.4}
    headers = {"x-pointsman-csrf": "1"} if rng.random() < 0.8 else {}
    if rng.random() < 0.2:
        headers["content-type"] = rng.choice(
            ("application/json", "text/plain", "application/json; charset=x")
        )
    if rng.random() < 0.1:
        headers["cookie"] = f"pointsman_session={rng.choice(('', 'x', 'x' * 200))}"
    if rng.random() < 0.1:
        headers["last-event-id"] = rng.choice(("0", "x-1", "\xff".encode("latin-1").decode("latin-1")))
    body = rng.choice(BODIES) if rng.random() < 0.6 else b'{"model": "assistant"}'
    if described.takes:
        headers.setdefault("content-type", "application/json")
    return {
        "method": described.method,
        "url": path,
        "params": query or None,
        "headers": {name: value.encode("latin-1") for name, value in headers.items()},
        "content": body if described.method == "POST" else None,
    }


async def test_whatever_is_asked_of_our_routes_the_answer_is_one_that_is_described(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    upstream = await simulator.add("openai")
    statuses: dict[str, set[int]] = {}
    settings = {"body_limit": "64KiB"}
    async with (
        gateway_for(upstream, surfaces=[PLAIN], settings=settings) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        for n in range(200):
            described = openapi.ROUTES[n % len(openapi.ROUTES)]
            request = asked(rng, described)
            async with client.stream(**request) as answer:
                text = (
                    ""
                    if "event-stream" in answer.headers["content-type"]
                    else (await answer.aread()).decode()
                )
            check(described, answer, text, request)
            statuses.setdefault(described.path, set()).add(answer.status_code)

    assert not [each for each in caplog.records if each.exc_info], caplog.text
    assert {200, 400} <= set().union(*statuses.values())
    assert MODEL


def check(described: openapi.Described, answer: httpx.Response, text: str, request: dict[str, Any]) -> None:
    responses = DOCUMENT["paths"][described.path][described.method.lower()]["responses"]
    # A path with a slash too many, or none, is another route, or none.
    elsewhere = {404, 405} if "{id}" in described.path else set()
    if answer.status_code in elsewhere:
        return
    assert str(answer.status_code) in responses, (request, answer.status_code, text[:300])
    content = responses[str(answer.status_code)]["content"]
    media = answer.headers["content-type"].partition(";")[0]
    assert media in content, (request, media)
    if media == "application/json" and described.path != "/openapi.json":
        assert fits(json.loads(text), content[media]["schema"]), (request, text[:500])
    assert "Traceback" not in text


TYPES = {"string": str, "integer": int, "number": int | float, "boolean": bool, "null": type(None)}


def fits(value: Any, schema: Any) -> bool:
    """Whether `value` is as `schema` says, as far as our document goes."""
    if "$ref" in schema:
        return fits(value, DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return any(fits(value, each) for each in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if schema["type"] == "array":
        return isinstance(value, list) and all(fits(each, schema["items"]) for each in value)
    if schema["type"] != "object":
        return isinstance(value, TYPES[schema["type"]]) and (
            schema["type"] == "boolean" or not isinstance(value, bool)
        )
    if not isinstance(value, dict) or not set(schema.get("required", ())) <= value.keys():
        return False
    known, further = schema.get("properties", {}), schema.get("additionalProperties")
    return all(
        fits(each, known[name])
        if name in known
        else further is not False and (not isinstance(further, dict) or fits(each, further))
        for name, each in value.items()
    )
