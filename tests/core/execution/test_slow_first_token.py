"""A first token that is late: where to go then, and what becomes of the work that has been done."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from routers import Heard, config, in_flight, router

from pointsman import Router
from pointsman.errors import CallError, DeadlineExceeded
from pointsman.testing import Scripted, ScriptedAnswer, run


def slow(providers: str, first_token: str = "1s", total: str = "60s", **changes: Any) -> dict[str, Any]:
    return config(providers, timeouts={"first_token": first_token, "total": total}, **changes)


async def read(r: Router) -> str:
    """The deployment that answered, or the code of the error."""
    try:
        async with r.stream("m", "hi") as stream:
            async for _ in stream:
                pass
        return stream.response.deployment
    except CallError as error:
        return error.code
    finally:
        assert in_flight(r) == 0


@pytest.mark.parametrize("retry", ["exponential", "none"])
def test_the_only_deployment_is_waited_for_and_asked_once(retry: str) -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer("the sky is blue", after=20.0))

    async def main() -> None:
        async with router(upstream, slow("a", retry=retry)) as r:
            assert await read(r) == "a/x"
            assert asyncio.get_running_loop().time() == pytest.approx(20, abs=0.01)

    run(main())
    assert upstream.count("a") == 1


def test_it_counts_as_slow_all_the_same() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=2.0))

    async def main() -> None:
        async with router(
            upstream, slow("a", circuit_breaker={"minimum_calls": 3, "slow_rate": "100%"})
        ) as r:
            for _ in range(2):
                await read(r)
            breaker = r.status().to_dict()["models"]["m"]["deployments"][0]["breaker"]
            assert (breaker["slow"], breaker["state"]) == (2, "closed")
            await read(r)
            assert r.status().to_dict()["models"]["m"]["deployments"][0]["breaker"]["state"] == "open"

    run(main())


def test_where_there_is_somewhere_else_the_call_goes_there_and_the_last_one_gets_what_is_left() -> None:
    upstream = Scripted()
    for name in "abc":
        upstream.default(name, ScriptedAnswer(after=20.0))

    async def main() -> None:
        async with router(upstream, slow("abc")) as r:
            heard = Heard(r)
            await read(r)
            assert [each.error for each in heard.attempts] == ["first_token_timeout"] * 2 + [""]
            assert asyncio.get_running_loop().time() == pytest.approx(22, abs=0.2)
        async with router(upstream, slow("abc", retry={"type": "exponential", "attempts": 2})) as r:
            heard = Heard(r)
            await read(r)
            assert [each.error for each in heard.attempts] == ["first_token_timeout", ""]

    run(main())


def test_a_fallback_is_somewhere_else_also_without_retries() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=20.0))
    given = slow("ab", retry="none")
    given["models"] = {"m": {"deployments": ["a/x"], "fallback": ["n"]}, "n": {"deployments": ["b/x"]}}

    async def main() -> None:
        async with router(upstream, given) as r:
            assert await read(r) == "b/x"
            r.disable("b/x")
            assert await read(r) == "a/x"

    run(main())


def test_what_is_ready_when_the_limit_is_reached_counts_and_not_what_was_at_the_beginning() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=20.0))

    async def main() -> None:
        async with router(upstream, slow("ab")) as r:
            r.disable("b/x")
            call = asyncio.ensure_future(read(r))
            await asyncio.sleep(0.5)
            r.enable("b/x")
            assert await call == "b/x"

    run(main())


def test_the_deadline_still_ends_it_and_the_silent_one_is_to_blame() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=1_000.0))

    async def main() -> None:
        async with router(upstream, slow("a", total="5s")) as r:
            with pytest.raises(DeadlineExceeded):
                async with r.stream("m", "hi") as stream:
                    await anext(stream)
            assert asyncio.get_running_loop().time() == pytest.approx(5, abs=0.01)
            assert r.status().to_dict()["models"]["m"]["deployments"][0]["outcomes"] == {"upstream_fault": 1}

    run(main())


def test_a_caller_who_leaves_while_it_is_waited_for_leaves_nothing() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=1_000.0))

    async def main() -> None:
        async with router(upstream, slow("a")) as r:
            call = asyncio.ensure_future(read(r))
            await asyncio.sleep(30)
            call.cancel()
            await asyncio.wait([call])
            assert call.cancelled()
            assert in_flight(r) == 0

    run(main())
    assert upstream.aborted["a"] == 1
