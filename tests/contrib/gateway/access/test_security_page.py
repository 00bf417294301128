"""docs/security.md says what holds: its example loads, its tables are complete, its numbers are the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from pointsman import Config
from pointsman_gateway import access
from pointsman_gateway.access import claims, key_sets, sessions
from pointsman_gateway.access.settings import (
    ALGORITHMS,
    AccessSettings,
    AnonymousSettings,
    CallerLimits,
    JwtSettings,
    KeySettings,
)
from pointsman_gateway.listening import protocol
from pointsman_gateway.reading import gateway_settings

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "security.md").read_text("utf-8")


def test_its_example_is_a_configuration(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert example is not None
    file = tmp_path / "pointsman.yaml"
    file.write_text(example[1])

    config = Config.load(file, environ={"CI_KEY": "c" * 32, "MY_KEY": "m" * 32})
    settings = gateway_settings(config)

    assert settings.access is not None
    assert [each.name for each in settings.access.keys] == ["ci", "me"]


@pytest.mark.parametrize("model", [AccessSettings, AnonymousSettings, CallerLimits, JwtSettings, KeySettings])
def test_every_setting_is_in_its_tables(model: type[BaseModel]) -> None:
    assert [name for name in model.model_fields if f"`{name}`" not in PAGE] == []


def test_every_refusal_is_in_its_table_and_no_other() -> None:
    folder = Path(str(access.__file__)).parent
    source = "".join(
        each.read_text("utf-8") for each in (*folder.glob("*.py"), *(folder.parent / "calls").glob("*.py"))
    )
    raised = set(re.findall(r'denied\(\s*"\w+",\s*"(\w+)"', source)) | set(
        re.findall(r'problem_in\(\s*"\w+",\s*"\w+",\s*"(\w+)"', source)
    )
    rows = re.findall(r"^\| (?:\d+|exit 2) \| ([^|]*) \|", PAGE, flags=re.MULTILINE)

    told = {code for row in rows for code in re.findall(r"`(\w+)`", row)}

    assert told == raised


def test_its_numbers_are_those_of_the_code() -> None:
    for said in (
        f"{protocol.FIELDS} fields and {protocol.HEAD_BYTES // 1024} KiB, complete within {protocol.HEAD_WITHIN:.0f} s",
        f"a leeway of {claims.LEEWAY:.0f} s",
        f"after {sessions.LASTS / 3600:.0f} hours",
        " ".join(ALGORITHMS[:10]),
    ):
        assert said in PAGE.replace("\n", " "), said
    assert (sessions.IDLE, key_sets.REFETCH, key_sets.STALE) == (3_600, 60, 86_400)
