"""docs/responses.md says what there is: each setting with its default, and configurations that load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pointsman import Router
from pointsman_gateway.surfaces.openai import OpenAISettings
from pointsman_gateway.surfaces.openai_responses import ResponsesSettings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "responses.md").read_text("utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_configuration_on_the_page_loads(block: str) -> None:
    said = YAML(typ="safe").load(block)

    assert Router.check(said).warnings == ()
    for surface in said.get("gateway", {}).get("surfaces", {}).values():
        assert OpenAISettings.model_validate(surface).responses


def test_the_table_has_every_setting_with_its_default() -> None:
    shown = {"path": "required", "max_age": "`30d`", "max_size": "`1000`"}
    fields = ResponsesSettings.model_fields

    assert set(fields) == set(shown)
    for name, default in shown.items():
        assert f"| `{name}` | {default} |" in PAGE
    assert fields["max_age"].default == 30 * 86_400
    assert fields["max_size"].default == 1000
