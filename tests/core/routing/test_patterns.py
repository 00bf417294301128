"""Patterns as public names: what is said of one holds for all its names together, however many are invented."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from routers import Heard, config, in_flight, router

from pointsman import Config
from pointsman.errors import ModelNotFound, NoDeploymentAvailable, Unavailable, UnknownModel
from pointsman.testing import Scripted, ScriptedAnswer, run


def matching(star: dict[str, Any] | str = "a/*", **changes: Any) -> dict[str, Any]:
    """A pattern `x-*` with one deployment, or what `changes` say of the rest."""
    model = {"deployments": [star], **changes.pop("model", {})}
    given = config("abc", **changes)
    given["models"] = {"m": {"deployments": ["b/x"]}, "x-*": model}
    return given


def test_a_name_goes_to_the_upstream_model_that_the_star_stands_for() -> None:
    upstream = Scripted()
    given = matching(aliases={"o": "x-four"})
    given["models"] |= {
        "a/*": {"deployments": ["a/*"]},
        "a/g-*": {"deployments": [{"provider": "b", "model": "big-*"}]},
        "*": {"deployments": ["b/rest"]},
    }
    asked = {
        "x-one": "a/one", "a/two": "a/two", "a/g-3": "b/big-3", "o": "a/four", "b/y": "b/y", "x-": "b/rest",
        "d/y": "b/rest",
    }  # fmt: skip

    async def main() -> None:
        async with router(upstream, given) as r:
            heard = Heard(r)
            for name, deployment in asked.items():
                assert (await r.chat(name, "hi")).deployment == deployment
            assert [each.pool for each in heard.requests] == [
                "x-one",
                "a/two",
                "a/g-3",
                "x-four",
                "b/y",
                "x-",
                "d/y",
            ]
            assert next(call.model for _, _, call in upstream.calls) == "one"

    run(main())


def test_a_pattern_is_no_name_itself() -> None:
    async def main() -> None:
        async with router(Scripted(), matching()) as r:
            with pytest.raises(
                UnknownModel, match=r"no model is called 'x-\*'; that is a pattern: name a model"
            ):
                await r.chat("x-*", "hi")
            with pytest.raises(UnknownModel, match=r"'aa/llama'; did you mean 'a/llama'\?"):
                await r.chat("aa/llama", "hi")
            with pytest.raises(
                UnknownModel, match="'remote/llama'; nor is a provider 'remote'; there are: m"
            ):
                await r.chat("remote/llama", "hi")
            with pytest.raises(UnknownModel):
                await r.chat("x-" + "y" * 600, "hi")
            assert [each.id for each in await r.models() if not each.provider] == ["m"]
            assert r.config.model_by_default == "m"

    run(main())


STAR = {"provider": "a", "model": "*"}
RATE = {"requests": "3/min", "burst_requests": 3}


@pytest.mark.parametrize(
    "given",
    [
        matching({**STAR, "limits": RATE}, queue=None),
        matching({**STAR, "shared_limits": ["all"]}, limits={"all": RATE}, queue=None),
    ],
)
def test_a_limit_holds_over_all_names_together_and_by_the_full_name(given: dict[str, Any]) -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, given) as r:
            for name in ("x-1", "a/2", "x-3"):
                await r.chat(name, "hi")
            for name in ("x-1", "x-4", "a/5"):
                with pytest.raises(NoDeploymentAvailable, match="rate limit"):
                    await r.chat(name, "hi")
            await r.reload(given)
            for name in ("x-1", "x-6", "a/7"):
                with pytest.raises(NoDeploymentAvailable, match="rate limit"):
                    await r.chat(name, "hi")

    run(main())
    assert upstream.count("a") == 3


def test_a_limit_of_a_deployment_without_a_star_holds_too_and_by_its_full_name() -> None:
    upstream, given = Scripted(), matching({"provider": "a", "model": "rest", "limits": RATE}, queue=None)

    async def main() -> None:
        async with router(upstream, given) as r:
            for name in ("x-1", "a/rest", "x-2"):
                await r.chat(name, "hi")
            for name in ("a/rest", "x-3", "x-1"):
                with pytest.raises(NoDeploymentAvailable, match="rate limit"):
                    await r.chat(name, "hi")

    run(main())
    assert upstream.count("a") == 3


def test_what_may_be_in_flight_holds_over_all_names_together_also_over_a_reload() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=1.0))
    given = matching({**STAR, "max_in_flight": 2})

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, given) as r:
            calls = [asyncio.create_task(r.chat(name, "hi")) for name in ("x-1", "x-2", "x-1", "a/3", "x-4")]
            await asyncio.sleep(0.5)
            assert upstream.in_flight["a"] == in_flight(r) == 2
            refused = r.explain("x-9").chain[0].refused
            assert refused == {"a/9": "full: 2 of 2 in flight"}
            # Not a mapping: to read one takes a thread, and time would go on.
            await r.reload(Config.from_mapping({**given, "queue": None}))
            with pytest.raises(NoDeploymentAvailable, match="full: 2 of 2"):
                await r.chat("x-5", "hi")
            await asyncio.gather(*calls)
            assert loop.time() == pytest.approx(3.0, abs=0.01)
            assert upstream.most_in_flight["a"] == 2
            assert in_flight(r) == 0
            await r.chat("x-5", "hi")

    run(main())


def test_breakers_are_those_of_the_upstream_model_by_whatever_name() -> None:
    upstream = Scripted()
    upstream.default("a", lambda _, call: Unavailable("down") if call.model == "1" else ScriptedAnswer("ok"))
    given = matching(retry="none")
    given["models"] |= {"y-*": {"deployments": ["a/*"]}}

    async def main() -> None:
        async with router(upstream, given) as r:
            for name in ("x-1", "y-1", "a/1", "x-1", "y-1"):
                with pytest.raises(Unavailable):
                    await r.chat(name, "hi")
            for _ in range(2):
                for name in ("x-1", "y-1", "a/1"):
                    with pytest.raises(NoDeploymentAvailable, match="circuit breaker open"):
                        await r.chat(name, "hi")
                assert (await r.chat("x-2", "hi")).text == "ok"
                await r.reload(given)
            r.reset("a/1")
            with pytest.raises(Unavailable):
                await r.chat("y-1", "hi")

    run(main())


def test_what_a_model_says_of_a_deployment_holds_where_a_pattern_has_it_too() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=1.0))
    given = matching(queue=None)
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "max_in_flight": 1}]

    async def main() -> None:
        async with router(upstream, given) as r:
            call = asyncio.create_task(r.chat("m", "hi"))
            await asyncio.sleep(0.5)
            with pytest.raises(NoDeploymentAvailable, match="full: 1 of 1"):
                await r.chat("x-x", "hi")
            await call
            assert (await r.chat("x-x", "hi")).deployment == "a/x"

    run(main())


def test_strategy_defaults_fallback_and_circuit_breaker_of_a_pattern_hold() -> None:
    upstream = Scripted()
    upstream.default("b", Unavailable("down"))
    given = matching(
        model={
            "deployments": ["a/*", {"provider": "b", "model": "same"}],
            "strategy": "round_robin",
            "defaults": {"temperature": 0.5},
            "fallback": ["y-2"],
            "circuit_breaker": {"failure_threshold": 2},
        },
        retry="none",
    )
    given["models"]["y-*"] = {"deployments": [{"provider": "c", "model": "y*"}]}

    async def main() -> None:
        async with router(upstream, given) as r:
            asked = [(await r.chat("x-1", "hi")).deployment for _ in range(6)]
            assert (asked.count("a/1"), asked.count("c/y2")) == (4, 2)
            assert {request.temperature for name, request, call in upstream.calls if call.model == "1"} == {
                0.5
            }
            known = r.status().to_dict()["patterns"]["x-*"]
            assert (known["strategy"], known["fallback"]) == ("round_robin", ["y-2"])
            assert known["deployments"] == ["a/*", "b/same"]
            assert [each["breaker"]["state"] for each in known["models"]["x-1"]["deployments"]] == [
                "closed",
                "open",
            ]

    run(main())


def test_any_number_of_names_leaves_a_bounded_number_of_pools() -> None:
    given = matching({**STAR, "max_in_flight": 3}, aliases={"kept": "x-kept"})

    async def main() -> None:
        async with router(Scripted(), given) as r:
            await r.chat("kept", "hi")
            for n in range(300):
                await r.chat(f"x-{n}", "hi")
            assert len(r.status().to_dict()["patterns"]["x-*"]["models"]) == 257
            assert r.status().to_dict()["patterns"]["x-*"]["models"]["x-kept"]["deployments"][0][
                "outcomes"
            ] == {"ok": 1}
            await r.reload(given)
            assert len(r.status().to_dict()["patterns"]["x-*"]["models"]) == 257
            assert r.status().to_dict()["patterns"]["x-*"]["models"]["x-kept"]["deployments"][0][
                "outcomes"
            ] == {"ok": 1}
            del given["models"]["x-*"], given["aliases"]
            await r.reload(given)
            assert r.status().to_dict()["patterns"] == {}
            with pytest.raises(UnknownModel):
                await r.chat("x-kept", "hi")

    run(main())


def test_a_turn_goes_on_over_a_reload() -> None:
    given = matching(model={"deployments": ["a/*", "b/*"]})

    async def main() -> None:
        async with router(Scripted(), given) as r:
            asked = []
            for _ in range(6):
                asked.append((await r.chat("x-1", "hi")).deployment)
                await r.reload(given)
            assert asked == asked[:2] * 3
            assert asked[0] != asked[1]

    run(main())


def test_budgets_of_retries_are_those_of_the_pattern() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    given = matching(
        retry={"type": "exponential", "budget": "0%", "attempts": 2}, circuit_breaker={"enabled": False}
    )

    async def main() -> None:
        async with router(upstream, given) as r:
            await asyncio.gather(*(r.chat(f"x-{n}", "hi") for n in range(40)), return_exceptions=True)
            assert upstream.count("a") < 50

    run(main())


def test_a_server_is_asked_what_it_has_in_memory_before_a_name_is_asked_for() -> None:
    given = matching(model={"strategy": "warm"})

    async def main() -> None:
        async with router(Scripted(), given) as r:
            assert list(r._snapshot.hosts) == ["a"]
            await r.chat("x-1", "hi")

    run(main())


def test_a_missing_upstream_model_is_no_fault_of_the_others() -> None:
    upstream = Scripted()
    upstream.default("a", lambda _, call: ModelNotFound("404") if call.model == "1" else ScriptedAnswer("ok"))

    async def main() -> None:
        async with router(upstream, matching()) as r:
            with pytest.raises(ModelNotFound):
                await r.chat("x-1", "hi")
            assert (await r.chat("x-2", "hi")).text == "ok"

    run(main())
