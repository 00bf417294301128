"""Calls that say themselves where they go: other fallbacks, another strategy."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from routers import Heard, config, router
from walls import Walls

from pointsman import Config, Router, SyncRouter
from pointsman.errors import ContextWindowExceeded, InvalidRequest, Refused, Unavailable, UnknownModel
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.strategy import Member, Placing, Sample, Strategy, StrategyFactory
from pointsman.testing import Scripted, ScriptedAnswer, run


def given(**changes: Any) -> dict[str, Any]:
    models = {
        "m": {"deployments": ["a/x"], "fallback": ["n"]},
        "n": {"deployments": ["b/x"], "fallback": ["o"]},
        "o": {"deployments": ["c/x"]},
        "x-*": {"deployments": ["c/*"]},
        "auto": {"selector": {"type": "rules", "rules": [{"tools": True, "use": "n"}]}, "of": ["m", "n"]},
    }
    return config(retry="none", models=models, aliases={"alias": "o"}, **changes)


def down(*providers: str) -> Scripted:
    upstream = Scripted()
    for each in providers:
        upstream.default(each, Unavailable("down"))
    return upstream


async def asked(r: Router, how: str, model: str, **options: Any) -> None:
    if how == "chat":
        await r.chat(model, "hi", **options)
    elif how == "generate":
        await r.generate(model, "hi", **options)
    elif how == "embed":
        await r.embed(model, "hi", **options)
    else:
        async with r.stream(model, "hi", **options) as stream:
            async for _ in stream:
                pass


# ── fallbacks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["chat", "stream", "generate", "embed"])
def test_the_fallbacks_of_a_call_stand_in_place_of_those_of_the_model(how: str) -> None:
    ways = {
        None: ["a/x", "b/x", "c/x"],
        (): ["a/x"],
        ("n",): ["a/x", "b/x"],
        ("alias",): ["a/x", "c/x"],
        ("x-1", "m", "n"): ["a/x", "c/1", "b/x"],
        ("c/full",): ["a/x", "c/full"],
    }

    async def main() -> None:
        async with router(down("a", "b", "c"), given(circuit_breaker={"enabled": False})) as r:
            for fallbacks, way in ways.items():
                heard = Heard(r)
                with pytest.raises(Unavailable):
                    await asked(r, how, "m", fallbacks=fallbacks)
                assert [each.deployment for each in heard.attempts] == way

    run(main())


def test_such_fallbacks_follow_what_fallbacks_follow_and_keep_state() -> None:
    upstream = Scripted()
    upstream.default("a", ContextWindowExceeded("too long"))

    async def main() -> None:
        async with router(upstream, given()) as r:
            reply = await r.chat("m", "hi", fallbacks=["o"])
            assert (reply.deployment, reply.attempts) == ("c/x", 2)
            counted = r.status().to_dict()["models"]["o"]["deployments"][0]["outcomes"]
            assert counted == {"ok": 1}
            assert [each.model for each in r.explain("m", fallbacks=["x-1", "o"]).chain] == [
                "m",
                "x-1",
                "o",
            ]
            assert r.status().to_dict()["models"]["m"]["fallback"] == ["n"]

    run(main())


@pytest.mark.parametrize(
    ("fallbacks", "error", "said"),
    [
        (["oo"], UnknownModel, "no model is called 'oo'; did you mean 'o'?"),
        (["auto"], InvalidRequest, "fallbacks: 'auto' has a selector"),
        ("n", InvalidRequest, "fallbacks is one text; expected a list of names"),
        ([1], InvalidRequest, "fallbacks\\[0\\] is 1; expected the name of a model"),
        (7, InvalidRequest, "fallbacks is 7; expected a list of names"),
    ],
)
@pytest.mark.parametrize("model", ["m", "auto"])
def test_what_cannot_be_a_fallback_is_refused_before_anybody_is_asked(
    model: str, fallbacks: Any, error: type[Exception], said: str
) -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, given()) as r:
            heard = Heard(r)
            with pytest.raises(error, match=said):
                await r.chat(model, "hi", fallbacks=fallbacks)
            assert [each.result for each in heard.requests] == ["error"]

    run(main())
    assert upstream.calls == []


def test_the_connections_of_a_fallback_that_a_reload_takes_away_stay_until_the_call_has_ended() -> None:
    upstream = down("a")
    upstream.default("c", ScriptedAnswer(after=5.0))

    async def main() -> None:
        async with router(upstream, given()) as r:
            call = asyncio.create_task(r.chat("m", "hi", fallbacks=["o"]))
            await asyncio.sleep(1.0)
            changed = config("ab", models={"m": {"deployments": ["a/x"]}})
            # Not a mapping: to read one takes a thread, and time would go on.
            await r.reload(Config.from_mapping(changed))
            assert (await call).deployment == "c/x"

    run(main())


# ── strategies ───────────────────────────────────────────────────────────────────────────────────────


class Learning(Strategy):
    """Always the last one; remembers what it is told."""

    def __init__(self, told: list[Any]) -> None:
        self.told = told

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return ready[-1]

    def members(self, everyone: Sequence[Member], /) -> None:
        self.told.append([each.id for each in everyone])

    def observed(self, member: Member, sample: Sample, /) -> None:
        self.told.append((member.id, str(sample.outcome)))

    def state(self) -> Mapping[str, object]:
        return {"seen": len(self.told)}

    def restore(self, state: Mapping[str, object], /) -> None:
        self.told.append(dict(state))


class Following(Learning):
    def place(self, ready: Sequence[Member], placing: Placing, /) -> Member:
        return ready[0]


class Strategies(PointsmanSpec):
    def __init__(self) -> None:
        self.made: dict[str, list[Any]] = {}

    @hookimpl
    def pointsman_strategies(self) -> list[StrategyFactory]:
        kinds = {"learning": Learning, "following": Following, "unused": Learning}
        return [StrategyFactory(name, None, self._maker(name, kind)) for name, kind in kinds.items()]

    def _maker(self, name: str, kind: type[Learning]) -> Any:
        return lambda context: kind(self.made.setdefault(f"{name} of {context.model}", []))


def several(**changes: Any) -> dict[str, Any]:
    deployments = [
        {"provider": name, "model": "x", "weight": weight}
        for name, weight in zip("abc", (4, 1, 1), strict=True)
    ]
    models = {
        "m": {"deployments": deployments},
        "other": {"deployments": ["a/y"], "strategy": "learning"},
        "auto": {"selector": {"type": "rules", "rules": [{"tools": True, "use": "m"}]}, "of": ["m"]},
        "x-*": {"deployments": ["a/*", "b/*"]},
    }
    return config(models={**models, **changes.pop("models", {})}, **changes)


def test_another_strategy_chooses_and_its_turn_goes_on_between_calls_and_over_a_reload() -> None:
    async def main() -> None:
        async with router(Scripted(), several(models={"other": {"deployments": ["a/y"]}})) as r:
            found = Counter[str]()
            for n in range(12):
                found[(await r.chat("m", "hi", strategy="weighted")).deployment] += 1
                await r.chat("m", "hi")
                if n == 5:
                    await r.reload(r.config)
            assert found == {"a/x": 8, "b/x": 2, "c/x": 2}
            assert r.explain("m", strategy="weighted").chain[0].strategy == "weighted"
            assert r.explain("m").chain[0].strategy == "round_robin"

    run(main())


@pytest.mark.parametrize("how", ["chat", "stream", "generate", "embed"])
@pytest.mark.parametrize("model", ["m", "auto", "x-1"])
def test_it_chooses_for_every_kind_of_call_and_where_a_selector_picks(how: str, model: str) -> None:
    plugin, upstream = Strategies(), Scripted()
    last = {"m": "c/x", "auto": "c/x", "x-1": "b/1"}[model]

    async def main() -> None:
        async with Router.from_config(several(), plugins=[upstream, plugin]) as r:
            heard = Heard(r)
            for _ in range(3):
                await asked(r, how, model, strategy="learning")
            assert {each.deployment for each in heard.attempts} == {last}

    run(main())


@pytest.mark.parametrize("first", ["learning", "following"])
def test_strategies_of_a_pool_hear_of_all_its_attempts_whichever_chose(first: str) -> None:
    plugin = Strategies()
    own = several(
        models={
            "m": {"deployments": ["a/x", "b/x"], "strategy": first},
            "z": {"deployments": ["a/z"], "strategy": "following"},
        }
    )
    second = "following" if first == "learning" else "learning"

    async def main() -> None:
        async with Router.from_config(own, plugins=[Scripted(), plugin]) as r:
            await r.chat("m", "hi", strategy=second)
            await r.chat("m", "hi")
            await r.chat("m", "hi", strategy="least_connections")
            mine, named = (plugin.made[f"{name} of m"] for name in (first, second))
            assert mine[0] == named[0] == ["a/x", "b/x"]
            assert mine[1:] == named[1:]
            assert len(mine) == 4
            await r.reload(r.config)
            assert named[4:] == [{"seen": 4}, ["a/x", "b/x"]]

    run(main())


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (
            "unused",
            "strategy: a call can name learning, least_connections, round_robin, weighted, and not 'unused'; "
            "others once the configuration names them",
        ),
        ("peak_ewma", "and not 'peak_ewma'"),
        ("wieghted", "did you mean 'weighted'"),
        ({"type": "weighted"}, "strategy is a dict; expected text"),
    ],
)
def test_nothing_else_can_be_named(strategy: Any, said: str) -> None:
    plugin, upstream = Strategies(), Scripted()

    async def main() -> None:
        async with Router.from_config(several(), plugins=[upstream, plugin]) as r:
            for model in ("m", "auto"):
                with pytest.raises(InvalidRequest, match=said):
                    await r.chat(model, "hi", strategy=strategy)

    run(main())
    assert upstream.calls == []
    assert "unused of m" not in plugin.made


def test_guards_of_the_model_stand_before_such_calls_too() -> None:
    upstream = Scripted()
    guarded = several(models={"m": {"deployments": ["a/x"], "guards": ["wall"]}})

    async def main() -> None:
        async with Router.from_config(guarded, plugins=[upstream, Walls(), Strategies()]) as r:
            for options in ({"strategy": "weighted"}, {"fallbacks": ["other"]}):
                with pytest.raises(Refused):
                    await r.chat("m", "hi", **options)
            with pytest.raises(InvalidRequest):
                await r.chat("m", "hi", strategy="nope")

    run(main())
    assert upstream.calls == []


def test_blocking_routers_take_both() -> None:
    with SyncRouter.from_config(given(), plugins=[down("a")]) as r:
        assert r.chat("m", "hi", fallbacks=["o"], strategy="weighted").deployment == "c/x"
        assert r.explain("m", fallbacks=(), strategy="weighted").chain[0].strategy == "weighted"
