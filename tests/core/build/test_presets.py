"""Presets: data beside a plugin, found by the name that a provider of a configuration gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pointsman import Config, ConfigError, Router
from pointsman.build.presets import preset_names, with_preset
from pointsman.errors import PluginError
from pointsman.plugin import HttpProvider, PointsmanSpec, ProviderFactory, hookimpl
from pointsman.testing import CannedReply, ReplayTransport, call_for, installed_factory, provider_for
from pointsman_openai import OpenAIProvider, OpenAISettings

HARBOUR = """
like: mine
base_url: https://harbour.test/v1
credential: {variable: HARBOUR_KEY, header: x-harbour-key}
settings: {max_tokens_field: max_tokens, unsupported: [images]}
models: [tug]
"""


class Mine(PointsmanSpec):
    """A type of a plugin of somebody else's, whose presets are in a package of theirs."""

    def __init__(self, presets: str | None) -> None:
        self.factory = ProviderFactory(
            "mine",
            OpenAISettings,
            OpenAIProvider,
            needs_key=True,
            key_variable="MINE_KEY",
            default_base_url="https://mine.test/v1",
            presets=presets,
        )

    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [self.factory]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Mine:
    """The plugin with presets `harbour`, `pier` (no usual address) and `broken`."""
    package = f"presets_{abs(hash(request.node.nodeid))}"
    folder = tmp_path / package / "presets"
    folder.mkdir(parents=True)
    (tmp_path / package / "__init__.py").write_text("")
    (folder / "harbour.yaml").write_text(HARBOUR)
    (folder / "pier.yaml").write_text(
        "like: mine\nbase_url_form: https://NAME.pier.test/v1\ncredential: {variable: PIER_KEY}"
    )
    (folder / "broken.yaml").write_text("like: mine\nsettings: {max_tokns_field: max_tokens}")
    (folder / "stranger.yaml").write_text("like: ollama")
    (folder / "notes.txt").write_text("not a preset")
    monkeypatch.syspath_prepend(tmp_path)
    return Mine(f"{package}:presets")


def given(**provider: Any) -> dict[str, Any]:
    return {
        "providers": {"a": {"type": "mine", **provider}},
        "models": {"m": {"deployments": ["a/tug"]}},
    }


def wrong(plugin: object, **provider: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        Router.check(given(**provider), plugins=[plugin])
    (problem,) = caught.value.problems
    return str(problem)


def test_the_names_of_presets_are_those_of_the_files_and_none_is_read(mine: Mine) -> None:
    assert preset_names(mine.factory) == ["broken", "harbour", "pier", "stranger"]
    assert preset_names(installed_factory("provider", "claude")) == []


def test_a_preset_brings_address_credential_settings_and_models(mine: Mine) -> None:
    made = with_preset(mine.factory, "harbour")

    assert (made.name, made.default_base_url) == ("mine", "https://harbour.test/v1")
    assert (made.needs_key, made.key_variable) == (True, "HARBOUR_KEY")
    assert [each.id for each in made.models] == ["tug"]
    assert made.settings.model_validate({}).model_dump(exclude_defaults=True) == {
        "max_tokens_field": "max_tokens",
        "unsupported": ("images",),
    }
    assert made.presets is None


def test_what_a_configuration_says_wins_over_its_preset(mine: Mine) -> None:
    said = given(preset="harbour", base_url="http://127.0.0.1:1/v1", api_key="k", unsupported=["tools"])

    router = Router.from_config(said, plugins=[mine])

    provider = router.provider("a")
    assert provider.endpoint is not None
    assert provider.endpoint.base_url == "http://127.0.0.1:1/v1"
    settings = provider.context.settings  # type: ignore[attr-defined]
    assert (settings.unsupported, settings.max_tokens_field) == (("tools",), "max_tokens")


async def test_a_call_goes_to_the_address_of_the_preset_with_its_credential(mine: Mine) -> None:
    transport = ReplayTransport(CannedReply(200, b'{"data": []}'))
    provider = provider_for(with_preset(mine.factory, "harbour"), transport, key="k-1")

    await provider.models()

    (request,) = transport.requests
    assert str(request.url) == "https://harbour.test/v1/models"
    assert request.headers["x-harbour-key"] == "k-1"
    assert "authorization" not in request.headers
    assert call_for(provider, transport).http is not None


def test_only_the_preset_that_is_named_is_read(mine: Mine) -> None:
    Router.check(given(preset="harbour", api_key="k"), plugins=[mine])

    assert "the preset 'broken' of provider type mine is wrong: " in (said := wrong(mine, preset="broken"))
    assert "broken.yaml:2:12: settings.max_tokns_field: unknown key" in said
    assert "did you mean 'max_tokens_field'?" in said


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        (
            {"preset": "harbor", "api_key": "k"},
            "providers.a.preset: providers of type mine have no preset 'harbor'; did you mean 'harbour'?",
        ),
        (
            {"preset": "../harbour", "api_key": "k"},
            "providers.a.preset: providers of type mine have no preset '../harbour'; ",
        ),
        (
            {"preset": "stranger", "api_key": "k"},
            "a preset of 'mine' is like that, and not like 'ollama'",
        ),
        (
            {"preset": "harbour"},
            "providers.a: a provider of type mine with preset harbour needs a credential; "
            "add `auth: {type: env, name: HARBOUR_KEY}`",
        ),
        (
            {"preset": "pier", "api_key": "k"},
            "providers.a: a provider of type mine with preset pier has no usual address; "
            "add `base_url: https://NAME.pier.test/v1`",
        ),
        (
            {"preset": "pier", "base_url": "https://my.pier.test/v1"},
            "providers.a: a provider of type mine with preset pier needs a credential; "
            "add `auth: {type: env, name: PIER_KEY}`",
        ),
        ({"preset": 7, "api_key": "k"}, "providers.a.preset: "),
        ({"preset": "harbour", "api_key": "k", "max_tokns_field": 1}, "did you mean 'max_tokens_field'?"),
    ],
)
def test_what_is_wrong_with_a_preset_is_told_at_its_place(
    mine: Mine, provider: dict[str, Any], said: str
) -> None:
    assert said in wrong(mine, **provider)


def test_a_type_without_presets_says_so() -> None:
    config = {"providers": {"a": {"type": "claude", "preset": "x", "api_key": "k"}}}

    with pytest.raises(ConfigError, match=r"providers\.a\.preset: providers of type claude have no presets"):
        Router.check(config)


@pytest.mark.parametrize("place", ["nowhere_at_all:presets", "pointsman:absent", "os:path", "pointsman", ""])
def test_presets_that_are_not_where_they_should_be_are_an_error(place: str) -> None:
    said = wrong(Mine(place), preset="harbour", api_key="k")

    assert f"the presets of provider type mine are not at {place!r}: " in said


def test_a_file_says_one_address_or_what_one_looks_like(mine: Mine, tmp_path: Path) -> None:
    (folder,) = tmp_path.glob("*/presets")
    (folder / "harbour.yaml").write_text("like: mine\nbase_url: http://a.test\nbase_url_form: http://b.test")

    with pytest.raises(PluginError, match="says a base_url, and what one looks like; keep one of them"):
        with_preset(mine.factory, "harbour")


async def test_another_preset_makes_another_provider_at_a_reload(mine: Mine) -> None:
    first = given(preset="harbour", api_key="k")
    async with Router.from_config(first, plugins=[mine]) as router:
        before = router.provider("a")
        await router.reload(Config.from_mapping(first, plugins=[mine]))
        assert router.provider("a") is before

        await router.reload(Config.from_mapping(given(api_key="k"), plugins=[mine]))
        after = router.provider("a")

    assert after is not before
    assert isinstance(after, HttpProvider)
    assert after.endpoint.base_url == "https://mine.test/v1"
