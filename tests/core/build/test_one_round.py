"""All that is wrong with a configuration is said at once, whoever finds it: the core or a plugin."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from routers import config, router

from pointsman import ConfigError, Router, SyncRouter
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.provider import ProviderFactory
from pointsman.testing import Scripted, run


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    beams: int = 1


class WithOptions(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        made = Scripted().pointsman_providers()[0]
        return [ProviderFactory("opted", made.settings, made.make, options=Options)]


PLUGINS = [Scripted(), WithOptions()]

TWELVE = """\
providers:
  gpu1:
    type: ollama
    keep_alive: 5 days
    http2: perhaps
  gpu2: {type: olama}
  gpu3: {type: opted, auth: {type: evn, name: KEY}}
strategy: {type: weighted, wieght: 3}
retry: {type: exponential, attempts: many}
circuit_breaker: {failure_threshold: 0}
models:
  big:
    strategy: round_robin
    deployments:
      - {provider: gpu3, model: x, weight: heavy}
      - {provider: gpu3, model: y, options: {baems: 2}}
    fallback: [small, smal]
  small:
    strategy: roundrobin
    deployments: [gpu1/x]
audit:
  - {type: jsonl, path: ./here, pth: ./there}
"""
PLACES = """\
4:17 providers.gpu1.keep_alive
5:12 providers.gpu1.http2
6:16 providers.gpu2.type
7:36 providers.gpu3.auth.type
8:28 strategy.wieght
9:38 retry.attempts
10:38 circuit_breaker.failure_threshold
15:44 models.big.deployments[0].weight
16:46 models.big.deployments[1].options.baems
17:23 models.big.fallback[1]
19:15 models.small.strategy.type
22:33 audit[0].pth
"""


def problems(text: str, *, suffix: str = "yaml", folder: Path) -> list[str]:
    file = folder / f"p.{suffix}"
    file.write_text(dedent(text))
    with pytest.raises(ConfigError) as raised:
        Router.check(file, plugins=PLUGINS)
    found: list[Any] = list(raised.value.problems)
    return [f"{each.line}:{each.column} {each.path}" for each in found]


def test_what_the_core_and_what_plugins_find_comes_in_one_round_by_place(tmp_path: Path) -> None:
    assert problems(TWELVE, folder=tmp_path) == PLACES.splitlines()


def test_the_same_is_said_of_a_mapping_and_of_a_file_and_by_every_way_in(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(TWELVE)

    for begin in (Router.from_config, SyncRouter.from_config, Router.check):
        with pytest.raises(ConfigError) as raised:
            begin(file, plugins=PLUGINS)  # type: ignore[operator]
        assert len(raised.value.problems) == 12


def test_a_reload_says_all_of_it_too(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(TWELVE)

    async def main() -> None:
        async with router(Scripted()) as r:
            with pytest.raises(ConfigError) as raised:
                await r.reload(file)
            assert len(raised.value.problems) > 10
            assert r.config.providers.keys() == {"a", "b", "c"}

    run(main())


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        # A wrong key makes no missing credential, a wrong provider no model without deployments.
        ({"providers": {"o": {"type": "openai", "api_key": 5}}, "models": {}}, ["providers.o.api_key"]),
        ({"providers": {"a": {"tpye": "scripted"}, "b": {"type": "scripted"}}}, ["providers.a.type"]),
        ({"providers": {"a": {"type": "scripted", "labels": {"local": []}}},
          "models": {"m": {"deployments": ["a/x"], "require": {"local": True}}}}, ["providers.a.labels.local"]),
        ({"models": {"m": {"deployments": [{"provider": "a", "model": "x", "weight": "?"}, "b/y"],
          "require": {"local": True}}}}, ["models.m.deployments[0].weight"]),
        ({"adaptive_concurrency": {}, "models": {"m": {"deployments": [
          {"provider": "a", "model": "x", "max_in_flight": "many"}]}}}, ["models.m.deployments[0].max_in_flight"]),
        ({"providers": {}}, ["providers"]),
        ({"providers": 5, "audit": ["jsnol"]}, ["audit[0].type", "providers"]),
        ({"providers": {"a": {"type": "scripted", "api_key": "${NOT_SET_ANYWHERE}"}}, "models": {},
          "retry": {"type": "exponential", "attempts": "${NOT_SET_ANYWHERE}"}},
         ["providers.a.api_key", "retry.attempts"]),
        # One mistake that many models meet is one problem.
        ({"strategy": "wieghted", "models": {name: {"deployments": ["a/x"]} for name in "mno"}}, ["strategy.type"]),
        ({"transport": "htpx"}, ["transport"]),
        # What nobody uses is checked as well.
        ({"strategy": "wieghted", "models": {"m": {"strategy": "round_robin", "deployments": ["a/x"]}}},
         ["strategy.type"]),
        ({"retry": {"type": "none", "attempts": 3},
          "models": {"m": {"retry": "none", "deployments": ["a/x"]}}}, ["retry.attempts"]),
        # A provider that cannot be made keeps nothing else from being looked at.
        ({"providers": {"a": {"type": "opted", "nonsense": 1, "transport": "htpx", "auth": "evn",
                              "shared_limits": ["none"]}},
          "models": {"m": {"strategy": "wieghted", "retry": "sometimes", "deployments": [
              {"provider": "a", "model": "x", "options": {"baems": 1}, "defaults": {"temprature": 1}}]}}},
         ["models.m.deployments[0].defaults.temprature", "models.m.deployments[0].options.baems", "models.m.retry.type",
          "models.m.strategy.type", "providers.a.auth.type", "providers.a.nonsense",
          "providers.a.shared_limits[0]", "providers.a.transport"]),
    ],
)  # fmt: skip
def test_each_mistake_is_said_once_and_no_mere_consequence(changes: dict[str, Any], paths: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        Router.check(config("ab") | changes, plugins=PLUGINS)

    found: list[Any] = list(raised.value.problems)
    assert sorted(each.path for each in found) == paths


def test_a_strategy_for_anything_is_answered_with_what_to_write() -> None:
    with pytest.raises(ConfigError, match=r"that is no strategy: leave it out"):
        Router.check(config(strategy="*"), plugins=PLUGINS)
