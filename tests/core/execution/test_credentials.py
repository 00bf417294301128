"""Credentials that cannot be had, in a whole router: others are asked, and nobody is held for ill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from pointsman import AuthenticationFailed, CallError, NoDeploymentAvailable, Router, Unavailable
from pointsman.events import AttemptEnded, HealthChanged
from pointsman.plugin import (
    Auth,
    AuthFactory,
    NotReady,
    PointsmanSpec,
    RefreshingAuth,
    Secret,
    TransportFactory,
    hookimpl,
)
from pointsman.testing import run

ANSWER = json.dumps(
    {
        "id": "c",
        "model": "x",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
).encode()


class Tokens(RefreshingAuth):
    """Gives a token by its refresh, which raises what `fails` makes as long as there is one."""

    def __init__(self) -> None:
        self.fails: Callable[[], Exception] | None = None
        self.secret: Secret | None = None
        self.refreshes, self.took, self.ended = 0, 0.0, False

    def current(self) -> Secret:
        if self.secret is None:
            raise NotReady("none yet")
        return self.secret

    async def refresh(self) -> None:
        self.refreshes += 1
        try:
            await asyncio.sleep(self.took)
        except asyncio.CancelledError:
            self.ended = True
            raise
        if self.fails is not None:
            raise self.fails()
        self.secret = Secret(f"token-{self.refreshes}")

    def rejected(self, secret: Secret) -> bool:
        if secret == self.secret:
            self.secret = None
        return True


class House(PointsmanSpec):
    """A source of tokens, and a wire to an upstream that refuses some of them."""

    def __init__(self) -> None:
        self.auth = Tokens()
        self.refuses: set[str] = set()
        self.calls: list[tuple[str, str]] = []

    @hookimpl
    def pointsman_auth(self) -> list[AuthFactory]:
        def make(_context: object) -> Auth:
            return self.auth

        return [AuthFactory("tokens", BaseModel, make)]

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        house = self

        class Wire(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                token = request.headers.get("authorization", "")
                house.calls.append((request.url.host, token))
                refused = token.removeprefix("Bearer ") in house.refuses
                body = b'{"data": []}' if request.method == "GET" else ANSWER
                return httpx.Response(401 if refused else 200, stream=httpx.ByteStream(body))

        return [TransportFactory("wire", None, lambda _context: Wire())]


def config(**more: Any) -> dict[str, Any]:
    return {
        "transport": "wire",
        "providers": {
            "main": {"type": "openai", "base_url": "http://main/v1", "auth": {"type": "tokens"}},
            "spare": {"type": "openai", "base_url": "http://spare/v1"},
        },
        "models": {
            "m": {"deployments": ["main/x", "main/y", {"provider": "spare", "model": "x", "priority": 1}]},
            "alone": {"deployments": ["main/z"]},
        },
        # Shorter than any pause after four refreshes in a row, so that chance has no say in who waits.
        "queue": {"wait": "1s"},
        **more,
    }


def deployment(router: Router, id: str = "main/z") -> dict[str, Any]:
    models = router.status().to_dict()["models"].values()
    (found,) = (each for model in models for each in model["deployments"] if each["id"] == id)
    return dict(found)


def told(router: Router) -> list[Any]:
    events: list[Any] = []
    router.listen(events.append)
    return events


def test_a_call_goes_elsewhere_and_costs_one_attempt_for_all_deployments_of_the_credential() -> None:
    async def work() -> None:
        house = House()
        house.auth.fails = lambda: Unavailable("the token endpoint answered 503")
        async with Router.from_config(config(), plugins=[house]) as router:
            events = told(router)
            assert (await router.chat("m", "q")).deployment == "spare/x"

            attempts = [
                (each.deployment, each.outcome, each.detail)
                for each in events
                if isinstance(each, AttemptEnded)
            ]
            assert attempts[0][1:] == ("neutral", "no credential: the token endpoint answered 503")
            assert [each[0] for each in attempts[1:]] == ["spare/x"]
            for id in ("main/x", "main/y", "main/z"):
                found = deployment(router, id)
                assert found["blocked"].startswith("no credential, ")
                assert found["breaker"]["state"] == "closed"
                assert found["cool_down"]["refused"] == "no credential"
            assert deployment(router, attempts[0][0])["last_error"]["message"] == attempts[0][2]
            assert [host for host, _ in house.calls] == ["spare"]

    run(work())


def test_where_there_is_nobody_else_a_call_waits_for_the_next_refresh_and_says_why_it_failed() -> None:
    async def work() -> None:
        house = House()
        house.auth.fails = lambda: Unavailable("the token endpoint answered 503")
        async with Router.from_config(config(), plugins=[house]) as router:
            with pytest.raises(Unavailable, match="no credential: the token endpoint answered 503"):
                await router.chat("alone", "q")
            assert house.auth.refreshes > 1

            with pytest.raises(NoDeploymentAvailable, match="no credential, .* s left"):
                await router.chat("alone", "q")

            house.auth.fails = None
            await asyncio.sleep(60)
            assert (await router.chat("alone", "q")).text == "hi"

    run(work())


def test_a_credential_that_is_refused_is_left_alone_as_after_a_401() -> None:
    async def work() -> None:
        house = House()
        house.auth.fails = lambda: AuthenticationFailed("the token endpoint answered 401: invalid_client")
        async with Router.from_config(config(), plugins=[house]) as router:
            with pytest.raises(AuthenticationFailed, match="no credential: the token endpoint answered 401"):
                await router.chat("alone", "q")
            with pytest.raises(NoDeploymentAvailable, match="credential refused"):
                await router.chat("alone", "q")
            assert house.auth.refreshes == 1
            assert deployment(router)["cool_down"]["refused"] == "credential refused"
            assert deployment(router)["breaker"]["state"] == "closed"

    run(work())


def test_a_rejected_token_is_replaced_within_the_attempt_and_free_of_charge() -> None:
    async def work() -> None:
        house = House()
        async with Router.from_config(config(), plugins=[house]) as router:
            events = told(router)
            await router.chat("alone", "q")
            house.refuses = {"token-1"}

            answer = await router.chat("alone", "q")

            assert (answer.text, answer.attempts) == ("hi", 1)
            assert [token for _, token in house.calls] == ["Bearer token-1"] * 2 + ["Bearer token-2"]
            assert [each.outcome for each in events if isinstance(each, AttemptEnded)] == ["ok", "ok"]

    run(work())


def test_checks_that_have_no_credential_do_not_hold_the_upstream_for_ill_and_say_why() -> None:
    async def work() -> None:
        house = House()
        house.auth.fails = lambda: AuthenticationFailed("the token endpoint answered 401")
        health = {"interval": "10s", "rise": 1, "fall": 1}
        async with Router.from_config(config(health=health), plugins=[house]) as router:
            events = told(router)
            await asyncio.sleep(300)

            checks = deployment(router)["checks"]
            assert (checks["healthy"], checks["last_error"]) == (
                True,
                "no credential: the token endpoint answered 401",
            )
            house.auth.fails = None
            await asyncio.sleep(100)
            assert deployment(router)["checks"]["last_error"] == ""
            assert not [each for each in events if isinstance(each, HealthChanged)]

    run(work())


def test_management_calls_say_that_there_is_no_credential() -> None:
    async def work() -> None:
        house = House()
        house.auth.fails = lambda: Unavailable("the token endpoint answered 503")
        async with Router.from_config(config(), plugins=[house]) as router:
            with pytest.raises(CallError, match="no credential: the token endpoint answered 503"):
                await router.provider("main").models()

    run(work())


def test_closing_the_router_ends_a_refresh() -> None:
    async def work() -> None:
        house = House()
        house.auth.took = 1e6
        async with Router.from_config(config(), plugins=[house]) as router:
            asking = asyncio.create_task(router.chat("alone", "q"))
            await asyncio.sleep(0.1)
        assert house.auth.ended
        with pytest.raises(CallError):
            await asking

    run(work())


def test_a_reload_that_changes_nothing_about_a_provider_keeps_its_token() -> None:
    async def work() -> None:
        house = House()
        async with Router.from_config(config(), plugins=[house]) as router:
            await router.chat("alone", "q")
            await router.reload(config(retry={"type": "exponential", "attempts": 2}))
            await router.chat("alone", "q")
            assert house.auth.refreshes == 1

    run(work())
