"""What models, deployments and providers say for themselves holds in place of what is said in general."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from routers import config, router

from pointsman import Config, ConfigError, ModelNotFound, Unavailable
from pointsman.errors import CallError
from pointsman.resilience.health_check import answered
from pointsman.testing import Scripted, run


def two(m: dict[str, Any], n: dict[str, Any], **general: Any) -> dict[str, Any]:
    """Models `m` and `n`, each with `a/x` unless said otherwise."""
    given = {"m": {"deployments": ["a/x"], **m}, "n": {"deployments": ["a/x"], **n}}
    return config("ab", models=given, **general)


def at(**settings: Any) -> list[dict[str, Any]]:
    return [{"provider": "a", "model": "x", **settings}]


def breaker_of(given: dict[str, Any], model: str = "m") -> Any:
    loaded = Config.from_mapping(given)
    return loaded.specific().breaker(loaded.models[model].deployments[0])


def test_the_deployment_wins_over_its_model_and_that_over_the_general_section_key_by_key() -> None:
    given = config(
        "a",
        circuit_breaker={"failure_threshold": 7, "window": "7s", "minimum_calls": 7},
        models={
            "m": {
                "circuit_breaker": {"failure_threshold": 6, "window": "6s"},
                "deployments": at(circuit_breaker={"failure_threshold": 5}),
            }
        },
    )
    breaker = breaker_of(given)
    assert (breaker.failure_threshold, breaker.window, breaker.minimum_calls) == (5, 6.0, 7)
    assert breaker.slow_after == 30.0


@pytest.mark.parametrize("section", ["overload", "refusal"])
def test_cool_downs_are_said_in_the_same_three_places(section: str) -> None:
    given = config(
        "a",
        models={
            "m": {section: {"base": "2s"}, "deployments": at(**{section: {"max": "9s"}})},
            "n": {"deployments": ["a/y"]},
        },
        **{section: {"base": "1s", "max": "8s"}},
    )
    loaded = Config.from_mapping(given)
    own, other = (loaded.specific().of(section, loaded.models[each].deployments[0]) for each in "mn")
    assert dict(own) == {"base": 2.0, "max": 9.0}
    assert dict(other) == {"base": 1.0, "max": 8.0}


def test_what_one_model_says_holds_for_a_deployment_that_stands_in_others_too() -> None:
    given = two({}, {"circuit_breaker": {"failure_threshold": 2}})
    assert breaker_of(given, "m").failure_threshold == breaker_of(given, "n").failure_threshold == 2


CONFLICT = "says something else of deployment 'a/x' than models.m does"


@pytest.mark.parametrize(
    ("m", "n", "conflict"),
    [
        ({"failure_threshold": 2}, {"failure_threshold": 3}, True),
        ({"failure_threshold": 2}, {"window": "5s"}, True),
        ({"failure_threshold": 2}, {"failure_threshold": 2}, False),
        ({"window": "1m"}, {"window": "60s"}, False),
    ],
)
def test_two_models_that_want_different_things_of_one_deployment_are_a_problem(
    m: dict[str, Any], n: dict[str, Any], conflict: bool
) -> None:
    given = two({"circuit_breaker": m}, {"circuit_breaker": n})
    if conflict:
        with pytest.raises(ConfigError, match=CONFLICT) as caught:
            Config.from_mapping(given)
        assert "models.n.circuit_breaker" in str(caught.value)
        assert len(caught.value.problems) == 1
    else:
        Config.from_mapping(given)


def test_a_deployment_that_speaks_for_itself_settles_the_matter() -> None:
    own = at(circuit_breaker={"failure_threshold": 4})
    given = two(
        {"circuit_breaker": {"failure_threshold": 2}, "deployments": own},
        {"circuit_breaker": {"failure_threshold": 3}, "deployments": own},
    )
    assert breaker_of(given).failure_threshold == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {
                "circuit_breaker": {"success_threshold": 3, "half_open_max_calls": 3},
                "m": {"half_open_max_calls": 2},
            },
            "models.m.circuit_breaker.half_open_max_calls: is 2, less than success_threshold (3)",
        ),
        (
            {"circuit_breaker": {"half_open_max_calls": 5}, "m": {"success_threshold": 6}},
            "models.m.circuit_breaker.success_threshold: is 6, more than half_open_max_calls (5)",
        ),
        (
            {"circuit_breaker": {"max_reset_timeout": "1m"}, "m": {"reset_timeout": "2m"}},
            "models.m.circuit_breaker.reset_timeout: is 2m, more than max_reset_timeout (1m)",
        ),
    ],
)
def test_settings_that_contradict_each_other_over_two_levels_are_named_where_the_second_stands(
    given: dict[str, Any], said: str
) -> None:
    own = {"m": {"deployments": ["a/x"], "circuit_breaker": given["m"]}}
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping(config("a", models=own, circuit_breaker=given["circuit_breaker"]))
    assert said in str(caught.value)
    assert len(caught.value.problems) == 1


def test_a_model_may_allow_what_the_general_defaults_would_not() -> None:
    """`success_threshold` 4 fits the general `half_open_max_calls`, though not its default."""
    own = {"m": {"deployments": ["a/x"], "circuit_breaker": {"success_threshold": 4}}}
    given = config("a", models=own, circuit_breaker={"half_open_max_calls": 5})
    assert breaker_of(given).success_threshold == 4


@pytest.mark.parametrize("section", ["overload", "refusal"])
def test_a_longer_base_takes_the_maximum_with_it_and_a_lower_maximum_is_refused(section: str) -> None:
    loaded = Config.from_mapping(config("a", **{section: {"base": "1h"}}))
    assert getattr(loaded, section).max == 3600.0
    with pytest.raises(ConfigError, match=rf"{section}.base: is 1h, more than max \(1m\)"):
        Config.from_mapping(config("a", **{section: {"base": "1h", "max": "1m"}}))


def test_the_breakers_of_a_router_are_as_they_were_said() -> None:
    upstream = Scripted()
    for each in "ab":
        upstream.default(each, Unavailable("down"))
    given = config(
        "ab",
        retry="none",
        circuit_breaker={"failure_threshold": 3},
        models={
            "m": {"deployments": ["a/x"]},
            "n": {"deployments": ["b/x"], "circuit_breaker": {"failure_threshold": 1}},
        },
    )

    async def main() -> None:
        async with router(upstream, given) as r:
            for model in "mn":
                with pytest.raises(Unavailable):
                    await r.chat(model, "hi")
            states = [
                r.status().to_dict()["models"][each]["deployments"][0]["breaker"]["state"] for each in "mn"
            ]
            assert states == ["closed", "open"]

    run(main())


# ── retry ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_has_the_retry_policy_of_the_model_it_asks_for_also_in_its_fallbacks() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    upstream.default("b", Unavailable("down"))
    given = config(
        "ab",
        circuit_breaker={"enabled": False},
        retry={"type": "exponential", "attempts": 4, "base_delay": "1ms", "max_delay": "1ms", "budget": None},
        models={
            "m": {"deployments": ["a/x"], "retry": {"type": "exponential", "attempts": 2}, "fallback": ["n"]},
            "n": {"deployments": ["b/x"]},
            "once": {"deployments": ["a/x"], "retry": "none"},
        },
    )

    async def main() -> None:
        async with router(upstream, given) as r:
            counts = {}
            for model in ("once", "m", "n"):
                upstream.calls.clear()
                with pytest.raises(Unavailable):
                    await r.chat(model, "hi")
                counts[model] = len(upstream.calls)
            assert counts == {"once": 1, "m": 2, "n": 4}

    run(main())


def test_a_retry_policy_of_a_model_is_checked_at_its_place_and_a_deployment_has_none() -> None:
    wrong = {"m": {"deployments": ["a/x"], "retry": {"type": "exponential", "attempts": 0}}}
    with pytest.raises(ConfigError, match=r"models\.m\.retry\.attempts: must be 1 or more"):
        router(Scripted(), config("a", models=wrong))
    with pytest.raises(ConfigError, match=r"deployments\[0\]\.retry: unknown key 'retry'"):
        router(Scripted(), config("a", models={"m": {"deployments": at(retry="none")}}))


# ── health ───────────────────────────────────────────────────────────────────────────────────────────


def probes(given: dict[str, Any], seconds: float = 100) -> Scripted:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, given):
            await asyncio.sleep(seconds)

    run(main())
    return upstream


def test_checks_can_be_turned_off_and_on_and_paced_for_one_provider() -> None:
    given = config("abc", health={"interval": "10s"})
    given["providers"]["a"]["health"] = False
    given["providers"]["b"]["health"] = {"interval": "1s"}
    upstream = probes(given)
    assert upstream.probes["a"] == 0
    assert 80 <= upstream.probes["b"] <= 125
    assert 8 <= upstream.probes["c"] <= 13


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({"interval": "soon"}, "a.health.interval: expected seconds"),
        ({"intervall": 3}, "a.health.intervall: unknown key 'intervall'; did you mean 'interval'"),
        (True, "a.health: expected a mapping, not true or false"),
    ],
)
def test_what_is_wrong_in_the_checks_of_a_provider_is_said_once_at_its_own_key(
    said: object, answer: str
) -> None:
    given = config("a")
    given["providers"]["a"]["health"] = said
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping(given)

    (problem,) = caught.value.problems
    assert str(problem).startswith(f"providers.{answer}")


def test_one_provider_alone_can_be_checked() -> None:
    given = config("ab")
    given["providers"]["a"]["health"] = {}
    upstream = probes(given)
    assert upstream.probes["a"] > 0
    assert upstream.probes["b"] == 0


@pytest.mark.parametrize(
    ("status", "well"), [(404, True), (405, True), (501, True), (500, False), (401, False), (None, False)]
)
def test_a_server_that_has_no_list_of_models_is_alive(status: int | None, well: bool) -> None:
    async def probe() -> None:
        raise ModelNotFound("no such page", status=status)

    async def main() -> bool:
        try:
            await answered(probe())
        except CallError:
            return False
        return True

    assert run(main()) is well


def test_a_provider_without_a_list_of_models_gets_its_calls_and_is_reported_well() -> None:
    async def main() -> None:
        async with router(Scripted(), config("a", health={"interval": "1s", "fall": 1})) as r:

            async def probe() -> None:
                raise ModelNotFound("no such page", status=404)

            r.provider("a").probe = probe
            await asyncio.sleep(30)
            (state,) = r.status().to_dict()["models"]["m"]["deployments"]
            assert state["blocked"] is None
            assert state["checks"]["last_at"] is not None
            assert (await r.health()).providers["a"].ok
            assert (await r.chat("m", "hi")).text == "ok"

    run(main())
