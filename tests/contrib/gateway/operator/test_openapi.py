"""The document of our own routes: complete, committed, and true."""

from __future__ import annotations

import html.parser
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pointsman.plugin import Route, SocketRoute
from pointsman_callers.budgets.routes import BudgetRoutes
from pointsman_callers.keys.routes import KeyRoutes
from pointsman_callers.ledger.routes import SpendRoutes
from pointsman_gateway.operator import openapi, page
from pointsman_gateway.operator.model_routes import ModelRoutes
from pointsman_gateway.operator.surface import OperatorSurface
from pointsman_gateway.surfaces.ai import FACTORY, AiSurface
from pointsman_gateway.surfaces.ai.body_models import ChatBody

sys.path.append(str(Path(__file__).resolve().parents[4] / "benchmarks"))

import route_fuzz

COPY = Path(__file__).resolve().parents[4] / "docs" / "openapi.json"
DOCUMENT: Any = json.loads(json.dumps(openapi.document()))


def test_the_copy_in_the_docs_is_up_to_date() -> None:
    written = json.dumps(DOCUMENT, indent=2) + "\n"

    assert COPY.read_text("utf-8") == written, "run: python docs/tools/openapi_copy.py"


ASIDE = {
    ("GET", "/health/live"): "public",
    ("GET", "/health/ready"): "public",
    ("GET", "/metrics"): "operator",
}
"""What no surface serves."""


def test_every_route_is_in_it_and_nothing_else() -> None:
    ours = [
        *OperatorSurface.routes(OperatorSurface.__new__(OperatorSurface)),
        *ModelRoutes.routes(ModelRoutes.__new__(ModelRoutes)),
        *KeyRoutes.routes(KeyRoutes.__new__(KeyRoutes)),
        *BudgetRoutes.routes(BudgetRoutes.__new__(BudgetRoutes)),
        *SpendRoutes.routes(SpendRoutes.__new__(SpendRoutes)),
    ]
    plain = AiSurface.routes(AiSurface.__new__(AiSurface))

    served = {(each.method, re.sub(":path", "", each.path)): open_for(each) for each in ours}
    for each in plain:
        method = "GET" if isinstance(each, SocketRoute) else each.method
        served[method, f"{FACTORY.prefix}{each.path}"] = open_for(each)
    described = {(each.method, each.path): each.open for each in openapi.routes()}
    assert described == {**served, **ASIDE}


def open_for(route: Route | SocketRoute) -> str:
    return "operator" if route.operator else "public" if route.public else "caller"


def test_what_is_taken_is_described_by_what_reads_it() -> None:
    schema = DOCUMENT["components"]["schemas"]["ChatBody"]

    assert set(schema["properties"]) == {each.alias for each in ChatBody.model_fields.values()}
    assert schema["required"] == ["messages"]
    assert schema["additionalProperties"] is False
    assert set(references(DOCUMENT)) <= {
        f"#/components/schemas/{each}" for each in DOCUMENT["components"]["schemas"]
    }


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from [each for name, each in value.items() if name == "$ref"]
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(each)


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
    assert all(each.path in text for each in openapi.routes())


# ── asked in all ways ────────────────────────────────────────────────────────────────────────────────


async def test_whatever_is_asked_of_our_routes_the_answer_is_one_that_is_described() -> None:
    """The short version of benchmarks/route_fuzz.py."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")

    outcome = await route_fuzz.fuzz(500, random.Random(seed))

    asked = {path.partition(" ")[2] for path in outcome.statuses}
    assert outcome.wrong == []
    assert outcome.logged == []
    assert asked == set(DOCUMENT["paths"])
    assert {200, 400, 401, 403, 404} <= set().union(*outcome.statuses.values())


WRONG_ANSWERS = [
    ("GET", "/admin/v1/status", 0, "", b"", "no answer"),
    ("GET", "/admin/v1/status", 500, "application/json", b"{}", "a 500"),
    ("GET", "/admin/v1/status", 418, "application/json", b"{}", "not documented"),
    ("GET", "/admin/v1/status", 401, "text/html", b"<p>", "not documented with that status"),
    ("GET", "/admin/v1/status", 401, "application/json", b"{}", "not as its schema says"),
    ("GET", "/admin/v1/status", 401, "application/json", b"{", "no JSON"),
    ("GET", "/metrics", 401, "text/plain", b"Traceback (most recent call last)", "the inside shows"),
    ("GET", "/metrics", 401, "text/plain", b"KeyError: 'x'", "the inside shows"),
    ("POST", "/api/v1/ai/chat", 400, "application/json", b'{"code": 1}', "not as its schema says"),
]


@pytest.mark.parametrize(("method", "path", "status", "media", "body", "says"), WRONG_ANSWERS)
def test_an_answer_that_is_not_described_is_found(
    method: str, path: str, status: int, media: str, body: bytes, says: str
) -> None:
    asked = route_fuzz.Asked(method, path, b"", elsewhere=False)

    assert says in (route_fuzz.wrong_with(asked, route_fuzz.Answer(status, media, body)) or "")
