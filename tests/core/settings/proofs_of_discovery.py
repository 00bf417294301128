"""How a provider's servers are found, and where one is that is known by its address."""

from __future__ import annotations

import asyncio
from typing import Any

from proofs_of_connections import asked, at, header, upstream
from proving import Given, Setting, proves
from pydantic import BaseModel

from pointsman import ConfigError, Router
from pointsman.plugin import (
    Discovery,
    DiscoveryContext,
    DiscoveryFactory,
    Found,
    FoundServer,
    PointsmanSpec,
    hookimpl,
)
from pointsman.testing import Scripted, ScriptedAnswer, run


@proves("providers.<name>.address")
def it_is_connected_to_and_called_by_its_name(setting: Setting) -> None:
    async def main() -> None:
        async with upstream() as it:
            given = at(it.port, base_url=f"http://gpu.invalid:{it.port}/v1")
            assert await asked(setting.to("127.0.0.1", given)) == "ok"
            assert await asked(setting.to("127.0.0.9", given)) == "ConnectionFailed"
            assert header(it.heads[0], "host") == f"gpu.invalid:{it.port}"
            assert len(it.heads) == 1

    asyncio.run(main())


class Whatever(BaseModel, extra="allow"):
    """Settings that nobody looks at."""


class Finder(PointsmanSpec):
    """Two discoveries, each with a server of its own."""

    def __init__(self) -> None:
        self.asked = 0

    @hookimpl
    def pointsman_discovery(self) -> list[DiscoveryFactory]:
        asked = DiscoveryFactory("models", Whatever, self.made)
        return [asked, *(DiscoveryFactory(name, None, self.made) for name in ("one", "two"))]

    def made(self, context: DiscoveryContext) -> Discovery:
        finder, address = self, "10.0.0.1" if context.name == "one" else "10.0.0.2"

        class Finding(Discovery):
            async def find(self) -> Found:
                finder.asked += 1
                return Found(servers=[FoundServer(address=address)])

        return Finding()


GIVEN = {"providers": {"a": {"type": "scripted"}}, "models": {"m": {"deployments": ["a/x"]}}}


@proves("providers.<name>.discover", "providers.<name>.discover.type")
def what_finds_its_servers(setting: Setting) -> None:
    async def found(name: str) -> str:
        async with Router.from_config(setting.to(name, GIVEN), plugins=[Scripted(), Finder()]) as r:
            return (await r.chat("m", "hi")).deployment

    assert run(found("one")) == "a@10.0.0.1/x"
    assert run(found("two")) == "a@10.0.0.2/x"


@proves("providers.<name>.discover.interval")
def it_looks_so_often(setting: Setting) -> None:
    async def times(interval: str) -> int:
        finder = Finder()
        given = setting.to(
            interval, {**GIVEN, "providers": {"a": {"type": "scripted", "discover": {"type": "one"}}}}
        )
        async with Router.from_config(given, plugins=[Scripted(), finder]):
            await asyncio.sleep(100)
        return finder.asked

    assert 9 <= run(times("10s")) <= 12
    assert 4 <= run(times("20s")) <= 6


@proves("providers.<name>.max_in_flight")
def each_of_its_deployments_takes_so_many(setting: Setting) -> None:
    async def most(value: int) -> int:
        upstream = Scripted()
        upstream.default("a", ScriptedAnswer(after=1))
        async with Router.from_config(setting.to(value, GIVEN), plugins=[upstream]) as r:
            await asyncio.gather(*(r.chat("m", "hi") for _ in range(6)))
        return upstream.most_in_flight["a"]

    assert run(most(2)) == 2
    assert run(most(3)) == 3


ASKED: dict[str, Any] = {"providers": {"a": {"type": "scripted", "models": {"discover": True}}}}


async def offered(given: Given) -> set[str]:
    """The models that are called by names of their own; the one provider there is has `scripted-model`."""
    async with Router.from_config(given, plugins=[Scripted()]) as r:
        return set(r.status().models)


def refusal(given: Given) -> str:
    try:
        Router.check(given, plugins=[Scripted()])
    except ConfigError as error:
        return str(error)
    return ""


@proves("providers.<name>.models.discover")
def the_provider_is_asked_for_its_models(setting: Setting) -> None:
    assert run(offered(setting.to(True, ASKED))) == {"scripted-model"}
    assert "expected true" in refusal(setting.to(False, ASKED))


@proves("providers.<name>.models.include")
def these_of_them_are_offered(setting: Setting) -> None:
    assert run(offered(setting.to(["scripted*"], ASKED))) == {"scripted-model"}
    assert run(offered(setting.to(["llama*", "*-models"], ASKED))) == set()


@proves("providers.<name>.models.exclude")
def these_of_them_are_not(setting: Setting) -> None:
    assert run(offered(setting.to(["*model"], ASKED))) == set()
    assert run(offered(setting.to(["*embed*"], ASKED))) == {"scripted-model"}


@proves("providers.<name>.models.interval")
def it_is_asked_so_often(setting: Setting) -> None:
    async def times(interval: str) -> int:
        finder = Finder()
        async with Router.from_config(setting.to(interval, ASKED), plugins=[Scripted(), finder]):
            await asyncio.sleep(100)
        return finder.asked

    assert 9 <= run(times("10s")) <= 12
    assert 4 <= run(times("20s")) <= 6
