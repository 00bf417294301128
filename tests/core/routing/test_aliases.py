"""Further names of models: what holds for a model holds by each of them, and events say what was asked."""

from __future__ import annotations

from typing import Any

import pytest
from routers import Heard, config, router
from walls import Walls

from pointsman import Router
from pointsman.errors import NoDeploymentAvailable, Refused, RuleNotMet, Unavailable, UnknownModel
from pointsman.testing import Scripted, run


def aliased(**changes: Any) -> dict[str, Any]:
    given = config("ab", aliases={"gpt-4o": "m", "fast": "b/small", "odd": "x-1"}, **changes)
    given["models"]["m"] = {"deployments": ["a/x"], "fallback": ["n"]}
    given["models"]["n"] = {"deployments": ["b/x"]}
    given["models"]["x-*"] = {"deployments": ["b/*"]}
    return given


def test_a_call_by_an_alias_goes_where_its_model_goes_and_says_both_names() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        async with router(upstream, aliased(retry="none")) as r:
            heard = Heard(r)
            for name in ("gpt-4o", "gpt-4o", "fast", "odd"):
                await r.chat(name, "hi")
            told = [(each.model, each.pool, each.deployment) for each in heard.requests]
            assert told == [("gpt-4o", "n", "b/x")] * 2 + [
                ("fast", "b/small", "b/small"),
                ("odd", "x-1", "b/1"),
            ]

    run(main())


def test_limits_and_requirements_of_the_model_hold_by_each_name() -> None:
    given = aliased(queue=None)
    given["providers"]["a"]["labels"] = {"local": "true"}
    given["models"]["m"] = {
        "deployments": [
            {"provider": "a", "model": "x", "limits": {"requests": "2/min", "burst_requests": 2}}
        ],
        "require": {"local": "true"},
    }

    async def main() -> None:
        async with router(Scripted(), given) as r:
            await r.chat("m", "hi")
            await r.chat("gpt-4o", "hi")
            for name in ("m", "gpt-4o"):
                with pytest.raises(NoDeploymentAvailable, match="rate limit"):
                    await r.chat(name, "hi")
            with pytest.raises(RuleNotMet):
                await r.chat("gpt-4o", "hi", require={"eu": "yes"})

    run(main())


@pytest.mark.parametrize("name", ["m", "gpt-4o", "odd", "x-2", "auto", "any"])
def test_no_name_leads_around_the_guards_of_what_it_means(name: str) -> None:
    given = aliased()
    given["models"]["m"]["guards"] = given["models"]["x-*"]["guards"] = ["wall"]
    given["models"]["auto"] = {
        "selector": {"type": "rules", "rules": [{"tools": True, "use": "x-3"}]},
        "of": ["m", "x-3"],
    }
    given["aliases"]["any"] = "auto"

    async def main() -> None:
        async with Router.from_config(given, plugins=[Scripted(), Walls()]) as r:
            with pytest.raises(Refused, match=f"no {name}"):
                await r.chat(name, "hi")

    run(main())


def test_models_status_and_explain_tell_aliases() -> None:
    async def main() -> None:
        async with router(Scripted(), aliased()) as r:
            listed = {each.id: each.raw for each in await r.models() if not each.provider}
            assert listed["gpt-4o"] == {"alias_of": "m", "deployments": ["a/x"]}
            assert [*listed] == ["m", "n", "gpt-4o", "fast", "odd"]
            assert r.status().to_dict()["aliases"] == {"gpt-4o": "m", "fast": "b/small", "odd": "x-1"}
            explained = r.explain("gpt-4o").to_dict()
            assert (explained["model"], explained["alias_of"], explained["pick"]) == ("gpt-4o", "m", "a/x")
            assert [each["model"] for each in explained["chain"]] == ["m", "n"]
            odd = r.explain("odd").to_dict()
            assert (odd["alias_of"], odd["pattern"], odd["pick"]) == ("x-1", "x-*", "b/1")

    run(main())


def test_an_alias_comes_and_goes_with_a_reload() -> None:
    given = aliased()

    async def main() -> None:
        async with router(Scripted(), given) as r:
            await r.chat("gpt-4o", "hi")
            await r.reload({**given, "aliases": {"gpt-5": "m"}})
            assert (await r.chat("gpt-5", "hi")).deployment == "a/x"
            with pytest.raises(UnknownModel, match="did you mean 'gpt-5'"):
                await r.chat("gpt-4o", "hi")

    run(main())


# ── the general fallback ─────────────────────────────────────────────────────────────────────────────


def general(**changes: Any) -> dict[str, Any]:
    given = config("abc", fallback=["cloud"], retry="none", **changes)
    given["providers"]["b"]["models"] = ["listed"]
    given["models"] = {
        "m": {"deployments": ["a/x"]},
        "alone": {"deployments": ["a/y"], "fallback": []},
        "other": {"deployments": ["a/z"], "fallback": ["listed"]},
        "cloud": {"deployments": ["c/x"]},
    }
    return given


@pytest.mark.parametrize(
    ("model", "chain"),
    [
        ("m", ["m", "cloud"]),
        ("alone", ["alone"]),
        ("other", ["other", "listed", "cloud"]),
        ("listed", ["listed", "cloud"]),
        ("cloud", ["cloud"]),
        ("a/q", ["a/q"]),
    ],
)
def test_the_general_fallback_is_that_of_models_that_name_none(model: str, chain: list[str]) -> None:
    async def main() -> None:
        async with router(Scripted(), general()) as r:
            assert [each.model for each in r.explain(model).chain] == chain

    run(main())


def test_general_fallbacks_that_fall_back_on_each_other_end() -> None:
    given = general()
    given["fallback"] = ["cloud", "m"]

    async def main() -> None:
        async with router(Scripted(), given) as r:
            for name, chain in {
                "m": ["m", "cloud"],
                "cloud": ["cloud", "m"],
                "listed": ["listed", "cloud", "m"],
            }.items():
                assert [each.model for each in r.explain(name).chain] == chain
            assert r.status().to_dict()["models"]["cloud"]["fallback"] == ["m"]

    run(main())


def test_a_general_fallback_whose_guards_would_be_missed_is_warned_of_at_its_place() -> None:
    given = general()
    given["models"]["cloud"]["guards"] = ["wall"]
    given["models"]["n"] = {"deployments": ["b/n"]}

    warnings = Router.check(given, plugins=[Scripted(), Walls()]).warnings

    assert [str(each).partition(": what")[0] for each in warnings] == ["fallback[0]"]
