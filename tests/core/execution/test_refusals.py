"""What an upstream refuses whoever asks: the model, the credential, the money."""

from __future__ import annotations

import asyncio
import json
import random
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from routers import Heard, config, in_flight, router

from pointsman import Router
from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    ModelNotFound,
    NoDeploymentAvailable,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Unavailable,
)
from pointsman.plugin import PointsmanSpec, TransportFactory, hookimpl
from pointsman.testing import Scripted, ScriptedAnswer, run

ANSWER = json.dumps(
    {
        "id": "c",
        "model": "x",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
).encode()

OF_ONE = [ModelNotFound("404"), PermissionDenied("403")]
OF_CREDENTIAL = [AuthenticationFailed("401"), QuotaExhausted("no money", retry_after=5.0)]
WORDS = {
    ModelNotFound: "model not found upstream",
    PermissionDenied: "permission denied",
    AuthenticationFailed: "credential refused",
    QuotaExhausted: "quota exhausted",
}


def shown(r: Router, id: str) -> dict[str, Any]:
    return next(
        each
        for pool in r.status().to_dict()["models"].values()
        for each in pool["deployments"]
        if each["id"] == id
    )


@pytest.mark.parametrize("error", [*OF_ONE, *OF_CREDENTIAL])
def test_what_one_refuses_another_answers_and_the_one_is_left_alone_for_a_minute(error: CallError) -> None:
    upstream = Scripted()
    upstream.default("a", error)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, config("ab")) as r:
            while not upstream.count("a"):
                await r.chat("m", "hi")
            began = loop.time()
            for _ in range(20):
                assert (await r.chat("m", "hi")).deployment == "b/x"
            assert upstream.count("a") == 1
            cool_down = shown(r, "a/x")["cool_down"]
            assert cool_down["refused"] == WORDS[type(error)]
            assert 59 < cool_down["seconds_left"] < 66
            assert shown(r, "a/x")["blocked"].startswith(WORDS[type(error)])
            assert shown(r, "b/x")["cool_down"] is None

            # It is asked again then, and left alone for twice as long.
            await asyncio.sleep(began + 66 - loop.time())
            while upstream.count("a") == 1:
                await r.chat("m", "hi")
            assert 119 < shown(r, "a/x")["cool_down"]["seconds_left"] < 132

            # A success begins anew.
            upstream.default("a", "ok")
            await asyncio.sleep(133)
            while upstream.count("a") == 2:
                await r.chat("m", "hi")
            upstream.default("a", error)
            while upstream.count("a") == 3:
                await r.chat("m", "hi")
            assert 59 < shown(r, "a/x")["cool_down"]["seconds_left"] < 66
            r.reset("a/x")
            assert shown(r, "a/x")["blocked"] is None

    run(main())


@pytest.mark.parametrize("error", OF_ONE)
def test_another_model_of_the_same_upstream_goes_on(error: CallError) -> None:
    upstream = Scripted()
    upstream.default("a", lambda _request, call: error if call.model == "x" else ScriptedAnswer("ok"))
    given = config("a")
    given["models"]["n"] = {"deployments": ["a/y"]}

    async def main() -> None:
        async with router(upstream, given) as r:
            with pytest.raises(type(error)):
                await r.chat("m", "hi")
            assert (await r.chat("n", "hi")).deployment == "a/y"
            with pytest.raises(NoDeploymentAvailable) as caught:
                await r.chat("m", "hi")
            assert caught.value.retry_after == pytest.approx(60, rel=0.11)
            assert WORDS[type(error)] in caught.value.reasons["a/x"]

    run(main())


@pytest.mark.parametrize("same_provider", [True, False], ids=["one provider", "one key"])
@pytest.mark.parametrize("error", OF_CREDENTIAL)
def test_all_that_use_the_credential_are_left_alone_in_every_model_and_after_a_reload(
    error: CallError, same_provider: bool
) -> None:
    upstream = Scripted()
    upstream.default("a", error)
    given = config("abc")
    key = {"type": "scripted", "api_key": "sk-shared"}
    given["providers"] |= {
        "a": key,
        "b": {"type": "scripted", "auth": {"type": "static", "value": "sk-shared"}},
    }
    given["providers"]["c"] = {"type": "scripted", "api_key": "sk-other"}
    other = "a/y" if same_provider else "b/y"
    given["models"] = {"m": {"deployments": ["a/x"]}, "n": {"deployments": [other, "c/x"]}}

    async def main() -> None:
        async with router(upstream, given) as r:
            with pytest.raises(type(error)):
                await r.chat("m", "hi")
            for _ in range(2):
                assert shown(r, other)["cool_down"]["refused"] == WORDS[type(error)]
                for _ in range(10):
                    assert (await r.chat("n", "hi")).deployment == "c/x"
                await r.reload(given)
            r.reset("a/x")
            assert shown(r, other)["blocked"] is None

    run(main())


def test_one_key_at_two_addresses_is_two_credentials() -> None:
    upstream = Scripted()
    upstream.default("a", AuthenticationFailed("401"))
    given = config("ab")
    for name in "ab":
        url = f"http://127.0.0.1:1/{name}/v1"
        given["providers"][name] = {"type": "scripted", "api_key": "sk-shared", "base_url": url}
    given["models"] = {"m": {"deployments": ["a/x"]}, "n": {"deployments": ["b/x"]}}

    async def main() -> None:
        async with router(upstream, given) as r:
            with pytest.raises(AuthenticationFailed):
                await r.chat("m", "hi")
            assert (await r.chat("n", "hi")).deployment == "b/x"

    run(main())


def test_the_log_says_once_who_is_left_alone_and_why(caplog: pytest.LogCaptureFixture) -> None:
    upstream = Scripted()
    upstream.default("a", AuthenticationFailed("401"))
    given = config("ab")
    given["models"]["n"] = {"deployments": ["a/y"]}

    async def main() -> None:
        async with router(upstream, given) as r:
            for _ in range(10):
                await r.chat("m", "hi")

    with caplog.at_level("WARNING"):
        run(main())
    (said,) = [each.getMessage() for each in caplog.records if "left alone" in each.getMessage()]
    assert re.fullmatch(
        r"a/x, and 1 more with its credential: left alone for 6\d s: credential refused", said
    )


@pytest.mark.parametrize("seconds", [0.5, 90.0], ids=["at once", "after the second 401"])
def test_a_new_key_in_the_file_ends_that_the_old_one_was_refused(seconds: float, tmp_path: Path) -> None:
    """`seconds`: after the refusal, the key is replaced."""
    key = tmp_path / "key"
    key.write_text("sk-old-0123456789")
    sent: list[str] = []

    class Wire(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(request.headers["authorization"])
            return httpx.Response(401 if "old" in sent[-1] else 200, stream=httpx.ByteStream(ANSWER))

    class House(PointsmanSpec):
        @hookimpl
        def pointsman_transports(self) -> list[TransportFactory]:
            return [TransportFactory("wire", None, lambda _context: Wire())]

    given = {
        "transport": "wire",
        "providers": {
            "a": {"type": "openai", "base_url": "http://a/v1", "auth": {"type": "file", "path": str(key)}}
        },
        "models": {"m": {"deployments": ["a/x"]}},
    }

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with Router.from_config(given, plugins=[House()]) as r:
            with pytest.raises(AuthenticationFailed):
                await r.chat("m", "hi")
            began = loop.time()
            while loop.time() < began + seconds:
                await asyncio.sleep(0.5)
                with suppress(CallError):
                    await r.chat("m", "hi")
            assert len(sent) < 3
            key.write_text("sk-new-0123456789")
            await asyncio.sleep(2.5)
            assert (await r.chat("m", "hi")).text == "hi"
        del r
        await asyncio.sleep(700)
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_model_not_found_is_raised_only_when_all_say_so() -> None:
    upstream = Scripted()
    upstream.default("a", ModelNotFound("404"))
    upstream.default("b", ModelNotFound("404"))

    async def main() -> None:
        for seed in range(8):
            async with router(upstream, config("ab"), seed=seed) as r:
                with pytest.raises(ModelNotFound) as caught:
                    await r.chat("m", "hi")
                assert caught.value.attempts == 2
        upstream.default("b", Unavailable("down"))
        for seed in range(8):
            for attempts in (2, 4):
                retry = {"type": "exponential", "attempts": attempts}
                async with router(upstream, config("ab", retry=retry), seed=seed) as r:
                    heard = Heard(r)
                    with pytest.raises(Unavailable) as unavailable:
                        await r.chat("m", "hi")
                    assert unavailable.value.attempts == attempts == heard.requests[-1].attempts
                    assert in_flight(r) == 0

    run(main())


def test_who_lacks_the_model_is_neither_ill_nor_trusted_with_the_budget() -> None:
    upstream = Scripted()
    upstream.default("a", ModelNotFound("404"))
    given = config(
        "a", retry="none", circuit_breaker={"failure_threshold": 1}, outliers={"failure_threshold": 1}
    )

    async def main() -> None:
        async with router(upstream, given) as r:
            for _ in range(5):
                with pytest.raises(ModelNotFound):
                    await r.chat("m", "hi")
                await asyncio.sleep(700)
            a = shown(r, "a/x")
            assert a["breaker"]["state"] == "closed"
            assert a["ejection"]["ejected"] is False
            assert a["outcomes"] == {"neutral": 5}
            assert r._snapshot.live("a/x").failing  # shown nowhere

    run(main())


def test_nobody_waits_inside_a_request_for_the_end_of_a_refusal() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    upstream.default("b", ModelNotFound("404"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        given = config(
            "ab", retry={"type": "exponential", "attempts": 20}, circuit_breaker={"enabled": False}
        )
        async with Router.from_config(given, plugins=[upstream], rng=random.Random(1)) as r:
            with pytest.raises(Unavailable):
                await r.chat("m", "hi")
            assert upstream.count("b") <= 1 + loop.time() / 60

    run(main())


def test_cool_downs_are_as_long_as_the_configuration_says_for_each_deployment_and_change_in_place() -> None:
    upstream = Scripted()
    given = config("ab", retry="none", overload={"base": "1s"}, refusal={"base": "2s", "max": "3s"})
    given["models"] = {
        "m": {"deployments": ["a/x"]},
        "n": {"overload": {"base": "20s"}, "refusal": {"base": "7s", "max": "7s"}, "deployments": ["b/x"]},
    }

    async def left(r: Router, model: str, error: CallError) -> float:
        upstream.script("ab"["mn".index(model)], error)
        with pytest.raises(type(error)):
            await r.chat(model, "hi")
        cool_down = shown(r, f"{'ab'['mn'.index(model)]}/x")["cool_down"]
        await asyncio.sleep(cool_down["seconds_left"])
        return float(cool_down["seconds_left"])

    async def main() -> None:
        async with router(upstream, given) as r:
            for model, error, seconds in [
                ("m", RateLimited("x"), 1),
                ("n", RateLimited("x"), 20),
                ("m", ModelNotFound("x"), 2),
                ("m", ModelNotFound("x"), 3),
                ("n", ModelNotFound("x"), 7),
                ("m", AuthenticationFailed("x"), 2),
                ("n", AuthenticationFailed("x"), 2),  # a credential has no deployment of its own
            ]:
                assert await left(r, model, error) == pytest.approx(seconds * 1.05, rel=0.06)
            given["overload"]["base"] = "5s"
            await r.reload(given)
            assert await left(r, "m", RateLimited("x")) == pytest.approx(10 * 1.05, rel=0.06)

    run(main())
