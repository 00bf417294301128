"""Files of other programs route as files of ours that were written by hand: same calls, same attempts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pointsman import Config, Router
from pointsman.errors import CallError, ContentFiltered, ContextWindowExceeded, Overloaded, Unavailable
from pointsman.testing import Scripted, run

FILES = Path(__file__).parent / "files"
PAGE = Path(__file__).parents[3] / "docs" / "migrating-from-litellm.md"
KEYS = {
    name: f"sk-{name.lower()}"
    for name in (
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GROQ_API_KEY",
        "GEMINI_API_KEY",
        "LITELLM_MASTER_KEY",
    )
}
FAILURES = (
    Unavailable("down"),
    Overloaded("busy"),
    ContextWindowExceeded("too long"),
    ContentFiltered("not this"),
)


def pairs() -> Iterator[tuple[str, str, str]]:
    """A name, the other program's file and ours: those beside this, and those of the page about LiteLLM."""
    for native in sorted(FILES.glob("*.native.yaml")):
        name = native.name.removesuffix(".native.yaml")
        foreign = next(
            each for each in (FILES / f"{name}.litellm.yaml", FILES / f"{name}.yaml") if each.exists()
        )
        yield name, foreign.read_text("utf-8"), native.read_text("utf-8")
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        blocks = dict(re.findall(r"^```yaml( litellm)?\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
        if len(blocks) == 2:
            yield section.partition("\n")[0], blocks[" litellm"], blocks[""]


PAIRS = {name: (foreign, native) for name, foreign, native in pairs()}


def upstreams(config: Config) -> dict[str, str]:
    """By the name of each provider, what it is: names are ours to choose, addresses are not."""
    return {name: f"{each.type} {each.preset} {each.base_url}" for name, each in config.providers.items()}


def routed(
    config: Config, models: list[str], seed: int, failures: Sequence[CallError] = FAILURES
) -> list[Any]:
    """What happened to the same calls: who was asked for what, with which options, when, and how each ended.

    Upstreams fail by chance, one in three of them always, and differently for each seed.
    """
    chance = Random(seed)
    named = upstreams(config)
    plain = {name: each.model_copy(update={"preset": None}) for name, each in config.providers.items()}
    config = config.model_copy(update={"providers": plain})  # what is scripted has no presets
    scripted = Scripted("openai", "ollama", "claude")
    for name, upstream in sorted(named.items(), key=lambda each: each[1]):
        fate = chance.choice(failures) if chance.random() < 1 / 3 else None
        luck = Random(f"{seed} {upstream}")
        scripted.default(name, fate if fate is not None else partial(_by_luck, luck, failures))
    ended: list[Any] = []

    async def main() -> None:
        async with Router.from_config(config, plugins=[scripted], rng=Random(seed)) as router:

            async def one(model: str) -> None:
                loop = asyncio.get_running_loop()
                try:
                    end = (await router.chat(model, "hello")).text
                except CallError as error:
                    end = error.code
                ended.append((model, end, round(loop.time(), 2)))

            for n in range(12):
                if n % 4 == 3:
                    await asyncio.gather(*map(one, models))
                else:
                    await one(models[n % len(models)])

    run(main())
    asked = [
        (named[name], call.model, request.temperature, request.max_tokens)
        for name, request, call in scripted.calls
    ]
    return [*asked, *sorted(ended, key=str)]


def _by_luck(luck: Random, failures: Sequence[CallError], _request: object, _call: object) -> Any:
    return luck.choice(failures[:2]) if luck.random() < 0.2 else "ok"


def asked_for(config: Config) -> list[str]:
    """All that both can be asked for, with a name for each pattern."""
    names = [*config.models, *config.aliases]
    return [each.replace("*", "some") for each in names if "only" not in each and "alone" not in each]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", PAIRS)
def test_the_same_calls_are_routed_the_same(name: str) -> None:
    foreign, native = (Config.from_text(text, environ=KEYS) for text in PAIRS[name])
    models = asked_for(native)

    assert sorted(models) == sorted(asked_for(foreign))
    assert sorted(upstreams(foreign).values()) == sorted(upstreams(native).values())
    # The page is about what is unavailable: it says nothing of who is overloaded, for which `cooldown_time` counts
    # there, too, nor of content policies, which any fallback follows there.
    failures = FAILURES if " " not in name else (Unavailable("down"),)
    for seed in range(12):
        theirs, ours = (routed(each, models, seed, failures) for each in (foreign, native))
        assert theirs == ours, f"with seed {seed}"


def test_the_comparison_finds_what_is_not_the_same() -> None:
    foreign, native = PAIRS["shares"]
    other = native.replace("weight: 4", "weight: 3")

    configs: Mapping[str, Config] = {text: Config.from_text(text, environ=KEYS) for text in (foreign, other)}
    given = [routed(each, ["assistant"], 1) for each in configs.values()]

    assert given[0] != given[1]
