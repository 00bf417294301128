"""Which model a name means: exact names, aliases, full names, patterns, in that order; and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routers import config

from pointsman import Config, ConfigError
from pointsman.config.names import NamePattern, Names

words = st.text("ab/", min_size=1, max_size=4)
patterns = st.tuples(st.text("ab/", max_size=3), st.text("ab/", max_size=3)).map("*".join)


@given(
    st.sets(words, max_size=4),
    st.dictionaries(words, words, max_size=4),
    st.sets(patterns),
    st.sets(st.sampled_from(("a", "b", "ab"))),
    words,
)
def test_a_name_is_a_model_else_an_alias_else_a_full_name_else_what_the_longest_pattern_says(
    models: set[str], aliases: dict[str, str], given_patterns: set[str], providers: set[str], name: str
) -> None:
    names = Names([*models, *given_patterns], aliases, providers=providers)

    found = names.described_as(name)

    if name in models:
        assert (names.target(name), found) == (name, name)
        return
    meant = aliases.get(name, name)
    assert names.target(name) == meant
    if meant in models:
        assert found == meant
        return
    fitting = [each for each in given_patterns if _matches(each, meant)]
    provider, slash, model = meant.partition("/")
    if slash and model and provider in providers:
        fitting = [each for each in fitting if each.startswith(f"{provider}/")]
    assert (found is None) == (not fitting)
    if found is not None:
        assert found in fitting
        assert all(len(each) <= len(found) for each in fitting)


@given(st.permutations(["a*", "*a", "a*a", "ab*", "*", "*ba"]), words)
def test_the_order_of_the_configuration_decides_nothing(order: list[str], name: str) -> None:
    assert Names(order, {}).described_as(name) == Names(sorted(order), {}).described_as(name)


@given(patterns, st.text("ab/", min_size=1, max_size=4))
def test_what_a_star_stands_for_is_what_it_was_filled_with(pattern: str, text: str) -> None:
    made = NamePattern(pattern)

    assert made.match(pattern.replace("*", text)) == text
    assert made.match(pattern) is None


@given(patterns, patterns, st.text("ab", min_size=1, max_size=6))
def test_patterns_that_match_one_name_meet(one: str, other: str, name: str) -> None:
    first, second = NamePattern(one), NamePattern(other)

    if first.match(name) is not None and second.match(name) is not None:
        assert first.meets(second)
        assert second.meets(first)


def _matches(pattern: str, name: str) -> bool:
    before, after = pattern.split("*")
    longer = len(name) > len(before) + len(after)
    return longer and name.startswith(before) and name.endswith(after)


# ── what is wrong ────────────────────────────────────────────────────────────────────────────────────


HEAD = "providers: {p: {type: scripted, models: [listed]}, q: {type: scripted}}\n"
MODEL = "models: {m: {deployments: [p/x]}, 'g*': {deployments: ['p/*']}, auto: {selector: rules, of: [m]}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aliases: {m: listed}", ":3:11: aliases.m: 'm' is the name of a model already; choose another name"),
        ("aliases: {listed: m}", ":3:11: aliases.listed: 'listed' is the name of a model already"),
        ("aliases: {a: m, b: a}", ":3:20: aliases.b: 'a' is an alias itself; name what it means: 'm'"),
        ("aliases: {a: listd}", ":3:14: aliases.a: no model is named 'listd'; did you mean 'listed'?"),
        ("aliases: {a: 'g*'}", ":3:14: aliases.a: 'g*' is a pattern; name a model that it matches"),
        (
            "aliases: {a: r/x}",
            ":3:14: aliases.a: no model is named 'r/x'; nor is a provider 'r'; configured: auto,",
        ),
        ("aliases: {'a*': m}", ':3:11: aliases["a*"]: an alias is one name, and no pattern; name a model so'),
        (
            "aliases: {p/y: m}",
            ":3:11: aliases[\"p/y\"]: the name 'p/y' already means a model of the provider",
        ),
        (
            "aliases: {a: lst/x}",
            ":3:14: aliases.a: no model is named 'lst/x'; nor is a provider 'lst'; configured: auto,",
        ),
        ("aliases: {a: pp/llama}", ":3:14: aliases.a: no model is named 'pp/llama'; did you mean 'p/llama'?"),
        (
            "default_model: 'g*'",
            ":3:16: default_model: no model is named 'g*'; that is a pattern: name a model",
        ),
        ("fallback: ['g*']", ":3:12: fallback[0]: no model is named 'g*'; that is a pattern: name a model"),
        ("fallback: [pp/x]", ":3:12: fallback[0]: no model is named 'pp/x'; configured: auto, listed, m"),
        ("fallback: [m, zz, m]", ":3:15: fallback[1]: no model is named 'zz'; configured: auto, listed, m"),
        ("fallback: [m, zz, m]", ":3:19: fallback[2]: 'm' is listed twice"),
        ("fallback: [auto]", ":3:12: fallback[0]: 'auto' has a selector, and picks nothing for what failed"),
        ("aliases: {o: m}\nfallback: [o, m]", ":4:15: fallback[1]: 'm' is listed twice"),
        ("aliases: {o: auto}\nfallback: [o]", ":4:12: fallback[0]: 'o' has a selector"),
    ],
)
def test_what_is_wrong_with_names_is_said_at_its_place(text: str, said: str) -> None:
    assert f"pointsman.yaml{said}" in wrong(HEAD + MODEL + text)


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("{'a*b*': {deployments: [p/x]}}", ':2:10: models["a*b*"]: a pattern has one `*`; such as'),
        ("{m: {deployments: ['p/*']}}", ":2:28: models.m.deployments[0].model: has a `*`, and the name of"),
        ("{'m*': {deployments: ['p/a*b*']}}", "deployments[0].model: has more than one `*`"),
        (
            "{'m*': {deployments: [{provider: p, model: '*', name: x}]}}",
            'models["m*"].deployments[0].name: would be the id of every model that the `*` stands for',
        ),
        (
            "{m: {deployments: [p/x]}, 'm*': {deployments: [{provider: p, model: '*', max_in_flight: 2}]}}",
            "what this says would hold for 'p/listed' too, which providers.p has; say it there alone",
        ),
        (
            "{'m*': {deployments: ['q/*']}, 'n*': {deployments: [{provider: q, model: 'n*', weight: 2,"
            " limits: {requests: 1/s}}]}}",
            "what this says would hold for 'q/*' too, which models[\"m*\"] has",
        ),
        (
            "{'m*': {deployments: ['q/*'], circuit_breaker: {enabled: false}}, n: {deployments: [q/y]}}",
            "what this says would hold for 'q/y' too, which models.n has",
        ),
        (
            "{'m*': {deployments: ['q/*']}, 'n*': {deployments: [{provider: q, model: '*',"
            " limits: {requests: 1/s}}]}}",
            "deployment 'q/*' is described differently in models[\"m*\"]: limits",
        ),
    ],
)
def test_what_is_wrong_with_patterns_is_said_at_its_place(models: str, said: str) -> None:
    assert said in wrong(f"{HEAD}models: {models}")


def test_a_provider_lists_no_patterns() -> None:
    said = wrong("providers: {p: {type: scripted, models: ['x*']}}")

    assert (
        "pointsman.yaml:1:42: providers.p.models[0]: a provider lists names, no patterns; name a model"
        in said
    )


@pytest.mark.parametrize(
    "models",
    [
        "{'m*': {deployments: [{provider: q, model: '*', weight: 3}]}, n: {deployments: [{provider: q, model: y,"
        " max_in_flight: 2}]}}",
        "{'m*': {deployments: [{provider: q, model: '*', name: 'm/*', max_in_flight: 2}]}, n: {deployments: [q/y]}}",
        "{'q/*': {deployments: ['q/*']}, '*': {deployments: [p/x]}}",
        "{'m*': {deployments: [{provider: q, model: 'a*', max_in_flight: 2}]}, 'n*': {deployments: ['q/b*']}}",
    ],
)
def test_patterns_that_leave_each_deployment_one_description_go(models: str) -> None:
    Config.from_text(f"{HEAD}models: {models}", file="pointsman.yaml")


def test_names_that_patterns_match_can_be_named_everywhere() -> None:
    given: dict[str, Any] = config(
        "a", fallback=["x-2"], aliases={"o": "x-3", "p": "a/y"}, default_model="x-4"
    )
    given["models"] |= {
        "x-*": {"deployments": ["a/*"]},
        "auto": {"selector": {"type": "rules", "rules": [{"tools": True, "use": "x-5"}]}, "of": ["x-5", "o"]},
    }

    names = Config.from_mapping(given).names()

    assert names.kept == {"x-2", "x-3", "x-5", "a/y"}
    assert [*names] == ["m", "auto", "o", "p"]
    assert {"o", "x-9"} <= {each for each in ("o", "x-9", "x-*", "y") if each in names}
    assert "x-*" not in names


def test_what_is_said_of_a_deployment_holds_by_whatever_name_it_is_asked_for() -> None:
    given: dict[str, Any] = config("a", strategy="weighted", fallback=["m"])
    given["models"] |= {
        "x-*": {"deployments": [{"provider": "a", "model": "*", "weight": 3}]},
        "y-*": {"deployments": [{"provider": "a", "model": "y*", "name": "y*", "max_in_flight": 2}]},
        "own": {"deployments": [{"provider": "a", "model": "z", "max_in_flight": 5}]},
    }
    known = Config.from_mapping(given)

    def said(name: str) -> list[tuple[str, int, int | None]]:
        model = known.described(name)
        assert model is not None
        return [(each.id, each.weight, each.max_in_flight) for each in model.deployments]

    assert said("x-z") == [("a/z", 3, 5)]
    assert said("x-other") == [("a/other", 3, None)]
    assert said("a/z") == [("a/z", 1, 5)]
    assert said("y-1") == [("y1", 1, 2)]
    assert known.described("b/z") is None
    assert known.described("a/") is None


def test_a_full_name_is_one_deployment_that_nothing_follows() -> None:
    known = Config.from_mapping(config("a", strategy="weighted", fallback=["m"]))

    alone = known.described("a/any")

    assert alone is not None
    assert alone.strategy is not None
    assert (alone.strategy.type, [*known.fallback_of(alone)]) == ("round_robin", [])


def test_the_names_of_a_configuration_are_put_in_order_once() -> None:
    known = Config.from_mapping(config("a"))

    assert known.names() is known.names()
    assert known.described("m") is known.described("m")


def wrong(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.from_text(text, file="pointsman.yaml")
    return str(caught.value)
