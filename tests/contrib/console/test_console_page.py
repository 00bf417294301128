"""What the page about the console says: its example is served, signs in and works behind a proxy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from ruamel.yaml import YAML

from pointsman import Config, Router
from pointsman_console import files, surface
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.operator import page
from pointsman_gateway.reading import gateway_settings
from pointsman_simulator import Reply, Simulator

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "console.md").read_text("utf-8")
WORDS = (ROOT / "contrib" / "console" / "web" / "src" / "words" / "en.ts").read_text("utf-8")
OPS, TEAM = "ops-" + "k" * 32, "team-" + "k" * 32
HOST = "gateway.example.com"
PROXIED = {"host": HOST, "x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https"}
BROWSER = {**PROXIED, "origin": f"https://{HOST}", "sec-fetch-site": "same-origin"}
CHAT = {"model": "assistant", "messages": [{"role": "user", "content": "Why?"}]}


def example(language: str) -> str:
    return PAGE.partition("## A complete example")[2].partition(f"```{language}\n")[2].partition("```")[0]


@asynccontextmanager
async def served(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPS_KEY", OPS)
    monkeypatch.setenv("TEAM_KEY", TEAM)
    upstream = await simulator.add("ollama", models=["llama3.2"], default=Reply(text="Because."))
    document = YAML(typ="safe").load(example("yaml"))
    document["providers"]["gpu1"]["base_url"] = upstream.base_url
    document["gateway"]["listen"] = "127.0.0.1:0"
    config = Config.from_mapping(document)
    async with (
        Router(config) as router,
        Gateway(router, gateway_settings(config)) as gateway,
        httpx.AsyncClient(base_url=gateway.url) as client,
    ):
        yield client


async def signed_in(client: httpx.AsyncClient, key: str) -> dict[str, str]:
    """What a browser sends afterwards."""
    login = await client.post("/admin/v1/login", headers={**BROWSER, "authorization": f"Bearer {key}"})
    cookie = login.headers["set-cookie"]
    assert all(each in cookie for each in ("HttpOnly", "SameSite=Strict", "Secure"))
    return {**BROWSER, "cookie": cookie.partition(";")[0], "x-pointsman-csrf": login.json()["csrf"]}


async def test_the_example_is_served_behind_its_proxy_and_signs_an_operator_in(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(simulator, tmp_path, monkeypatch) as client:
        shown = await client.get("/console", headers=PROXIED)
        before = await client.get("/admin/v1/status", headers={**PROXIED, "x-pointsman-csrf": "1"})
        ours = await signed_in(client, OPS)
        status = await client.get("/admin/v1/status", headers=ours)
        answer = await client.post("/v1/chat/completions", json=CHAT, headers=ours)
        kept = await client.get(f"/admin/v1/requests/{answer.headers['x-request-id']}", headers=ours)
        audit = await client.get("/admin/v1/audit", headers=ours)
        elsewhere = await client.get("/console", headers={**PROXIED, "host": "other.example.com"})

    assert (shown.status_code, before.status_code, status.status_code) == (200, 401, 200)
    assert answer.json()["choices"][0]["message"]["content"] == "Because."
    assert kept.json()["contents"]["answered"]["text"] == "Because."
    assert audit.json()["records"]
    assert (elsewhere.status_code, "gateway.hosts" in elsewhere.text) == (403, True)


async def test_who_is_no_operator_chats_and_no_more(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(simulator, tmp_path, monkeypatch) as client:
        ours = await signed_in(client, TEAM)
        answer = await client.post("/v1/chat/completions", json=CHAT, headers=ours)
        status = await client.get("/admin/v1/status", headers=ours)

    assert (answer.status_code, status.status_code) == (200, 403)


async def test_a_proxy_that_does_not_say_that_it_speaks_tls_makes_its_browsers_strangers(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(simulator, tmp_path, monkeypatch) as client:
        ours = await signed_in(client, OPS)
        del ours["x-forwarded-proto"]
        answer = await client.get("/admin/v1/status", headers=ours)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")


def test_the_proxy_of_the_example_sends_what_the_gateway_goes_by() -> None:
    sent = re.findall(r"proxy_set_header (\S+)", example("nginx"))

    assert {each.lower() for each in sent} == {"connection", *PROXIED}
    assert "proxy_buffering off" in example("nginx")


def test_each_page_of_the_console_has_its_row_by_its_name() -> None:
    rows = re.findall(r"^\| ([A-Z][\w ]+) \|", PAGE.partition("## The pages")[2].partition("\n## ")[0], re.M)
    names = re.findall(r"^    \w+: '([^']+)',$", WORDS.partition("  page: {\n")[2].partition("  },")[0], re.M)

    assert rows == names


def test_what_is_shown_where_something_is_wrong_stands_on_the_page() -> None:
    assert b"No console is served here" in page.NO_CONSOLE
    assert b"The console was not built" in surface._NOT_BUILT
    for words in ("This key may call models but not operate the router", "The gateway does not answer"):
        assert words in PAGE
        assert words in WORDS
    assert files.read()
