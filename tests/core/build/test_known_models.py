"""What is known of a deployment before it is called: whose word counts, and what is asked of whom."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from routers import config

from pointsman import ConfigError, Router
from pointsman.plugin import (
    KnownModel,
    Member,
    ModelInfo,
    PointsmanSpec,
    Price,
    PriceFactory,
    PriceSource,
    ProviderFactory,
    Strategy,
    StrategyFactory,
    hookimpl,
    replace,
)
from pointsman.testing import Scripted

DEAR, CHEAP = Price(input=9, output=9), Price(input=1, output=1)


class Sources(PointsmanSpec):
    """Sources by name, each a function of what is looked for; what they were asked for in `asked`."""

    def __init__(self, **looks: Callable[..., Any]) -> None:
        self.looks = looks
        self.asked: list[tuple[str, str, str, str | None]] = []

    @hookimpl
    def pointsman_prices(self) -> Sequence[PriceFactory]:
        return [PriceFactory(name, None, self._maker(name)) for name in self.looks]

    def _maker(self, name: str) -> Callable[[object], PriceSource]:
        class Source(PriceSource):
            def look(source, type: str, model: str, base_url: str | None, /) -> Any:
                self.asked.append((name, type, model, base_url))
                return self.looks[name](type, model, base_url)

        return lambda _context: Source()


def says(**known: Any) -> Callable[..., KnownModel]:
    return lambda *_asked: KnownModel(**known)


def nothing(*_asked: object) -> None:
    return None


def fails(*_asked: object) -> None:
    raise KeyError("price list")


class Watching(Strategy, PointsmanSpec):
    """The strategy `watching`, which shows what it has to choose from."""

    def __init__(self) -> None:
        self.seen: Any = None

    @hookimpl
    def pointsman_strategies(self) -> Sequence[StrategyFactory]:
        return [StrategyFactory("watching", None, lambda _context: self)]

    def members(self, everyone: Sequence[Member], /) -> None:
        (self.seen,) = everyone

    def pick(self, ready: Sequence[Member], _request: object, /) -> Member:
        return ready[0]


async def known(given: dict[str, Any], *plugins: object) -> Any:
    """The deployment of a router for `given`, as a strategy sees it."""
    strategy = Watching()
    async with Router.from_config({**given, "strategy": "watching"}, plugins=[*plugins, strategy]):
        return strategy.seen


async def test_each_fact_is_that_of_the_first_who_knows_it() -> None:
    one = says(context_window=1_000)
    sources = Sources(
        one=one, two=says(price=DEAR, context_window=2_000), three=says(price=CHEAP, capabilities=["tools"])
    )

    found = await known(config("a", prices=["one", "two", "three"]), Scripted(), sources)

    assert (found.price, found.context_window, found.capabilities) == (DEAR, 1_000, ["tools"])
    assert [each[0] for each in sources.asked] == ["one", "two", "three"]


async def test_what_a_deployment_says_itself_goes_before_all_of_them() -> None:
    sources = Sources(one=says(price=DEAR, context_window=9_000, capabilities=["tools"]))
    given = config("a", prices=["one"])
    said = {"price": {"input": 1, "output": 1}, "context_window": 1_000}
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", **said}]

    found = await known(given, Scripted(), sources)

    assert (found.price, found.context_window, found.capabilities) == (CHEAP, 1_000, ["tools"])


async def test_who_is_asked_once_all_is_known_nobody_is_asked_any_more() -> None:
    sources = Sources(one=says(price=DEAR, context_window=9_000, capabilities=["tools"]), two=nothing)

    async with Router.from_config(config("a", prices=["one", "two"]), plugins=[Scripted(), sources]):
        pass

    assert [each[0] for each in sources.asked] == ["one"]


async def test_what_a_provider_type_lists_itself_goes_before_sources() -> None:
    class Lists(Scripted):
        @hookimpl
        def pointsman_providers(self) -> list[ProviderFactory]:
            (factory,) = super().pointsman_providers()
            return [replace(factory, models=[ModelInfo("x", context_window=700)])]

    sources = Sources(one=says(price=DEAR, context_window=9_000))

    found = await known(config("a", prices=["one"]), Lists(), sources)

    assert (found.price, found.context_window) == (DEAR, 700)


@pytest.mark.parametrize(
    ("provider", "address"),
    [
        ({"type": "openai", "api_key": "k"}, "https://api.openai.com/v1"),
        ({"type": "openai", "base_url": "http://here.test/v1/"}, "http://here.test/v1"),
        ({"type": "claude", "api_key": "k"}, "https://api.anthropic.com"),
        ({"type": "scripted"}, None),
        ({"type": "scripted", "base_url": "http://here.test"}, "http://here.test"),
    ],
)
async def test_a_source_is_told_where_the_calls_go(provider: dict[str, str], address: str | None) -> None:
    sources = Sources(one=nothing)
    given = config("a", prices=["one"])
    given["providers"]["a"] = provider

    async with Router.from_config(given, plugins=[Scripted(), sources]):
        pass

    assert sources.asked == [("one", provider["type"], "x", address)]


async def test_what_no_model_lists_is_looked_up_when_it_is_first_asked_for() -> None:
    sources = Sources(one=says(price=DEAR))

    async with Router.from_config(config("a", prices=["one"]), plugins=[Scripted(), sources]) as router:
        await router.chat("a/other", "hi")
        await router.chat("a/other", "hi")

    assert [each[2] for each in sources.asked] == ["x", "other"]


async def test_what_a_call_costs_is_counted_by_the_price_that_is_known() -> None:
    sources = Sources(one=says(price=Price(input=3, output=15)))

    async with Router.from_config(config("a", prices=["one"]), plugins=[Scripted(), sources]) as router:
        reply = await router.chat("m", "hi")

    usage = reply.usage
    assert usage.prompt
    assert usage.completion
    assert reply.cost_microcents == 300 * usage.prompt + 1_500 * usage.completion


async def test_a_reload_asks_again() -> None:
    answers, watching = [DEAR, CHEAP], Watching()
    sources = Sources(one=lambda *_asked: KnownModel(answers.pop(0)))

    given = config("a", prices=["one"], strategy="watching")

    async with Router.from_config(given, plugins=[Scripted(), sources, watching]) as router:
        before = watching.seen
        await router.reload(given)

    assert (before.price, watching.seen.price) == (DEAR, CHEAP)


def test_a_source_that_fails_keeps_a_router_from_starting(caplog: pytest.LogCaptureFixture) -> None:
    given = config("a", prices=["one"])

    with pytest.raises(
        ConfigError, match=r"prices\[0\]: the source of prices 'one' failed in look\(\) for 'x'"
    ):
        Router.from_config(given, plugins=[Scripted(), Sources(one=fails)])

    assert "prices plugin 'one' failed in look(): KeyError" in caplog.text


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (0.1, "a float; expected a KnownModel or None"),
        (KnownModel(0.1), "a price that is a float"),  # type: ignore[arg-type]
        (KnownModel(None, 0), "a context_window of 0; expected a whole number of 1 or more"),
        (KnownModel(None, True), "a context_window of True"),
        (KnownModel(None, 8e3), "a context_window of 8000.0"),  # type: ignore[arg-type]
        (KnownModel(capabilities="tools"), "capabilities that are no sequence of names"),
        (KnownModel(capabilities=[1]), "capabilities that are no sequence of names"),  # type: ignore[list-item]
    ],
)
def test_what_is_no_fact_is_refused_by_name(said: Any, wrong: str) -> None:
    with pytest.raises(ConfigError) as error:
        Router.from_config(
            config("a", prices=["one"]), plugins=[Scripted(), Sources(one=lambda *_asked: said)]
        )

    assert f"the source of prices 'one' said of 'x' {wrong}" in str(error.value)


async def test_a_source_that_fails_later_fails_no_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)

    def knows_x(_type: str, model: str, _base_url: str | None) -> KnownModel:
        return {"x": KnownModel(DEAR)}[model]

    sources = Sources(one=knows_x, two=says(price=CHEAP))

    async with Router.from_config(
        config("a", prices=["one", "two"]), plugins=[Scripted(), sources]
    ) as router:
        reply = await router.chat("a/other", "hi")

    assert reply.text
    assert [each[0] for each in sources.asked if each[2] == "other"] == ["one", "two"]
    assert "prices plugin 'one' failed in look(): KeyError" in caplog.text


async def test_a_model_takes_what_the_least_of_its_deployments_takes_and_can_what_all_can() -> None:
    facts = {
        "x": KnownModel(None, 9_000, ["tools", "completion", "vision"]),
        "y": KnownModel(None, 7_000, ["completion", "tools"]),
        "z": None,
    }
    sources = Sources(one=lambda _type, model, _base_url: facts[model])
    given = config("a", prices=["one"])
    given["models"] = {
        "both": {"deployments": ["a/x", "a/y"]},
        "unknown": {"deployments": ["a/x", "a/z"]},
        "said": {"deployments": ["a/x"], "capabilities": {"context_length": 50_000, "can": ["insert"]}},
        "auto": {"selector": {"type": "rules", "rules": [{"use": "both"}]}, "of": ["both", "said"]},
    }

    async with Router.from_config(given, plugins=[Scripted(), sources]) as router:
        found = {each.id: (each.context_window, tuple(each.capabilities)) for each in await router.models()}

    assert found["both"] == (7_000, ("tools", "completion"))
    assert found["unknown"] == (9_000, ())
    assert found["said"] == (50_000, ("insert",))
    assert found["auto"] == (7_000, ("tools", "completion"))
