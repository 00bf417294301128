"""What lists of models say that a model can do."""

from __future__ import annotations

from proving import Given, Setting, during, proves
from routers import config

from pointsman import Router
from pointsman.plugin import ModelInfo
from pointsman.testing import Scripted
from pointsman_cli.running import default_model

KEY = "models.<name>.capabilities"


def listed(given: Given) -> ModelInfo:
    async def story(r: Router) -> ModelInfo:
        return next(each for each in await r.models() if each.id == "m")

    return during(given, Scripted(), story)


@proves("default_model")
def it_is_the_one_for_who_names_none(setting: Setting) -> None:
    given = config("a")
    given["models"]["n"] = {"deployments": ["a/x"]}
    for value in ("m", "n"):

        async def story(r: Router) -> str:
            return default_model(r)

        assert during(setting.to(value, given), Scripted(), story) == value


def base() -> Given:
    given = config("a")
    given["models"]["m"]["capabilities"] = {}
    return given


@proves(KEY)
def all_of_them_are_told(setting: Setting) -> None:
    for can, length in ((["tools"], 100), (["vision"], 200)):
        found = listed(setting.to({"can": can, "context_length": length}, base()))
        assert (found.capabilities, found.context_window) == (can, length)


@proves(f"{KEY}.can")
def it_can_do_what_is_said(setting: Setting) -> None:
    for value in (["completion", "tools"], ["embedding"]):
        assert listed(setting.to(value, base())).capabilities == value


@proves(f"{KEY}.context_length")
def it_is_as_long_as_is_said(setting: Setting) -> None:
    for value in (8192, 1_000_000):
        assert listed(setting.to(value, base())).context_window == value


@proves(f"{KEY}.family")
def it_is_of_the_family_that_is_said(setting: Setting) -> None:
    for value in ("llama", "qwen3"):
        assert listed(setting.to(value, base())).raw["family"] == value
