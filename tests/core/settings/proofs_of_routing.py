"""Where calls go: what can be asked for, who may take it, what follows when nobody can."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from proving import Given, Setting, ask, ask_often, during, proves
from routers import Heard, config

from pointsman import Router
from pointsman.errors import ContentFiltered, ContextWindowExceeded, Unavailable
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.strategy import Member, Strategy, StrategyFactory
from pointsman.testing import Scripted, ScriptedAnswer, run

DOWN = Unavailable("down")
OFF = {"enabled": False}


def called(given: Given, times: int = 12, model: str = "m", upstream: Scripted | None = None) -> Counter[str]:
    """How many of so many calls each deployment got."""
    upstream = upstream or Scripted()

    async def story(r: Router) -> Counter[str]:
        heard = Heard(r)
        await ask_often(r, times, model=model)
        return Counter(each.deployment for each in heard.attempts)

    return during(given, upstream, story)


def ends(given: Given, model: str, **options: Any) -> str:
    return during(given, Scripted(), lambda r: ask(r, model, **options))


# ── names ────────────────────────────────────────────────────────────────────────────────────────────


@proves("providers")
def what_is_a_provider_can_be_asked(setting: Setting) -> None:
    one, both = {"a": {"type": "scripted"}}, {"a": {"type": "scripted"}, "b": {"type": "scripted"}}
    assert [ends(setting.to(each, config("a")), "b/x") for each in (one, both)] == ["UnknownModel", "ok"]


class Other(Scripted):
    """The same under another name."""

    @hookimpl
    def pointsman_providers(self) -> Sequence[Any]:
        from pointsman import replace

        return [replace(each, name="other") for each in super().pointsman_providers()]


@proves("providers.<name>.type")
def the_plugin_that_offers_the_type_is_asked(setting: Setting) -> None:
    for value, asked in (("scripted", 0), ("other", 1)):
        plugins = Scripted(), Other()

        async def main(value: str = value, plugins: tuple[Scripted, Scripted] = plugins) -> None:
            async with Router.from_config(setting.to(value, config("a")), plugins=plugins) as r:
                assert await ask(r) == "ok"

        run(main())
        assert [each.count("a") for each in plugins] == [1 - asked, asked]


@proves("providers.<name>.models")
def what_a_provider_lists_can_be_asked_for_and_is_one_pool_with_others(setting: Setting) -> None:
    base = config("ab")
    base["providers"]["b"]["models"] = ["llama"]
    assert called(setting.to([], base), model="llama") == {"b/llama": 12}
    assert called(setting.to(["llama"], base), model="llama") == {"a/llama": 6, "b/llama": 6}


@proves("models")
def what_is_a_model_can_be_asked_for(setting: Setting) -> None:
    values = ({"n": {"deployments": ["a/x"]}}, {"m": {"deployments": ["a/x"]}})
    assert [ends(setting.to(each, config("a")), "m") for each in values] == ["UnknownModel", "ok"]


@proves("models.<name>.deployments")
def calls_go_to_the_deployments(setting: Setting) -> None:
    assert called(setting.to(["b/x"], config())) == {"b/x": 12}
    assert called(setting.to(["c/y", {"provider": "a", "model": "z"}], config())) == {"c/y": 6, "a/z": 6}


@proves("models.<name>.deployments[].provider")
def the_provider_of_a_deployment_is_asked(setting: Setting) -> None:
    base = config("ab") | {"models": {"m": {"deployments": [{"model": "x"}]}}}
    assert [called(setting.to(each, base)) for each in "ab"] == [{"a/x": 12}, {"b/x": 12}]


@proves("models.<name>.deployments[].model")
def the_upstream_is_asked_for_its_own_name_of_the_model(setting: Setting) -> None:
    for value in ("llama3.2", "org/model:7b"):
        upstream = Scripted()
        during(setting.to(value, config("a")), upstream, ask)
        ((_, _, call),) = upstream.calls
        assert call.model == value


@proves("models.<name>.deployments[].name")
def the_name_is_the_id(setting: Setting) -> None:
    assert [called(setting.to(each, config("a"))) for each in (None, "big one")] == [
        {"a/x": 12},
        {"big one": 12},
    ]


# ── who gets the call ────────────────────────────────────────────────────────────────────────────────


@proves("strategy")
def models_that_name_no_strategy_choose_by_the_general_one(setting: Setting) -> None:
    base = config("ab")
    base["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "weight": 3}, "b/x"]
    assert called(setting.to("round_robin", base)) == {"a/x": 6, "b/x": 6}
    assert called(setting.to({"type": "weighted"}, base)) == {"a/x": 9, "b/x": 3}
    base["models"]["m"]["strategy"] = "round_robin"
    assert called(setting.to("weighted", base)) == {"a/x": 6, "b/x": 6}


@proves("models.<name>.strategy")
def a_model_chooses_by_its_own_strategy(setting: Setting) -> None:
    base = config("ab", strategy="weighted")
    base["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "weight": 3}, "b/x"]
    assert called(setting.to(None, base)) == {"a/x": 9, "b/x": 3}
    assert called(setting.to("round_robin", base)) == {"a/x": 6, "b/x": 6}


@proves("models.<name>.deployments[].weight")
def a_weight_is_a_share(setting: Setting) -> None:
    base = config("ab", strategy="weighted")
    found = [called(setting.to(each, base))["a/x"] for each in (1, 2, 5)]
    assert found == [6, 8, 10]


@proves("models.<name>.deployments[].priority")
def higher_ones_take_what_those_before_cannot(setting: Setting) -> None:
    base = config("ab")
    assert called(setting.to(0, base)) == {"a/x": 6, "b/x": 6}
    assert called(setting.to(1, base)) == {"b/x": 12}
    upstream = Scripted()
    upstream.default("b", DOWN)
    assert called(setting.to(1, base), upstream=upstream)["a/x"] == 12


@proves("models.<name>.deployments[].max_in_flight")
def so_many_attempts_at_the_same_time(setting: Setting) -> None:
    def most(value: object) -> int:
        upstream = Scripted()
        upstream.default("a", ScriptedAnswer(after=1))

        async def story(r: Router) -> None:
            await asyncio.gather(*(ask(r) for _ in range(9)))

        during(setting.to(value, config("a")), upstream, story)
        return upstream.most_in_flight["a"]

    assert [most(each) for each in (1, 3, None)] == [1, 3, 9]


class Curious(Strategy, PointsmanSpec):
    """A strategy that notes the prices it is told of."""

    def __init__(self) -> None:
        self.prices: list[Any] = []

    @hookimpl
    def pointsman_strategies(self) -> Sequence[StrategyFactory]:
        return [StrategyFactory("curious", None, lambda _context: self)]

    def pick(self, ready: Sequence[Member], _request: object, /) -> Member:
        self.prices.append(ready[0].price)  # type: ignore[attr-defined]  # it is a RichMember
        return ready[0]


PRICES = "models.<name>.deployments[].price"


@proves(PRICES, f"{PRICES}.input", f"{PRICES}.output")
def the_cheapest_gets_the_call(setting: Setting) -> None:
    base = config("ab", strategy="cheapest")
    base["models"]["m"]["deployments"] = [
        {"provider": each, "model": "x", "price": {"input": 2, "output": 2}} for each in "ab"
    ]
    cheap, dear = ({"input": 1, "output": 1}, {"input": 9, "output": 9}) if setting.key == PRICES else (1, 9)
    assert [called(setting.to(each, base)) for each in (cheap, dear)] == [{"a/x": 12}, {"b/x": 12}]
    other = {"input": "output", "output": "input"}.get(setting.key.rpartition(".")[2])
    if other:  # a long prompt without an answer, or the reverse
        base["strategy"] = {"type": "cheapest", "output_tokens": 0 if other == "output" else 100_000}
        base["models"]["m"]["deployments"][0]["price"][other] = 5
        assert called(setting.to(cheap, base)) == {"a/x": 12}


@proves(f"{PRICES}.cached")
def strategies_are_told_of_the_price_of_what_is_cached(setting: Setting) -> None:
    base = config("a", strategy="curious")
    base["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "price": {"input": 4, "output": 2}}]
    for value in (None, 1.5):
        strategy = Curious()

        async def main(value: object = value, strategy: Curious = strategy) -> None:
            async with Router.from_config(setting.to(value, base), plugins=[Scripted(), strategy]) as r:
                await ask(r)

        run(main())
        assert strategy.prices[0].cached == value


@proves("providers.<name>.labels", "models.<name>.deployments[].labels")
def labels_are_what_a_rule_can_require(setting: Setting) -> None:
    rule = {"region": "eu"}
    for value, expected in (({}, "RuleNotMet"), ({"region": "us"}, "RuleNotMet"), ({"region": "eu"}, "ok")):
        assert ends(setting.to(value, config("a")), "m", require=rule) == expected


@proves("models.<name>.require")
def a_deployment_without_the_labels_gets_no_call_at_fallbacks_too(setting: Setting) -> None:
    base = config("ab")
    base["providers"]["b"]["labels"] = {"local": True}
    base["models"]["m"] = {"deployments": ["a/x"], "fallback": ["n"]}
    base["models"]["n"] = {"deployments": ["a/y", "b/y"]}
    base["models"]["m"]["deployments"].append({"provider": "b", "model": "x", "priority": 1})
    upstream = Scripted()
    upstream.default("b", lambda _request, call: DOWN if call.model == "x" else "ok")
    assert called(setting.to({}, base), upstream=upstream) == {"a/x": 12}
    found = called(setting.to({"local": True}, base), upstream=upstream)
    assert found["b/y"] == 12
    assert not found.keys() & {"a/x", "a/y"}


# ── what is asked ────────────────────────────────────────────────────────────────────────────────────


@proves("models.<name>.defaults", "models.<name>.deployments[].defaults")
def defaults_are_for_calls_that_do_not_say_them(setting: Setting) -> None:
    def sent(value: object, **options: Any) -> float | None:
        upstream = Scripted()
        during(setting.to(value, config("a")), upstream, lambda r: ask(r, **options))
        ((_, request, _),) = upstream.calls
        return request.temperature  # type: ignore[no-any-return]

    assert [sent({}), sent({"temperature": 0.5}), sent({"temperature": 0.5}, temperature=1)] == [None, 0.5, 1]


# ── fallbacks ────────────────────────────────────────────────────────────────────────────────────────


def chain() -> Given:
    return config(retry="none") | {
        "models": {
            "m": {"deployments": ["a/x"], "fallback": [{"to": "n"}]},
            "n": {"deployments": ["b/x"]},
            "o": {"deployments": ["c/x"]},
        }
    }


def followed(given: Given, error: Exception) -> list[str]:
    """Who is asked, one after the other, when `a` fails like that."""
    upstream = Scripted()
    upstream.default("a", error)
    during(given, upstream, ask)
    return [name for name, _, _ in upstream.calls]


def general_chain() -> Given:
    given = chain()
    del given["models"]["m"]["fallback"]
    return given | {"fallback": [{"to": "n"}]}


@proves("aliases")
def an_alias_goes_where_what_it_means_goes(setting: Setting) -> None:
    base = config("ab")
    base["models"] = {"m": {"deployments": ["a/x"]}, "n": {"deployments": ["b/x"]}}
    for value, asked in (({"o": "m"}, {"a/x": 2}), ({"o": "n"}, {"b/x": 2}), ({"o": "b/y"}, {"b/y": 2})):
        assert called(setting.to(value, base), 2, "o") == asked
    assert ends(setting.to({"p": "m"}, base), "o") == "UnknownModel"


@proves("fallback")
def models_that_name_no_fallback_try_the_general_one(setting: Setting) -> None:
    for value, asked in (([], ["a"]), (["o"], ["a", "c"]), (["m", "n"], ["a", "b"])):
        assert followed(setting.to(value, general_chain()), DOWN) == asked


@proves("fallback[].to")
def that_model_is_tried_next_by_all_that_name_none(setting: Setting) -> None:
    assert [followed(setting.to(each, general_chain()), DOWN) for each in "no"] == [["a", "b"], ["a", "c"]]


@proves("models.<name>.fallback")
def other_models_are_tried_next_in_their_order(setting: Setting) -> None:
    def asked(value: object) -> list[str]:
        upstream = Scripted()
        for name in "abc":
            upstream.default(name, DOWN)
        during(setting.to(value, chain()), upstream, ask)
        return [name for name, _, _ in upstream.calls]

    assert [asked(each) for each in ([], ["o"], ["o", "n"])] == [["a"], ["a", "c"], ["a", "c", "b"]]


@proves("models.<name>.fallback[].to")
def that_model_is_tried_next(setting: Setting) -> None:
    assert [followed(setting.to(each, chain()), DOWN) for each in "no"] == [["a", "b"], ["a", "c"]]


FOLLOWS = {
    "content_filtered": ContentFiltered("no"),
    "context_window": ContextWindowExceeded("too long"),
    "unavailable": DOWN,
}


@proves("models.<name>.fallback[].on", "fallback[].on")
def a_fallback_follows_what_it_says(setting: Setting) -> None:
    base = general_chain() if setting.key.startswith("fallback") else chain()
    for value in FOLLOWS:
        given = setting.to([value], base)
        assert [kind for kind, error in FOLLOWS.items() if followed(given, error) == ["a", "b"]] == [value]
    usual = [kind for kind, error in FOLLOWS.items() if followed(base, error) == ["a", "b"]]
    assert usual == ["context_window", "unavailable"]


# ── retries ──────────────────────────────────────────────────────────────────────────────────────────


def tries(given: Given, times: int = 1) -> int:
    upstream = Scripted()
    upstream.default("a", DOWN)

    async def story(r: Router) -> None:
        await asyncio.gather(*(ask(r) for _ in range(times)))

    during(given, upstream, story)
    return upstream.count("a")


def retried(**retry: Any) -> Given:
    return config("a", circuit_breaker=OFF, retry={"type": "exponential", **retry}, timeouts={"total": "1h"})


@proves("retry", "models.<name>.retry")
def the_policy_says_how_often(setting: Setting) -> None:
    base = retried(attempts=3)
    for value, expected in (("none", 1), ({"type": "exponential", "attempts": 2}, 2), ("exponential", 4)):
        assert tries(setting.to(value, base)) == expected


@proves("retry:exponential.attempts")
def so_many_attempts_in_all_over_all_fallbacks(setting: Setting) -> None:
    assert [tries(setting.to(each, retried())) for each in (1, 2, 5)] == [1, 2, 5]
    given = setting.to(
        3, chain() | retried() | {k: v for k, v in chain().items() if k in ("models", "providers")}
    )
    upstream = Scripted()
    for name in "abc":
        upstream.default(name, DOWN)
    during(given, upstream, ask)
    assert len(upstream.calls) == 3


def pauses(given: Given, requests: int) -> list[list[float]]:
    """The seconds between the attempts of each of some requests."""
    at: list[float] = []

    def note(_request: Any, _call: Any) -> Exception:
        at.append(asyncio.get_running_loop().time())
        return DOWN

    upstream = Scripted()
    upstream.default("a", note)

    async def story(r: Router) -> list[list[float]]:
        found = []
        for _ in range(requests):
            at.clear()
            await ask(r)
            found.append([late - soon for soon, late in zip(at, at[1:], strict=False)])
        return found

    return during(given, upstream, story)


@proves("retry:exponential.base_delay")
def a_wait_lies_between_0_and_this_doubled_for_each_failure(setting: Setting) -> None:
    for value in (1, 3):
        base = retried(attempts=3, budget=None, max_delay=100)
        for waits, most in zip(zip(*pauses(setting.to(value, base), 40), strict=True), (2, 4), strict=True):
            assert 0.8 * most * value < max(waits) <= most * value + 0.001
            assert min(waits) < 0.2 * most * value


@proves("retry:exponential.max_delay")
def no_wait_is_longer(setting: Setting) -> None:
    for value, longest in ((2, 2), (100, 32)):
        waits = pauses(setting.to(value, retried(attempts=6, base_delay=1, budget=None)), 40)
        assert longest * 0.8 < max(max(each) for each in waits) <= longest + 0.001


@proves("retry:exponential.budget")
def retries_are_that_share_of_the_requests(setting: Setting) -> None:
    def more(value: object) -> int:
        return tries(setting.to(value, retried(attempts=2, base_delay="1ms")), times=100) - 100

    none, half, any_number = (more(each) for each in ("0%", "50%", None))
    assert 1 <= none <= 5
    assert 50 <= half <= 56
    assert any_number == 100
