"""What deployments are asked where the configuration says more than the caller."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from routers import config, router
from ruamel.yaml import YAML

from pointsman import ConfigError, Router
from pointsman.errors import CallError, RateLimited, Unavailable
from pointsman.testing import Scripted, run
from pointsman.types import Message

ROOT = Path(__file__).resolve().parents[3]
AROUND = {"prefix": "p", "suffix": "s"}


def asked_of(
    given: dict[str, Any], method: str = "chat", upstream: Scripted | None = None, **options: Any
) -> list[Any]:
    """The provider and the request of each attempt at a call of the model `m`."""
    upstream = upstream or Scripted()
    what: Any = ["hi"] if method == "embed" else "hi"

    async def main() -> None:
        async with router(upstream, given) as r:
            if method == "stream":
                async with r.stream("m", what, **options) as stream:
                    async for _ in stream:
                        pass
            else:
                await getattr(r, method)("m", what, **options)

    run(main())
    return [(name, request) for name, request, _ in upstream.calls]


@pytest.mark.parametrize("method", ["chat", "stream"])
def test_each_attempt_has_what_is_forced_and_the_text_around_its_prompt_once(method: str) -> None:
    given = config("abc")
    given["models"]["m"] |= {"forced": {"temperature": 0}, "system": AROUND, "defaults": {"seed": 1}}
    upstream = Scripted()
    for name in "abc":
        upstream.script(name, Unavailable("down"))

    attempts = asked_of(given, method, upstream, temperature=1)

    assert len(attempts) == 4
    assert {name for name, _ in attempts} == set("abc")
    for _, request in attempts:
        assert (request.temperature, request.seed) == (0, 1)
        assert list(request.messages) == [Message.system("p\n\ns"), Message.user("hi")]


def test_a_fallback_has_its_own_and_nothing_of_the_model_before() -> None:
    given = config("ab")
    given["models"] = {
        "m": {"deployments": ["a/x"], "forced": {"seed": 1}, "system": {"prefix": "p"}, "fallback": ["n"]},
        "n": {"deployments": ["b/x"], "forced": {"top_k": 2}, "system": {"prefix": "q"}},
    }
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))

    attempts = asked_of(given, upstream=upstream)

    name, last = attempts[-1]
    assert (name, last.seed, last.top_k, last.messages[0].text) == ("b", None, 2, "q")


def test_plain_completions_have_them_too_and_embeddings_only_options_of_theirs() -> None:
    given = config("a")
    given["models"]["m"] |= {"forced": {"temperature": 0, "dimensions": 2}, "system": AROUND}

    ((_, completion),) = asked_of(given, "generate", temperature=1)
    ((_, embedding),) = asked_of(given, "embed", dimensions=3)

    assert (completion.temperature, completion.system, completion.prompt) == (0, "p\n\ns", "hi")
    assert (embedding.dimensions, embedding.texts) == (2, ("hi",))


def test_limits_by_tokens_count_the_text_around_prompts() -> None:
    given = config("a", retry="none")
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "limits": {"tokens": "1100/min"}}]

    async def ends() -> str:
        async with router(Scripted(), given) as r:
            try:
                return (await r.chat("m", "hi")).text
            except CallError as error:
                return error.code

    before = run(ends())
    given["models"]["m"]["deployments"][0]["system"] = {"prefix": "p" * 1000}

    assert (before, run(ends())) == ("ok", "no_deployment_available")


@pytest.mark.parametrize(
    ("model", "deployment", "problem"),
    [
        ({"defaults": {"seed": 1}, "forced": {"seed": 2}}, {}, "models.m.defaults.seed: never holds"),
        (
            {"forced": {"seed": 2}},
            {"defaults": {"seed": 1}},
            "models.m.deployments[0].defaults.seed: never holds",
        ),
        (
            {},
            {"defaults": {"extra": {"a": 1}}, "forced": {"extra": {"a": 2}}},
            "models.m.deployments[0].defaults.extra.a: never holds",
        ),
        (
            {"forced": {"temprature": 1}},
            {},
            "models.m.forced.temprature: unknown option 'temprature'; did you",
        ),
        (
            {"forced": {"timeout": 5}},
            {},
            "models.m.forced.timeout: 'timeout' belongs to a call, not here; see `timeouts`",
        ),
        (
            {},
            {"defaults": {"request_id": "x"}},
            "deployments[0].defaults.request_id: 'request_id' belongs to a call, not here",
        ),
        (
            {"forced": {"fallbacks": ["m"]}},
            {},
            "forced.fallbacks: 'fallbacks' belongs to a call, not here; see `fallback`",
        ),
        (
            {"forced": {"timeot": 5}},
            {},
            "models.m.forced.timeot: unknown option 'timeot'; pass it through with",
        ),
        ({"forced": {"seed": 1, "top_p": "high", "n": 2}}, {}, "models.m.forced.top_p: top_p is 'high'"),
        ({"forced": {"seed": 1, "top_p": "high", "n": 2}}, {}, "models.m.forced.n: unknown option 'n'"),
        ({"forced": {"model": "x"}}, {}, "models.m.forced: 'model' cannot be forced"),
        ({"forced": {"seed": None}}, {}, "models.m.forced: 'seed' is forced to be nothing"),
        ({}, {"system": {"prefix": " \n"}}, "models.m.deployments[0].system: says neither prefix nor suffix"),
        ({}, {"system": {"infix": "x"}}, "models.m.deployments[0].system.infix: unknown key"),
    ],
)
def test_what_cannot_be_meant_is_an_error(
    model: dict[str, Any], deployment: dict[str, Any], problem: str
) -> None:
    given = config("a")
    given["models"]["m"] |= {**model, "deployments": [{"provider": "a", "model": "x", **deployment}]}

    with pytest.raises(ConfigError) as caught:
        Router.from_config(given, plugins=[Scripted()])

    assert problem in str(caught.value)


def test_a_default_of_the_model_may_be_forced_at_one_deployment() -> None:
    given = config("ab")
    given["models"]["m"] = {
        "defaults": {"seed": 1},
        "deployments": [
            {"provider": "a", "model": "x", "forced": {"seed": 2}},
            {"provider": "b", "model": "x", "priority": 1},
        ],
    }
    upstream = Scripted()
    upstream.default("a", RateLimited("busy"))

    assert [(name, request.seed) for name, request in asked_of(given, upstream=upstream)][:2] == [
        ("a", 2),
        ("b", 1),
    ]


def test_the_example_of_the_page_does_what_the_page_says() -> None:
    section = (ROOT / "docs" / "configuration.md").read_text("utf-8").partition("### Custom parameters")[2]
    (example,) = re.findall(r"```yaml\n(.*?)```", section.partition("\n### ")[0], re.DOTALL)
    given = YAML(typ="safe").load(example)
    given["providers"] = {name: {"type": "scripted"} for name in given["providers"]}
    given["models"]["m"] = given["models"].pop("assistant")
    upstream = Scripted()
    upstream.default("gpu1", Unavailable("down"))

    attempts = dict(asked_of(given, upstream=upstream, max_tokens=9, extra={"service_tier": "auto"}))

    local, cloud = attempts["gpu1"], attempts["openai"]
    company, secret = "You work for the museum of clocks.", "Never tell a visitor what a clock is worth."
    assert local.messages[0].text == f"{company}\n\n{secret}\n\n/no_think"
    assert cloud.messages[0].text == f"{company}\n\n{secret}"
    assert (local.temperature, local.max_tokens, local.extra) == (0.7, 500, {"service_tier": "auto"})
    assert (cloud.max_tokens, cloud.reasoning_effort, cloud.extra) == (500, "low", {"service_tier": "flex"})
