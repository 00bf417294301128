"""docs/messages.md and docs/ollama.md name the routes that there are; all surfaces are found."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pointsman.plugin import SurfaceContext, SurfaceFactory
from pointsman_gateway.surfaces import anthropic, built_in, ollama

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = [("messages.md", anthropic.FACTORY), ("ollama.md", ollama.FACTORY)]


@pytest.mark.parametrize(("page", "factory"), PAGES, ids=[page for page, _ in PAGES])
def test_a_page_names_all_routes(page: str, factory: SurfaceFactory) -> None:
    nothing: Any = SimpleNamespace(wall=lambda: 0.0, now=lambda: 0.0)
    context = SimpleNamespace(clock=nothing, calls=nothing, catalogue=nothing, router=nothing)
    routes = factory.make(cast("SurfaceContext", context)).routes()

    table = (DOCS / page).read_text("utf-8").partition("| route |")[2].partition("\n\n")[0]
    told = set(re.findall(r"`(/[^`]*)`", table))

    assert told == {route.path.replace(":path", "") for route in routes}


def test_each_surface_that_comes_along_has_its_entry_point() -> None:
    installed = {each.name for each in entry_points(group="pointsman.surfaces")}

    assert {factory.name for factory in built_in()} <= installed
