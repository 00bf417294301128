"""Callers whom no configuration names, but a store."""

from __future__ import annotations

import asyncio
from math import inf
from pathlib import Path
from typing import Any

import jwt
import pytest

from pointsman.offered import GatewayOffers
from pointsman.plugin import Caller, KnownCaller, Route, SurfaceRequest, WholeReply
from pointsman_gateway.access import rules
from pointsman_gateway.access.admission import Denied, Head
from pointsman_gateway.access.gate import OURS, Gate
from pointsman_gateway.access.sessions import token_of
from pointsman_gateway.access.settings import AccessSettings
from pointsman_gateway.calls.running import REVOKED, RunningRequests

CI, QA, NEW = "pm_ci", "pm_qa", "pm_new"
NOW = 1_800_000_000.0


class At:
    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return NOW

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps")


class Store:
    """Knows some at once, and some only once it has looked."""

    def __init__(self, **until: float) -> None:
        self.until = {"ci": inf, "qa": inf, **until}
        self.looked = 0

    def known(self, credential: str) -> KnownCaller | None:
        return self.again(credential.removeprefix("pm_"))

    async def find(self, credential: str) -> KnownCaller | None:
        self.looked += 1
        if credential == NEW:
            self.until["new"] = inf
        return self.known(credential)

    def again(self, key_id: str) -> KnownCaller | None:
        if key_id not in self.until:
            return None
        caller = Caller(key_id, operator=key_id == "qa", key_id=key_id, surfaces=frozenset(["openai"]))
        return KnownCaller(caller, self.until[key_id])

    def named(self, name: str) -> KnownCaller | None:
        return self.again(name)


async def handler(asked: object) -> WholeReply:
    return WholeReply()


CHAT = Route("POST", "/v1/chat/completions", handler)


def gate(store: Store, said: dict[str, Any] | None = None) -> Gate:
    offered = GatewayOffers()
    offered.add_callers(store)
    access = AccessSettings.model_validate(said or {})
    built = rules.build(access, pepper=b"p" * 32, clock=At(), directory=Path())
    return Gate(built.rules, At(), offered)


def head(route: Route, **fields: str) -> Head:
    said = {"host": "127.0.0.1:4000", **{name.replace("_", "-"): value for name, value in fields.items()}}
    return Head(route.method, route.path, "", said, peer="127.0.0.1", local="127.0.0.1")


async def code(at: Gate, **fields: str) -> str:
    try:
        await at.admit(head(CHAT, **fields), CHAT)
    except Denied as refused:
        return refused.problem.code
    return ""


async def test_a_key_of_the_store_lets_in_and_is_not_looked_for() -> None:
    store = Store()

    caller = await gate(store).admit(head(CHAT, authorization=f"Bearer {CI}"), CHAT)

    assert (caller.name, caller.key_id, store.looked) == ("ci", "ci", 0)


async def test_one_that_is_not_known_yet_is_looked_for() -> None:
    store = Store()

    assert await code(gate(store), x_api_key=NEW) == ""
    assert store.looked == 1


async def test_one_that_nobody_knows_is_refused_also_on_this_machine() -> None:
    assert await code(gate(Store()), x_api_key="sk-of-another-place") == "invalid_api_key"


@pytest.mark.parametrize(("until", "expected"), [(NOW - 1, "key_ended"), (NOW, "key_ended"), (NOW + 1, "")])
async def test_a_key_lets_in_until_it_ends(until: float, expected: str) -> None:
    assert await code(gate(Store(ci=until)), x_api_key=CI) == expected


async def test_of_two_credentials_the_one_of_the_store_counts() -> None:
    assert await code(gate(Store()), authorization="Bearer sk-of-another-place", x_api_key=CI) == ""


async def test_two_keys_of_ours_are_one_too_many() -> None:
    configured = "k" * 32
    keys = [{"name": "root", "key": configured}]

    assert await code(gate(Store()), authorization=f"Bearer {CI}", x_api_key=QA) == "two_credentials"
    both = gate(Store(), {"keys": keys})
    assert await code(both, authorization=f"Bearer {configured}", x_api_key=QA) == "two_credentials"


async def test_a_session_is_worth_what_its_key_is_worth() -> None:
    store = Store()
    at = gate(store)
    asked = SurfaceRequest("POST", "/", {}, {}, {"x-api-key": QA}, b"", Caller(), "r")
    secret = await at.login(asked)
    with_cookie = {"cookie": f"pointsman_session={secret}", OURS.replace("-", "_"): token_of(secret)}
    assert (await at.admit(head(CHAT, **with_cookie), CHAT)).key_id == "qa"

    store.until["qa"] = NOW

    assert (await at.admit(head(CHAT, **with_cookie), CHAT)).key_id == ""  # as anybody on this machine


async def test_sessions_of_a_key_can_be_ended_and_others_stay() -> None:
    at = gate(Store())
    of = {}
    for key in (CI, QA):
        asked = SurfaceRequest("POST", "/", {}, {}, {"x-api-key": key}, b"", Caller(), "r")
        of[key] = await at.login(asked)

    at.sessions.end_of("qa")

    assert at.sessions.find(of[QA]) is None
    assert at.sessions.find(of[CI]) is not None


async def test_requests_of_a_key_that_ends_are_told_why_and_others_run_on() -> None:
    running = RunningRequests(lambda: 0.0)
    begun = asyncio.Event()

    async def request(key_id: str) -> object:
        with running.begin(key_id, model="m", caller=Caller(key_id=key_id)) as one:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if (why := one.was_ended()) is None:
                    raise
                return why
        return None

    first, second = asyncio.create_task(request("ci")), asyncio.create_task(request("qa"))
    await begun.wait()

    running.end_of("ci")

    assert await first is REVOKED
    assert not second.done()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second


SECRET = "a secret that is shared with the issuer"


@pytest.mark.parametrize(
    ("name", "until", "refused"), [("ci", inf, True), ("ci", NOW, False), ("else", inf, False)]
)
async def test_a_token_cannot_name_itself_as_a_key_of_the_store_that_is_good(
    name: str, until: float, refused: bool
) -> None:
    issuer = {"issuer": "https://id", "audience": "us", "algorithms": ["HS256"], "secret": SECRET}
    at = gate(Store(ci=until), {"jwt": [issuer]})
    token = jwt.encode({"iss": "https://id", "aud": "us", "sub": name, "nbf": NOW, "exp": NOW + 60}, SECRET)

    assert await code(at, authorization=f"Bearer {token}") == ("invalid_token" if refused else "")
