"""OAuth client credentials, against a small token server on loopback."""

from __future__ import annotations

import asyncio
import logging
import random
from base64 import b64decode
from typing import Any
from urllib.parse import unquote_plus

import pytest
from small_server import CHAT, Answered, Request, serving
from transports_by_name import open_transport

from pointsman import AuthenticationFailed, CallError, Router, Unavailable
from pointsman.plugin import AuthContext, BadResponse, Client, Endpoint, NotReady, RateLimited
from pointsman.testing import CannedReply, ReplayTransport, SystemClock, client_for
from pointsman_auth_http import ClientCredentials, ClientCredentialsSettings
from pointsman_auth_http.contracts import OfClientCredentials, OfHttpSignature, OfTheDistribution

SECRET = "s3cret/of +the cl\xefent"
GIVEN = {"token_url": "http://127.0.0.1:1/token", "client_id": "we & us", "client_secret": SECRET}


def source(http: Any, **settings: Any) -> ClientCredentials:
    return ClientCredentials(
        AuthContext(
            name="oauth_client_credentials",
            settings=ClientCredentialsSettings.model_validate({**GIVEN, **settings}),
            clock=SystemClock(),
            rng=random.Random(1),
            log=logging.getLogger("test"),
            provider="here",
            http=http,
        )
    )


def answering(
    status: int, body: bytes, headers: dict[str, str] | None = None, **settings: Any
) -> ClientCredentials:
    """A source whose token endpoint always says that."""
    replies = ReplayTransport(CannedReply(status, body, headers=headers or {}))
    return source(lambda endpoint: client_for(endpoint, replies), **settings)


class House:
    """An upstream that takes the tokens in `good`, and the token endpoint that makes them."""

    def __init__(self, *script: Answered | float, lasts: object = 3600, prefix: str = "token") -> None:
        self.script = list(script)
        self.lasts, self.prefix = lasts, prefix
        self.asked: list[Request] = []
        self.used: list[str] = []
        self.revoked: set[str] = set()

    async def handle(self, request: Request) -> Answered:
        if request.target.startswith("/token"):
            self.asked.append(request)
            number = len(self.asked)
            does = self.script.pop(0) if self.script else 0.0
            if isinstance(does, tuple):
                return does
            await asyncio.sleep(does)
            return 200, {
                "access_token": f"{self.prefix}-{number}",
                "token_type": "Bearer",
                "expires_in": self.lasts,
            }
        self.used.append(request.token)
        good = request.token.startswith(self.prefix) and request.token not in self.revoked
        return (200, CHAT) if good else (401, {"error": {"message": "who are you?"}})


def config(url: str, **auth: Any) -> dict[str, Any]:
    credential = {"type": "oauth_client_credentials", **GIVEN, "token_url": f"{url}/token", **auth}
    return {
        "providers": {
            "a": {"type": "openai", "base_url": f"{url}/v1", "auth": credential},
            "b": {"type": "openai", "base_url": f"{url}/v1", "api_key": "token-that-stays"},
        },
        "models": {
            "m": {"deployments": ["a/x", "a/y"]},
            "safe": {"deployments": ["a/x", {"provider": "b", "model": "x", "priority": 1}]},
        },
        "retry": "none",
    }


# ── with a router and a server ───────────────────────────────────────────────────────────────────────


async def test_a_hundred_callers_at_once_ask_for_one_token() -> None:
    house = House(0.2)
    async with serving(house.handle) as url, Router.from_config(config(url)) as router:
        answers = await asyncio.gather(*(router.chat("m", "q") for _ in range(100)))

    assert {each.text for each in answers} == {"hi"}
    assert {each.attempts for each in answers} == {1}
    assert len(house.asked) == 1
    assert house.used == ["token-1"] * 100


async def test_a_token_that_is_revoked_in_the_middle_of_its_life_is_replaced_once_for_all() -> None:
    house = House()
    async with serving(house.handle) as url, Router.from_config(config(url)) as router:
        await router.chat("m", "q")
        house.revoked.add("token-1")

        answers = await asyncio.gather(*(router.chat("m", "q") for _ in range(50)))

    assert {each.attempts for each in answers} == {1}
    assert len(house.asked) == 2
    assert set(house.used) == {"token-1", "token-2"}


async def test_streams_have_the_token_too() -> None:
    house = House()
    async with serving(house.handle) as url, Router.from_config(config(url)) as router:
        await router.chat("m", "q")
        house.revoked.add("token-1")
        async with router.stream("m", "q") as stream:
            async for _ in stream:
                pass

    assert (stream.text, house.used[-1]) == ("hi", "token-2")


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((401, {"error": "invalid_client", "error_description": "no \x1b[31msuch"}), AuthenticationFailed, "401: invalid_client: no \\x1b[31msuch"),
        ((400, {"error": "unauthorized_client"}), AuthenticationFailed, "400: unauthorized_client"),
        ((503, b"later"), Unavailable, "503"),
        ((404, b"<html>"), Unavailable, "404"),
    ],
)  # fmt: skip
async def test_what_the_token_endpoint_refuses_is_said_and_others_are_asked(
    answer: Answered, kind: type[CallError], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(*[answer] * 9)
    async with serving(house.handle) as url, Router.from_config(config(url)) as router:
        with pytest.raises(kind) as raised:
            await router.chat("m", "q")
        assert (await router.chat("safe", "q")).deployment == "b/x"
        status = router.status().to_dict()

    assert type(raised.value) is kind
    assert raised.value.message == f"no credential: the token endpoint {url}/token answered {said}"
    refused = [each["refused"] for each in status["models"]["m"]["deployments"]]
    words = "credential refused" if kind is AuthenticationFailed else "no credential"
    assert all(each.startswith(words) for each in refused)
    assert status["models"]["m"]["deployments"][0]["breaker"]["state"] == "closed"
    assert len(house.asked) == 1
    assert (
        sum("no credential" in each.getMessage() for each in caplog.records if each.levelname == "WARNING")
        == 1
    )


async def test_a_token_endpoint_that_is_slow_ends_the_attempt_and_serves_those_who_come_later() -> None:
    house = House(0.3)
    async with serving(house.handle) as url, Router.from_config(config(url)) as router:
        with pytest.raises(TimeoutError):
            await router.chat("m", "q", timeout=0.05)
        assert (await router.chat("m", "q")).text == "hi"

    assert len(house.asked) == 1


async def test_a_token_endpoint_that_nobody_listens_at_is_named() -> None:
    async with serving(House().handle) as url:
        given = config(url, token_url="http://127.0.0.1:1/token")
        async with Router.from_config(given) as router:
            with pytest.raises(Unavailable, match="no credential: no connection to http://127.0.0.1:1"):
                await router.chat("m", "q")


async def test_a_token_is_hidden_from_its_first_use_on() -> None:
    house = House(prefix="token-of-many-letters")

    async def handle(request: Request) -> Answered:
        if request.target == "/token":
            return await house.handle(request)
        return 400, {"error": {"message": f"{request.token} and {SECRET} have no quota"}}

    async with serving(handle) as url, Router.from_config(config(url)) as router:
        with pytest.raises(CallError) as raised:
            await router.chat("m", "q")

    assert "*** and *** have no quota" in raised.value.message


# ── what is asked, and what an answer means ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["basic", "post"])
async def test_what_is_asked_is_what_the_rfc_says(way: str) -> None:
    house = House()
    async with serving(house.handle) as url:

        def http(endpoint: Endpoint) -> Client:
            return client_for(endpoint, open_transport("httpx"))

        made: list[Client] = []
        auth = source(
            lambda endpoint: made.append(http(endpoint)) or made[0],  # type: ignore[func-returns-value]
            token_url=f"{url}/token/?tenant=a%2Fb",
            client_auth=way,
            scope="a b",
            audience="https://api",
        )
        await auth.refresh()
        await made[0].aclose()

    (asked,) = house.asked
    form = {"grant_type": "client_credentials", "scope": "a b", "audience": "https://api"}
    assert (asked.method, asked.target) == ("POST", "/token/?tenant=a%2Fb")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    if way == "post":
        assert asked.form == {**form, "client_id": "we & us", "client_secret": SECRET}
        assert "authorization" not in asked.headers
    else:
        assert asked.form == form
        name, _, password = (
            b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode().partition(":")
        )
        assert (unquote_plus(name), unquote_plus(password)) == ("we & us", SECRET)
    assert auth.current().reveal() == "token-1"


@pytest.mark.parametrize(
    ("lasts", "seconds"),
    [("3600", 3600), ('"60"', 60), ("1.5", 1.5), ("null", None), ("0", None), ("-5", None), ("true", None), ('"soon"', None), ("1e999", None), ("[]", None)],
)  # fmt: skip
async def test_a_token_ends_when_its_endpoint_says_so_in_whatever_way(
    lasts: str, seconds: float | None
) -> None:
    auth = answering(200, b'{"access_token": "t", "token_type": "BEARER", "expires_in": %s}' % lasts.encode())
    began = SystemClock().now()

    await auth.refresh()

    ends = auth.current().ends
    assert ends is None if seconds is None else ends == pytest.approx(began + seconds, abs=5)


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (200, b"", BadResponse, "gave no access_token that could be sent"),
        (200, b"not json sk-canary", BadResponse, "gave no access_token"),
        (200, b"[]", BadResponse, "gave no access_token"),
        (200, b'{"access_token": ""}', BadResponse, "gave no access_token"),
        (200, b'{"access_token": 7}', BadResponse, "gave no access_token"),
        (
            200,
            b'{"access_token": "sk-canary\\r\\nx: 1"}',
            BadResponse,
            "gave no access_token that could be sent",
        ),
        (
            200,
            b'{"access_token": "sk-canary", "token_type": "mac"}',
            BadResponse,
            "is not of the type bearer",
        ),
        (200, b'{"access_token": "sk-canary", "token_type": null}', BadResponse, "is not of the type bearer"),
        (401, b"", AuthenticationFailed, "answered 401"),
        (403, b"[]", AuthenticationFailed, "answered 403"),
        (400, b'{"error": "invalid_scope"}', AuthenticationFailed, "400: invalid_scope"),
        (400, b'{"error": ["a"], "error_description": {}}', Unavailable, "answered 400"),
        (400, b'{"error": {"code": 1}}', Unavailable, "answered 400"),
        (429, b"", RateLimited, "answered 429"),
        (500, b'{"error": "invalid_client"}', Unavailable, "500: invalid_client"),
        (204, b"", Unavailable, "answered 204"),
    ],
)
async def test_every_other_answer_is_an_error_that_shows_no_token(
    status: int, body: bytes, kind: type[CallError], said: str
) -> None:
    auth = answering(status, body, {"retry-after": "7"})

    with pytest.raises(kind) as raised:
        await auth.refresh()

    assert type(raised.value) is kind
    assert said in raised.value.message
    assert "sk-canary" not in raised.value.message
    if kind in (RateLimited, Unavailable):
        assert raised.value.retry_after == 7
    with pytest.raises(NotReady):
        auth.current()


async def test_only_the_token_that_there_is_can_be_rejected() -> None:
    auth = answering(200, b'{"access_token": "t-1"}')
    await auth.refresh()
    first = auth.current()

    assert auth.rejected(first)
    with pytest.raises(NotReady):
        auth.current()
    await auth.refresh()
    assert auth.current() == first


@pytest.mark.parametrize(
    "url", ["ftp://h/token", "h/token", "", "https://me:pw@h/token", "https://h/token#x"]
)
def test_a_token_url_that_is_none_is_refused_without_being_shown(url: str) -> None:
    given = config("http://127.0.0.1:1", token_url=url)

    with pytest.raises(Exception, match="expected http:// or https:// and a host") as raised:
        Router.from_config(given)

    assert "pw@" not in str(raised.value)
    assert SECRET not in str(raised.value)


def test_nothing_shows_the_secret() -> None:
    auth = answering(200, b"{}")

    assert SECRET not in f"{auth!r} {auth} {vars(auth)}"


class TestHttpSignature(OfHttpSignature):
    pass


class TestClientCredentials(OfClientCredentials):
    pass


def test_neither_settings_that_say_where_a_secret_is_nor_those_that_hold_one_show_it() -> None:
    OfTheDistribution().test_settings_show_no_secret()
