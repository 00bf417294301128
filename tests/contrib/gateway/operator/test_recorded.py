"""Operators search and verify what was recorded."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import MODEL, PLAIN, gateway_for

from pointsman_simulator import Reply, Simulator

ROOT, CI = "root-" + "k" * 32, "ci-" + "k" * 32
KEYS = [{"name": "root", "key": ROOT, "operator": True}, {"name": "ci", "key": CI, "models": [MODEL]}]


@asynccontextmanager
async def asked(simulator: Simulator, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client, of an operator, behind five requests of `ci` and one that was refused."""
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    audit = [{"type": "sqlite", "database": str(tmp_path / "audit.db"), "mode": "fail_closed"}]
    settings = {"access": {"keys": KEYS, "loopback": False}}
    async with (
        gateway_for(upstream, surfaces=[PLAIN], settings=settings, audit=audit) as served,
        httpx.AsyncClient(base_url=served.url, headers={"authorization": f"Bearer {ROOT}"}) as client,
    ):
        theirs = {"authorization": f"Bearer {CI}"}
        for _ in range(5):
            answer = await client.post("/plain/say", json={"model": MODEL, "text": "Why?"}, headers=theirs)
            assert answer.status_code == 200
        assert (await client.get("/admin/v1/audit", headers=theirs)).status_code == 403
        yield client


async def test_records_are_found_a_page_at_a_time(simulator: Simulator, tmp_path: Path) -> None:
    async with asked(simulator, tmp_path) as client:
        query: dict[str, Any] = {"caller": "ci", "event": "start", "limit": 2}
        pages = [(await client.get("/admin/v1/audit", params=query)).json()]
        while pages[-1]["before"]:
            query["before"] = pages[-1]["before"]
            pages.append((await client.get("/admin/v1/audit", params=query)).json())
        later = await client.get("/admin/v1/audit", params={"since": "2100-01-01"})

    assert [len(each["records"]) for each in pages] == [2, 2, 1]
    assert {each["model"] for page in pages for each in page["records"]} == {MODEL}
    assert later.json()["records"] == []


async def test_all_records_are_verified(simulator: Simulator, tmp_path: Path) -> None:
    async with asked(simulator, tmp_path) as client:
        said = (await client.get("/admin/v1/audit/verify")).json()

    (place,) = said["places"]
    assert (said["ok"], place["ok"], place["findings"]) == (True, True, [])
    assert place["records"] >= 6  # an open, and five starts for which their requests have waited


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"since": "soon"}, {"before": "x"}, {"place": "7"}, {"who": "ci"}], ids=str
)
async def test_what_is_no_question_is_refused(
    simulator: Simulator, tmp_path: Path, query: dict[str, str]
) -> None:
    async with asked(simulator, tmp_path) as client:
        answer = await client.get("/admin/v1/audit", params=query)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


async def test_without_the_package_the_answer_names_it(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **given: Any) -> Any:
        if name.startswith("pointsman_audit.admin"):
            raise ModuleNotFoundError(name, name=name)
        return real(name, *more, **given)

    async with asked(simulator, tmp_path) as client:
        monkeypatch.setattr(builtins, "__import__", without)
        answer = await client.get("/admin/v1/audit/verify")

    assert answer.status_code == 404
    assert "pointsman-audit" in answer.json()["error"]["message"]
