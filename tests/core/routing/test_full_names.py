"""Calls of `provider/upstream-model` that no model lists: the same account, and treated like any other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from routers import config, in_flight, router

from pointsman.errors import ModelNotFound, NoDeploymentAvailable, QuotaExhausted, Unavailable
from pointsman.testing import Scripted, ScriptedAnswer, run


def limited(**changes: Any) -> dict[str, Any]:
    given = config("ab", **changes)
    given["models"]["m"]["deployments"] = ["a/x"]
    return given


def test_the_limits_of_the_provider_hold_and_are_shared_with_what_is_listed() -> None:
    given = limited()
    given["providers"]["a"]["limits"] = {"requests": "4/min", "burst_requests": 4}
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, given) as r:
            for model in ("m", "a/one", "a/two", "a/one"):
                await r.chat(model, "hi")
            for model in ("m", "a/one", "a/three"):
                with pytest.raises(NoDeploymentAvailable) as caught:
                    await r.chat(model, "hi")
                assert caught.value.retry_after == pytest.approx(15, abs=0.1)
            await r.reload(given)
            for model in ("m", "a/one", "a/four"):
                with pytest.raises(NoDeploymentAvailable, match="rate limit"):
                    await r.chat(model, "hi")
            assert (await r.chat("b/one", "hi")).text == "ok"

    run(main())
    assert upstream.count("a") == 4


def test_shared_limits_hold_across_providers() -> None:
    given = limited(limits={"account": {"requests": "2/min", "burst_requests": 2}})
    for each in given["providers"].values():
        each["shared_limits"] = ["account"]

    async def main() -> None:
        async with router(Scripted(), given) as r:
            await r.chat("a/one", "hi")
            await r.chat("b/one", "hi")
            with pytest.raises(NoDeploymentAvailable):
                await r.chat("a/two", "hi")

    run(main())


@pytest.mark.parametrize("listed", [True, False])
def test_a_breaker_opens_for_each_and_outlives_a_reload(listed: bool) -> None:
    upstream = Scripted()
    upstream.default(
        "a", lambda _request, call: Unavailable("down") if call.model != "two" else ScriptedAnswer("ok")
    )
    given = limited(retry="none")
    given["providers"]["a"]["models"] = ["one"] if listed else []

    async def main() -> None:
        async with router(upstream, given) as r:
            for _ in range(5):
                with pytest.raises(Unavailable):
                    await r.chat("a/one", "hi")
            for _ in range(2):
                with pytest.raises(NoDeploymentAvailable, match="circuit breaker open"):
                    await r.chat("a/one", "hi")
                assert (await r.chat("a/two", "hi")).text == "ok"
                await r.reload(given)
            r.reset("a/one")
            with pytest.raises(Unavailable):
                await r.chat("a/one", "hi")
            assert in_flight(r) == 0

    run(main())


def test_the_time_limits_are_those_of_the_provider() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=10.0))
    given = limited(retry="none", timeouts={"attempt": "3s"})
    given["providers"]["a"]["timeouts"] = {"attempt": "2s"}

    async def main() -> None:
        async with router(upstream, given) as r:
            with pytest.raises(Exception, match="a/one did not answer within"):
                await r.chat("a/one", "hi")
            assert asyncio.get_running_loop().time() == pytest.approx(2.0, abs=0.01)

    run(main())


def test_refusals_are_remembered_and_the_credential_is_shared_with_what_is_listed() -> None:
    upstream = Scripted()
    upstream.script("a", ModelNotFound("404"), "ok", QuotaExhausted("no money"))

    async def main() -> None:
        async with router(upstream, limited()) as r:
            with pytest.raises(ModelNotFound):
                await r.chat("a/one", "hi")
            with pytest.raises(NoDeploymentAvailable, match="model not found upstream"):
                await r.chat("a/one", "hi")
            await r.chat("a/two", "hi")
            with pytest.raises(QuotaExhausted):
                await r.chat("a/two", "hi")
            for model in ("m", "a/three"):
                with pytest.raises(NoDeploymentAvailable, match="quota exhausted"):
                    await r.chat(model, "hi")

    run(main())


def test_callers_wait_in_line_and_retries_are_bounded_as_for_any_model() -> None:
    upstream = Scripted()
    given = limited(retry={"type": "exponential", "budget": "0%"}, circuit_breaker={"enabled": False})
    given["providers"]["a"]["limits"] = {"requests": "1/s", "burst_requests": 1}

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, given) as r:
            await asyncio.gather(*(r.chat("a/one", "hi") for _ in range(4)))
            assert loop.time() == pytest.approx(3.0, abs=0.01)
            upstream.default("b", Unavailable("down"))
            began = loop.time()
            for _ in range(20):
                with pytest.raises(Unavailable):
                    await r.chat("b/one", "hi")
            assert upstream.count("b") - 20 <= 3 + (loop.time() - began)

    run(main())


def test_any_number_of_names_leaves_a_bounded_number_of_states() -> None:
    given = limited(health={}, adaptive_concurrency={}, strategy="least_connections")
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "max_in_flight": 3}]

    async def main() -> None:
        async with router(Scripted(), given) as r:
            for n in range(300):
                await r.chat(f"a/{n}", "hi")
            snapshot = r._snapshot  # what is remembered of names shows nowhere but in memory
            assert len(snapshot.remembered) == 256
            assert list(snapshot.lives) == ["a/x"]
            assert [live.id for live in snapshot.upstreams["a"].warming] == ["a/x"]
            await r.reload(given)
            assert len(r._snapshot.remembered) == 256
            del given["providers"]["b"]
            await r.reload(given)

    run(main())
