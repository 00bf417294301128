"""docs/providers.md: its table is that of the data, and what it tells to write is right."""

from __future__ import annotations

import re

import pytest
from providers_page import PAGE, configuration, page

from pointsman import Config, Router
from pointsman.build.presets import preset_names, with_preset
from pointsman.testing import installed_factory

OPENAI = installed_factory("provider", "openai")
TEXT = PAGE.read_text("utf-8")


def test_the_table_says_what_the_presets_say() -> None:
    assert page(TEXT) == TEXT, "run: python docs/tools/providers_page.py"


@pytest.mark.parametrize("preset", preset_names(OPENAI))
def test_what_the_table_tells_to_write_is_accepted(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = with_preset(OPENAI, preset)
    line = configuration(preset, made)
    if made.key_variable is not None:
        monkeypatch.setenv(made.key_variable, "the-value-of-a-key")

    config = Router.check(
        Config.from_text(f"providers:\n  a: {line}\nmodels:\n  m: {{deployments: [a/x]}}\n")
    )

    assert f"`{line}`" in TEXT
    assert not config.warnings


def test_what_may_stand_beside_a_preset_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = re.findall(
        r"^\| [^|]+ \| `((?:base_url|api_key|headers|key_header|responses): [^`]+)`", TEXT, re.MULTILINE
    )
    monkeypatch.setenv("VLLM_KEY", "the-value-of-a-key")

    assert len(rows) == 6
    for row in rows:
        Router.check(Config.from_text(f"providers:\n  a: {{type: openai, preset: vllm, {row}}}\n"))


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ({"type": "openrouter"}, "write {type: openai, preset: openrouter}"),
        (
            {"type": "openai", "preset": "grok"},
            "providers of type openai have no preset 'grok'; did you mean 'xai'?",
        ),
        ({"type": "claude", "preset": "x"}, "providers of type claude have no presets"),
        (
            {"type": "openai", "preset": "groq"},
            "a provider of type openai with preset groq needs a credential",
        ),
        (
            {"type": "openai", "preset": "azure", "api_key": "k"},
            "a provider of type openai with preset azure has no usual address",
        ),
    ],
)
def test_what_the_page_says_that_you_will_see_is_seen(provider: dict[str, str], said: str) -> None:
    with pytest.raises(Exception, match=re.escape(said)):
        Router.check({"providers": {"a": provider}})

    assert said in TEXT
