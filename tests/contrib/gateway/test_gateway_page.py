"""The page on the gateway: its example is taken, and its tables are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pointsman import Router
from pointsman_gateway.calls.call_headers import call_options
from pointsman_gateway.exchange import app, bodies
from pointsman_gateway.listening import protocol
from pointsman_gateway.reading import gateway_settings
from pointsman_gateway.settings import GatewaySettings, SurfaceSettings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "gateway.md").read_text("utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_example_is_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    monkeypatch.setenv("CI_KEY", "k" * 32)
    file = tmp_path / "pointsman.yaml"
    file.write_text(section("A complete example").partition("```yaml\n")[2].partition("```")[0])

    config = Router.check(file)

    settings = gateway_settings(config)
    assert settings.headers == "id"
    assert config.warnings == ()


def test_each_setting_stands_on_the_page_and_no_other() -> None:
    rows = re.findall(r"^\| `([A-Za-z_.]+)` \|", section("The settings"), flags=re.MULTILINE)

    own = [f"surfaces.NAME.{name}" for name in SurfaceSettings.model_fields]
    assert sorted(rows) == sorted([*GatewaySettings.model_fields, *own])


def test_each_header_of_a_call_that_stands_on_the_page_is_taken() -> None:
    rows = re.findall(r"^\| `(x-pointsman-[a-z]+): ([^`]+)` \|", section("One call"), flags=re.MULTILINE)

    assert set(call_options(dict(rows))) == {"timeout", "priority", "require", "affinity", "tags"}


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    text = section("What is refused before anybody is asked")

    assert f"{protocol.HEAD_BYTES // 1024} KiB or {protocol.FIELDS} fields" in text
    assert f"later than {protocol.HEAD_WITHIN:g} s" in text
    assert f"silent for {app.BODY_IDLE:g} s" in text
    assert f"{bodies.DEPTH} levels deep" in text
    assert f"more than {bodies.LONGEST_ARRAY:,} values" in text
    assert f"than {bodies.LONGEST_OBJECT:,} members or more than {bodies.CONTAINERS:,} of both" in text
