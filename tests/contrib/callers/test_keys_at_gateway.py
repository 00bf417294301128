"""Keys of a store at a real gateway: asked with, administered, revoked while they are in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import MODEL, Served, configuration
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from pointsman import Router
from pointsman.plugin import RequestEnded
from pointsman_callers import plugin
from pointsman_callers.keys import keeper
from pointsman_callers.keys.managing import KeyManager, Made, Maker
from pointsman_callers.keys.service import CallersSettings, opened
from pointsman_callers.keys.store import KeyStore
from pointsman_callers.keys.wanted import Wanted
from pointsman_database import DatabaseError, Session
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.settings import GatewaySettings
from pointsman_simulator import Reply, Simulator, Upstream

CHAT: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}]}
CALLERS = "/admin/v1/callers"
OURS = {"x-pointsman-csrf": "1"}


@asynccontextmanager
async def gateway(upstream: Upstream, folder: Path, **settings: Any) -> AsyncIterator[Served]:
    """One with keys in `folder`."""
    said = configuration(upstream, callers={"database": str(folder / "keys.db")})
    async with Router.from_config(said, plugins=[plugin]) as router:
        asked = GatewaySettings.model_validate({"listen": "127.0.0.1:0", **settings})
        async with Gateway(router, asked) as served:
            yield Served(served.url, served, router)


@asynccontextmanager
async def client(served: Served, key: str = "") -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {key}"} if key else OURS
    async with httpx.AsyncClient(base_url=served.url, headers=headers) as found:
        yield found


async def made(served: Served, by: str = "", **said: Any) -> dict[str, Any]:
    async with client(served, by) as asked:
        answer = await asked.post(CALLERS, json={"name": "qa", **said})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def status(served: Served, key: str, path: str = "/v1/chat/completions") -> int:
    async with client(served, key) as asked:
        return (await asked.post(path, json=CHAT)).status_code


async def test_a_key_works_at_once_is_told_in_records_and_not_after_it_was_revoked(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    ended: list[RequestEnded] = []
    async with gateway(upstream, tmp_path) as served:
        served.router.listen(ended.append, kinds=[RequestEnded])
        key = await made(served, labels={"team": "qa"})
        before = await status(served, key["key"])
        async with client(served) as asked:
            revoked = (await asked.post(f"{CALLERS}/{key['caller']['id']}/revoke")).json()
        after = await status(served, key["key"])

    assert key["announced"]
    assert (before, after) == (200, 401)
    assert (ended[0].caller, ended[0].tags["key_id"], ended[0].tags["team"]) == (
        "qa",
        key["caller"]["id"],
        "qa",
    )
    assert (revoked["announced"], revoked["waiting_for"], len(revoked["seen_by"])) == (True, [], 1)
    assert revoked["caller"]["state"] == "revoked"


async def test_a_key_made_elsewhere_works_with_its_first_request(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    async with gateway(upstream, tmp_path) as one, gateway(upstream, tmp_path) as other:
        key = await made(one)
        assert len(key["seen_by"]) == 2
        assert await status(other, key["key"]) == 200
        assert await status(other, key["key"][:-1]) == 401


async def test_a_key_opens_what_it_is_for_and_nothing_else(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("openai")
    async with gateway(upstream, tmp_path) as served:
        narrow = (await made(served, surfaces=["openai"], models=["other"]))["key"]
        assert await status(served, narrow) == 403
        assert await status(served, narrow, "/api/chat") == 403
        async with client(served, narrow) as asked:
            assert (await asked.get(CALLERS)).status_code == 403


async def test_no_operator_makes_a_key_that_grants_more_than_theirs(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    async with gateway(upstream, tmp_path) as served:
        wide = await made(served, name="wide")
        lead = await made(served, name="lead", operator=True, models=[MODEL], labels={"team": "qa"})
        child = await made(served, lead["key"], name="child")
        async with client(served, lead["key"]) as asked:
            refused = [
                (await asked.post(CALLERS, json={"name": "x", "models": "*"})).status_code,
                (await asked.post(CALLERS, json={"name": "x", "labels": {"team": "other"}})).status_code,
                (await asked.post(f"{CALLERS}/{wide['caller']['id']}/rotate")).status_code,
                (await asked.patch(f"{CALLERS}/{wide['caller']['id']}", json={})).status_code,
                (await asked.patch(f"{CALLERS}/{child['caller']['id']}", json={"models": "*"})).status_code,
                (await asked.delete(f"{CALLERS}/{wide['caller']['id']}")).status_code,
            ]
            unknown = (await asked.post(f"{CALLERS}/nosuchid/rotate")).status_code
            taken = (await asked.post(CALLERS, json={"name": "child"})).status_code
            wrong = (await asked.post(CALLERS, json={"name": "x", "modles": []})).status_code
            nowhere = await asked.post(CALLERS, json={"name": "x", "surfaces": ["opnai"]})
            rotated = await asked.post(f"{CALLERS}/{child['caller']['id']}/rotate", json={"overlap": "0s"})
        old, new = await status(served, child["key"]), await status(served, rotated.json()["key"])

    assert refused == [403] * 6
    assert (unknown, taken, wrong, nowhere.status_code) == (404, 409, 400, 400)
    assert "did you mean 'openai'?" in nowhere.json()["error"]["message"]
    assert (child["caller"]["models"], child["caller"]["labels"]) == ([MODEL], {"team": "qa"})
    assert child["caller"]["operator"] is False
    assert (old, new) == (401, 200)


async def test_the_answer_says_that_the_key_alone_was_erased(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("openai")
    async with gateway(upstream, tmp_path) as served:
        found = await made(served)
        async with client(served) as asked:
            erased = (await asked.delete(f"{CALLERS}/{found['caller']['id']}")).json()
            left = (await asked.get(CALLERS)).json()["callers"]
        gone = await status(served, found["key"])

    assert (erased["id"], erased["erased"]) == (found["caller"]["id"], ["key"])
    assert (left, gone) == ([], 401)


async def test_streams_and_websockets_of_a_revoked_key_end(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("openai", default=Reply(text="word " * 400, tokens_per_second=20.0))
    async with gateway(upstream, tmp_path) as served:
        key = await made(served)
        at = served.url.replace("http", "ws") + "/api/v1/ai/ws"
        async with (
            client(served, key["key"]) as asked,
            asked.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as stream,
            connect(at, additional_headers={"x-api-key": key["key"]}) as socket,
        ):
            lines = stream.aiter_lines()
            await anext(lines)
            async with client(served) as operator:
                await operator.post(f"{CALLERS}/{key['caller']['id']}/revoke")
            rest = [each async for each in lines]
            with pytest.raises(ConnectionClosed):
                await socket.recv()

    assert any("was revoked while it ran" in each for each in rest)
    assert not any("[DONE]" in each for each in rest)


async def test_a_session_ends_with_its_key(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("openai")
    async with gateway(
        upstream, tmp_path, access={"loopback": False, "stored_keys": True, "keys": []}
    ) as served:
        root = await asyncio.to_thread(operator_key, tmp_path)
        async with httpx.AsyncClient(base_url=served.url) as browser:
            login = await browser.post("/admin/v1/login", headers={"x-api-key": root.text})
            assert login.status_code == 200
            browser.cookies = login.cookies
            assert (await browser.get("/admin/v1/status")).status_code == 200
            async with client(served, root.text) as asked:
                await asked.post(f"{CALLERS}/{root.key.id}/revoke")
            assert (await browser.get("/admin/v1/status")).status_code == 401


def operator_key(folder: Path) -> Made:
    """One that was made beside the gateway, as the command line makes them."""
    store, pepper = opened(CallersSettings(database="keys.db"), folder)
    try:
        return KeyManager(store, pepper).add(Wanted(name="root", operator=True), Maker("the command line"))
    finally:
        store.database.close()


async def chats(served: Served, key: str, times: int) -> list[int]:
    return [await status(served, key) for _ in range(times)]


async def test_limits_of_a_key_hold_and_are_remembered(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("openai")
    async with gateway(upstream, tmp_path) as served:
        free = (await made(served, name="free"))["key"]
        assert served.router.budgets is None  # nobody has limits, and nothing is held
        key = await made(served, limits={"requests": "3/month"})
        first = await chats(served, key["key"], 2)
        async with client(served) as asked:
            rotated = await asked.post(f"{CALLERS}/{key['caller']['id']}/rotate", json={"overlap": "0s"})
    async with gateway(upstream, tmp_path) as served:
        rest = await chats(served, rotated.json()["key"], 2)
        others = await chats(served, free, 4)

    assert (first, rest, others) == ([200, 200], [200, 429], [200] * 4)


async def test_keys_of_one_creator_have_together_what_it_has(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("openai")
    async with gateway(upstream, tmp_path) as served:
        lead = await made(served, name="lead", operator=True, limits={"requests": "5/month"})
        one = (await made(served, lead["key"], name="one", limits={"requests": "3/month"}))["key"]
        other = (await made(served, lead["key"], name="other"))["key"]
        found = [await chats(served, each, 4) for each in (one, other, lead["key"])]

    assert found == [[200, 200, 200, 429], [200, 200, 429, 429], [429] * 4]


async def gone_but_one(served: Served) -> None:
    """Return when services that were replaced have ended: each takes its routes with it."""
    changed = asyncio.Event()
    end = served.router.offered.on_routes(changed.set)
    while len(served.router.offered.callers) > 1:
        changed.clear()
        await changed.wait()
    end()


async def test_a_reload_of_the_store_keeps_limits_and_routes(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("openai")
    async with gateway(upstream, tmp_path) as served:
        key = await made(served, limits={"requests": "3/month"})
        before = await chats(served, key["key"], 2)
        pepper = (tmp_path / "keys.db.pepper").read_text().strip()
        said = configuration(upstream, callers={"database": str(tmp_path / "keys.db"), "pepper": pepper})
        await served.router.reload(said)
        await gone_but_one(served)
        after = await chats(served, key["key"], 2)
        other = await made(served, name="other")
        async with client(served) as asked:
            accounts = (await asked.get("/admin/v1/budgets")).json()["budgets"]

    assert (before, after) == ([200, 200], [200, 429])
    assert other["announced"]
    assert [each["spent"] for each in accounts] == [3]


async def test_limits_of_keys_outlive_budgets_of_the_configuration(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    database = str(tmp_path / "keys.db")
    async with gateway(upstream, tmp_path) as served:
        key = await made(served, limits={"requests": "3/month"})
        found = await chats(served, key["key"], 1)
        budgets = {"database": database, "rules": [{"name": "all", "per": "all", "requests": "9/day"}]}
        without, with_budgets = (
            configuration(upstream, callers={"database": database}, **more)
            for more in ({}, {"budgets": budgets})
        )
        for said in (with_budgets, without):
            await served.router.reload(said)
            await asyncio.sleep(0.1)
            found += await chats(served, key["key"], 1)
        found += await chats(served, key["key"], 1)

    assert found == [200, 200, 200, 429]


async def test_a_database_that_is_away_leaves_known_keys_good_and_is_told(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    async with gateway(upstream, tmp_path) as served:
        key = await made(served)
        (source,) = served.router.offered.callers
        assert isinstance(source, keeper.KeyKeeper)
        move_away(tmp_path)

        source.version = -2
        await source.look()

        await source.look()
        assert await status(served, key["key"]) == 200
        assert source.trouble


async def test_a_database_that_is_back_is_told_as_loudly_as_that_it_was_away(
    simulator: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = await simulator.add("openai")
    async with gateway(upstream, tmp_path) as served:
        (source,) = served.router.offered.callers
        assert isinstance(source, keeper.KeyKeeper)
        source.trouble = "it was away"

        await source.look()

    told = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert told[-1] == "keys of callers: the database answers again"


async def test_operators_are_told_which_database_is_away(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_store: KeyStore) -> None:
        raise DatabaseError("postgresql://me@db/keys: connection refused")

    upstream = await simulator.add("openai")
    async with gateway(upstream, tmp_path) as served, client(served) as asked:
        monkeypatch.setattr(KeyStore, "everything", away)
        answer = await asked.get(CALLERS)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "unavailable")
    assert error["message"] == "gateway: postgresql://me@db/keys: connection refused"


async def test_a_key_that_cannot_be_read_keeps_no_router_from_looking_again(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    async with gateway(upstream, tmp_path) as served:
        key = await made(served)
        (source,) = served.router.offered.callers
        assert isinstance(source, keeper.KeyKeeper)
        store, pepper = opened(CallersSettings(database=str(tmp_path / "keys.db")), tmp_path)
        was = store.database.read(lambda s: s.execute("SELECT scope FROM caller_keys"))[0][0]
        for scope in ("{}", was):
            store.database.write(partial(written_over, scope=scope))
            await source.look()
            assert bool(source.trouble) == (scope == "{}")
        KeyManager(store, pepper).revoke(key["caller"]["id"], Maker("the command line"))
        ended = asyncio.Event()
        served.router.offered.on_end(lambda _: ended.set())
        source.wake()
        await ended.wait()  # by the look that goes on beside the calls
        store.database.close()
        assert await status(served, key["key"]) == 401


def written_over(session: Session, scope: str) -> None:
    session.execute("UPDATE caller_keys SET scope = ?", (scope,))
    session.execute("UPDATE caller_changes SET version = version + 1")


def move_away(folder: Path) -> None:
    for each in folder.glob("keys.db*"):
        each.rename(each.with_name("away-" + each.name))


@pytest.mark.parametrize("said", [{"models": ["other"]}, {"operator": False}, {"expires": "1s"}])
async def test_what_lasts_ends_when_its_key_no_longer_grants_what_it_was_opened_with(
    simulator: Simulator, tmp_path: Path, said: dict[str, Any]
) -> None:
    upstream = await simulator.add("openai")
    async with gateway(upstream, tmp_path) as served:
        key = await made(served, operator=True)
        carried = {"authorization": f"Bearer {key['key']}"}
        at = served.url.replace("http", "ws") + "/api/v1/ai/ws"
        async with client(served, key["key"]) as caller, client(served) as asked:
            async with (
                connect(at, additional_headers=carried) as opened,
                caller.stream("GET", "/admin/v1/events", timeout=10) as events,
            ):
                changed = await asked.patch(f"{CALLERS}/{key['caller']['id']}", json=said)
                assert changed.status_code == 200
                async with asyncio.timeout(10):
                    async for _ in events.aiter_raw():
                        pass
                    with pytest.raises(ConnectionClosed) as closed:
                        await opened.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1001
