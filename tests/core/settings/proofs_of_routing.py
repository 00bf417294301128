"""Where calls go: what can be asked for, who may take it, what follows when nobody can."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from proving import Given, Setting, ask, ask_often, during, proves
from routers import Heard, config

from pointsman import Router
from pointsman.errors import ContentFiltered, ContextWindowExceeded, Unavailable, Unsupported
from pointsman.plugin import hookimpl
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.types import Usage

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


TIERS = f"{PRICES}.tiers[]"
OF_A_PRICE = ("input", "output", "cached", "cache_write")
USAGE = Usage(1_000_000, 1_000_000, cached=500_000, cache_write=250_000)
FOR_AN_HOUR = replace(USAGE, cache_write_hour=100_000)
BATCH = replace(USAGE, service_tier="batch")


def costs(given: Given, usage: Usage = USAGE) -> int | None:
    """What the first call costs, which takes 250,000 tokens of each part of a prompt but 500,000 cached ones."""
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(usage=usage))

    async def story(r: Router) -> int | None:
        return (await r.chat("m", "hi")).cost_microcents

    return during(given, upstream, story)


def priced(**more: Any) -> Given:
    base = config("a")
    price = {**dict.fromkeys(OF_A_PRICE, 2), **more}
    base["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "price": price}]
    return base


@proves(f"{PRICES}.cached", f"{PRICES}.cache_write")
def parts_of_a_prompt_have_prices_of_their_own(setting: Setting) -> None:
    tokens = 500_000 if setting.key.endswith("cached") else 250_000
    found = [costs(setting.to(value, priced())) for value in (2, 0.5, None, 8)]
    assert found == [400_000_000 + (value - 2) * 100 * tokens for value in (2, 0.5, 2, 8)]


@proves(f"{PRICES}.cache_write_hour", f"{TIERS}.cache_write_hour")
def what_is_kept_for_an_hour_has_a_price_of_its_own(setting: Setting) -> None:
    tiers = [{"above": 1, **dict.fromkeys(OF_A_PRICE, 2)}] if "tiers" in setting.key else []
    found = [costs(setting.to(value, priced(tiers=tiers)), FOR_AN_HOUR) for value in (2, None, 8)]
    assert found == [400_000_000, 400_000_000, 400_000_000 + 6 * 100 * 100_000]


@proves(f"{PRICES}.service_tiers")
def another_way_to_be_served_costs_as_many_times_as_much(setting: Setting) -> None:
    found = [costs(setting.to(value, priced()), BATCH) for value in ({}, {"flex": 3}, {"batch": 0.5})]
    assert found == [400_000_000, 400_000_000, 200_000_000]


@proves(f"{PRICES}.request")
def a_call_itself_may_cost_something(setting: Setting) -> None:
    assert [costs(setting.to(value, priced())) for value in (0, 0.005)] == [400_000_000, 400_500_000]


@proves(f"{PRICES}.tiers", f"{TIERS}.above")
def a_prompt_that_is_longer_is_priced_by_its_tier(setting: Setting) -> None:
    dear = {"input": 3, "output": 3}
    for above, cost in ((999_999, 600_000_000), (1_000_000, 400_000_000)):
        if setting.key.endswith("above"):
            given = setting.to(above, priced(tiers=[{**dear, "above": 1}]))
        else:
            given = setting.to([{**dear, "above": above}], priced())
        assert costs(given) == cost


@proves(*(f"{TIERS}.{name}" for name in OF_A_PRICE))
def a_tier_has_prices_of_its_own(setting: Setting) -> None:
    tier = {"above": 1, **dict.fromkeys(OF_A_PRICE, 4)}
    name = setting.key.rpartition(".")[2]
    tokens = {"output": 1_000_000, "cached": 500_000}.get(name, 250_000)
    found = [costs(setting.to(value, priced(tiers=[tier]))) for value in (4, 5)]
    assert found == [800_000_000, 800_000_000 + 100 * tokens]


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


@proves("models.<name>.forced", "models.<name>.deployments[].forced")
def what_is_forced_holds_whatever_a_call_says(setting: Setting) -> None:
    def sent(value: object, **options: Any) -> float | None:
        upstream = Scripted()
        during(setting.to(value, config("a")), upstream, lambda r: ask(r, **options))
        ((_, request, _),) = upstream.calls
        return request.temperature  # type: ignore[no-any-return]

    assert [
        sent({}, temperature=1),
        sent({"temperature": 0.5}),
        sent({"temperature": 0.5}, temperature=1),
    ] == [1, 0.5, 0.5]


def told(setting: Setting, value: object) -> list[tuple[str, str]]:
    upstream = Scripted()
    during(setting.to(value, config("a")), upstream, ask)
    ((_, request, _),) = upstream.calls
    return [(each.role, each.text) for each in request.messages]


@proves("models.<name>.system", "models.<name>.deployments[].system")
def text_stands_around_the_system_prompt(setting: Setting) -> None:
    for value, said in (
        ({"prefix": "p"}, "p"),
        ({"suffix": "s"}, "s"),
        ({"prefix": "p", "suffix": "s"}, "p\n\ns"),
    ):
        assert told(setting, value) == [("system", said), ("user", "hi")]


@proves(
    "models.<name>.system.prefix",
    "models.<name>.system.suffix",
    "models.<name>.deployments[].system.prefix",
    "models.<name>.deployments[].system.suffix",
)
def that_text_is_told(setting: Setting) -> None:
    for value in ("one", "two"):
        assert told(setting, value) == [("system", value), ("user", "hi")]


@proves("models.<name>.unsupported")
def an_option_that_nobody_can_do_is_refused_or_left_out(setting: Setting) -> None:
    def end(value: str) -> str:
        upstream = Scripted()
        no = Unsupported("no such option", fields=("seed",))
        upstream.default("a", lambda request, _call: "ok" if request.seed is None else no)
        return during(setting.to(value, config("a")), upstream, lambda r: ask(r, seed=1))

    assert [end("refuse"), end("drop")] == ["Unsupported", "ok"]


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
