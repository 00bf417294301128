"""The surfaces of a gateway are made of what its section says, and checked before anything is served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from plugin_pages import PAGES
from pydantic import BaseModel

from pointsman import Config, ConfigError
from pointsman._internal.scrubber import Scrubber
from pointsman.build.surfaces import MadeSurface, SurfaceParts, made_surfaces
from pointsman.clock import system_rng
from pointsman.plugin import (
    PointsmanSpec,
    ProblemDetails,
    Route,
    SocketRoute,
    Surface,
    SurfaceContext,
    SurfaceFactory,
    SurfaceRequest,
    WholeReply,
    hookimpl,
)
from pointsman.plugins.registry import Plugins
from pointsman.plugins.routes import METHODS, pattern
from pointsman.testing import Scripted, SurfaceHost, SystemClock

FILE = """
providers:
  here: {type: scripted}
gateway:
  surfaces:
    plain:
      at: /ask
      wrong: 1
"""


class PlainSettings(BaseModel, extra="forbid"):
    at: str = "/plain"


class Plain(Surface):
    def __init__(self, context: SurfaceContext) -> None:
        self.context = context
        self.given: Sequence[Any] = [Route("POST", context.settings.at, answer)]

    def routes(self) -> Sequence[Any]:
        return self.given

    def problem(self, problem: ProblemDetails) -> WholeReply:
        return WholeReply(500)


async def answer(_asked: SurfaceRequest) -> WholeReply:
    return WholeReply()


class Offering(PointsmanSpec):
    def __init__(self, make: Callable[[SurfaceContext], Any]) -> None:
        self._factory = SurfaceFactory("plain", PlainSettings, make)

    @hookimpl
    def pointsman_surfaces(self) -> list[SurfaceFactory]:
        return [self._factory]


def giving(*routes: Any) -> Callable[[SurfaceContext], Surface]:
    def make(context: SurfaceContext) -> Surface:
        made = Plain(context)
        made.given = routes
        return made

    return make


def made(
    make: Callable[[SurfaceContext], Any] = Plain,
    wanted: Mapping[str, Mapping[str, Any]] | None = None,
    config: Config | None = None,
) -> Sequence[MadeSurface]:
    host = SurfaceHost()
    return made_surfaces(
        config or Config.from_mapping({"providers": {"here": {"type": "scripted"}}}, plugins=[Scripted()]),
        Plugins([Offering(make)]),
        {"plain": {}} if wanted is None else wanted,
        ("gateway", "surfaces"),
        SurfaceParts(None, lambda _name: host, host, host),
        clock=SystemClock(),
        rng=system_rng(1),
        scrubber=Scrubber(),
    )


def refused(*args: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        made(*args)
    return str(caught.value)


def test_a_surface_is_made_of_its_settings_and_gets_what_it_works_with() -> None:
    (found,) = made(wanted={"plain": {"at": "/ask"}})

    assert [(each.method, each.path) for each in found.routes if isinstance(each, Route)] == [
        ("POST", "/ask")
    ]
    assert isinstance(found.surface, Plain)
    assert found.surface.context.log.name == "pointsman.surface.plain"
    assert isinstance(found.surface.context.catalogue, SurfaceHost)


def test_an_unknown_key_of_a_surface_is_told_with_its_place_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(FILE)
    config = Config.load(file)

    message = refused(Plain, config.sections["gateway"]["surfaces"], config)

    assert "pointsman.yaml:8:7" in message
    assert "gateway.surfaces.plain.wrong" in message


def test_a_surface_that_nobody_offers_is_told_with_what_there_is() -> None:
    assert "no plugin offers surface 'plian'; installed: " in refused(Plain, {"plian": {}})


def raises(_self: Any) -> Any:
    raise ValueError("secret")


SOUND = Route("POST", "/plain", answer)
WRONG: dict[str, Callable[[], str]] = {
    "gave none": lambda: refused(giving()),
    "two routes": lambda: refused(giving(SOUND, SOUND)),
    "GIT": lambda: refused(giving(Route("GIT", "/plain", answer))),
    "begin with": lambda: refused(giving(Route("POST", "plain", answer))),
}


@pytest.mark.parametrize("part", WRONG)
def test_what_the_page_says_that_one_sees_is_what_one_sees(part: str) -> None:
    rows = PAGES["surface.md"].partition("| you see |")[2].splitlines()
    (quote,) = [row.split("`")[1] for row in rows if row.startswith("| `") and part in row.split("`")[1]]

    shown = WRONG[part]()

    for piece in quote.split("…"):
        assert piece in shown


def test_the_page_tells_of_nothing_else() -> None:
    rows = PAGES["surface.md"].partition("| you see |")[2].partition("\n\n")[0].splitlines()

    assert len([row for row in rows if row.startswith("| `")]) == len(WRONG)


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ("GET /", "gave a str"),
        ([1], "gave a int; expected a Route or a SocketRoute"),
        ([Route("GET", "/a", None)], "has a NoneType as its handler"),  # type: ignore[arg-type]
        ([Route("GET", "/a{b}{b}", answer)], "it has {b} twice"),
        ([Route("GET", "/a b", answer)], "'/a b' can stand in no path"),
        ([Route("GET", "/a?b", answer)], "can stand in no path"),
        ([Route("GET", "/{a:int}", answer)], "can stand in no path"),
        ([Route("GET", "/{a}", answer), Route("GET", "/{b}", answer)], "two routes for GET /{b}"),
        ([Route("GET", "/a", answer), Route("GET", "/b", answer, aliases=["/a"])], "two routes for GET /a"),
        ([SocketRoute("/a", answer), SocketRoute("/a", answer)], "two routes for WebSocket /a"),  # type: ignore[arg-type]
    ],
)
def test_routes_that_cannot_be_served_are_refused(routes: Any, said: str) -> None:
    def make(context: SurfaceContext) -> Surface:
        plain = Plain(context)
        plain.given = routes
        return plain

    assert said in refused(make)


def test_a_route_and_a_socket_may_share_a_path_and_so_may_two_methods() -> None:
    async def speak(_asked: Any, _socket: Any) -> None:
        """Nothing."""

    (found,) = made(giving(Route("GET", "/a", answer), Route("POST", "/a", answer), SocketRoute("/a", speak)))

    assert len(found.routes) == 3


def test_routes_that_cannot_be_told_are_a_fault_of_the_plugin_and_its_words_stay_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Plain, "routes", raises)

    said = refused(Plain)

    assert "whose routes() failed: ValueError; the log says more" in said
    assert "secret" not in said
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("path", "asked", "params"),
    [
        ("/v1/models/{id:path}", "/v1/models/org/m", {"id": "org/m"}),
        ("/v1/models/{id}", "/v1/models/org/m", None),
        ("/v1/models/{id}", "/v1/models/", None),
        ("/v1beta/models/{model:path}:ask", "/v1beta/models/a/b:ask", {"model": "a/b"}),
        ("/v1beta/models/{model:path}:ask", "/v1beta/models/a/b:tell", None),
        ("/a.b", "/axb", None),
        ("/a", "/a\n", None),
    ],
)
def test_a_path_belongs_to_the_route_whose_pattern_it_is(
    path: str, asked: str, params: dict[str, str] | None
) -> None:
    found = pattern(path).fullmatch(asked)

    assert (found and found.groupdict()) == params


def test_the_methods_are_those_that_browsers_and_clients_send() -> None:
    assert {"DELETE", "GET", "PATCH", "POST", "PUT"} == METHODS
