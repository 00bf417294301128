"""The page at /console: which file each address has, what a browser is told with it, and what is said without it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from gateways import PLAIN, gateway_for

from pointsman.plugin import SurfaceFactory
from pointsman_console import files
from pointsman_console.surface import ConsoleSurface
from pointsman_simulator import Simulator

PAGE = b"<!doctype html><title>pointsman</title>"
SCRIPT = b"console"


def folder(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_bytes(PAGE)
    (tmp_path / "app.js").write_bytes(SCRIPT)
    (tmp_path / "notes.txt").write_bytes(b"not a file of the page")
    return tmp_path


@asynccontextmanager
async def served(
    simulator: Simulator, found: Mapping[str, files.File] | None
) -> AsyncIterator[httpx.AsyncClient]:
    upstream = await simulator.add("openai")
    ours = SurfaceFactory("console-of-test", None, lambda _context: ConsoleSurface(found))
    async with (
        gateway_for(upstream, surfaces=[PLAIN if found is None else ours]) as gateway,
        httpx.AsyncClient(base_url=gateway.url) as client,
    ):
        yield client


async def test_each_file_has_its_type_and_every_page_of_the_console_is_the_page(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with served(simulator, files.read(folder(tmp_path))) as client:
        page, below, deep, script = [
            await client.get(f"/console{path}") for path in ("", "/", "/requests/req_1", "/app.js")
        ]
        missing = [
            await client.get(f"/console/{path}") for path in ("gone.js", "notes.txt", "..%2fplugin.py")
        ]

    assert [each.content for each in (page, below, deep)] == [PAGE] * 3
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert (script.content, script.headers["content-type"]) == (SCRIPT, "text/javascript; charset=utf-8")
    assert [each.status_code for each in missing] == [404] * 3


async def test_a_browser_is_told_to_run_nothing_of_others_and_to_show_it_in_no_frame(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with served(simulator, files.read(folder(tmp_path))) as client:
        answers = [await client.get(f"/console{path}") for path in ("", "/app.js", "/gone.js")]

    for each in answers:
        policy = dict(part.split(" ", 1) for part in each.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert each.headers["referrer-policy"] == "no-referrer"
        assert each.headers["x-content-type-options"] == "nosniff"


async def test_what_a_browser_has_already_is_not_sent_again(simulator: Simulator, tmp_path: Path) -> None:
    async with served(simulator, files.read(folder(tmp_path))) as client:
        first = await client.get("/console/app.js")
        tags = ('"other"', first.headers["etag"], f'"other", W/{first.headers["etag"]}')
        again = [await client.get("/console/app.js", headers={"if-none-match": tag}) for tag in tags]

    assert first.headers["cache-control"] == "no-cache"
    assert [each.status_code for each in again] == [200, 304, 304]
    assert [each.content for each in again] == [SCRIPT, b"", b""]


async def test_a_page_that_was_not_built_says_how_to_build_it(simulator: Simulator, tmp_path: Path) -> None:
    async with served(simulator, files.read(tmp_path / "nowhere")) as client:
        answer = await client.get("/console/requests")

    assert answer.status_code == 503
    assert "npm run build" in answer.text


async def test_a_gateway_without_a_console_says_how_to_get_one(simulator: Simulator) -> None:
    async with served(simulator, None) as client:
        answers = [await client.get(path) for path in ("/console", "/console/requests")]

    for each in answers:
        assert each.status_code == 404
        assert "pip install pointsman-console" in each.text
        assert "gateway.surfaces" in each.text


def test_the_built_page_is_in_the_package_and_asks_nobody_else() -> None:
    found = files.read()
    page = found["index.html"].body.decode()

    assert re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(each.startswith("/console/") for each in re.findall(r'(?:src|href)="([^"]+)"', page))
    assert "<script>" not in page
    for name in re.findall(r'(?:src|href)="/console/([^"]+)"', page):
        assert name in found


@pytest.mark.parametrize("name", ["app.js", "style.css"])
def test_names_of_files_stay_when_what_is_in_them_changes(name: str) -> None:
    assert name in files.read()
