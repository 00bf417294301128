"""A transport with settings of its own: `transport: {type: recorder, over: auto, path: x}`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ConfigDict

from pointsman import Router
from pointsman.errors import ConfigError
from pointsman.plugin import PointsmanSpec, TransportContext, TransportFactory, hookimpl
from pointsman.testing import CannedReply, ReplayTransport, run

ANSWER = b'{"choices": [{"message": {"content": "here"}, "finish_reason": "stop"}]}'


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: Path
    over: str = "auto"


class Plugin(PointsmanSpec):
    """A recorder around other transports, and one that answers."""

    def __init__(self) -> None:
        self.made: list[Settings] = []

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        return [
            TransportFactory("recorder", Settings, self._recorder),
            TransportFactory("canned", None, lambda _context: ReplayTransport(CannedReply(200, ANSWER))),
        ]

    def _recorder(self, context: TransportContext) -> httpx.AsyncBaseTransport:
        self.made.append(context.settings)
        return context.inner(context.settings.over)


def configuration(transport: Any, /, **provider: Any) -> dict[str, Any]:
    of_provider = {"type": "openai", "base_url": "http://127.0.0.1:1/v1", "api_key": "sk-12345678"}
    return {
        "transport": transport,
        "providers": {"a": of_provider | provider},
        "models": {"m": {"deployments": ["a/x"]}},
    }


def asked(given: dict[str, Any], plugin: Plugin) -> str:
    async def main() -> str:
        async with Router.from_config(given, plugins=[plugin]) as router:
            return (await router.chat("m", "hello")).text

    return run(main())


RECORDED = {"type": "recorder", "over": "canned", "path": "calls"}


@pytest.mark.parametrize(
    "given",
    [configuration(RECORDED), configuration("httpx", transport=RECORDED)],
    ids=["for all", "for a provider"],
)
def test_its_settings_reach_its_factory_which_may_stand_around_another(given: dict[str, Any]) -> None:
    plugin = Plugin()

    assert asked(given, plugin) == "here"
    assert {(each.over, each.path) for each in plugin.made} == {("canned", Path("calls"))}


class Mirror(PointsmanSpec):
    """Stands around itself."""

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        return [TransportFactory("mirror", None, lambda context: context.inner("mirror"))]


def test_a_transport_that_stands_around_itself_is_said_to_have_no_end() -> None:
    with pytest.raises(ConfigError, match="around each other without end: mirror > mirror > mirror"):
        Router.from_config(configuration("mirror"), plugins=[Mirror()])


@pytest.mark.parametrize(
    ("transport", "said"),
    [
        ({"type": "recorder", "over": 3, "path": "x"}, "transport.over: expected text, not a number"),
        ({"type": "recorder", "pth": "x"}, "transport.pth: unknown key 'pth'; did you mean 'path'?"),
        ("recorder", "transport.path: "),
        ({"type": "canned", "path": "x"}, "transport.path: canned takes no settings"),
        ({"type": "recoder", "path": "x"}, "transport.type: no plugin offers transport 'recoder'"),
        ({"path": "x"}, "transport.type: "),
    ],
)
def test_what_is_wrong_with_them_is_told_once_and_at_its_place(transport: Any, said: str) -> None:
    for given, place in (
        (configuration(transport), ""),
        (configuration("canned", transport=transport), "providers.a."),
    ):
        with pytest.raises(ConfigError) as raised:
            Router.from_config(given, plugins=[Plugin()])
        lines = [line for line in str(raised.value).splitlines() if "transport" in line]
        assert len([line for line in lines if place + said.partition(":")[0] in line]) == 1, lines
        assert any(f"{place}{said}" in line for line in lines), lines


def test_a_reload_that_changes_them_makes_the_transport_anew_and_another_does_not() -> None:
    plugin = Plugin()

    async def main() -> list[int]:
        made = []
        async with Router.from_config(configuration(RECORDED), plugins=[plugin]) as router:
            made.append(len(plugin.made))
            await router.reload(configuration(dict(RECORDED)))
            made.append(len(plugin.made))
            await router.reload(configuration({**RECORDED, "path": "other"}))
            made.append(len(plugin.made))
        return made

    first, same, other = run(main())
    assert first == same < other
    assert plugin.made[-1].path == Path("other")
