"""The operators' API over real sockets: looking, changing, sessions, and who may."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import MODEL, PLAIN, Served, gateway_for

from pointsman import Config
from pointsman_gateway.operator import openapi
from pointsman_gateway.operator.written import written_config
from pointsman_simulator import Fault, Reply, Simulator

ROOT, CI = "root-" + "k" * 32, "ci-" + "k" * 32
KEYS = [{"name": "root", "key": ROOT, "operator": True}, {"name": "ci", "key": CI, "models": [MODEL]}]
OURS = {"x-pointsman-csrf": "1"}
SAY = {"model": MODEL, "text": "Why?"}


@asynccontextmanager
async def operated(
    simulator: Simulator,
    reply: Reply | None = None,
    headers: Mapping[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Served, httpx.AsyncClient, str]]:
    upstream = await simulator.add("openai", default=reply or Reply(text="Because."))
    async with (
        gateway_for(upstream, surfaces=[PLAIN], settings=settings) as served,
        httpx.AsyncClient(base_url=served.url, headers=OURS if headers is None else headers) as client,
    ):
        deployment = served.router.status().to_dict()["models"][MODEL]["deployments"][0]["id"]
        yield served, client, deployment


async def test_the_state_of_the_router_is_told(simulator: Simulator) -> None:
    async with operated(simulator) as (_served, client, deployment):
        status = (await client.get("/admin/v1/status")).json()
        one = (await client.get(f"/admin/v1/deployments/{deployment}")).json()

    assert status["models"][MODEL]["deployments"][0]["id"] == deployment
    assert status["running"] == []
    assert (one["id"], one["models"], one["state"]) == (deployment, [MODEL], "up")


async def test_a_deployment_is_taken_out_and_back(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pointsman.gateway")
    async with operated(simulator) as (_served, client, deployment):
        at = f"/admin/v1/deployments/{deployment}"
        said = [
            (await client.post(f"{at}/{each}")).json()["state"] for each in ("disable", "enable", "reset")
        ]
        refused = await client.post(f"{at}/disable")
        answer = await client.post("/v1/say", json=SAY, headers={"x-pointsman-timeout": "1s"})
        drained = (await client.post(f"{at}/drain", params={"timeout": "1s"})).json()

    assert said == ["down", "up", "up"]
    assert refused.status_code == 200
    assert answer.status_code == 503
    assert drained == {"id": deployment, "state": "draining", "in_flight": 0, "drained": True}
    assert f"operator on this machine: disable {deployment}" in caplog.text


WRONG = [
    ("GET", "deployments/nobody/nothing", 404, "unknown_deployment"),
    ("POST", "deployments/nobody/nothing/disable", 404, "unknown_deployment"),
    ("POST", "deployments/nobody/nothing/drain?timeout=soon", 400, "invalid_request"),
    ("POST", "deployments/nobody/nothing/drain?timeout=2h", 400, "invalid_request"),
    ("GET", "requests/nothing", 404, "unknown_request"),
    ("POST", "requests/nothing/cancel", 404, "unknown_request"),
    ("GET", "requests?limit=0", 400, "invalid_request"),
    ("GET", "requests?limit=1001", 400, "invalid_request"),
    ("GET", "requests?limit=\u0662", 400, "invalid_request"),
    ("GET", "requests?callers=ci", 400, "invalid_request"),
    ("GET", "status?x=1", 400, "invalid_request"),
    ("GET", "nothing", 404, "no_route"),
    ("PUT", "status", 405, "method_not_allowed"),
]


async def test_what_cannot_be_done_is_told(simulator: Simulator) -> None:
    async with operated(simulator) as (_served, client, _deployment):
        answers = [await client.request(method, f"/admin/v1/{path}") for method, path, _, _ in WRONG]

    told = [(each.status_code, each.json()["error"]["code"]) for each in answers]
    assert told == [(status, code) for _, _, status, code in WRONG]
    assert all(each.json()["error"]["request_id"] for each in answers)


async def test_a_question_is_explained_and_nobody_called(simulator: Simulator) -> None:
    async with operated(simulator) as (_served, client, deployment):
        said = (await client.post("/admin/v1/explain", json={"model": MODEL, "messages": "Why?"})).json()
        unknown = await client.post("/admin/v1/explain", json={"model": "nothing"})
        wrong = await client.post("/admin/v1/explain", json={"model": MODEL, "messages": [{"role": "x"}]})
        neither = await client.post("/admin/v1/explain", json={"messages": 3})
        question = {"model": MODEL, "stream": True, "options": {"require": {"region": "eu"}}}
        ruled_out = (await client.post("/admin/v1/explain", json=question)).json()
        odd = [
            await client.post("/admin/v1/explain", json={"model": MODEL, "options": each})
            for each in ({"model": "other"}, {"self": 1}, {"original": {}}, {"temprature": 1})
        ]

    assert ruled_out["error"]["code"] == "rule_not_met"
    assert [each.status_code for each in odd] == [400] * 4
    assert said["pick"] == deployment
    assert [each.status_code for each in (unknown, wrong, neither)] == [404, 400, 400]


async def test_the_latest_requests_are_kept_with_their_attempts_and_without_their_content(
    simulator: Simulator,
) -> None:
    async with operated(simulator, requests_kept=2) as (_served, client, deployment):
        for n in range(3):
            await client.post("/v1/say", json=SAY, headers={"x-request-id": f"r{n}"})
        listed = (await client.get("/admin/v1/requests")).json()
        some = (await client.get("/admin/v1/requests", params={"limit": 1, "model": MODEL})).json()
        none = (await client.get("/admin/v1/requests", params={"result": "error"})).json()
        one = await client.get("/admin/v1/requests/r2")
        gone = await client.get("/admin/v1/requests/r0")

    assert [each["id"] for each in listed["requests"]] == ["r2", "r1"]
    assert [each["id"] for each in some["requests"]] == ["r2"]
    assert none == {"requests": [], "running": []}
    assert one.json()["attempts"][0]["deployment"] == deployment
    assert one.json()["result"] == "ok"
    assert gone.status_code == 404
    assert "Why?" not in one.text
    assert "Because." not in one.text


async def test_an_operator_ends_a_request_that_waits_and_its_caller_hears_why(simulator: Simulator) -> None:
    slow = Reply(text="one two three", fault=Fault.stall_after(0))
    async with operated(simulator, slow) as (served, client, _deployment):
        said = {"x-request-id": "slow"}
        asked = asyncio.create_task(client.post("/v1/say", json=SAY, headers=said))
        while not (running := (await client.get("/admin/v1/status")).json()["running"]):
            pass
        ended = await client.post("/admin/v1/requests/slow/cancel")
        answer = await asked
        again = await client.post("/admin/v1/requests/slow/cancel")
        left = served.router.status().in_flight

    assert [(each["id"], each["model"]) for each in running] == [("slow", MODEL)]
    assert ended.json() == {"id": "slow", "cancelled": True}
    assert (answer.status_code, answer.json()["code"]) == (403, "ended_by_operator")
    assert (again.status_code, left) == (404, 0)


async def test_an_operator_ends_a_stream_that_has_begun(simulator: Simulator) -> None:
    slow = Reply(text="one two three", chunks=3, fault=Fault.stall_after(1))
    said = {"x-request-id": "slow"}
    async with operated(simulator, slow) as (served, client, _deployment):
        async with client.stream("POST", "/v1/say", json={**SAY, "stream": True}, headers=said) as answer:
            pieces = answer.aiter_text()
            first = await anext(pieces)
            ended = await client.post("/admin/v1/requests/slow/cancel")
            rest = "".join([each async for each in pieces])
        left = served.router.status().in_flight
        running = (await client.get("/admin/v1/status")).json()["running"]

    assert ended.status_code == 200
    assert first.startswith("one")
    assert rest.endswith("!ended_by_operator")
    assert (left, running) == (0, [])


# ── events ───────────────────────────────────────────────────────────────────────────────────────────


async def frames(lines: AsyncIterator[str], until: str) -> list[tuple[str, str]]:
    """The ids and kinds of events up to the first one of the kind `until`."""
    found, id = [], ""
    async for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            id = value
        if name == "event":
            found.append((id, value))
            if value == until:
                return found
    raise AssertionError("the stream ended")


async def test_events_are_told_as_they_happen_and_go_on_where_a_reader_left(simulator: Simulator) -> None:
    async with operated(simulator) as (_served, client, _deployment):
        async with client.stream("GET", "/admin/v1/events") as first:
            lines = first.aiter_lines()
            assert await anext(lines) == ": events"
            await client.post("/v1/say", json=SAY)
            heard = await frames(lines, "request_ended")
        await client.post("/v1/say", json=SAY)
        async with client.stream(
            "GET", "/admin/v1/events", headers={"last-event-id": heard[-1][0]}
        ) as second:
            later = await frames(second.aiter_lines(), "request_ended")
        async with client.stream("GET", "/admin/v1/events", headers={"last-event-id": "other-7"}) as third:
            anew = await frames(third.aiter_lines(), "request_ended")

    assert first.headers["content-type"].startswith("text/event-stream")
    assert [kind for _, kind in heard] == [
        "request_started",
        "attempt_started",
        "attempt_ended",
        "request_ended",
    ]
    numbers = [int(id.rpartition("-")[2]) for id, _ in (*heard, *later)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert anew[0][1] == "gap"


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_is_exchanged_for_a_session(simulator: Simulator) -> None:
    async with operated(simulator, headers={}, access={"keys": KEYS, "loopback": False}) as (
        _,
        client,
        deployment,
    ):
        denied = await client.get("/admin/v1/status")
        login = await client.post("/admin/v1/login", headers={"authorization": f"Bearer {ROOT}"})
        csrf = {"x-pointsman-csrf": login.json()["csrf"]}
        looked = await client.get("/admin/v1/status")
        session = await client.get("/admin/v1/session")
        forged = await client.post(f"/admin/v1/deployments/{deployment}/disable")
        changed = await client.post(f"/admin/v1/deployments/{deployment}/disable", headers=csrf)
        cookie = f"pointsman_session={client.cookies['pointsman_session']}"
        out = await client.post("/admin/v1/logout", headers=csrf)
        after = await client.get("/admin/v1/status", headers={"cookie": cookie})

    assert denied.status_code == 401
    set_cookie = login.headers["set-cookie"]
    assert "HttpOnly" in set_cookie
    assert "SameSite=Strict" in set_cookie
    assert "Secure" not in set_cookie
    assert login.headers["cache-control"] == "no-store"
    assert ROOT not in login.text
    assert looked.status_code == 200
    said = {"name": "root", "operator": True, "models": None, "csrf": login.json()["csrf"]}
    assert session.json() == {**said, "offers": []}
    assert forged.status_code == 403
    assert changed.status_code == 200
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert after.status_code == 401


async def test_a_caller_that_is_no_operator_sees_nothing_of_this(simulator: Simulator) -> None:
    async with operated(simulator, headers={"x-api-key": CI}, access={"keys": KEYS}) as (
        _,
        client,
        _deployment,
    ):
        operators = [each for each in openapi.OPERATOR.routes if each.open == "operator"]
        statuses = {
            (await client.request(each.method, each.path.replace("{id}", "x"), json={})).status_code
            for each in operators
        }

    assert statuses == {403}


async def test_nobody_logs_in_without_a_key(simulator: Simulator) -> None:
    access = {"keys": KEYS, "anonymous": {"models": [MODEL]}, "loopback": False}
    async with operated(simulator, headers={}, access=access) as (_, client, _deployment):
        nobody = await client.post("/admin/v1/login")
        wrong = await client.post("/admin/v1/login", headers={"authorization": "Bearer nothing"})

    assert [each.status_code for each in (nobody, wrong)] == [401, 401]
    assert "set-cookie" not in nobody.headers


# ── the configuration ────────────────────────────────────────────────────────────────────────────────


async def test_the_configuration_is_shown_with_its_places_and_without_its_secrets(
    simulator: Simulator, tmp_path: Path
) -> None:
    access = {
        "keys": KEYS,
        "jwt": [{"issuer": "i", "audience": "a", "secret": "s" * 40, "algorithms": ["HS256"]}],
    }
    async with operated(simulator, access=access) as (_served, client, _deployment):
        answer = await client.get("/admin/v1/config")

    assert answer.json()["values"]["gateway"]["access"]["keys"][0] == {
        "name": "root", "key": "***", "labels": {}, "operator": True, "require": {},
    }  # fmt: skip
    for secret in (ROOT, CI, "s" * 40):
        assert secret not in answer.text


def test_what_was_said_has_its_place_and_what_was_not_has_none(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(
        "providers:\n  gpu: {type: ollama, api_key: sk-secret-of-mine}\n"
        "models:\n  assistant:\n    defaults: {user: sk-secret-of-mine}\n    deployments: [gpu/llama3.2]\n"
    )

    said = written_config(Config.load(file), {})

    assert said["file"] == str(file)
    assert said["origins"]["providers.gpu.type"] == f"{file}:2"
    assert "models.assistant.deployments[0].model" in said["origins"]
    assert not any(each.startswith("timeouts") for each in said["origins"])
    assert said["values"]["timeouts"]["connect"] == 5.0
    assert "sk-secret-of-mine" not in str(said)


def test_what_an_included_file_says_has_its_place_there(tmp_path: Path) -> None:
    (tmp_path / "pointsman.yaml").write_text("include: [models.yaml]\nproviders: {gpu: {type: ollama}}\n")
    (tmp_path / "models.yaml").write_text("models: {a: {deployments: [gpu/x]}}\n")

    origins = written_config(Config.load(tmp_path / "pointsman.yaml"), {})["origins"]

    assert origins["providers.gpu.type"] == f"{tmp_path / 'pointsman.yaml'}:2"
    assert origins["models.a.deployments[0].model"] == f"{tmp_path / 'models.yaml'}:1"


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_caller_uses_counts_against_its_limit(simulator: Simulator, stream: bool) -> None:
    keys = [{"name": "ci", "key": CI, "limits": {"tokens": "1/h"}}, KEYS[0]]
    async with operated(simulator, headers={}, access={"keys": keys}) as (_, client, _deployment):
        said = {**SAY, "stream": stream}
        answers = [
            await client.post("/v1/say", json=said, headers={"x-api-key": key, "x-request-id": "same"})
            for key in (CI, CI, ROOT)
        ]

    assert [each.status_code for each in answers] == [200, 429, 200]
    assert answers[1].json()["code"] == "caller_rate_limited"


def running_config(tmp_path: Path, upstream: str) -> Path:
    file = tmp_path / "pointsman.yaml"
    file.write_text(
        f"""providers:
  local: {{type: openai, base_url: "{upstream}", auth: {{type: static, value: "${{CHECK_KEY}}"}}}}
models:
  assistant:
    deployments: [{{provider: local, model: small, weight: 3}}]
""",
        encoding="utf-8",
    )
    return file


async def check(client: httpx.AsyncClient, text: str, **more: str) -> Any:
    return (await client.post("/admin/v1/config/check", json={"text": text, **more})).json()


async def test_another_configuration_is_checked_and_changes_nothing(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECK_KEY", "sk-" + "k" * 40)
    monkeypatch.setenv("CHECK_OTHER", "not-to-be-told")
    secret = tmp_path / "secret.txt"
    secret.write_text("in-a-file", encoding="utf-8")
    async with operated(simulator) as (served, client, _deployment):
        file = running_config(tmp_path, "http://127.0.0.1:9/v1")
        await served.router.reload(Config.load(file))
        now = file.read_text(encoding="utf-8")
        same = await check(client, now)
        heavier = await check(client, now.replace("weight: 3", "weight: 5"))
        misspelt = await check(client, now.replace("weight: 3", "wieght: 5"))
        peeping = await check(client, now.replace("http://127.0.0.1:9", "http://${CHECK_OTHER}"))
        reading = await check(client, now.replace("http://127.0.0.1:9", f"http://${{file:{secret}}}"))
        included = await check(client, f"include: [{secret}]\n{now}")
        as_toml = await check(client, "[models]", format="toml")
        unknown = await client.post("/admin/v1/config/check", json={"text": now, "format": "ini"})
        weight = served.router.config.models["assistant"].deployments[0].weight

    assert (same["ok"], same["problems"], same["changes"]) == (True, [], [])
    assert heavier["changes"] == ["assistant: weight of local/small 3 → 5"]
    problem = misspelt["problems"][0]
    assert (problem["line"], problem["file"], problem["code"]) == (5, "posted.yaml", "PM1101")
    assert "weight" in problem["message"] + (problem["hint"] or "")
    assert problem["source"]
    assert problem["caret"]
    assert "CHECK_OTHER is not set" in peeping["problems"][0]["message"]
    assert "is not read here" in reading["problems"][0]["message"]
    assert not included["ok"]
    assert not as_toml["ok"]
    said = json.dumps([same, heavier, misspelt, peeping, reading, included])
    assert "not-to-be-told" not in said
    assert "in-a-file" not in said
    assert "k" * 40 not in said
    assert unknown.status_code == 400
    assert weight == 3


async def test_a_configuration_that_is_too_large_is_not_read(simulator: Simulator) -> None:
    async with operated(simulator) as (_served, client, _deployment):
        found = await check(client, "#" * (1024**2 + 1))

    assert not found["ok"]
    assert "larger than 1 MiB" in found["problems"][0]["message"]
