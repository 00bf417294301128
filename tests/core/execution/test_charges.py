"""Which attempts the retry budget pays for: those that add to what fails, and no others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routers import config, in_flight, router

from pointsman import Router
from pointsman.errors import CallError, InvalidRequest, Overloaded, RateLimited, Unavailable
from pointsman.testing import Scripted, ScriptedAnswer, run

NOTHING = {"retry": {"type": "exponential", "budget": "0%"}, "circuit_breaker": {"enabled": False}}
IN_ORDER = [{"provider": name, "model": "x", "priority": n} for n, name in enumerate("abc")]


def in_order(**changes: Any) -> dict[str, Any]:
    """Deployments of which each is asked when those before it have failed."""
    given = config("abc", panic_threshold="0%", **changes)
    given["models"]["m"]["deployments"] = IN_ORDER
    return given


def retries(r: Router) -> int:
    """What is charged and not given back."""
    budget = r.status().to_dict()["models"]["m"]["retries"]
    return int(budget["retries"] - budget["refunds"])


@pytest.mark.parametrize(
    "error", [Unavailable("down"), Overloaded("busy", retry_after=0.0), RateLimited("x")]
)
def test_going_on_to_what_looks_well_is_free_and_to_what_failed_last_is_not(error: CallError) -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    upstream.script("b", error)

    async def main() -> None:
        async with router(upstream, in_order(circuit_breaker={"enabled": False})) as r:
            assert (await r.chat("m", "hi")).deployment == "c/x"
            assert retries(r) == 0  # a, then b, which nobody had heard of
            await asyncio.sleep(20)
            assert (await r.chat("m", "hi")).deployment == "b/x"
            assert retries(r) == 1  # b had failed last
            assert (await r.chat("m", "hi")).deployment == "b/x"
            assert retries(r) == 1  # it is well again

    run(main())


def test_going_back_to_what_this_request_has_tried_is_charged() -> None:
    upstream = Scripted()
    upstream.script("a", Unavailable("down"), Unavailable("down"), "ok")

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            await r.chat("m", "hi")
            assert retries(r) == 2

    run(main())


def test_with_nothing_left_the_next_call_goes_past_what_fails_to_what_is_well() -> None:
    upstream = Scripted()
    for name in "ab":
        upstream.default(name, Unavailable("down"))

    async def main() -> None:
        async with router(upstream, in_order(**NOTHING)) as r:
            for _ in range(50):
                assert (await r.chat("m", "hi")).deployment == "c/x"
            assert retries(r) == upstream.count("b") - 1

    run(main())
    assert 3 <= upstream.count("b") - 1 <= 5, "what the bucket holds in the beginning, and one a second"


def test_with_nothing_left_and_nobody_well_the_last_error_says_so() -> None:
    upstream = Scripted()
    for name in "abc":
        upstream.default(name, Unavailable("down"))

    async def main() -> None:
        async with router(upstream, in_order(**NOTHING)) as r:
            for _ in range(10):
                with pytest.raises(Unavailable) as caught:
                    await r.chat("m", "hi")
            assert caught.value.budget_exhausted
            assert caught.value.attempts == 1

    run(main())


def test_a_wait_that_was_paid_for_and_ends_elsewhere_is_given_back() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        slow = {"type": "exponential", "base_delay": "100s", "max_delay": "100s"}
        async with router(upstream, config("ab", retry=slow)) as r:
            r.disable("b/x")
            call = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(1e-3)
            assert retries(r) == 1
            r.enable("b/x")
            assert (await call).deployment == "b/x"
            assert retries(r) == 0

    run(main())


def test_the_fault_of_the_request_and_a_caller_who_leaves_do_not_make_a_deployment_look_ill_or_well() -> None:
    upstream = Scripted()

    async def main() -> None:
        given = config("a", retry="none", circuit_breaker={"enabled": False})
        async with router(upstream, given) as r:
            live = r._snapshot.live("a/x")  # `failing` decides who pays, and is shown nowhere
            for before in (False, True):
                upstream.script("a", InvalidRequest("no"), ScriptedAnswer(after=100.0))
                with pytest.raises(InvalidRequest):
                    await r.chat("m", "hi")
                assert live.failing is before
                call = asyncio.ensure_future(r.chat("m", "hi"))
                await asyncio.sleep(1)
                call.cancel()
                await asyncio.wait([call])
                assert live.failing is before
                upstream.script("a", Unavailable("down"))
                with pytest.raises(Unavailable):
                    await r.chat("m", "hi")
                assert live.failing
            await r.reload(given)
            assert r._snapshot.live("a/x").failing
            r.reset("a/x")
            assert not r._snapshot.live("a/x").failing

    run(main())


@settings(deadline=None, max_examples=60)
@given(
    fates=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=8),
    budget=st.sampled_from(["0%", "50%", "100%"]),
)
def test_however_calls_end_as_much_is_charged_as_attempts_added_to_what_failed(
    fates: list[list[bool]], budget: str
) -> None:
    """Calls one after the other, so that a model can say at each attempt what was known by then."""
    upstream = Scripted()
    failing: dict[str, bool] = {}
    tried: list[str] = []
    now: list[bool] = []
    due = 0

    def fate(n: int, name: str) -> Any:
        def answer(_request: Any, call: Any) -> Any:
            nonlocal due
            due += call.attempt > 1 and (failing.get(name, False) or name in tried)
            tried.append(name)
            failing[name] = not now[n]
            return Unavailable("down") if failing[name] else ScriptedAnswer("ok")

        return answer

    for n, name in enumerate("abc"):
        upstream.default(name, fate(n, name))

    async def main() -> None:
        given = in_order(retry={"type": "exponential", "budget": budget}, circuit_breaker={"enabled": False})
        async with router(upstream, given) as r:
            for now[:] in fates:
                tried.clear()
                try:
                    await r.chat("m", "hi")
                except Unavailable as error:
                    assert error.attempts == 4 or error.budget_exhausted
                assert retries(r) == due
            assert in_flight(r) == 0

    run(main())
