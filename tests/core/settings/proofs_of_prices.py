"""What models cost and how long a prompt they take: as configured, or as somebody knows."""

from __future__ import annotations

from collections.abc import Sequence

from proving import Given, Setting, proves
from routers import config

from pointsman import Router
from pointsman.plugin import (
    KnownModel,
    ModelInfo,
    PointsmanSpec,
    Price,
    PriceFactory,
    PriceSource,
    hookimpl,
)
from pointsman.testing import Scripted, run


class Telling(PriceSource, PointsmanSpec):
    """The source `telling`: a window of 5,000 tokens, whatever it is asked for."""

    @hookimpl
    def pointsman_prices(self) -> Sequence[PriceFactory]:
        return [PriceFactory("telling", None, lambda _context: self)]

    def look(self, type: str, model: str, base_url: str | None, /) -> KnownModel:
        return KnownModel(Price(input=1, output=2), 5_000, ["completion"])


def listed(given: Given) -> ModelInfo:
    async def main() -> ModelInfo:
        async with Router.from_config(given, plugins=[Scripted(), Telling()]) as router:
            return next(each for each in await router.models() if each.id == "m")

    return run(main())


@proves("prices")
def the_sources_are_asked_that_are_named(setting: Setting) -> None:
    for value, window in (
        (["telling"], 5_000),
        (["shipped", "telling"], 5_000),
        (["shipped"], None),
        ([], None),
    ):
        assert listed(setting.to(value, config("a"))).context_window == window


@proves("models.<name>.deployments[].context_window")
def the_window_of_a_deployment_is_that_of_the_model_where_it_is_the_smallest(setting: Setting) -> None:
    given = config("ab", prices=["telling"])
    for value, window in ((4_000, 4_000), (3_000, 3_000), (9_000, 5_000), (None, 5_000)):
        assert listed(setting.to(value, given)).context_window == window
